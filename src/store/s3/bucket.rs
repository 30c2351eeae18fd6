use std::{fmt, sync::Arc, time::Duration};

use aws_sdk_s3::config::Credentials;
use http::Uri;

use super::{client::Clients, objects::Objects};
use crate::{store::StoreError, util::time::FOREVER};

/// See [`Bucket::answer_timeout`].
const ANSWER: Duration = Duration::from_secs(30);

/// A place in S3: a bucket, a prefix in it, and how to get there.
///
/// It is made from `"bucket"`, `"bucket/prefix"` or `"s3://bucket/prefix"`; whatever takes a bucket
/// takes these texts too. Making it does no I/O. A text that names no bucket is an error
/// ([`InvalidBucket`] in [`StoreError::Other`]) when it is first used.
///
/// Credentials and region come from where the AWS SDK looks for them: environment variables
/// (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_REGION`, `AWS_PROFILE`), the files in
/// `~/.aws`, single sign-on, a web identity, the roles of containers and of EC2
/// ([AWS SDKs: credential providers](https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html)).
///
/// `MinIO`, Garage and others that speak the protocol are reached through
/// [`endpoint`](Self::endpoint), or the environment variables `AWS_ENDPOINT_URL_S3` or
/// `AWS_ENDPOINT_URL`. The bucket then stands in the path of each request, unless
/// [`path_style`](Self::path_style) says otherwise, and a region that is not said is `us-east-1`.
///
/// ```
/// use tower_traffic::store::Bucket;
///
/// let bucket = Bucket::from("s3://traffic/checkout");
/// assert_eq!((bucket.name(), bucket.prefix()), ("traffic", "checkout"));
///
/// let minio = Bucket::from("traffic")
///     .endpoint("http://127.0.0.1:9000")
///     .region("us-east-1");
/// ```
///
/// # What it needs to be allowed
///
/// To record: `s3:PutObject`, `s3:GetObject` (a `HEAD` tells whether an earlier attempt got through)
/// and `s3:AbortMultipartUpload`. To read: `s3:GetObject` and `s3:ListBucket`.
#[derive(Clone)]
pub struct Bucket {
    pub(super) settings: Settings,
    clients: Arc<Clients>,
}

#[derive(Clone)]
pub(super) struct Settings {
    /// As it was given.
    location: String,
    name: String,
    /// Without slashes around it; empty if there is none.
    prefix: String,
    pub(super) endpoint: Option<String>,
    pub(super) region: Option<String>,
    pub(super) path_style: Option<bool>,
    pub(super) answer_timeout: Duration,
    pub(super) credentials: Option<Credentials>,
    pub(super) client: Option<aws_sdk_s3::Client>,
}

impl Bucket {
    /// The place that a text names.
    pub fn new(location: impl Into<String>) -> Self {
        let location = location.into();
        // From here on nothing has what is not to be told.
        let location = without_user(&location);
        let place = location.strip_prefix("s3://").unwrap_or(&location);
        let (name, prefix) = place.split_once('/').unwrap_or((place, ""));
        let settings = Settings {
            name: name.to_owned(),
            prefix: prefix.trim_matches('/').to_owned(),
            location,
            endpoint: None,
            region: None,
            path_style: None,
            answer_timeout: ANSWER,
            credentials: None,
            client: None,
        };
        Self {
            settings,
            clients: Arc::default(),
        }
    }

    /// Talks to this server, `http://` or `https://`, and not to AWS.
    pub fn endpoint(self, url: impl Into<String>) -> Self {
        self.set(|settings| settings.endpoint = Some(url.into()))
    }

    /// The bucket's region.
    pub fn region(self, region: impl Into<String>) -> Self {
        self.set(|settings| settings.region = Some(region.into()))
    }

    /// Whether the bucket stands in the path of a request's URL (`true`) or in the host's name. By
    /// default in the path if there is an endpoint, and in the name for AWS, as AWS asks for.
    pub fn path_style(self, path_style: bool) -> Self {
        self.set(|settings| settings.path_style = Some(path_style))
    }

    /// How long S3 may take until an answer begins, and between two pieces of one; 30 s by default.
    /// An upload may take longer, by a second for each 128 KiB.
    pub fn answer_timeout(self, timeout: Duration) -> Self {
        self.set(|settings| settings.answer_timeout = timeout.min(FOREVER))
    }

