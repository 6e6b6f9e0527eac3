//! What nobody may read in a log: the server runs with everything logged, and every secret of the run is looked for.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::support::{
    ADMIN_KEY, Browser, Client, EMAIL, MASTER_KEY, PASSWORD, Place, RESOURCE, Server, Tokens, VERIFIER,
    http_with,
};

/// The secrets of a run, by name.
#[derive(Default)]
struct Secrets(Vec<(String, String)>);

impl Secrets {
    fn add(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        assert!(value.len() >= 8, "{name} is too short to be looked for: {value}");
        self.0.push((name.to_owned(), value));
    }

    /// A token answer holds these.
    fn add_tokens(&mut self, name: &str, tokens: &Tokens) {
        self.add(&format!("{name} access token"), tokens.access.as_str());
        let signature = tokens.access.rsplit('.').next().unwrap();
        self.add(&format!("{name} access token's signature"), signature);
        self.add(&format!("{name} refresh token"), tokens.refresh.as_str());
    }

    /// None of them is in the text: neither as it is nor encoded, and no long piece of it either.
    fn assert_none_in(&self, text: &str) {
        for (name, secret) in &self.0 {
            let hex = secret
                .bytes()
                .fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
            let form: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
            let base64 = STANDARD.encode(secret);
            let mut forms = vec![secret.clone(), hex, form, base64.trim_end_matches('=').to_owned()];
            if secret.len() >= 32 {
                // From the middle: the beginnings of tokens are alike.
                forms.push(secret[secret.len() - 18..secret.len() - 4].to_owned());
            }
            for form in forms {
                if let Some(line) = text.lines().find(|line| line.contains(&form)) {
                    panic!("{name} ({form}) is in the log: {line}");
                }
            }
        }
    }
}

/// Everything a client does, once as it should and once wrong.
async fn everything(server: &Server, name: &str, http: reqwest::Client, secrets: &mut Secrets) {
    let client = Client::register_with(http.clone(), server, name).await;
    let browser = Browser::with(http.clone());
    sign_in_wrong_then_right(&browser, &client, secrets).await;

    let code = code(&browser, &client).await;
    secrets.add("code", code.as_str());
    let tokens = Tokens::of(client.redeem(&code).await.unwrap());
    secrets.add_tokens("first", &tokens);
    let fresh = Tokens::of(client.refresh(&tokens.refresh).await.unwrap());
    secrets.add_tokens("second", &fresh);

    let post = |path: &str| http.post(format!("{}{path}", server.issuer));
    let form = [
        ("token", fresh.refresh.as_str()),
        ("client_id", client.id.as_str()),
    ];
    assert_eq!(
        post("/oauth/revoke").form(&form).send().await.unwrap().status(),
        200
    );
    assert_eq!(client.refresh(&fresh.refresh).await.unwrap().0, 400);
    assert_eq!(client.redeem(&code).await.unwrap().0, 400);

    // A code with a wrong verifier, and one that is presented by somebody else.
    let code = self::code(&browser, &client).await;
    secrets.add("second code", code.as_str());
    let wrong = "wrong-verifier-Zt5vQn8LmXw2RkHj4PbYc7GdFs9TaEi3";
    secrets.add("wrong verifier", wrong);
    let grant = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", wrong),
    ];
    assert_eq!(client.token(&grant).await.unwrap().0, 400);
    let stranger = Client {
        id: "dwc_stranger".to_owned(),
        ..client.clone()
    };
    assert!(stranger.token(&grant).await.unwrap().0.is_client_error());
    // In places where a secret does not belong.
    for url in [
        format!(
            "{}/oauth/token?code={code}&refresh_token={}",
            server.issuer, fresh.refresh
        ),
        format!("{}/oauth/nowhere/{}", server.issuer, fresh.refresh),
        format!(
            "{}/oauth/authorize?client_id={}&client_secret={}",
            server.issuer, client.id, fresh.refresh
        ),
        format!(
            "{}/login?request={}&password={}",
            server.issuer, fresh.refresh, fresh.access
        ),
    ] {
        http.get(url).send().await.unwrap();
    }
    let twice = [
        ("code", code.as_str()),
        ("code", code.as_str()),
        ("grant_type", "authorization_code"),
    ];
    assert!(client.token(&twice).await.unwrap().0.is_client_error());
    let no_form = post("/oauth/token").json(&json!({"refresh_token": fresh.refresh}));
    assert!(no_form.send().await.unwrap().status().is_client_error());
    let no_json = post("/oauth/register")
        .body(fresh.refresh.clone())
        .header("content-type", "application/json");
    assert!(no_json.send().await.unwrap().status().is_client_error());

    device(server, &http, &browser, secrets).await;
    for cookie in browser.cookies() {
        secrets.add("cookie", cookie);
    }
}

