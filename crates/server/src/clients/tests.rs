use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use doorward_fetch::{FetchError, FetchPolicy, Fetcher};
use doorward_jose::{Algorithm, Jws, SigningKey, sign};
use doorward_oauth::client::{ClientMetadata, RegistrationPolicy, effective};
use doorward_oauth::issuer::Issuer;
use doorward_oauth::time::{Clock, ManualClock};
use doorward_store::Store;
use doorward_store::sqlite::{SqliteOptions, SqliteStore};
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::directory::FETCHES_OF_ADDRESS;
use super::keys::NoKey;
use super::*;
use crate::config::Settings;

struct House {
    store: Arc<dyn Store>,
    clock: ManualClock,
    directory: Directory,
}

impl House {
    async fn resolve(&self, client_id: &str) -> Result<Arc<Client>, ClientError> {
        self.directory
            .resolve(client_id, "192.0.2.1".parse().unwrap())
            .await
    }
}

fn house() -> House {
    house_with(&Settings::default())
}

fn house_with(settings: &Settings) -> House {
    let clock = ManualClock::new(UnixSeconds(1_800_000_000));
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    let store: Arc<dyn Store> =
        Arc::new(SqliteStore::open("sqlite::memory:", &SqliteOptions::default()).unwrap());
    let policy = FetchPolicy {
        allow_loopback_http: true,
        ..FetchPolicy::default()
    };
    let fetcher = Fetcher::new(policy, Arc::clone(&shared)).unwrap();
    let issuer = Issuer::parse("http://localhost:9000").unwrap();
    let directory = Directory::new(
        settings,
        &issuer,
        Arc::clone(&store),
        Fetchers {
            strangers: fetcher.clone(),
            operators: fetcher,
        },
        shared,
        &crate::http::metrics::Metrics::new(),
    );
    House {
        store,
        clock,
        directory,
    }
}

/// A server with one metadata document, and the document's URL.
async fn document_server() -> (MockServer, String) {
    let server = MockServer::start().await;
    let client_id = format!("{}/client.json", server.uri());
    (server, client_id)
}

async fn serve(server: &MockServer, body: &Value) {
    server.reset().await;
    let answer = ResponseTemplate::new(200).set_body_raw(body.to_string(), "application/json");
    Mock::given(any()).respond_with(answer).mount(server).await;
}

async fn serve_status(server: &MockServer, status: u16) {
    server.reset().await;
    Mock::given(any())
        .respond_with(ResponseTemplate::new(status))
        .mount(server)
        .await;
}

fn document(client_id: &str) -> Value {
    json!({ "client_id": client_id, "client_name": "Example", "redirect_uris": ["http://127.0.0.1/callback"] })
}

fn record(client_id: &str, source: ClientSource) -> doorward_store::Client {
    let metadata = ClientMetadata::from_value(json!({
        "client_name": "On record", "redirect_uris": ["https://r1.example/cb"], "token_endpoint_auth_method": "none",
    }));
    let metadata = effective(&metadata.unwrap(), &RegistrationPolicy::dynamic()).unwrap();
    doorward_store::Client {
        client_id: client_id.to_owned(),
        source,
        metadata: serde_json::to_string(&metadata).unwrap(),
        secrets: Vec::new(),
        fingerprint: consent_fingerprint(&metadata),
        resource_server: None,
        registration_token: None,
        disabled: false,
        created_at: UnixSeconds(1),
        updated_at: UnixSeconds(1),
    }
}

#[tokio::test]
async fn an_id_that_nobody_registered_is_unknown() {
    let house = house();
    let long = "a".repeat(2049);
    for client_id in [
        "nope",
        "",
        "ftp://cimd.example/c",
        "\u{0}",
        "'; DROP TABLE client; --",
        long.as_str(),
    ] {
        assert_eq!(
            house.resolve(client_id).await.unwrap_err(),
            ClientError::Unknown,
            "{client_id:?}"
        );
    }
}

