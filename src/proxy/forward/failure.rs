//! Refusals for errors of a connection, without details that clients should not see.

use std::{error::Error, io};

use h2::Reason;
use http::StatusCode;
use rustls::{CertificateError, pki_types::InvalidDnsNameError};

use super::connect::ConnectError;
use crate::proxy::refusal::Refusal;

const CONNECTION_TERMINATED: &str = "connection_terminated";
const CUT: &str = "the connection to the origin ended before the response";

/// Returns the error response for an error that arrived instead of a response head.
pub(super) fn refusal(error: &(dyn Error + 'static)) -> Refusal {
    // More specific than the errors of hyper around it.
    if let Some(refusal) = find(error).and_then(http2) {
        return refusal;
    }
    let mut next = Some(error);
    let mut kind = None;
    while let Some(error) = next {
        if let Some(refusal) = known(error) {
            return refusal;
        }
        // An error inside an I/O error is more specific.
        kind = kind.or_else(|| error.downcast_ref().and_then(network));
        next = source(error);
    }
    kind.unwrap_or_else(|| bad_gateway("destination_unavailable", "cannot reach the origin"))
}

pub(super) fn head_timed_out() -> Refusal {
    timed_out(
        "http_response_timeout",
        "the response of the origin timed out",
    )
}

/// Returns the error response for an origin that sent a 101 without a request for an upgrade.
pub(super) fn unexpected_switch() -> Refusal {
    bad_gateway(
        "http_protocol_error",
        "the origin switched protocols without a request for it",
    )
}

pub(super) fn unknown_coding() -> Refusal {
    bad_gateway(
        "http_response_transfer_coding",
        "unsupported transfer coding in the response of the origin: expected chunked",
    )
}

pub(super) fn no_target() -> Refusal {
    Refusal::bad_request("invalid request target: expected an absolute http:// or https:// URI")
}

/// Whether the connection ended before the response head arrived, or the origin has not processed
/// the request (RFC 9113, 8.7).
pub(super) fn is_cut(error: &(dyn Error + 'static)) -> bool {
    match find::<h2::Error>(error) {
        Some(error) if error.is_reset() => error.reason() == Some(Reason::REFUSED_STREAM),
        _ => refusal(error).error == CONNECTION_TERMINATED,
    }
}

/// Finds an error of type `E` in the chain.
fn find<'a, E: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a E> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = source(error);
    }
    None
}

fn known(error: &(dyn Error + 'static)) -> Option<Refusal> {
    if let Some(error) = error.downcast_ref::<ConnectError>() {
        return Some(no_connection(error));
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(tls(error));
    }
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return protocol(error);
    }
    if error.is::<InvalidDnsNameError>() {
        return Some(bad_gateway(
            "tls_certificate_error",
            "invalid host name of the origin: no certificate can match it",
        ));
    }
    None
}

/// Returns the next error in the chain. `io::Error::source` skips the error that it wraps.
fn source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().map(io::Error::get_ref) {
        Some(Some(wrapped)) => Some(wrapped),
        _ => error.source(),
    }
}

fn no_connection(error: &ConnectError) -> Refusal {
    match error {
        ConnectError::Dns(_) => {
            bad_gateway("dns_error", "cannot resolve the host name of the origin")
        }
        ConnectError::Internal => Refusal::forbidden(
            "destination_ip_prohibited",
            "link-local and metadata addresses are not allowed by this proxy",
        ),
        ConnectError::TimedOut => connect_timed_out(),
    }
}

fn tls(error: &rustls::Error) -> Refusal {
    let error_name = match error {
        rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented => {
            "tls_certificate_error"
        }
        rustls::Error::AlertReceived(_) => "tls_alert_received",
        _ => "tls_protocol_error",
    };
    let reason = match error {
        rustls::Error::InvalidCertificate(error) => certificate(error),
        rustls::Error::AlertReceived(_) => "the origin aborted the TLS handshake",
        _ => {
            "TLS with the origin failed: it may not speak TLS, or share no version or cipher suite"
        }
    };
    bad_gateway(error_name, reason)
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "the certificate of the origin has expired"
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "the certificate of the origin is not valid yet"
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "the certificate of the origin is for another name"
        }
        CertificateError::UnknownIssuer => {
            "the certificate of the origin has an issuer that this proxy does not trust"
        }
        CertificateError::Revoked => "the certificate of the origin is revoked",
        _ => "the certificate of the origin is not valid",
    }
}

fn protocol(error: &hyper::Error) -> Option<Refusal> {
    if error.is_user() {
        return Some(Refusal::bad_request("the request body is incomplete"));
    }
    if error.is_parse() {
        return Some(bad_gateway(
            "http_protocol_error",
            "the response of the origin is not HTTP, or its head is too long",
        ));
    }
    // A truncated message, or a closed connection.
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Some(bad_gateway(CONNECTION_TERMINATED, CUT));
    }
    // Its source may be an error of the network.
    error
        .source()
        .is_none()
        .then(|| bad_gateway("http_protocol_error", "the origin violated HTTP"))
}

/// Returns the error response for an error of HTTP/2; `None` if it is not one of the peer's.
fn http2(error: &h2::Error) -> Option<Refusal> {
    if let Some(error) = error.get_io() {
        return network(error);
    }
    let reason = error.reason()?;
    if !error.is_remote() {
        return Some(bad_gateway(
            "http_protocol_error",
            format!("the origin violated HTTP/2 ({reason:?})"),
        ));
    }
    let ended = if error.is_go_away() {
        "closed the connection"
    } else {
        "reset the stream"
    };
    let error = match reason {
        // The origin gave up, without an objection to the use of the protocol.
        Reason::NO_ERROR
        | Reason::INTERNAL_ERROR
        | Reason::REFUSED_STREAM
        | Reason::CANCEL
        | Reason::CONNECT_ERROR
        | Reason::ENHANCE_YOUR_CALM => CONNECTION_TERMINATED,
        _ => "http_protocol_error",
    };
    Some(bad_gateway(
        error,
        format!("the origin {ended} before the response ({reason:?})"),
    ))
}

fn network(error: &io::Error) -> Option<Refusal> {
    use io::ErrorKind;

    if is_out_of_files(error) {
        tracing::warn!(%error, "cannot open connections: no file descriptors left");
        return Some(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "connection_limit_reached",
            "this proxy has reached its connection limit",
        ));
    }
    Some(match error.kind() {
        ErrorKind::ConnectionRefused => {
            bad_gateway("connection_refused", "the origin refused the connection")
        }
        ErrorKind::TimedOut => connect_timed_out(),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::NotConnected => bad_gateway(CONNECTION_TERMINATED, CUT),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => {
            bad_gateway("destination_ip_unroutable", "no route to the origin")
        }
        _ => return None,
    })
}

/// Whether the process or the system has too many open files. The standard library has no name for
/// `EMFILE` and `ENFILE`.
#[cfg(unix)]
fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

#[cfg(not(unix))]
fn is_out_of_files(_: &io::Error) -> bool {
    false
}

fn connect_timed_out() -> Refusal {
    timed_out("connection_timeout", "connecting to the origin timed out")
}

fn bad_gateway(error: &'static str, reason: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::BAD_GATEWAY, error, reason)
}

fn timed_out(error: &'static str, reason: &'static str) -> Refusal {
    Refusal::new(StatusCode::GATEWAY_TIMEOUT, error, reason)
}

#[cfg(all(test, unix))]
mod tests {
    use std::io;

    use super::refusal;

    #[test]
    fn exhausted_file_descriptors_are_a_503() {
        for code in [23, 24] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(refusal(&io::Error::other(error)).status, 503);
        }
    }
}