/// What a device and its person carry about, in the form and in the address.
async fn device(server: &Server, http: &reqwest::Client, browser: &Browser, secrets: &mut Secrets) {
    const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";
    let post = |path: &str| http.post(format!("{}{path}", server.issuer));
    let metadata = json!({"client_name": "Television", "grant_types": [GRANT]});
    let sent = post("/oauth/register").json(&metadata).send().await.unwrap();
    let client: Value = sent.json().await.unwrap();
    let id = client["client_id"].as_str().unwrap();
    let form = [("client_id", id), ("resource", RESOURCE)];
    let sent = post("/oauth/device_authorization")
        .form(&form)
        .send()
        .await
        .unwrap();
    let began: Value = sent.json().await.unwrap();
    let text = |member: &str| began[member].as_str().unwrap_or_else(|| panic!("{began}"));
    secrets.add("device code", text("device_code"));
    secrets.add("user code", text("user_code"));
    secrets.add("user code", text("user_code").replace('-', ""));
    let form = [
        ("client_id", id),
        ("grant_type", GRANT),
        ("device_code", text("device_code")),
    ];
    let asked = post("/oauth/token").form(&form).send().await.unwrap();
    assert_eq!(asked.status(), 400);
    let page = browser.open(text("verification_uri_complete")).await.unwrap();
    assert!(page.status.is_success(), "{page:?}");
    let next = browser
        .submit(&page, &[("user_code", text("user_code"))])
        .await
        .unwrap();
    assert!(next.status.is_success(), "{next:?}");
}

async fn sign_in_wrong_then_right(browser: &Browser, client: &Client, secrets: &mut Secrets) {
    let page = browser.open(&client.authorization_url()).await.unwrap();
    let wrong = "not the password of Ada";
    secrets.add("wrong password", wrong);
    let page = browser
        .submit(&page, &[("email", EMAIL), ("password", wrong)])
        .await
        .unwrap();
    assert!(page.html.contains("name=\"password\""), "{page:?}");
    for (name, value) in page.form().1 {
        secrets.add(&format!("login form's {name}"), value);
    }
    let page = browser
        .submit(&page, &[("email", EMAIL), ("password", PASSWORD)])
        .await
        .unwrap();
    let fields = page.form().1;
    for (name, value) in fields.iter().filter(|(name, _)| name != "scope") {
        secrets.add(&format!("consent form's {name}"), value.as_str());
    }
    let forged = browser
        .submit(
            &page,
            &[("csrf_token", "forged-csrf-token"), ("decision", "allow")],
        )
        .await
        .unwrap();
    assert!(forged.status.is_client_error(), "{forged:?}");
    assert!(
        browser
            .submit(&page, &[("decision", "deny")])
            .await
            .unwrap()
            .away
            .is_some()
    );
}

async fn code(browser: &Browser, client: &Client) -> String {
    let callback = browser.approve(&client.authorization_url()).await;
    let code = callback.query_pairs().find(|(name, _)| name == "code");
    code.unwrap_or_else(|| panic!("{callback}")).1.into_owned()
}

/// What a confidential client and an operator do, right and wrong.
async fn confidential(place: &Place, server: &Server, http: &reqwest::Client, secrets: &mut Secrets) {
    let create = [
        "admin",
        "client",
        "create",
        "--name",
        "Introspector",
        "--auth-method",
        "client_secret_basic",
        "--resource-server",
        "demo",
        "--json",
    ];
    let created = place.run(&create).json();
    let member = |answer: &Value, name: &str| answer[name].as_str().unwrap().to_owned();
    let (id, secret) = (member(&created, "client_id"), member(&created, "client_secret"));
    let rotated = place
        .run(&["admin", "client", "rotate-secret", &id, "--json"])
        .json();
    secrets.add("client secret", secret.as_str());
    secrets.add("rotated client secret", member(&rotated, "client_secret"));
    secrets.add("Basic credentials", STANDARD.encode(format!("{id}:{secret}")));

    let wrong = "dwsec_wrong-Qx7LmZ2vKp9RtYw4HnJc6BdGf";
    secrets.add("wrong client secret", wrong);
    for (secret, status) in [(secret.as_str(), 200), (wrong, 401)] {
        let request = http
            .post(format!("{}/oauth/introspect", server.issuer))
            .basic_auth(&id, Some(secret));
        let answer = request
            .form(&[("token", "dwr_a-token-of-nobody")])
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), status);
        let in_body = [
            ("token", "x"),
            ("client_id", id.as_str()),
            ("client_secret", secret),
        ];
        http.post(format!("{}/oauth/introspect", server.issuer))
            .form(&in_body)
            .send()
            .await
            .unwrap();
    }
    secrets.add("unknown token", "dwr_a-token-of-nobody");

    let wrong = "dwk_wrong-Ws8NbVr3XzTy5KmPq1LhJg4FdCa";
    secrets.add("wrong admin key", wrong);
    for authorization in [
        format!("Bearer {wrong}"),
        format!("Basic {}", STANDARD.encode(wrong)),
        wrong.to_owned(),
    ] {
        let request = http
            .get(format!("{}/admin/clients", server.admin_url))
            .header("authorization", authorization);
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    let weak = "a person's new password";
    secrets.add("refused person's password", weak);
    let user = json!({"email": "not an address", "password": weak});
    let request = http
        .post(format!("{}/admin/users", server.admin_url))
        .bearer_auth(ADMIN_KEY)
        .json(&user);
    assert_eq!(request.send().await.unwrap().status(), 400);
}