#[tokio::test]
async fn a_registered_client_is_found_and_a_disabled_one_is_told_apart() {
    let house = house();
    house
        .store
        .create_client(record("dwc_1", ClientSource::Dynamic))
        .await
        .unwrap();
    let client = house.resolve("dwc_1").await.unwrap();
    assert_eq!(
        (
            client.display_name(),
            client.host(),
            client.snapshot(UnixSeconds(1))
        ),
        ("On record", None, None)
    );
    house
        .store
        .update_client(doorward_store::Client {
            disabled: true,
            ..record("dwc_1", ClientSource::Dynamic)
        })
        .await
        .unwrap();
    assert_eq!(house.resolve("dwc_1").await.unwrap_err(), ClientError::Disabled);
    assert_eq!(
        house.directory.resolve_approved("dwc_1", None).await.unwrap_err(),
        ClientError::Disabled
    );
}

#[tokio::test]
async fn a_url_is_a_client_whose_document_is_fetched_once_and_costs_no_row() {
    let (house, (server, client_id)) = (house(), document_server().await);
    serve(&server, &document(&client_id)).await;
    for _ in 0..5 {
        let client = house.resolve(&client_id).await.unwrap();
        assert_eq!(client.source, ClientSource::MetadataDocument);
        assert_eq!(
            client.host(),
            client_id
                .strip_prefix("http://")
                .and_then(|rest| rest.split('/').next())
                .map(str::to_owned)
        );
    }
    assert_eq!(server.received_requests().await.unwrap().len(), 1);
    assert_eq!(house.store.client(&client_id).await.unwrap(), None);
}

#[tokio::test]
async fn what_an_operator_registered_under_a_url_wins_and_nothing_is_fetched() {
    let (house, (server, client_id)) = (house(), document_server().await);
    serve(&server, &document(&client_id)).await;
    house
        .store
        .create_client(record(&client_id, ClientSource::Admin))
        .await
        .unwrap();
    let client = house.resolve(&client_id).await.unwrap();
    assert!(client.metadata.redirect_uri("https://r1.example/cb").is_some());
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[tokio::test]
async fn a_change_of_name_or_redirect_uris_changes_the_fingerprint() {
    let (house, (server, client_id)) = (house(), document_server().await);
    let mut fingerprints = Vec::new();
    let mut changed = document(&client_id);
    for (member, value) in [
        ("x", json!(1)),
        ("client_name", json!("Other")),
        ("redirect_uris", json!(["https://other.example/cb"])),
    ] {
        changed[member] = value;
        serve(&server, &changed).await;
        house.clock.advance(Duration::from_hours(25));
        fingerprints.push(house.resolve(&client_id).await.unwrap().fingerprint.clone());
    }
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 3);
}

#[tokio::test]
async fn while_a_document_cannot_be_fetched_the_snapshot_holds_for_what_was_approved() {
    let (house, (server, client_id)) = (house(), document_server().await);
    serve_status(&server, 503).await;
    let unreachable = ClientError::DocumentUnreachable(FetchError::Status(503));
    house
        .store
        .create_client(record(&client_id, ClientSource::MetadataDocument))
        .await
        .unwrap();
    let client = house.directory.resolve_approved(&client_id, None).await.unwrap();
    assert_eq!(client.display_name(), "On record");
    // A new approval needs the document.
    assert_eq!(house.resolve(&client_id).await.unwrap_err(), unreachable);
}

/// RATE-008: the token endpoint fetches nothing for strangers.
#[tokio::test]
async fn a_document_that_nobody_approved_is_not_asked_for_where_only_approved_clients_come() {
    let (house, (server, client_id)) = (house(), document_server().await);
    serve(&server, &document(&client_id)).await;
    assert_eq!(
        house
            .directory
            .resolve_approved(&client_id, None)
            .await
            .unwrap_err(),
        ClientError::Unknown
    );
    assert!(server.received_requests().await.unwrap().is_empty());
}

/// RATE-008
#[tokio::test]
async fn an_address_can_have_so_many_documents_fetched_and_others_are_not_held_up() {
    let (house, (server, client_id)) = (house(), document_server().await);
    serve_status(&server, 404).await;
    for number in 0..120 {
        let other = format!("{client_id}?{number}");
        assert_eq!(
            house.resolve(&other).await.unwrap_err(),
            ClientError::DocumentUnreachable(FetchError::Status(404))
        );
    }
    assert_eq!(
        house.resolve(&client_id).await.unwrap_err(),
        ClientError::DocumentUnreachable(FetchError::NotAdmitted)
    );
    // What is known already costs nothing, and what cannot be fetched at all is refused as ever.
    assert!(matches!(
        house.resolve(&format!("{client_id}?0")).await,
        Err(ClientError::DocumentUnreachable(_))
    ));
    assert!(matches!(
        house.resolve("https://a.example").await,
        Err(ClientError::UnusableUrl(_))
    ));
    assert_eq!(server.received_requests().await.unwrap().len(), 120);
    serve(&server, &document(&client_id)).await;
    let elsewhere = house
        .directory
        .resolve(&client_id, "192.0.2.2".parse().unwrap())
        .await;
    assert!(elsewhere.is_ok());
    house.clock.advance(Duration::from_secs(1));
    serve_status(&server, 404).await;
    assert!(matches!(
        house.resolve(&format!("{client_id}?more")).await,
        Err(ClientError::DocumentUnreachable(_))
    ));
}

