//! TLS to the database: always verified, by rustls on aws-lc-rs.

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::location::unusable;
use crate::rules::sha256;
use crate::{Digest, Result};

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

/// What a connection is made with: of the files, what was in them when they were read last.
pub(super) struct Tls {
    files: Files,
    /// The system's authorities, where the files name none; those of the start.
    system: Arc<RootCertStore>,
    read: RwLock<Read>,
}

struct Read {
    connector: MakeRustlsConnect,
    /// Of each file, in the order of [`PARAMETERS`].
    digests: [Option<Digest>; 3],
}

/// By which the URL names the files.
const PARAMETERS: [&str; 3] = ["sslrootcert", "sslcert", "sslkey"];

impl Tls {
    /// `needed`: whether a connection may use TLS at all.
    pub(super) fn read(mut files: Files, needed: bool) -> Result<Self> {
        let mut system = RootCertStore::empty();
        if !needed {
            files.authorities = None;
        } else if files.authorities.is_none() {
            system.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
        let system = Arc::new(system);
        let read = RwLock::new(files.read(&system)?);
        Ok(Self { files, system, read })
    }

    /// For the next connection.
    pub(super) fn connector(&self) -> MakeRustlsConnect {
        let read = self.read.read().unwrap_or_else(PoisonError::into_inner);
        read.connector.clone()
    }

    /// Reads the files again, for connections from now on. The parameters of those that hold something else; when one cannot
    /// be used, all stay as they were read before.
    pub(super) fn read_again(&self) -> Result<Vec<&'static str>> {
        let new = self.files.read(&self.system)?;
        let mut read = self.read.write().unwrap_or_else(PoisonError::into_inner);
        let changed = (PARAMETERS.into_iter().enumerate())
            .filter(|(file, _)| new.digests[*file] != read.digests[*file])
            .map(|(_, parameter)| parameter)
            .collect();
        *read = new;
        Ok(changed)
    }
}

impl Files {
    /// Each file once: what is compared is what is used.
    fn read(&self, system: &Arc<RootCertStore>) -> Result<Read> {
        let authorities = self.authorities.as_deref().map(certificates).transpose()?;
        let certificate = self.certificate.as_deref().map(certificates).transpose()?;
        let key = self.key.as_deref().map(private_key).transpose()?;
        let digests = [
            authorities.as_ref().map(|(_, digest)| *digest),
            certificate.as_ref().map(|(_, digest)| *digest),
            key.as_ref().map(|(_, digest)| *digest),
        ];
        let roots = match (authorities, &self.authorities) {
            (Some((authorities, _)), Some(path)) => Arc::new(roots(authorities, path)?),
            _ => Arc::clone(system),
        };
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&format!("no TLS: {error}")))?
            .with_root_certificates(roots);
        let config = match (certificate, key) {
            (None, None) => builder.with_no_client_auth(),
            (Some((certificate, _)), Some((key, _))) => builder
                .with_client_auth_cert(certificate, key)
                .map_err(|error| unusable(&format!("sslcert and sslkey do not fit: {error}")))?,
            _ => return Err(unusable("sslcert and sslkey belong together")),
        };
        Ok(Read {
            connector: MakeRustlsConnect::new(config),
            digests,
        })
    }
}

fn roots(authorities: Vec<CertificateDer<'static>>, path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in authorities {
        roots
            .add(certificate)
            .map_err(|error| unusable(&format!("{}: {error}", path.display())))?;
    }
    Ok(roots)
}

/// With the digest of the file.
fn certificates(path: &Path) -> Result<(Vec<CertificateDer<'static>>, Digest)> {
    let wrong =
        |why: &dyn std::fmt::Display| unusable(&format!("no certificates in {}: {why}", path.display()));
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    let found: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| wrong(&error))?;
    if found.is_empty() {
        return Err(unusable(&format!("no certificates in {}", path.display())));
    }
    Ok((found, sha256(&text)))
}

/// With the digest of the file.
fn private_key(path: &Path) -> Result<(PrivateKeyDer<'static>, Digest)> {
    let wrong =
        |why: &dyn std::fmt::Display| unusable(&format!("no private key in {}: {why}", path.display()));
    let text = std::fs::read(path).map_err(|error| wrong(&error))?;
    let key = PrivateKeyDer::from_pem_slice(&text).map_err(|error| wrong(&error))?;
    Ok((key, sha256(&text)))
}