/// Names a client whose document cannot be fetched, of which there is a line below `info`.
pub(crate) async fn unreachable_client(server: &Server) {
    let form = [("client_id", "http://127.0.0.1:19999/client.json")];
    let sent = http_with(|builder| builder)
        .post(format!("{}/oauth/par", server.public_url))
        .form(&form)
        .send();
    assert!(sent.await.unwrap().status().is_client_error());
}

/// CAUTH-017, DEV-014, and every other case that says so of the log.
#[tokio::test]
async fn no_secret_is_logged_at_any_level() {
    let place = Place::new().set("DOORWARD_LOG", "trace");
    let server = place.serve().await;
    place.populate();
    let mut secrets = Secrets::default();
    match std::fs::read_to_string(place.folder().join("data/master.key")) {
        Ok(master) => secrets.add("master key", master.trim_end()),
        // On PostgreSQL it is no file.
        Err(_) => secrets.add("master key", MASTER_KEY),
    }
    // Every hash of a password begins so; no driver of a database may tell one.
    secrets.add("password hash", "$argon2id");
    secrets.add("e-mail address", EMAIL);
    secrets.add("admin key", ADMIN_KEY);
    secrets.add("password", PASSWORD);
    secrets.add("verifier", VERIFIER);

    unreachable_client(&server).await;
    let http1 = http_with(reqwest::ClientBuilder::http1_only);
    everything(&server, "Canary", http1, &mut secrets).await;
    let http2 = http_with(reqwest::ClientBuilder::http2_prior_knowledge);
    everything(&server, "Second canary", http2, &mut secrets).await;
    confidential(&place, &server, &http_with(|builder| builder), &mut secrets).await;
    let metrics = http_with(|builder| builder).get(format!("{}/metrics", server.admin_url));
    let metrics = metrics.send().await.unwrap().text().await.unwrap();

    let stopped = server.stop();
    assert_eq!((stopped.code, stopped.stdout.as_str()), (Some(0), ""));
    // The log is the one that was asked for.
    for part in [
        "\"DEBUG\"",
        "/oauth/token",
        "\"/login\"",
        "/oauth/introspect",
        "/admin/users",
    ] {
        assert!(stopped.stderr.contains(part), "{part} is not in the log");
    }
    secrets.assert_none_in(&stopped.stderr);
    assert_eq!(innermost_of_others(&stopped.stderr), Vec::<String>::new());
    secrets.assert_none_in(&metrics);
    assert!(
        metrics.contains("/oauth/token") && !metrics.contains(RESOURCE),
        "{metrics}"
    );
}

/// Lines below `info` of crates that are not Doorward's.
pub(crate) fn innermost_of_others(log: &str) -> Vec<String> {
    let lines = log.lines().filter(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let is_low = ["DEBUG", "TRACE"].contains(&line["level"].as_str().unwrap());
        let target = line["log.target"].as_str().or(line["target"].as_str()).unwrap();
        is_low && !target.starts_with("doorward")
    });
    lines.map(str::to_owned).collect()
}

#[test]
fn the_search_finds_what_is_there() {
    let mut secrets = Secrets::default();
    secrets.add("secret", "dwr_abcdefghijklmnopqrstuvwxyz0123456789");
    secrets.assert_none_in("nothing here");
    for leak in [
        "x dwr_abcdefghijklmnopqrstuvwxyz0123456789 y",
        "…stuvwxyz012345…",
        "ZHdyX2FiY2RlZmdoaWprbG1ub3BxcnN0dXZ3eHl6MDEyMzQ1Njc4OQ==",
    ] {
        assert!(
            std::panic::catch_unwind(|| secrets.assert_none_in(leak)).is_err(),
            "{leak}"
        );
    }
}
