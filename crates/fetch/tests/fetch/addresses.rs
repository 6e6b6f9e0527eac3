//! Where a request may go: the resolver is ours, the network is loopback.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{clock, impatient, json, on_loopback, requests, server};
use doorward_fetch::{AllowedHost, FetchError, FetchPolicy, Fetcher, Limits, Resolver};
use futures_util::future::BoxFuture;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// Gives the same answer to every question, and counts them.
pub(crate) struct Fixed {
    answer: io::Result<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl Fixed {
    pub(crate) fn new(answer: &[&str]) -> Arc<Self> {
        let answer = answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self {
            answer: Ok(answer),
            asked: AtomicUsize::new(0),
        })
    }

    pub(crate) fn unknown() -> Arc<Self> {
        Arc::new(Self {
            answer: Err(io::ErrorKind::NotFound.into()),
            asked: AtomicUsize::new(0),
        })
    }

    /// How often it was asked.
    pub(crate) fn count(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Resolver for Fixed {
    fn resolve(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let answer = self
            .answer
            .as_ref()
            .map(Clone::clone)
            .map_err(|error| error.kind().into());
        Box::pin(async move { answer })
    }
}

/// Finds no room for the first question, and no address for the others.
struct Full(AtomicUsize);

impl Resolver for Full {
    fn resolve(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let error = match self.0.fetch_add(1, Ordering::SeqCst) {
            0 => io::Error::other(FetchError::Busy),
            _ => io::ErrorKind::NotFound.into(),
        };
        Box::pin(async move { Err(error) })
    }
}

#[tokio::test]
async fn a_name_that_was_not_looked_for_is_looked_for_next_time() {
    let resolver = Arc::new(Full(AtomicUsize::default()));
    let fetcher =
        Fetcher::with_resolver(FetchPolicy::default(), Arc::new(clock()), resolver.clone()).unwrap();
    let mut errors = Vec::new();
    for _ in 0..3 {
        let outcome = fetcher
            .get_json("https://app.example/client.json", &Limits::default())
            .await;
        errors.push(outcome.unwrap_err());
    }
    assert_eq!(errors, [FetchError::Busy, FetchError::Dns, FetchError::Dns]);
    assert_eq!(resolver.0.load(Ordering::SeqCst), 2);
}

pub(crate) fn fetcher_with(policy: FetchPolicy, resolver: &Arc<Fixed>) -> Fetcher {
    Fetcher::with_resolver(policy, Arc::new(clock()), resolver.clone()).unwrap()
}

fn certificate(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/certificates")
        .join(name)
}

/// An https server for `documents.example` and `internal.example` on loopback; returns its port.
pub(crate) async fn tls_server() -> u16 {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let chain = vec![CertificateDer::from_pem_file(certificate("server.pem")).unwrap()];
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            chain,
            PrivateKeyDer::from_pem_file(certificate("server.key")).unwrap(),
        )
        .unwrap();
    let (acceptor, listener) = (
        TlsAcceptor::from(Arc::new(config)),
        TcpListener::bind("127.0.0.1:0").await.unwrap(),
    );
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let _ = stream.read(&mut [0; 4096]).await;
            let answer = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}";
            let _ = stream.write_all(answer.as_bytes()).await;
            let _ = stream.shutdown().await;
        }
    });
    port
}

pub(crate) fn private_exception(port: u16) -> FetchPolicy {
    let allowed_hosts = vec![format!("internal.example:{port}").parse().unwrap()];
    FetchPolicy {
        allowed_hosts,
        ca_file: Some(certificate("ca.pem")),
        ..FetchPolicy::default()
    }
}

