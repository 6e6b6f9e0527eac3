//! `doorward move`: a whole Doorward goes from SQLite to PostgreSQL.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Browser, Client, Place, Server, Tokens, cluster, database_contents, http};

/// With both configurations in files: the environment would name one database for both.
struct Move {
    place: Place,
    database: cluster::Database,
}

impl Move {
    async fn new() -> Option<Self> {
        let database = cluster::empty_database().await?;
        let place = Place::new()
            .without("DOORWARD_STORAGE_URL")
            .without("DOORWARD_KEYS_MASTER_KEY");
        let made = Self { place, database };
        made.write("old.toml", "sqlite://data/doorward.db", "data/master.key");
        made.write("new.toml", &made.database.url(), "data/master.key");
        Some(made)
    }

    fn write(&self, file: &str, url: &str, key: &str) {
        let text = format!("[storage]\nurl = \"{url}\"\n[keys]\nmaster_key_file = \"{key}\"\n");
        fs::write(self.place.folder().join(file), text).unwrap();
    }

    async fn serve(&self, config: &str) -> Server {
        self.place.serve_with(&["serve", "--config", config]).await
    }

    /// Refused with a sentence, and nothing was done.
    async fn refused(&self, to: &str, sentence: &str) {
        let before = database_contents(&self.database.url()).await;
        for more in [&[][..], &["--yes"]] {
            let refused = self.place.run(&command(to, more)).one_line_failure();
            assert!(refused.contains(sentence), "{more:?}: {refused}");
        }
        assert_eq!(database_contents(&self.database.url()).await, before);
        assert!(!self.place.folder().join("data/doorward.db.moved-1").exists());
    }
}

fn command<'a>(to: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&["move", "--config", "old.toml", "--to", to], more].concat()
}

async fn published(server: &Server) -> Value {
    let url = format!("{}/.well-known/jwks.json", server.issuer);
    http().get(url).send().await.unwrap().json().await.unwrap()
}

async fn code(browser: &Browser, client: &Client) -> String {
    let callback = browser.approve(&client.authorization_url()).await;
    let code = callback.query_pairs().find(|(name, _)| name == "code");
    code.unwrap_or_else(|| panic!("{callback}")).1.into_owned()
}

async fn is_active(server: &Server, guard: &Value, token: &str) -> bool {
    let member = |name: &str| guard[name].as_str().unwrap();
    let request = http()
        .post(format!("{}/oauth/introspect", server.issuer))
        .basic_auth(member("client_id"), Some(member("client_secret")));
    let answer = request.form(&[("token", token)]).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer: Value = answer.json().await.unwrap();
    answer["active"].as_bool().unwrap()
}

async fn revoke(client: &Client, token: &str) {
    let form = [("token", token), ("client_id", &client.id)];
    let revoke = http().post(format!("{}/oauth/revoke", client.issuer));
    assert_eq!(revoke.form(&form).send().await.unwrap().status(), 200);
}

fn error(answer: &(reqwest::StatusCode, Value)) -> (u16, &Value) {
    (answer.0.as_u16(), &answer.1["error"])
}

/// The whole list, newest first.
fn audit(place: &Place) -> Vec<Value> {
    let list = place.run(&["admin", "audit", "list", "--limit", "200", "--json"]);
    list.json()["items"].as_array().unwrap().clone()
}

/// What is out there when everything is moved.
struct Given {
    client: Client,
    other: Client,
    browser: Browser,
    guard: Value,
    second_key: String,
    /// Redeemed, and not yet.
    codes: [String; 2],
    /// Of the client, one after the other.
    tokens: [Tokens; 3],
    /// Of the other client: the access token was revoked, or the grant.
    revoked: Tokens,
    ended: Tokens,
    keys: Value,
    told: Vec<Value>,
}

