//! Keys and secrets that somebody else has, or that nobody can open any more: new ones.

use std::fs;

use doorward_oauth::pkce::CodeChallenge;
use serde_json::{Value, json};

use crate::support::{ADMIN_KEY, Browser, Client, Place, RESOURCE, Server, Tokens, VERIFIER, cluster, http};

const CALLBACK: &str = "http://127.0.0.1:33418/callback";

/// What is out there when the secrets are stolen.
struct Given {
    client: Client,
    browser: Browser,
    tokens: Tokens,
    code: String,
    request: String,
    guard: Confidential,
    self_registered: Confidential,
}

struct Confidential {
    id: String,
    secret: String,
}

impl Confidential {
    fn of(answer: &Value) -> Self {
        let member = |name: &str| answer[name].as_str().unwrap().to_owned();
        Self {
            id: member("client_id"),
            secret: member("client_secret"),
        }
    }

    /// Status and answer of introspection.
    async fn introspect(&self, server: &Server, token: &str) -> (u16, Value) {
        let request = http().post(format!("{}/oauth/introspect", server.issuer));
        let request = request.basic_auth(&self.id, Some(&self.secret));
        let answer = request.form(&[("token", token)]).send().await.unwrap();
        let status = answer.status().as_u16();
        (
            status,
            serde_json::from_str(&answer.text().await.unwrap()).unwrap(),
        )
    }
}

async fn code(browser: &Browser, client: &Client) -> String {
    let callback = browser.approve(&client.authorization_url()).await;
    let code = callback.query_pairs().find(|(name, _)| name == "code");
    code.unwrap_or_else(|| panic!("{callback}")).1.into_owned()
}

/// A pushed authorization request: the URL with it.
async fn pushed(server: &Server, client: &Client) -> String {
    let challenge = CodeChallenge::of_verifier(VERIFIER);
    let form = [
        ("response_type", "code"),
        ("client_id", &client.id),
        ("redirect_uri", CALLBACK),
        ("code_challenge", challenge.as_str()),
        ("code_challenge_method", "S256"),
        ("resource", RESOURCE),
    ];
    let request = http().post(format!("{}/oauth/par", server.issuer)).form(&form);
    let answer: Value = request.send().await.unwrap().json().await.unwrap();
    let pairs = [
        ("client_id", client.id.as_str()),
        ("request_uri", answer["request_uri"].as_str().unwrap()),
    ];
    let query = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish();
    format!("{}/oauth/authorize?{query}", server.issuer)
}

async fn give_out(place: &Place, server: &Server) -> Given {
    let client = Client::register(server, "App").await;
    let browser = Browser::new();
    let tokens = Tokens::of(client.redeem(&code(&browser, &client).await).await.unwrap());
    let code = code(&browser, &client).await;
    let request = pushed(server, &client).await;
    assert_eq!(Browser::new().open(&request).await.unwrap().status, 200);
    let create = [
        "admin",
        "client",
        "create",
        "--name",
        "The guard",
        "--auth-method",
        "client_secret_basic",
        "--resource-server",
        "demo",
        "--json",
    ];
    let guard = Confidential::of(&place.run(&create).json());
    let metadata = json!({"client_name": "By itself", "redirect_uris": ["https://app.example/cb"],
        "token_endpoint_auth_method": "client_secret_basic"});
    let register = http()
        .post(format!("{}/oauth/register", server.issuer))
        .json(&metadata);
    let self_registered = Confidential::of(&register.send().await.unwrap().json().await.unwrap());
    let given = Given {
        client,
        browser,
        tokens,
        code,
        request,
        guard,
        self_registered,
    };
    let (status, answer) = given.guard.introspect(server, &given.tokens.access).await;
    assert_eq!((status, &answer["active"]), (200, &json!(true)));
    assert_eq!(given.self_registered.introspect(server, "x").await.0, 200);
    given
}

impl Given {
    async fn is_worthless(&self, server: &Server) {
        for answer in [
            self.client.refresh(&self.tokens.refresh).await.unwrap(),
            self.client.redeem(&self.code).await.unwrap(),
        ] {
            assert_eq!(
                (answer.0.as_u16(), &answer.1["error"]),
                (400, &json!("invalid_grant"))
            );
        }
        assert_eq!(Browser::new().open(&self.request).await.unwrap().status, 400);
        for client in [&self.guard, &self.self_registered] {
            let (status, answer) = client.introspect(server, &self.tokens.access).await;
            assert_eq!((status, &answer["error"]), (401, &json!("invalid_client")));
        }
        let page = self.browser.open(&self.client.authorization_url()).await.unwrap();
        assert!(page.html.contains("name=\"password\""), "{page:?}");
    }
}

