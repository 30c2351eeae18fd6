//! Clients of the AWS SDK, one for each runtime.

use std::{env, sync::Mutex, time::Duration};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_s3::{
    Client,
    config::{Builder, RequestChecksumCalculation, ResponseChecksumValidation, SharedHttpClient},
};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use tokio::{
    runtime::{self, Handle},
    sync::OnceCell,
};

use super::bucket::{Settings, check_endpoint};
use crate::{store::StoreError, util::sync::lock};

/// The maximum time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The maximum number of runtimes with a client. If there are more, the client of the oldest
/// runtime is dropped, and created again when it is needed.
const MAX_RUNTIMES: usize = 64;

/// A client for each tokio runtime, because a connection is driven by a task of its runtime.
/// Credentials are looked up once for all clients.
#[derive(Default)]
pub(super) struct Clients {
    config: OnceCell<SdkConfig>,
    by_runtime: Mutex<Vec<(runtime::Id, Client)>>,
}

impl Clients {
    pub(super) async fn get(&self, settings: &Settings) -> Result<Client, StoreError> {
        let runtime = Handle::try_current()
            .map_err(|_| StoreError::other("S3 needs a tokio runtime"))?
            .id();
        if let Some(client) = &settings.client {
            return Ok(client.clone());
        }
        let known = |clients: &[(runtime::Id, Client)]| {
            let known = clients.iter().find(|(id, _)| *id == runtime);
            known.map(|(_, client)| client.clone())
        };
        if let Some(client) = known(&lock(&self.by_runtime)) {
            return Ok(client);
        }
        let config = self.config.get_or_init(|| load(settings)).await;
        let mut clients = lock(&self.by_runtime);
        if let Some(client) = known(&clients) {
            return Ok(client);
        }
        let client = client(config, settings)?;
        if clients.len() >= MAX_RUNTIMES {
            clients.remove(0);
        }
        clients.push((runtime, client.clone()));
        Ok(client)
    }
}

/// Loads credentials, region and endpoint from the environment.
async fn load(settings: &Settings) -> SdkConfig {
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(http_client(true));
    // A setting saves the look-up in the environment, which may take a request.
    if let Some(region) = &settings.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &settings.endpoint {
        loader = loader.endpoint_url(endpoint);
    }
    if let Some(credentials) = &settings.credentials {
        loader = loader.credentials_provider(credentials.clone());
    }
    loader.load().await
}

fn client(config: &SdkConfig, settings: &Settings) -> Result<Client, StoreError> {
    let from_env = env::var("AWS_ENDPOINT_URL_S3").ok();
    let endpoint = settings.endpoint.as_deref().or(from_env.as_deref());
    let endpoint = endpoint.or(config.endpoint_url());
    if let Some(url) = endpoint {
        check_endpoint(url)?;
    }
    let needs_tls = endpoint.is_none_or(|url| !url.starts_with("http://"));
    let path_style = settings.path_style.unwrap_or(endpoint.is_some());
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .build();
    let mut builder = Builder::from(config)
        .http_client(http_client(needs_tls))
        // This crate retries, and limits the time of each attempt.
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .force_path_style(path_style)
        // Some servers reject the checksums that the SDK would add. The signature of each request
        // contains the SHA-256 of its body anyway.
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired);
    if let Some(endpoint) = &settings.endpoint {
        builder = builder.endpoint_url(endpoint);
    }
    if config.region().is_none() && endpoint.is_some() {
        builder = builder.region(Region::new("us-east-1"));
    }
    Ok(Client::from_conf(builder.build()))
}

fn http_client(needs_tls: bool) -> SharedHttpClient {
    // A machine with a local server may have no certificates.
    let trust = if needs_tls {
        TrustStore::default()
    } else {
        TrustStore::empty()
    };
    let context = TlsContext::builder().with_trust_store(trust).build();
    aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .tls_context(context.unwrap_or_default())
        .build_https()
}
