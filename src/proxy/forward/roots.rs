//! Whom to trust.

use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};

/// Certificates that cannot be trusted as roots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BadRoot {
    /// There is none in the text.
    #[error("there is no certificate in it: PEM has `-----BEGIN CERTIFICATE-----`")]
    NoCertificate,
    /// The text is not PEM.
    #[error("it is not PEM: {0}")]
    NotPem(String),
    /// The certificate with this number, from 1, is no certificate.
    #[error("certificate {number} is not one: {reason}")]
    NoRoot {
        /// Which one, from 1.
        number: usize,
        /// Why.
        reason: String,
    },
}

#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    added: Vec<CertificateDer<'static>>,
    is_without_system: bool,
}

impl Roots {
    /// Reads the certificates of a PEM file, and looks whether they can be roots.
    pub(super) fn read(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, BadRoot> {
        let found: Vec<_> = CertificateDer::pem_slice_iter(pem)
            .collect::<Result<_, _>>()
            .map_err(|error| BadRoot::NotPem(error.to_string()))?;
        if found.is_empty() {
            return Err(BadRoot::NoCertificate);
        }
        let mut store = RootCertStore::empty();
        for (at, root) in found.iter().enumerate() {
            store.add(root.clone()).map_err(|error| BadRoot::NoRoot {
                number: at + 1,
                reason: error.to_string(),
            })?;
        }
        Ok(found)
    }

    pub(super) fn add(&mut self, roots: Vec<CertificateDer<'static>>) {
        self.added.extend(roots);
    }

    pub(super) fn without_system(&mut self) {
        self.is_without_system = true;
    }

    /// Reads the system's from disk: it blocks.
    pub(super) fn load(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        if !self.is_without_system {
            let system = rustls_native_certs::load_native_certs();
            for error in system.errors {
                tracing::warn!(%error, "some of the system's root certificates cannot be read");
            }
            store.add_parsable_certificates(system.certs);
        }
        store.add_parsable_certificates(self.added.iter().cloned());
        if store.is_empty() {
            tracing::warn!("there are no root certificates: no origin can be trusted");
        }
        store
    }
}
