//! A database that was put back to an earlier state does not know what was used since. [CRASH-017]

use serde_json::json;

use crate::support::{Browser, Client, Place, Server, Tokens, cluster};

/// What is out there when the copy is made, and what is done with it afterwards.
struct Given {
    client: Client,
    browser: Browser,
    /// Refreshed since.
    refresh: String,
    /// Its grant was revoked since.
    revoked: String,
    /// Redeemed since.
    code: String,
}

async fn code(browser: &Browser, client: &Client) -> String {
    let callback = browser.approve(&client.authorization_url()).await;
    let code = callback.query_pairs().find(|(name, _)| name == "code");
    code.unwrap_or_else(|| panic!("{callback}")).1.into_owned()
}

/// Gives out, lets `copy` happen, and uses up what was given out.
async fn use_up(server: &Server, copy: impl AsyncFnOnce()) -> Given {
    let client = Client::register(server, "App").await;
    let browser = Browser::new();
    let first = code(&browser, &client).await;
    let refresh = Tokens::of(client.redeem(&first).await.unwrap()).refresh;
    let second = code(&browser, &client).await;
    let revoked = Tokens::of(client.redeem(&second).await.unwrap()).refresh;
    let code = code(&browser, &client).await;
    copy().await;
    Tokens::of(client.refresh(&refresh).await.unwrap());
    let form = [("token", revoked.as_str()), ("client_id", client.id.as_str())];
    let url = format!("{}/oauth/revoke", server.issuer);
    assert_eq!(
        client.http.post(url).form(&form).send().await.unwrap().status(),
        200
    );
    Tokens::of(client.redeem(&code).await.unwrap());
    Given {
        client,
        browser,
        refresh,
        revoked,
        code,
    }
}

impl Given {
    /// Whether each of the things works again.
    async fn works(&self) -> [bool; 3] {
        let refreshed = self.client.refresh(&self.refresh).await.unwrap();
        let revoked = self.client.refresh(&self.revoked).await.unwrap();
        let redeemed = self.client.redeem(&self.code).await.unwrap();
        [refreshed, revoked, redeemed].map(|(status, answer)| {
            let refused = status == 400 && answer["error"] == "invalid_grant";
            assert!(refused || status == 200, "{status} {answer}");
            !refused
        })
    }

    async fn is_signed_in(&self) -> bool {
        let page = self.browser.open(&self.client.authorization_url()).await.unwrap();
        !page.html.contains("name=\"password\"")
    }
}

fn says_that_withdrawn_keys_sign_again(told: &str) {
    assert!(
        told.contains("Signing keys that were withdrawn after it sign again")
            && told.contains("`doorward admin key revoke`"),
        "{told}"
    );
}

#[tokio::test]
async fn a_restored_copy_says_what_may_work_again_and_ends_it_when_asked() {
    let place = Place::new();
    let server = place.serve().await;
    place.populate();
    let given = use_up(&server, async || {
        place.run(&["backup", "copy.db"]).success();
    })
    .await;
    assert_eq!(server.stop().code, Some(0));

    let told = place.run(&["restore", "copy.db", "--replace"]).success();
    assert!(
        told.contains("may work again. `doorward end-grants --yes` ends them all"),
        "{told}"
    );
    says_that_withdrawn_keys_sign_again(&told);
    let server = place.serve().await;
    assert_eq!(given.works().await, [true; 3]);
    assert!(given.is_signed_in().await);
    // A running server has the file.
    let refused = place.run(&["end-grants", "--yes"]).one_line_failure();
    assert!(refused.contains("another process uses"), "{refused}");
    assert_eq!(server.stop().code, Some(0));

    let told = place
        .run(&["restore", "copy.db", "--replace", "--end-grants"])
        .success();
    assert!(
        told.contains("Ended: 3 grants with their codes and refresh tokens, 1 sessions, 0 waiting devices"),
        "{told}"
    );
    says_that_withdrawn_keys_sign_again(&told);
    let server = place.serve().await;
    // The list says so too.
    let list = [
        "admin",
        "audit",
        "list",
        "--action",
        "database.restored",
        "--json",
    ];
    let told = place.run(&list).json();
    assert_eq!(told["items"].as_array().unwrap().len(), 1, "{told}");
    let expected = json!({"grants_ended": 3, "sessions_ended": 1, "devices_ended": 0,
        "consents_forgotten": 1, "initial_tokens_forgotten": 0});
    assert_eq!(told["items"][0]["detail"], expected);
    assert_eq!(given.works().await, [false; 3]);
    assert!(!given.is_signed_in().await);
    // Whoever connects again gets on.
    let code = code(&Browser::new(), &given.client).await;
    let tokens = Tokens::of(given.client.redeem(&code).await.unwrap());
    Tokens::of(given.client.refresh(&tokens.refresh).await.unwrap());
    assert_eq!(server.stop().code, Some(0));

    // The same in a second step.
    place.run(&["restore", "copy.db", "--replace"]).success();
    for _ in ["told", "and nothing done"] {
        let asked = place.run(&["end-grants"]);
        assert_eq!(asked.code, Some(0), "{asked:?}");
        assert_eq!(asked.stderr, "note: nothing was done; say --yes\n");
        let would_end =
            "This ends 3 grants with their codes and refresh tokens, 1 sessions and every waiting device";
        assert!(asked.stdout.starts_with(would_end), "{asked:?}");
    }
    let told = place.run(&["end-grants", "--yes"]).success();
    assert!(told.starts_with("Ended: 3 grants"), "{told}");
    says_that_withdrawn_keys_sign_again(&told);
    let told = place.run(&["end-grants", "--yes"]).success();
    assert!(told.starts_with("Ended: 0 grants"), "{told}");
    let server = place.serve().await;
    assert_eq!(given.works().await, [false; 3]);
    assert_eq!(server.stop().code, Some(0));
}

/// A point-in-time recovery is a copy of the whole database, here.
#[tokio::test(flavor = "multi_thread")]
async fn a_recovered_postgresql_database_ends_everything_too() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let place = Place::new().set("DOORWARD_KEYS_MASTER_KEY_FILE", "master.key");
    place.run(&["keys", "new-master", "master.key"]).success();
    let place = place.set("DOORWARD_STORAGE_URL", &database.url());
    let server = place.serve().await;
    place.populate();
    let (postgres, name) = (database.cluster.url("postgres"), &database.name);
    let given = use_up(&server, async || {
        // Nobody may be connected to what is copied.
        let alone = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false");
        cluster::execute(&postgres, &alone).await;
        let out = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'");
        cluster::execute(&postgres, &out).await;
        cluster::execute(
            &postgres,
            &format!("CREATE DATABASE {name}_recovered TEMPLATE {name}"),
        )
        .await;
        let open = format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true");
        cluster::execute(&postgres, &open).await;
    })
    .await;
    assert_eq!(server.stop().code, Some(0));
    let place = place.set("DOORWARD_STORAGE_URL", &format!("{}_recovered", database.url()));
    let told = place.run(&["end-grants", "--yes"]).success();
    assert!(told.starts_with("Ended: 3 grants"), "{told}");
    let server = place.serve().await;
    assert_eq!(given.works().await, [false; 3]);
    assert!(!given.is_signed_in().await);
    assert_eq!(server.stop().code, Some(0));
    cluster::execute(&postgres, &format!("DROP DATABASE {name}_recovered WITH (FORCE)")).await;
}