#[tokio::test]
async fn a_withdrawn_document_withdraws_the_client() {
    let (house, (server, client_id)) = (house(), document_server().await);
    house
        .store
        .create_client(record(&client_id, ClientSource::MetadataDocument))
        .await
        .unwrap();
    for status in [404, 410] {
        serve_status(&server, status).await;
        house.clock.advance(Duration::from_mins(1));
        let gone = ClientError::DocumentUnreachable(FetchError::Status(status));
        assert_eq!(
            house
                .directory
                .resolve_approved(&client_id, None)
                .await
                .unwrap_err(),
            gone
        );
    }
    serve(&server, &document("https://somebody.else/client.json")).await;
    house.clock.advance(Duration::from_mins(1));
    assert!(matches!(
        house.directory.resolve_approved(&client_id, None).await,
        Err(ClientError::InvalidDocument(_))
    ));
}

#[tokio::test]
async fn a_repaired_document_is_seen_at_once() {
    let (house, (server, client_id)) = (house(), document_server().await);
    serve(&server, &json!([])).await;
    assert!(matches!(
        house.resolve(&client_id).await,
        Err(ClientError::InvalidDocument(_))
    ));
    serve(&server, &document(&client_id)).await;
    house.clock.advance(Duration::from_secs(10));
    assert!(house.resolve(&client_id).await.is_ok());
}

/// Requests of clients that somebody approved take from no budget, and their documents need not be to be kept.
#[tokio::test]
async fn a_document_that_is_not_kept_is_asked_for_now_and_then() {
    let (house, (server, client_id)) = (house(), document_server().await);
    let stored = record(&client_id, ClientSource::MetadataDocument);
    house.store.create_client(stored).await.unwrap();
    for (body, is_valid) in [(document(&client_id), true), (json!([]), false)] {
        server.reset().await;
        let answer = ResponseTemplate::new(200)
            .set_body_raw(body.to_string(), "application/json")
            .insert_header("cache-control", "no-store");
        Mock::given(any()).respond_with(answer).mount(&server).await;
        for times in 1..=2 {
            house.clock.advance(Duration::from_secs(10));
            for _ in 0..20 {
                let answer = house.directory.resolve_approved(&client_id, None).await;
                assert_eq!(answer.is_ok(), is_valid, "{answer:?}");
            }
            assert_eq!(server.received_requests().await.unwrap().len(), times);
        }
    }
}

