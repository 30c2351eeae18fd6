//! `ChaosConnect` below TLS, and around it.

use std::sync::Arc;

use axum::{Router, routing::get as on_get};
use http::Version;
use http_body_util::BodyExt;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{Connect, HttpConnector},
    },
    rt::TokioExecutor,
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use support::origins::{Authority, HTTP1_AND_2, TlsServer};
use support::{Body, BoxError, get, random_bytes, soon};
use tower::Layer;
use tower_traffic::chaos::{AffectedConnection, ChaosConnect, ConnectionBehavior};

fn trusting(authority: &Authority) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

fn https<C>(authority: &Authority, connector: C) -> HttpsConnector<C> {
    HttpsConnectorBuilder::new()
        .with_tls_config(trusting(authority))
        .https_only()
        .enable_all_versions()
        .wrap_connector(connector)
}

fn http() -> HttpConnector {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http
}

/// How many bytes there were, and whether the connection was said to be affected.
async fn ask<C>(connector: C, url: &str) -> Result<(usize, bool), BoxError>
where
    C: Connect + Clone + Send + Sync + 'static,
{
    let client = Client::builder(TokioExecutor::new()).build::<_, Body>(connector);
    let response = soon(client.request(get(url))).await?;
    // TLS agreed on it, and chaos did not keep that to itself.
    assert_eq!(response.version(), Version::HTTP_2);
    let is_affected = response.extensions().get::<AffectedConnection>().is_some();
    let body = soon(response.into_body().collect()).await?;
    Ok((body.to_bytes().len(), is_affected))
}

#[tokio::test]
async fn chaos_connect_works_below_and_around_tls() {
    let authority = Authority::new();
    let app = Router::new().route("/", on_get(async || random_bytes(100_000)));
    let server = TlsServer::start(authority.certify("localhost", HTTP1_AND_2), app).await;
    let url = format!("https://localhost:{}/", server.addr.port());
    let chaos = ChaosConnect::new();
    let engine = chaos.engine();
    let below = || https(&authority, chaos.layer(http()));
    let around = || chaos.layer(https(&authority, http()));

    assert_eq!(ask(below(), &url).await.unwrap(), (100_000, false));
    assert_eq!(ask(around(), &url).await.unwrap(), (100_000, false));
    engine.enable_with(ConnectionBehavior::slice(1_000, std::time::Duration::ZERO));
    assert_eq!(ask(below(), &url).await.unwrap(), (100_000, true));
    assert_eq!(ask(around(), &url).await.unwrap(), (100_000, true));

    // Within the handshake there are not that many bytes of HTTP, but of TLS there are.
    engine.enable_with(ConnectionBehavior::break_after(200));
    let error = ask(below(), &url).await.unwrap_err();
    let error = error
        .downcast::<hyper_util::client::legacy::Error>()
        .unwrap();
    assert!(error.is_connect(), "{error:?}");
    let error = ask(around(), &url).await.unwrap_err();
    let error = error.downcast::<hyper_util::client::legacy::Error>();
    assert!(error.is_ok_and(|error| !error.is_connect()));

    engine.enable_with(ConnectionBehavior::refuse());
    for error in [ask(below(), &url).await, ask(around(), &url).await] {
        let error = error.unwrap_err();
        let error = error
            .downcast::<hyper_util::client::legacy::Error>()
            .unwrap();
        assert!(error.is_connect(), "{error:?}");
    }
}