#[tokio::test]
async fn a_name_with_a_private_address_is_refused_before_a_connection_is_made() {
    let port = tls_server().await;
    for answer in [
        "127.0.0.1",
        "10.0.0.5",
        "169.254.169.254",
        "fd00::1",
        "::1",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
    ] {
        let fetcher = fetcher_with(private_exception(1), &Fixed::new(&[answer]));
        let outcome = fetcher
            .get_json(&format!("https://documents.example:{port}/c"), &Limits::default())
            .await;
        assert_eq!(
            outcome,
            Err(FetchError::Blocked("documents.example".into())),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn one_private_answer_among_public_ones_refuses_the_name() {
    let fetcher = fetcher_with(
        FetchPolicy::default(),
        &Fixed::new(&["93.184.216.34", "127.0.0.1"]),
    );
    let outcome = fetcher
        .get_json("https://mixed.example/c", &Limits::default())
        .await;
    assert_eq!(outcome, Err(FetchError::Blocked("mixed.example".into())));
}

#[tokio::test]
async fn a_private_exception_is_reached_over_tls_and_resolved_for_every_request() {
    let port = tls_server().await;
    let resolver = Fixed::new(&["127.0.0.1"]);
    let fetcher = fetcher_with(private_exception(port), &resolver);
    let url = format!("https://internal.example:{port}/c");
    for expected in 1..=3 {
        assert_eq!(
            fetcher
                .get_json_fresh(&url, &Limits::default())
                .await
                .unwrap()
                .body,
            "{}"
        );
        assert_eq!(
            resolver.asked.load(Ordering::SeqCst),
            expected,
            "no connection outlives its request"
        );
    }
}

#[tokio::test]
async fn an_unknown_authority_is_a_tls_failure() {
    let port = tls_server().await;
    let policy = FetchPolicy {
        ca_file: None,
        ..private_exception(port)
    };
    let fetcher = fetcher_with(policy, &Fixed::new(&["127.0.0.1"]));
    let outcome = fetcher
        .get_json(&format!("https://internal.example:{port}/c"), &Limits::default())
        .await;
    assert_eq!(outcome, Err(FetchError::Tls));
}

#[tokio::test]
async fn a_certificate_for_another_name_is_a_tls_failure() {
    let port = tls_server().await;
    let mut policy = private_exception(port);
    policy
        .allowed_hosts
        .push(format!("other.example:{port}").parse().unwrap());
    let fetcher = fetcher_with(policy, &Fixed::new(&["127.0.0.1"]));
    let outcome = fetcher
        .get_json(&format!("https://other.example:{port}/c"), &Limits::default())
        .await;
    assert_eq!(outcome, Err(FetchError::Tls));
}

#[tokio::test]
async fn a_name_without_addresses_is_a_resolution_failure() {
    for resolver in [Fixed::unknown(), Fixed::new(&[])] {
        let outcome = fetcher_with(FetchPolicy::default(), &resolver)
            .get_json("https://nowhere.example/c", &impatient())
            .await;
        assert_eq!(outcome, Err(FetchError::Dns));
    }
}

#[tokio::test]
async fn a_literal_private_address_is_refused_without_a_request() {
    let server = server(json("{}")).await;
    let fetcher = Fetcher::new(FetchPolicy::default(), Arc::new(clock())).unwrap();
    let outcome = fetcher
        .get_json(&format!("{}/c", server.uri()), &Limits::default())
        .await;
    assert!(matches!(outcome, Err(FetchError::InvalidUrl(_))));
    assert_eq!(requests(&server).await, 0);
}

#[tokio::test]
async fn in_development_localhost_must_still_mean_loopback() {
    for address in ["10.0.0.5", "93.184.216.34"] {
        let fetcher = fetcher_with(on_loopback(), &Fixed::new(&[address]));
        let outcome = fetcher
            .get_json("http://localhost:9000/c", &Limits::default())
            .await;
        assert_eq!(outcome, Err(FetchError::Blocked("localhost".into())), "{address}");
    }
}

#[test]
fn a_ca_file_that_cannot_be_used_is_told_at_the_start() {
    for name in ["missing.pem", "server.key"] {
        let policy = FetchPolicy {
            ca_file: Some(certificate(name)),
            ..FetchPolicy::default()
        };
        assert!(
            matches!(Fetcher::new(policy, Arc::new(clock())), Err(FetchError::Setup(_))),
            "{name}"
        );
    }
}

#[tokio::test]
async fn certificates_may_be_given_as_text() {
    let port = tls_server().await;
    let pem = std::fs::read_to_string(certificate("ca.pem")).unwrap();
    for roots in [vec![pem.clone()], vec![pem.clone(), pem.clone()]] {
        let policy = FetchPolicy {
            ca_file: None,
            root_certificates: roots,
            ..private_exception(port)
        };
        let outcome = fetcher_with(policy, &Fixed::new(&["127.0.0.1"]))
            .get_json(&format!("https://internal.example:{port}/c"), &Limits::default())
            .await;
        assert!(outcome.is_ok(), "{outcome:?}");
    }
    for bad in [
        "",
        "no certificate",
        "-----BEGIN CERTIFICATE-----\n*\n-----END CERTIFICATE-----",
    ] {
        let policy = FetchPolicy {
            root_certificates: vec![bad.to_owned()],
            ..FetchPolicy::default()
        };
        let outcome = Fetcher::new(policy, Arc::new(clock()));
        assert!(matches!(outcome, Err(FetchError::Setup(_))), "{bad}");
    }
}

/// In a network of development, a host that was named may be asked over `http`; no other, and at no other port.
#[tokio::test]
async fn a_named_host_may_be_asked_over_http() {
    let own = server(json("{}")).await;
    let port = own.address().port();
    let policy = FetchPolicy {
        allowed_hosts: vec![AllowedHost::over_http(&format!("as.internal:{port}")).unwrap()],
        ..FetchPolicy::default()
    };
    let fetcher = fetcher_with(policy, &Fixed::new(&["127.0.0.1"]));
    let get = async |url: String| fetcher.get_json(&url, &Limits::default()).await;
    assert!(get(format!("http://as.internal:{port}/c")).await.is_ok());
    let blocked = Err(FetchError::Blocked("as.internal".into()));
    assert_eq!(get("http://as.internal:1/c".to_owned()).await, blocked);
    assert_eq!(get(format!("https://as.internal:{port}/c")).await, blocked);
    let other = get(format!("http://other.internal:{port}/c")).await;
    assert!(matches!(other, Err(FetchError::InvalidUrl(_))));
    assert_eq!(requests(&own).await, 1);
}