#[test]
fn a_document_that_nobody_was_asked_for_is_not_to_blame() {
    let busy = || ClientError::DocumentUnreachable(FetchError::Busy);
    let page = crate::http::error::PageError::from(busy());
    assert_eq!(page.status, http::StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(page.title, "Not available right now");
    assert!(!busy().sentence().contains("document"));
}

#[tokio::test]
async fn documents_can_be_switched_off() {
    let mut settings = Settings::default();
    settings.registration.cimd = false;
    let (house, (server, client_id)) = (house_with(&settings), document_server().await);
    serve(&server, &document(&client_id)).await;
    assert!(matches!(
        house.resolve(&client_id).await,
        Err(ClientError::UnusableUrl(_))
    ));
    assert!(server.received_requests().await.unwrap().is_empty());
}

#[test]
fn every_failure_on_the_network_reads_the_same() {
    let failures = [
        FetchError::Timeout,
        FetchError::Connect,
        FetchError::Tls,
        FetchError::Status(404),
        FetchError::Blocked("h".into()),
    ];
    let mut sentences: Vec<_> = failures
        .map(|error| ClientError::DocumentUnreachable(error).sentence())
        .into();
    sentences.dedup();
    assert_eq!(sentences.len(), 1);
}

/// Hosts that take a connection and say nothing: their documents are on their way for seconds.
async fn silent_host() -> (tokio::net::TcpListener, String) {
    let host = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", host.local_addr().unwrap());
    (host, url)
}

/// Slow hosts of one stranger are no reason to turn others away, and hanging up gives nothing free.
#[tokio::test]
async fn an_address_has_so_much_fetched_at_one_time_and_others_are_not_held_up() {
    let (house, (server, client_id)) = (house(), document_server().await);
    serve(&server, &document(&client_id)).await;
    let mut hosts = Vec::new();
    for _ in 0..FETCHES_OF_ADDRESS {
        let (host, url) = silent_host().await;
        let document = format!("{url}/client.json");
        let resolving = house.resolve(&document);
        // Until it is asked, then nobody waits for it any more.
        tokio::select! {
            answer = resolving => panic!("{answer:?}"),
            connection = host.accept() => hosts.push((connection.unwrap(), host)),
        }
    }
    assert_eq!(
        house.resolve(&client_id).await.unwrap_err(),
        ClientError::DocumentUnreachable(FetchError::Busy)
    );
    let elsewhere = house
        .directory
        .resolve(&client_id, "192.0.2.2".parse().unwrap())
        .await;
    assert!(elsewhere.is_ok(), "{elsewhere:?}");
    // What is known takes no share.
    assert!(house.resolve(&client_id).await.is_ok());
}

/// They wait for one of its places, and hold none of all.
#[tokio::test]
async fn those_who_wait_for_one_slow_host_hold_up_nobody_else() {
    let (house, (server, client_id)) = (Arc::new(house()), document_server().await);
    serve(&server, &document(&client_id)).await;
    let (_host, url) = silent_host().await;
    let mut waiting = Vec::new();
    for place in 0..64 {
        let address: IpAddr = format!("192.0.2.{}", 1 + place % 8).parse().unwrap();
        let (house, document) = (Arc::clone(&house), format!("{url}/{place}.json"));
        waiting.push(tokio::spawn(async move {
            house.directory.resolve(&document, address).await
        }));
    }
    let count = || Arc::strong_count(&house.directory.shares);
    while count() <= waiting.len() && !waiting.iter().any(tokio::task::JoinHandle::is_finished) {
        tokio::task::yield_now().await;
    }
    let elsewhere = house
        .directory
        .resolve(&client_id, "192.0.2.9".parse().unwrap())
        .await;
    assert!(elsewhere.is_ok(), "{elsewhere:?}");
}

/// A client that registered itself with the address of its keys, or that an operator registered so.
fn with_keys_at(client_id: &str, source: ClientSource, jwks_uri: &str) -> Client {
    let mut client = Client::from_record(record(client_id, source)).unwrap();
    client.metadata.jwks_uri = Some(jwks_uri.to_owned());
    client
}

/// RATE-008: keys are fetched before anything is proven, so they count as documents do.
#[tokio::test]
async fn an_address_can_have_so_many_keys_fetched_and_those_of_operators_clients_are_not_counted() {
    let (house, (server, _)) = (house(), document_server().await);
    serve_status(&server, 404).await;
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let token = sign(&key, "JWT", &json!({})).unwrap();
    let jws = Jws::parse(&token).unwrap();
    let find = async |client: Client, address: &str| {
        let address = address.parse().unwrap();
        house
            .directory
            .key(&client, jws.header(), address)
            .await
            .unwrap_err()
    };
    let of = |source, number: u32| {
        let url = format!("{}/{number}.json", server.uri());
        with_keys_at(&format!("dwc_{number}"), source, &url)
    };
    // A set that is not there is asked for, and once more because the key is missing.
    for number in 0..60 {
        assert_eq!(
            find(of(ClientSource::Dynamic, number), "192.0.2.1").await,
            NoKey::Unreachable
        );
    }
    let asked = server.received_requests().await.unwrap().len();
    assert_eq!(asked, 120);
    assert_eq!(
        find(of(ClientSource::Dynamic, 60), "192.0.2.1").await,
        NoKey::TooMany
    );
    assert_eq!(server.received_requests().await.unwrap().len(), asked);
    assert_eq!(
        find(of(ClientSource::Dynamic, 60), "192.0.2.2").await,
        NoKey::Unreachable
    );
    assert_eq!(
        find(of(ClientSource::Admin, 61), "192.0.2.1").await,
        NoKey::Unreachable
    );
}