    /// Signs requests with these keys, as `MinIO` and Garage hand them out, and looks for no others.
    pub fn credentials(
        self,
        access_key_id: impl Into<String>,
        secret_access_key: impl Into<String>,
    ) -> Self {
        let keys = Credentials::new(
            access_key_id,
            secret_access_key,
            None,
            None,
            "tower-traffic",
        );
        self.set(|settings| settings.credentials = Some(keys))
    }

    /// Uses this client as it is, with its own credentials, endpoint, time-outs and retries; what
    /// else is set here about them does not matter then.
    ///
    /// Its connections belong to the tokio runtime in which they were made, and a recorder uploads
    /// on a runtime of its own: give it a client that nobody else uses.
    pub fn client(self, client: aws_sdk_s3::Client) -> Self {
        self.set(|settings| settings.client = Some(client))
    }

    /// The bucket's name.
    pub fn name(&self) -> &str {
        &self.settings.name
    }

    /// What every key begins with, without the slash after it; empty if it is the whole bucket.
    pub fn prefix(&self) -> &str {
        &self.settings.prefix
    }

    fn set(mut self, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.clients = Arc::default();
        self
    }

    /// The key of something under the prefix.
    pub(crate) fn key(&self, rest: &str) -> String {
        if self.settings.prefix.is_empty() {
            rest.to_owned()
        } else {
            format!("{}/{rest}", self.settings.prefix)
        }
    }

    /// Its operations, through the client of the tokio runtime in which this is called.
    pub(crate) async fn objects(&self) -> Result<Objects, StoreError> {
        self.check()?;
        let client = self.clients.get(&self.settings).await?;
        let settings = &self.settings;
        let name = settings.name.as_str().into();
        Ok(Objects::new(client, name, settings.answer_timeout))
    }

    /// Whether it can be a place in S3. The rules for names are those that all servers share; AWS
    /// has more.
    pub(crate) fn check(&self) -> Result<(), StoreError> {
        let endpoint = self.settings.endpoint.as_deref();
        if let Some(url) = endpoint.filter(|_| self.settings.client.is_none()) {
            check_endpoint(url)?;
        }
        let bad = |reason| {
            let location = self.settings.location.clone();
            Err(StoreError::other(InvalidBucket { location, reason }))
        };
        let name = &self.settings.name;
        let is_name_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        if name.contains('@') {
            return bad("it has keys, which are given in `credentials`, or an `@` in its name");
        }
        if name.contains(':') {
            return bad(
                "write \"bucket/prefix\" or \"s3://bucket/prefix\", and the server in `endpoint`",
            );
        }
        if name.is_empty() {
            return bad("it has no bucket: write \"bucket/prefix\" or \"s3://bucket/prefix\"");
        }
        if !(3..=63).contains(&name.len()) || !name.bytes().all(is_name_byte) {
            return bad(
                "a bucket's name has 3 to 63 letters, digits, dots, hyphens and underscores",
            );
        }
        if name.starts_with('.') || name.contains("..") {
            return bad("a bucket's name has dots only between other characters");
        }
        // A key has at most 1,024 bytes, and some are for what stands under the prefix.
        if self.settings.prefix.len() > 800 {
            return bad("the prefix is longer than 800 bytes");
        }
        let mut steps = self.settings.prefix.split('/');
        if steps.any(|step| matches!(step, "." | "..")) || self.settings.prefix.contains("//") {
            return bad("the prefix has an empty step, or one that is only dots");
        }
        if self.settings.prefix.chars().any(char::is_control) {
            return bad("the prefix has control characters");
        }
        Ok(())
    }
}

/// A URL, or what was meant as one, with `***` for user and password. A secret may have slashes.
fn without_user(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let host = rest.split('/').next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((_, rest)) if host.contains([':', '@']) => format!("{scheme}***@{rest}"),
        _ => url.to_owned(),
    }
}

/// Without this, each request would fail in a way that looks as if it may pass.
pub(super) fn check_endpoint(url: &str) -> Result<(), StoreError> {
    let bad = |reason| {
        let location = without_user(url);
        Err(StoreError::other(InvalidBucket { location, reason }))
    };
    let lower = url.to_ascii_lowercase();
    if !["http://", "https://"]
        .iter()
        .any(|scheme| lower.starts_with(scheme))
    {
        return bad("it is the endpoint: write http:// or https:// before it");
    }
    match url.parse::<Uri>() {
        Ok(uri) if uri.host().is_some_and(|host| !host.is_empty()) => Ok(()),
        _ => bad("it is the endpoint, and no URL"),
    }
}