/// From the first start to the end; `running`: what is said while a server runs. The master key is in `first.key`, and another
/// one follows it.
async fn secrets_are_replaced(place: Place, running: &str) {
    place.run(&["keys", "new-master", "first.key"]).success();
    place.run(&["keys", "new-master", "second.key"]).success();
    // The first start makes an admin key.
    let place = place
        .set("DOORWARD_KEYS_MASTER_KEY_FILE", "first.key")
        .without("DOORWARD_ADMIN_BOOTSTRAP_KEY");
    let refused = place.run(&["keys", "new-secrets", "--yes"]).one_line_failure();
    assert!(
        refused.contains("there is no database at") || refused.contains("the database is new"),
        "{refused}"
    );
    let server = place.serve().await;
    let printed = server.process.stdout();
    let admin_key = printed.lines().find(|line| line.starts_with("dwk_")).unwrap();
    assert_ne!(admin_key, ADMIN_KEY);
    let place = place.set("DOORWARD_ADMIN_KEY", admin_key);
    place.populate();
    let given = give_out(&place, &server).await;

    // What would end can be asked at any time.
    let asked = place.run(&["keys", "new-secrets"]);
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert_eq!(
        asked.stderr,
        "note: nothing was done; stop every server, and say --yes\n"
    );
    let expected = "New secrets end 1 signing keys, 2 grants with their codes and refresh tokens, 1 sessions, and the \
                    secrets of 1 clients of operators and 1 that registered themselves.\n";
    assert!(asked.stdout.starts_with(expected), "{asked:?}");
    assert!(
        asked
            .stdout
            .contains(&format!("  {}  The guard\n", given.guard.id)),
        "{asked:?}"
    );
    let refused = place.run(&["keys", "new-secrets", "--yes"]).one_line_failure();
    assert!(refused.contains(running), "{refused}");
    let tokens = Tokens::of(given.client.refresh(&given.tokens.refresh).await.unwrap());
    let given = Given { tokens, ..given };
    assert_eq!(server.stop().code, Some(0));

    // The old master key is lost.
    fs::remove_file(place.folder().join("first.key")).unwrap();
    let told = place.run(&["keys", "new-secrets", "--yes"]).success();
    let guard = format!("  {}  The guard\n", given.guard.id);
    for part in [
        "Forgotten: 1 signing keys and 1 secrets of the server.",
        "under the master key in ",
        "first.key: put another one there first if it may be known",
        "Ended: 2 grants with their codes and refresh tokens, 1 sessions,",
        "1 clients that registered themselves with a secret have to register again.",
        "1 clients of operators need a new secret",
        &guard,
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // Whoever was stopped in the middle does it again.
    let told = place.run(&["keys", "new-secrets", "--yes"]).success();
    assert!(
        told.starts_with("Forgotten: 0 signing keys and 0 secrets"),
        "{told}"
    );

    let found = place.run(&["check-config", "--database"]).success();
    assert!(
        found.contains("nothing in it is sealed, and the start makes a master key in ")
            && found.contains("first.key."),
        "{found}"
    );
    let place = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "second.key");
    let server = place.serve().await;
    given.is_worthless(&server).await;
    // Everybody gets on: the operator with the same admin key, who has a secret with a new one, the others at once.
    let rotate = ["admin", "client", "rotate-secret", &given.guard.id];
    let rotated = place
        .run(&[&rotate[..], &["--overlap-seconds", "0", "--json"]].concat())
        .json();
    let guard = Confidential::of(&rotated);
    let (status, answer) = guard.introspect(&server, &given.tokens.access).await;
    assert_eq!((status, &answer["active"]), (200, &json!(false)));
    let code = code(&Browser::new(), &given.client).await;
    let tokens = Tokens::of(given.client.redeem(&code).await.unwrap());
    let tokens = Tokens::of(given.client.refresh(&tokens.refresh).await.unwrap());
    let (_, answer) = guard.introspect(&server, &tokens.access).await;
    assert_eq!(answer["active"], true);
    let list = [
        "admin",
        "audit",
        "list",
        "--json",
        "--action",
        "server_secret.replaced",
    ];
    let told = place.run(&list).json();
    let told = told["items"].as_array().unwrap();
    let with_keys = told.iter().filter(|item| item["detail"]["signing_keys"] == 1);
    assert_eq!((told.len(), with_keys.count()), (2, 1), "{told:?}");
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test]
async fn new_secrets_end_what_the_old_ones_made() {
    secrets_are_replaced(Place::new(), "another process uses").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_secrets_end_what_the_old_ones_made_on_postgresql() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    // Names differ; the role is the same.
    let url = format!("{}?application_name=node-7", database.url());
    let place = Place::new().set("DOORWARD_STORAGE_URL", &url);
    secrets_are_replaced(
        place,
        "others use this database, connected as node-7: stop every server",
    )
    .await;
}
