//! What went wrong, in words that tell no more than they should.

use std::{error::Error, io};

use http::StatusCode;
use rustls::{CertificateError, pki_types::InvalidDnsNameError};

use super::connect::NoConnection;
use crate::proxy::refusal::Refusal;

const CONNECTION_TERMINATED: &str = "connection_terminated";
const CUT: &str = "The connection to the origin ended before its answer began.";

/// What an error that came instead of a response's head means.
pub(super) fn refusal(error: &(dyn Error + 'static)) -> Refusal {
    let mut next = Some(error);
    let mut kind = None;
    while let Some(error) = next {
        if let Some(refusal) = known(error) {
            return refusal;
        }
        // What an error of the network wraps says more, if it is known.
        kind = kind.or_else(|| error.downcast_ref().and_then(network));
        next = source(error);
    }
    kind.unwrap_or_else(|| bad_gateway("destination_unavailable", "The origin cannot be reached."))
}

pub(super) fn head_timed_out() -> Refusal {
    timed_out(
        "http_response_timeout",
        "The origin took too long to answer.",
    )
}

/// The origin switches protocols where nobody could follow.
pub(super) fn not_asked_to_switch() -> Refusal {
    bad_gateway(
        "http_protocol_error",
        "The origin switches protocols, which it was not asked for.",
    )
}

pub(super) fn unknown_coding() -> Refusal {
    bad_gateway(
        "http_response_transfer_coding",
        "The origin answers in a transfer coding that it was not asked for.",
    )
}

pub(super) fn no_target() -> Refusal {
    Refusal::bad_request("The request's target is not an http:// or https:// URI.")
}

/// Whether the connection was lost before the head.
pub(super) fn is_cut(error: &(dyn Error + 'static)) -> bool {
    refusal(error).error == CONNECTION_TERMINATED
}

/// An error and all behind it, for the log.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = source(error);
    while let Some(error) = next {
        text.push_str(": ");
        text.push_str(&error.to_string());
        next = source(error);
    }
    text
}

fn known(error: &(dyn Error + 'static)) -> Option<Refusal> {
    if let Some(error) = error.downcast_ref::<NoConnection>() {
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
            "The origin's name is none that a certificate can be for.",
        ));
    }
    None
}

/// The next error inwards. `io::Error::source` would leave out the one that it wraps.
fn source<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    match error.downcast_ref::<io::Error>().map(io::Error::get_ref) {
        Some(Some(wrapped)) => Some(wrapped),
        _ => error.source(),
    }
}

fn no_connection(error: &NoConnection) -> Refusal {
    match error {
        NoConnection::Dns(_) => bad_gateway("dns_error", "The origin's name does not resolve."),
        NoConnection::Internal => Refusal::forbidden(
            "destination_ip_prohibited",
            "This proxy does not go to link-local or metadata addresses.",
        ),
        NoConnection::TimedOut => connect_timed_out(),
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
        rustls::Error::AlertReceived(_) => "The origin broke off the TLS handshake.",
        _ => "The origin does not speak TLS, or none that this proxy speaks.",
    };
    bad_gateway(error_name, reason)
}

fn certificate(error: &CertificateError) -> &'static str {
    match error {
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "The origin's certificate has expired."
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "The origin's certificate is not valid yet."
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "The origin's certificate is for another name."
        }
        CertificateError::UnknownIssuer => {
            "The origin's certificate was issued by somebody whom this proxy does not trust."
        }
        CertificateError::Revoked => "The origin's certificate was revoked.",
        _ => "The origin's certificate is not valid.",
    }
}

fn protocol(error: &hyper::Error) -> Option<Refusal> {
    if error.is_user() {
        return Some(Refusal::bad_request("The request's body broke off."));
    }
    if error.is_parse() {
        return Some(bad_gateway(
            "http_protocol_error",
            "What the origin answered is not HTTP, or its head is too long.",
        ));
    }
    // The rest is wrapped by these: a message that ended too early, a connection that was closed.
    if error.is_incomplete_message() || error.is_canceled() || error.is_closed() {
        return Some(bad_gateway(CONNECTION_TERMINATED, CUT));
    }
    // What stands behind it may be an error of the network.
    error
        .source()
        .is_none()
        .then(|| bad_gateway("http_protocol_error", "The origin does not keep to HTTP."))
}

fn network(error: &io::Error) -> Option<Refusal> {
    use io::ErrorKind;

    if is_out_of_files(error) {
        tracing::warn!(%error, "no connection to an origin can be opened");
        return Some(Refusal::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "connection_limit_reached",
            "This proxy has no more connections to give.",
        ));
    }
    Some(match error.kind() {
        ErrorKind::ConnectionRefused => bad_gateway(
            "connection_refused",
            "The origin refused the connection: nothing listens there.",
        ),
        ErrorKind::TimedOut => connect_timed_out(),
        ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::NotConnected => bad_gateway(CONNECTION_TERMINATED, CUT),
        ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable => bad_gateway(
            "destination_ip_unroutable",
            "There is no way to the origin.",
        ),
        _ => return None,
    })
}

/// The standard library has no name for `EMFILE` and `ENFILE`.
#[cfg(unix)]
fn is_out_of_files(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(23 | 24))
}

#[cfg(not(unix))]
fn is_out_of_files(_: &io::Error) -> bool {
    false
}

fn connect_timed_out() -> Refusal {
    timed_out(
        "connection_timeout",
        "Connecting to the origin took too long.",
    )
}

fn bad_gateway(error: &'static str, reason: &'static str) -> Refusal {
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
    fn tells_when_there_are_no_files_left() {
        for code in [23, 24] {
            let error = io::Error::from_raw_os_error(code);
            assert_eq!(refusal(&io::Error::other(error)).status, 503);
        }
    }
}
