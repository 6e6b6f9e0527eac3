//! TLS to the server: verified whenever it is used, with client certificates.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{Store as _, StoreError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::cluster::Cluster;
use super::cluster::server::{UNPRIVILEGED, is_root};
use super::pooler::ports::free_port;

/// A server that takes nobody over the network without a certificate of its own authority.
struct Server {
    cluster: Cluster,
    port: u16,
    /// Outside the server's directory, which belongs to another user.
    files: tempfile::TempDir,
}

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, "authority");
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key for a name, in PEM files.
fn issue(authority: &CertifiedIssuer<'static, KeyPair>, name: &str, directory: &Path, file: &str) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, authority).unwrap();
    std::fs::write(directory.join(format!("{file}.pem")), certificate.pem()).unwrap();
    let path = directory.join(format!("{file}.key"));
    std::fs::write(&path, key.serialize_pem()).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

impl Server {
    fn start() -> Option<Self> {
        let mut cluster = Cluster::make()?;
        let (authority, files) = (authority(), tempfile::tempdir().unwrap());
        let data = cluster.directory.join("data");
        issue(&authority, "localhost", &data, "server");
        issue(&authority, "doorward", files.path(), "client");
        for directory in [&data, files.path()] {
            std::fs::write(directory.join("authority.pem"), authority.pem()).unwrap();
        }
        if is_root() {
            std::os::unix::fs::chown(data.join("server.key"), Some(UNPRIVILEGED), Some(UNPRIVILEGED))
                .unwrap();
        }
        let port = free_port();
        cluster.configure(
            "postgresql.conf",
            &format!(
                "listen_addresses = '127.0.0.1'\nport = {port}\nssl = on\nssl_cert_file = 'server.pem'\n\
                 ssl_key_file = 'server.key'\nssl_ca_file = 'authority.pem'\n"
            ),
        );
        std::fs::write(
            data.join("pg_hba.conf"),
            "local all all trust\nhostssl all all 127.0.0.1/32 cert\n",
        )
        .unwrap();
        cluster.run();
        Some(Self { cluster, port, files })
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        let files = self.files.path().display().to_string();
        let parameters = parameters.replace("FILES", &files);
        format!("postgres://doorward@{host}:{}/postgres?{parameters}", self.port)
    }
}

const CLIENT: &str = "sslcert=FILES/client.pem&sslkey=FILES/client.key";

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_servers_certificate_is_verified_and_the_clients_is_shown() {
    let Some(server) = Server::start() else { return };
    let open = async |host: &str, parameters: &str| {
        let options = PostgresOptions::default();
        PostgresStore::open(&server.url(host, parameters), &options).await
    };
    for mode in ["require", "verify-full", "verify-ca"] {
        let parameters = format!("sslmode={mode}&sslrootcert=FILES/authority.pem&{CLIENT}");
        let store = open("localhost", &parameters).await.unwrap();
        store.ping().await.unwrap();
        store.close().await.unwrap();
    }
    let named = |host, parameters: String| (host, parameters);
    for (host, parameters) in [
        // An authority that the system does not know; another name; no certificate; no TLS.
        named("localhost", format!("sslmode=require&{CLIENT}")),
        named(
            "127.0.0.1",
            format!("sslmode=require&sslrootcert=FILES/authority.pem&{CLIENT}"),
        ),
        named(
            "localhost",
            "sslmode=require&sslrootcert=FILES/authority.pem".to_owned(),
        ),
        named("localhost", "sslmode=disable".to_owned()),
    ] {
        let refused = open(host, &parameters).await;
        assert!(matches!(refused, Err(StoreError::Unusable(_))), "{parameters}");
    }
    drop(server.cluster);
}
