//! S3 for tests: an HTTP server in this process, or an external server.
//!
//! The external server is used if `S3_TEST_ENDPOINT`, `S3_TEST_BUCKET`, `AWS_ACCESS_KEY_ID`,
//! `AWS_SECRET_ACCESS_KEY` and `AWS_REGION` are set. The server in this process keeps objects in a
//! temporary folder. Each test has its own prefix.

use std::{
    collections::BTreeMap, env, error::Error, fs, net::SocketAddr, path::Path, sync::mpsc, thread,
};

use aws_sdk_s3::{
    Client,
    config::{BehaviorVersion, Builder, Credentials, Region},
    primitives::ByteStream,
};
use aws_smithy_http_client::Builder as HttpBuilder;
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use bytes::Bytes;
use futures::StreamExt;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::oneshot};
use tower_traffic::{
    Exchange, StoreError,
    store::{Bucket, Disk, InvalidBucket, Replay, S3Error, S3Problem},
};
use uuid::Uuid;

/// An existing bucket, and a prefix that no other test uses.
pub struct TestBucket {
    pub endpoint: String,
    pub name: String,
    pub prefix: String,
    pub region: String,
    pub access_key: String,
    pub secret_key: String,
    server: Option<S3Server>,
}

impl TestBucket {
    pub fn new() -> Self {
        let prefix = format!("tests/{}", Uuid::new_v4().simple());
        let var = |name: &str| env::var(name).unwrap_or_else(|_| panic!("{name} is not set"));
        if let Ok(endpoint) = env::var("S3_TEST_ENDPOINT") {
            return Self {
                endpoint,
                name: var("S3_TEST_BUCKET"),
                prefix,
                region: var("AWS_REGION"),
                access_key: var("AWS_ACCESS_KEY_ID"),
                secret_key: var("AWS_SECRET_ACCESS_KEY"),
                server: None,
            };
        }
        let server = S3Server::start();
        fs::create_dir(server.folder.path().join("traffic")).unwrap();
        Self {
            endpoint: format!("http://{}", server.addr),
            name: "traffic".to_owned(),
            prefix,
            region: "us-east-1".to_owned(),
            access_key: S3Server::ACCESS_KEY.to_owned(),
            secret_key: S3Server::SECRET_KEY.to_owned(),
            server: Some(server),
        }
    }

    /// The bucket, with the credentials and address of this server.
    pub fn bucket(&self) -> Bucket {
        self.bucket_at(&self.endpoint)
    }

    /// The bucket at another address, for example that of a proxy.
    pub fn bucket_at(&self, endpoint: &str) -> Bucket {
        Bucket::from(format!("s3://{}/{}", self.name, self.prefix))
            .endpoint(endpoint)
            .region(&self.region)
            .credentials(&self.access_key, &self.secret_key)
    }

    /// The bucket with `rest` appended to the prefix.
    pub fn bucket_at_prefix(&self, rest: &str) -> Bucket {
        Bucket::from(format!("s3://{}/{}", self.name, self.key(rest)))
            .endpoint(&self.endpoint)
            .region(&self.region)
            .credentials(&self.access_key, &self.secret_key)
    }

