//! Trusted root certificates.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// The error of [`Forward::add_roots`](super::Forward::add_roots): certificates that cannot be
/// used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCertificate {
    /// The text contains no certificate.
    #[error("missing certificate: expected PEM with `-----BEGIN CERTIFICATE-----`")]
    Missing,
    /// The text is not PEM.
    #[error("invalid PEM: {0}")]
    InvalidPem(String),
    /// A certificate cannot be a root.
    #[error("invalid root certificate {number}: {reason}")]
    InvalidRoot {
        /// Position in the text, from 1.
        number: usize,
        /// The reason, in words.
        reason: String,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Roots {
    added: Vec<CertificateDer<'static>>,
    with_system: bool,
}

impl Default for Roots {
    fn default() -> Self {
        Self {
            added: Vec::new(),
            with_system: true,
        }
    }
}

impl Roots {
    /// Parses the certificates of a PEM file, and checks that each can be a root.
    pub(super) fn parse(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, InvalidCertificate> {
        let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| InvalidCertificate::InvalidPem(error.to_string()))?;
        if found.is_empty() {
            return Err(InvalidCertificate::Missing);
        }
        let mut store = RootCertStore::empty();
        for (at, root) in found.iter().enumerate() {
            store
                .add(root.clone())
                .map_err(|error| InvalidCertificate::InvalidRoot {
                    number: at + 1,
                    reason: error.to_string(),
                })?;
        }
        Ok(found)
    }

    pub(super) fn add(&mut self, roots: Vec<CertificateDer<'static>>) {
        self.added.extend(roots);
    }

    pub(super) fn set_system(&mut self, trust: bool) {
        self.with_system = trust;
    }

    /// Loads all roots. Blocks the thread, because the system's roots are read from disk.
    pub(super) fn load(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        if self.with_system {
            let system = rustls_native_certs::load_native_certs();
            for error in system.errors {
                tracing::warn!(%error, "cannot read some of the system's root certificates");
            }
            store.add_parsable_certificates(system.certs);
        }
        store.add_parsable_certificates(self.added.iter().cloned());
        if store.is_empty() {
            tracing::warn!("no root certificates: every TLS connection to an origin will fail");
        }
        store
    }
}