/// The text does not name a place in S3, or the endpoint is not a URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid bucket {location:?}: {reason}")]
pub struct InvalidBucket {
    location: String,
    reason: &'static str,
}

impl From<&str> for Bucket {
    fn from(location: &str) -> Self {
        Self::new(location)
    }
}

impl From<String> for Bucket {
    fn from(location: String) -> Self {
        Self::new(location)
    }
}

impl From<&Bucket> for Bucket {
    fn from(bucket: &Bucket) -> Self {
        bucket.clone()
    }
}

impl fmt::Display for Bucket {
    /// As `s3://bucket/prefix`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}", self.settings.name)?;
        if !self.settings.prefix.is_empty() {
            write!(f, "/{}", self.settings.prefix)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bucket")
            .field("location", &self.settings.location)
            .field(
                "endpoint",
                &self.settings.endpoint.as_deref().map(without_user),
            )
            .field("region", &self.settings.region)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_s3::config::{BehaviorVersion, Config};

    use super::*;

    fn is_invalid(error: &StoreError) -> bool {
        matches!(error, StoreError::Other(error) if error.is::<InvalidBucket>())
    }

    fn no_client() -> aws_sdk_s3::Client {
        let config = Config::builder().behavior_version(BehaviorVersion::latest());
        aws_sdk_s3::Client::from_conf(config.build())
    }

    #[test]
    fn texts_that_name_no_bucket() {
        for (text, name, prefix) in [
            ("bucket", "bucket", ""),
            ("bucket/", "bucket", ""),
            ("s3://bucket/a/b/", "bucket", "a/b"),
        ] {
            let bucket = Bucket::from(text);
            assert_eq!((bucket.name(), bucket.prefix()), (name, prefix));
            bucket.check().unwrap();
        }
        for text in [
            "",
            "s3://",
            "/prefix",
            "b",
            "http://host/bucket",
            "bu cket",
            "../x",
            "bucket/a//b",
            "bucket/../x",
            "bucket/a\nb",
        ] {
            let error = Bucket::from(text).check().unwrap_err();
            assert!(is_invalid(&error), "{text:?}");
        }
    }

    #[tokio::test]
    async fn endpoints_that_are_no_urls() {
        for endpoint in [
            "127.0.0.1:9000",
            "localhost",
            "ftp://h",
            "http://",
            "h:x",
            "",
        ] {
            let error = Bucket::from("bucket").endpoint(endpoint).objects().await;
            let error = error.unwrap_err();
            assert!(is_invalid(&error), "{endpoint:?}");
        }
        let bucket = Bucket::from("bucket").endpoint("127.0.0.1:9000");
        let error = bucket.check().unwrap_err().to_string();
        assert!(error.contains("\"127.0.0.1:9000\""), "{error}");
        assert!(
            error.contains("write http:// or https:// before it"),
            "{error}"
        );
        for endpoint in ["http://127.0.0.1:9000", "https://h/path/", "HTTP://[::1]:1"] {
            Bucket::from("bucket").endpoint(endpoint).check().unwrap();
        }
        // A client has an endpoint of its own.
        let client = no_client();
        bucket.client(client).check().unwrap();
    }

    #[test]
    fn a_password_in_a_url_is_never_told() {
        let bucket = Bucket::from("bucket/a@b").endpoint("http://AKID:SECRET@h:9000/x");
        let told = format!("{bucket:?}");
        assert!(told.contains("a@b") && told.contains("@h:9000/x"), "{told}");
        assert!(!told.contains("AKID") && !told.contains("SECRET"), "{told}");
        for endpoint in ["AKID:SECRET@h", "ftp://AKID:SEC/SECRET@h"] {
            let bucket = Bucket::from("bucket").endpoint(endpoint);
            let error = bucket.check().unwrap_err();
            let told = format!("{error} {error:?} {bucket:?}");
            assert!(!told.contains("AKID") && !told.contains("SECRET"), "{told}");
        }
        for text in [
            "https://AKID:SECRET@h/bucket",
            "https://AKID:S/SECRET@h/bucket",
            "s3://AKID:SECRET@bucket/prefix",
            "AKID:SECRET@bucket",
            "AKID@bucket",
        ] {
            let bucket = Bucket::from(text);
            let error = bucket.check().unwrap_err();
            assert!(is_invalid(&error), "{text:?}");
            let told = format!("{bucket} {bucket:?} {error} {error:?}");
            assert!(!told.contains("AKID") && !told.contains("SECRET"), "{told}");
        }
    }
}
