//! TLS to the database: always verified, by rustls on aws-lc-rs.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::location::unusable;
use crate::Result;

/// PEM files that the URL names.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// `sslrootcert`: who may have signed the server's certificate. Default: the system's authorities.
    pub(super) authorities: Option<PathBuf>,
    /// `sslcert`: the client's certificate and its chain.
    pub(super) certificate: Option<PathBuf>,
    /// `sslkey`: its private key.
    pub(super) key: Option<PathBuf>,
}

impl Files {
    /// `needed`: whether a connection may use TLS at all.
    pub(super) fn connector(&self, needed: bool) -> Result<MakeRustlsConnect> {
        let roots = if needed {
            self.roots()?
        } else {
            RootCertStore::empty()
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&format!("no TLS: {error}")))?
            .with_root_certificates(roots);
        let config = match (&self.certificate, &self.key) {
            (None, None) => builder.with_no_client_auth(),
            (Some(certificate), Some(key)) => builder
                .with_client_auth_cert(certificates(certificate)?, private_key(key)?)
                .map_err(|error| unusable(&format!("sslcert and sslkey do not fit: {error}")))?,
            _ => return Err(unusable("sslcert and sslkey belong together")),
        };
        Ok(MakeRustlsConnect::new(config))
    }

    fn roots(&self) -> Result<RootCertStore> {
        let mut roots = RootCertStore::empty();
        let Some(path) = &self.authorities else {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return Ok(roots);
        };
        for certificate in certificates(path)? {
            roots
                .add(certificate)
                .map_err(|error| unusable(&format!("{}: {error}", path.display())))?;
        }
        Ok(roots)
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let wrong = |error| unusable(&format!("no certificates in {}: {error}", path.display()));
    let found: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(wrong)?
        .collect::<std::result::Result<_, _>>()
        .map_err(wrong)?;
    if found.is_empty() {
        return Err(unusable(&format!("no certificates in {}", path.display())));
    }
    Ok(found)
}

fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| unusable(&format!("no private key in {}: {error}", path.display())))
}