    /// A client of the SDK, for the runtime in which it is first used.
    pub fn client(&self) -> Client {
        let no_certificates = TlsContext::builder().with_trust_store(TrustStore::empty());
        let trust = if self.endpoint.starts_with("http://") {
            no_certificates.build().unwrap()
        } else {
            TlsContext::default()
        };
        let http = HttpBuilder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .tls_context(trust)
            .build_https();
        let config = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http)
            .endpoint_url(&self.endpoint)
            .force_path_style(true)
            .region(Region::new(self.region.clone()))
            .credentials_provider(Credentials::new(
                &self.access_key,
                &self.secret_key,
                None,
                None,
                "tests",
            ))
            .build();
        Client::from_conf(config)
    }

    /// The key of an object under the prefix.
    pub fn key(&self, rest: &str) -> String {
        format!("{}/{rest}", self.prefix)
    }

    /// The objects under the prefix: keys and contents.
    pub async fn objects(&self) -> BTreeMap<String, Bytes> {
        let client = self.client();
        let mut objects = BTreeMap::new();
        let mut next = None;
        loop {
            let page = client
                .list_objects_v2()
                .bucket(&self.name)
                .prefix(format!("{}/", self.prefix))
                .set_continuation_token(next)
                .send()
                .await
                .unwrap();
            for object in page.contents() {
                let key = object.key().unwrap();
                objects.insert(key.to_owned(), self.get(&client, key).await);
            }
            next = page.next_continuation_token;
            if next.is_none() || page.is_truncated != Some(true) {
                return objects;
            }
        }
    }

    /// The recorded exchanges under the prefix, by the number at the end of their paths. Panics on
    /// a duplicate.
    pub async fn recorded(&self) -> BTreeMap<u64, Exchange> {
        let folder = tempfile::tempdir().unwrap();
        let mut recorded = BTreeMap::new();
        let objects = self.objects().await;
        let segments = objects.iter().filter(|(key, _)| key.ends_with(".warc.gz"));
        for (key, content) in segments {
            fs::write(folder.path().join(key.replace('/', "_")), content).unwrap();
        }
        let mut exchanges = Disk::new(folder.path()).replay();
        while let Some(exchange) = exchanges.next().await {
            let exchange = exchange.unwrap();
            let path = exchange.request.uri.path();
            let number = path.rsplit('/').next().unwrap().parse().unwrap();
            let is_new = recorded.insert(number, exchange).is_none();
            assert!(is_new, "{number} is there twice");
        }
        recorded
    }

    async fn get(&self, client: &Client, key: &str) -> Bytes {
        let got = client.get_object().bucket(&self.name).key(key).send().await;
        got.unwrap().body.collect().await.unwrap().into_bytes()
    }

    /// Stores an object.
    pub async fn put(&self, rest: &str, content: impl Into<Bytes>) {
        let put = self.client().put_object().bucket(&self.name);
        put.key(self.key(rest))
            .body(ByteStream::from(content.into()))
            .send()
            .await
            .unwrap();
    }

    /// Whether the server honors `If-None-Match` in a PUT; Garage 2.5 ignores the header.
    pub async fn knows_conditions(&self) -> bool {
        if self.server.is_some() {
            return true;
        }
        self.put("conditions", "1").await;
        let put = self.client().put_object().bucket(&self.name);
        let put = put.key(self.key("conditions")).if_none_match("*");
        put.send().await.is_err()
    }

    /// The folder in which the server in this process keeps objects.
    pub fn folder(&self) -> Option<&Path> {
        self.server.as_ref().map(|server| server.folder.path())
    }
}

/// A server that keeps objects in a folder, on its own thread; stopped when dropped.
struct S3Server {
    addr: SocketAddr,
    folder: TempDir,
    _stop: oneshot::Sender<()>,
}

impl S3Server {
    const ACCESS_KEY: &str = "tests";
    const SECRET_KEY: &str = "tests-secret";

    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let files = FileSystem::new(folder.path()).unwrap();
        let mut builder = S3ServiceBuilder::new(files);
        builder.set_auth(SimpleAuth::from_single(Self::ACCESS_KEY, Self::SECRET_KEY));
        let service = builder.build();
        let (stop, stopped) = oneshot::channel();
        let (sender, addr) = mpsc::channel();
        // Tests pause the clock of their runtime, or have no runtime.
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                sender.send(listener.local_addr().unwrap()).unwrap();
                let serve = async {
                    loop {
                        let (stream, _) = listener.accept().await.unwrap();
                        let service = service.clone();
                        tokio::spawn(async move {
                            let server = auto::Builder::new(TokioExecutor::new());
                            let connection = TokioIo::new(stream);
                            let _ = server.serve_connection(connection, service).await;
                        });
                    }
                };
                tokio::select! {
                    () = serve => {}
                    _ = stopped => {}
                }
            });
            runtime.shutdown_background();
        });
        Self {
            addr: addr.recv().unwrap(),
            folder,
            _stop: stop,
        }
    }
}

/// The S3 problem in an error.
pub fn problem(error: &StoreError) -> S3Problem {
    let source = error.source().and_then(|source| source.downcast_ref());
    source.map_or_else(|| panic!("{error:?}"), S3Error::problem)
}

/// Whether an error is that of an invalid bucket.
pub fn is_invalid_bucket(error: &StoreError) -> bool {
    matches!(error, StoreError::Other(error) if error.is::<InvalidBucket>())
}