impl Given {
    async fn by(place: &Place, server: &Server) -> Self {
        place.populate();
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
        let guard = place.run(&create).json();
        let create = ["admin", "admin-key", "create", "--name", "second", "--json"];
        let second_key = place.run(&create).json()["key"].as_str().unwrap().to_owned();
        let client = Client::register(server, "App").await;
        let other = Client::register(server, "Other").await;
        let browser = Browser::new();
        let used = code(&browser, &client).await;
        let first = Tokens::of(client.redeem(&used).await.unwrap());
        let second = Tokens::of(client.refresh(&first.refresh).await.unwrap());
        let third = Tokens::of(client.refresh(&second.refresh).await.unwrap());
        let revoked = Tokens::of(other.redeem(&code(&browser, &other).await).await.unwrap());
        revoke(&other, &revoked.access).await;
        let ended = Tokens::of(other.redeem(&code(&browser, &other).await).await.unwrap());
        revoke(&other, &ended.refresh).await;
        Self {
            codes: [used, code(&browser, &client).await],
            keys: published(server).await,
            told: audit(place),
            tokens: [first, second, third],
            client,
            other,
            browser,
            guard,
            second_key,
            revoked,
            ended,
        }
    }

    async fn goes_on(&self, place: &Place, server: &Server) {
        assert_eq!(published(server).await, self.keys);
        let keys = ["admin", "admin-key", "list", "--json"];
        let keys = place.run_with("DOORWARD_ADMIN_KEY", &self.second_key, &keys);
        assert!(keys.success().contains("second"));
        let after = audit(place);
        assert_eq!(after[after.len() - self.told.len()..], self.told);

        let [first, _, third] = &self.tokens;
        for (tokens, active) in [
            (first, true),
            (third, true),
            (&self.revoked, false),
            (&self.ended, false),
        ] {
            let found = is_active(server, &self.guard, &tokens.access).await;
            assert_eq!(found, active, "{tokens:?}");
        }
        let refused = self.other.refresh(&self.ended.refresh).await.unwrap();
        assert_eq!(error(&refused), (400, &json!("invalid_grant")));
        let fourth = Tokens::of(self.client.refresh(&third.refresh).await.unwrap());
        // The answer may have been lost: the same successor again.
        let again = Tokens::of(self.client.refresh(&third.refresh).await.unwrap());
        assert_eq!(again.refresh, fourth.refresh);
        // The session holds, and what was allowed is remembered.
        let page = self.browser.open(&self.client.authorization_url()).await;
        assert!(page.unwrap().away.is_some());
        let [used, waiting] = &self.codes;
        Tokens::of(self.client.redeem(waiting).await.unwrap());
        // What was used up stays so: the grant of the code ends.
        let replayed = self.client.redeem(used).await.unwrap();
        assert_eq!(error(&replayed), (400, &json!("invalid_grant")));
        let refused = self.client.refresh(&fourth.refresh).await.unwrap();
        assert_eq!(error(&refused), (400, &json!("invalid_grant")));
        assert!(!is_active(server, &self.guard, &fourth.access).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_goes_on_where_it_was() {
    let Some(moving) = Move::new().await else {
        return;
    };
    let place = &moving.place;
    let server = moving.serve("old.toml").await;
    let given = Given::by(place, &server).await;

    // While the server runs it can be asked what would be moved, and no more.
    let asked = place.run(&command("new.toml", &[]));
    assert_eq!(asked.code, Some(0), "{asked:?}");
    assert_eq!(
        asked.stderr,
        "note: nothing was done; stop the server, and say --yes\n"
    );
    assert!(asked.stdout.contains("\n           1  person\n"), "{asked:?}");
    let refused = place.run(&command("new.toml", &["--yes"])).one_line_failure();
    assert!(refused.contains("another process uses"), "{refused}");
    assert_eq!(server.stop().code, Some(0));

    let moved = place.run(&command("new.toml", &["--yes"]));
    assert_eq!(moved.code, Some(0), "{moved:?}");
    for part in ["note: copied client: 3 of 3\n", "note: compared client: 3 of 3\n"] {
        assert!(moved.stderr.contains(part), "{moved:?}");
    }
    for part in [
        "each of them read back and the same.",
        "Start the server with new.toml.",
        "doorward.db.moved-1",
    ] {
        assert!(moved.stdout.contains(part), "{moved:?}");
    }
    let refused = place.run(&["serve", "--config", "old.toml"]);
    assert_eq!(refused.code, Some(1));
    assert!(refused.stderr.contains("was moved to PostgreSQL"), "{refused:?}");

    let server = moving.serve("new.toml").await;
    given.goes_on(place, &server).await;
    assert_eq!(server.stop().code, Some(0));
    // And nothing is moved twice.
    let refused = place.run(&command("new.toml", &["--yes"])).one_line_failure();
    assert!(refused.contains("was moved to PostgreSQL"), "{refused}");
    // What is kept is a whole database, and can be put back.
    let kept = "data/doorward.db.moved-1";
    place
        .run(&["restore", kept, "--replace", "--config", "old.toml"])
        .success();
    let server = moving.serve("old.toml").await;
    assert_eq!(published(&server).await, given.keys);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_move_that_would_lose_something_is_refused() {
    let Some(moving) = Move::new().await else {
        return;
    };
    let place = &moving.place;
    moving.refused("new.toml", "there is no database at").await;
    assert_eq!(moving.serve("old.toml").await.stop().code, Some(0));

    moving.refused("old.toml", "not PostgreSQL").await;
    let back = ["move", "--config", "new.toml", "--to", "new.toml"];
    let refused = place.run(&back).one_line_failure();
    assert!(refused.contains("not a SQLite file"), "{refused}");
    moving.refused("nowhere.toml", "nowhere.toml").await;
    let url = moving.database.url();
    place.run(&["keys", "new-master", "other.key"]).success();
    moving.write("other-key.toml", &url, "other.key");
    moving
        .refused(
            "other-key.toml",
            "other.key) does not open what is in the old database",
        )
        .await;
    moving.write("no-key.toml", &url, "nowhere.key");
    moving.refused("no-key.toml", "nowhere.key is missing").await;
    assert!(!place.folder().join("nowhere.key").exists());
    moving.write(
        "unreachable.toml",
        "postgres://ada:s3cr3t@127.0.0.1:1/doorward",
        "data/master.key",
    );
    moving.refused("unreachable.toml", "cannot be reached").await;

    cluster::execute(&url, "CREATE TABLE precious (x BIGINT)").await;
    moving.refused("new.toml", "the tables of another program").await;
    cluster::execute(&url, "DROP TABLE precious").await;

    // A server has been there.
    let empty = cluster::empty_database().await.unwrap();
    moving.write("used.toml", &empty.url(), "data/master.key");
    let Move { place, database } = moving;
    let place = place.set("DOORWARD_KEYS_MASTER_KEY_FILE", "data/master.key");
    let used = place.serve_with(&["serve", "--config", "used.toml"]).await;
    assert_eq!(used.stop().code, Some(0));
    let moving = Move { place, database };
    moving
        .refused("used.toml", "is not empty (there are rows in signing_key")
        .await;

    let Move { place, database } = moving;
    let place = place.set("DOORWARD_STORAGE_URL", "sqlite://data/doorward.db");
    let moving = Move { place, database };
    moving
        .refused("new.toml", "DOORWARD_STORAGE_URL is set in the environment")
        .await;

    let Move { place, database } = moving;
    let issuer = place.issuer();
    let place = place
        .without("DOORWARD_STORAGE_URL")
        .without("DOORWARD_SERVER_ISSUER");
    let moving = Move { place, database };
    let other = "[server]\nissuer = \"http://localhost:1\"\n";
    for (file, issuer) in [
        ("old.toml", format!("[server]\nissuer = \"{issuer}\"\n")),
        ("new.toml", other.to_owned()),
    ] {
        let path = moving.place.folder().join(file);
        let text = fs::read_to_string(&path).unwrap();
        fs::write(path, text + &issuer).unwrap();
    }
    moving
        .refused("new.toml", "let server.issuer stay the same")
        .await;
}
