//! TLS to the server: verified whenever it is used, with client certificates.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use doorward_store::postgres::{PostgresOptions, PostgresStore};
use doorward_store::{Store as _, StoreError};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio_postgres::NoTls;

use super::cluster::Cluster;
use super::cluster::server::{UNPRIVILEGED, is_root};
use super::pooler::ports::free_port;

/// A server that takes nobody over the network without a certificate of its own authority.
struct Server {
    cluster: Cluster,
    authority: CertifiedIssuer<'static, KeyPair>,
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
        Some(Self {
            cluster,
            authority,
            port,
            files,
        })
    }

    fn url(&self, host: &str, parameters: &str) -> String {
        let files = self.files.path().display().to_string();
        let parameters = parameters.replace("FILES", &files);
        format!("postgres://doorward@{host}:{}/postgres?{parameters}", self.port)
    }

    /// Ends the connections over the network, and asks as whom the store comes back.
    async fn certificate_of_new_connections(&self, store: &PostgresStore) -> String {
        // Its socket is named after its port.
        let port = format!(":{}/postgres", self.port);
        let url = self.cluster.url("postgres").replace("/postgres", &port);
        let (db, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
        let connection = tokio::spawn(connection);
        let end = "SELECT count(pg_terminate_backend(pid, 10000)) FROM pg_stat_ssl WHERE ssl";
        db.query_one(end, &[]).await.unwrap();
        store.ping().await.unwrap();
        let shown = "SELECT DISTINCT client_serial::text FROM pg_stat_ssl WHERE ssl";
        let serial = db.query_one(shown, &[]).await.unwrap().get(0);
        drop(db);
        connection.await.unwrap().unwrap();
        serial
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

/// Certificates are renewed every few weeks: no restart is needed for it, and a renewal that went wrong half way ends nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn renewed_files_count_for_new_connections_and_bad_ones_leave_those_before() {
    let Some(server) = Server::start() else { return };
    let parameters = format!("sslmode=require&sslrootcert=FILES/authority.pem&{CLIENT}");
    let url = server.url("localhost", &parameters);
    let store = PostgresStore::open(&url, &PostgresOptions::default())
        .await
        .unwrap();
    let folder = server.files.path();
    let (certificate, authorities) = (folder.join("client.pem"), folder.join("authority.pem"));
    let first = server.certificate_of_new_connections(&store).await;
    assert_eq!(store.read_files_again().unwrap(), Vec::<&str>::new());

    issue(&server.authority, "doorward", folder, "client");
    assert_eq!(server.certificate_of_new_connections(&store).await, first);
    assert_eq!(store.read_files_again().unwrap(), ["sslcert", "sslkey"]);
    let second = server.certificate_of_new_connections(&store).await;
    assert_ne!(second, first);

    let good = std::fs::read(&certificate).unwrap();
    let refused = || match store.read_files_again() {
        Err(StoreError::Unusable(why)) => why,
        other => panic!("{other:?}"),
    };
    std::fs::remove_file(&certificate).unwrap();
    assert!(refused().contains("client.pem"));
    std::fs::write(&certificate, "no certificate").unwrap();
    assert!(refused().contains("client.pem"));
    // The new certificate is there, its key not yet.
    issue(&server.authority, "doorward", folder, "next");
    std::fs::copy(folder.join("next.pem"), &certificate).unwrap();
    assert!(refused().contains("do not fit"));
    assert_eq!(server.certificate_of_new_connections(&store).await, second);
    std::fs::write(&certificate, good).unwrap();
    assert_eq!(store.read_files_again().unwrap(), Vec::<&str>::new());

    std::fs::write(&authorities, authority().pem() + &server.authority.pem()).unwrap();
    assert_eq!(store.read_files_again().unwrap(), ["sslrootcert"]);
    assert_eq!(server.certificate_of_new_connections(&store).await, second);
    store.close().await.unwrap();
    drop(server.cluster);
}
