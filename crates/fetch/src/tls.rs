use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;

use crate::error::FetchError;
use crate::policy::FetchPolicy;

/// TLS by rustls on aws-lc-rs, handed in rather than taken from the process: an embedding program may have
/// installed another provider. Trusts the system's certificates and those of the policy.
pub(crate) fn client_config(policy: &FetchPolicy) -> Result<ClientConfig, FetchError> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let extra = extra_roots(policy)?;
    let has_extra = !extra.is_empty();
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| FetchError::Setup(error.to_string()))?;
    match verifier(extra, provider) {
        Ok(verifier) => Ok(builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_no_client_auth()),
        Err(error) if has_extra => Err(FetchError::Setup(error.to_string())),
        Err(error) => {
            // A container without certificates can still serve clients that it has on record.
            tracing::warn!(%error, "no certificate authorities found: every https fetch will fail; install ca-certificates or name a CA file");
            Ok(builder
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth())
        }
    }
}

fn verifier(
    extra: Vec<CertificateDer<'static>>,
    provider: Arc<CryptoProvider>,
) -> Result<Verifier, rustls::Error> {
    if extra.is_empty() {
        Verifier::new(provider)
    } else {
        Verifier::new_with_extra_roots(extra, provider)
    }
}

fn extra_roots(policy: &FetchPolicy) -> Result<Vec<CertificateDer<'static>>, FetchError> {
    let mut roots = Vec::new();
    if let Some(path) = &policy.ca_file {
        let name = path.display().to_string();
        let file = CertificateDer::pem_file_iter(path).map_err(|error| unreadable(&name, &error))?;
        roots.extend(certificates(&name, file)?);
    }
    for text in &policy.root_certificates {
        let name = "the root certificates";
        roots.extend(certificates(
            name,
            CertificateDer::pem_slice_iter(text.as_bytes()),
        )?);
    }
    Ok(roots)
}

fn certificates(
    name: &str,
    found: impl Iterator<Item = Result<CertificateDer<'static>, pem::Error>>,
) -> Result<Vec<CertificateDer<'static>>, FetchError> {
    let found: Vec<_> = found
        .collect::<Result<_, _>>()
        .map_err(|error| unreadable(name, &error))?;
    if found.is_empty() {
        return Err(unreadable(name, &"no certificate in PEM form"));
    }
    Ok(found)
}

fn unreadable(name: &str, error: &dyn std::fmt::Display) -> FetchError {
    FetchError::Setup(format!("{name}: {error}"))
}
