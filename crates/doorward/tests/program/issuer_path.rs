//! An issuer with a path: everything but health and discovery lives under it.

use serde_json::Value;

use crate::support::{Browser, Client, EMAIL, PASSWORD, Place, Tokens, claims, http};

#[tokio::test]
async fn the_whole_road_works_under_the_issuers_path() {
    let place = Place::new();
    let issuer = format!("http://localhost:{}/tenant1", place.public);
    let origin = format!("http://localhost:{}", place.public);
    let place = place.set("DOORWARD_SERVER_ISSUER", &issuer);
    let server = place.serve().await;
    place.populate();

    // RFC 8414 §3.1: the well-known part stands between host and path.
    let url = format!("{origin}/.well-known/oauth-authorization-server/tenant1");
    let metadata: Value = http().get(&url).send().await.unwrap().json().await.unwrap();
    assert_eq!(metadata["issuer"], issuer.as_str());
    for form in [
        format!("{origin}/.well-known/openid-configuration/tenant1"),
        format!("{issuer}/.well-known/openid-configuration"),
    ] {
        let other: Value = http().get(&form).send().await.unwrap().json().await.unwrap();
        assert_eq!(other, metadata, "{form}");
    }
    let endpoints = metadata.as_object().unwrap().iter();
    for (name, url) in endpoints.filter(|(name, _)| name.ends_with("_endpoint") || *name == "jwks_uri") {
        assert!(
            url.as_str().unwrap().starts_with(&format!("{issuer}/")),
            "{name}: {url}"
        );
    }

    let client = Client::register(&server, "Tenant's client").await;
    let browser = Browser::new();
    let login = browser.open(&client.authorization_url()).await.unwrap();
    assert_eq!(login.url.path(), "/tenant1/login");
    assert_links_stay(&login, &issuer).await;
    let consent = browser
        .submit(&login, &[("email", EMAIL), ("password", PASSWORD)])
        .await
        .unwrap();
    assert_eq!(consent.url.path(), "/tenant1/consent");
    assert_links_stay(&consent, &issuer).await;
    let callback = browser
        .submit(&consent, &[("decision", "allow")])
        .await
        .unwrap()
        .away
        .expect("a redirect");
    let answer = |name: &str| {
        callback
            .query_pairs()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    assert_eq!(answer("iss").as_deref(), Some(issuer.as_str()));

    let tokens = Tokens::of(client.redeem(&answer("code").unwrap()).await.unwrap());
    assert_eq!(claims(&tokens.access)["iss"], issuer.as_str());
    let fresh = Tokens::of(client.refresh(&tokens.refresh).await.unwrap());
    let jwks = http()
        .get(metadata["jwks_uri"].as_str().unwrap())
        .send()
        .await
        .unwrap();
    let jwks: Value = jwks.json().await.unwrap();
    assert_eq!(jwks["keys"].as_array().unwrap().len(), 1);

    // Signed in, signed out, and revoked: under the path, too.
    let account = browser.open(&format!("{issuer}/login")).await.unwrap();
    assert_links_stay(&account, &issuer).await;
    let gone = browser.submit(&account, &[]).await.unwrap();
    assert!(gone.url.path().starts_with("/tenant1/log"), "{gone:?}");
    let form = [
        ("token", fresh.refresh.as_str()),
        ("client_id", client.id.as_str()),
    ];
    let revoked = http()
        .post(format!("{issuer}/oauth/revoke"))
        .form(&form)
        .send()
        .await
        .unwrap();
    assert_eq!(revoked.status(), 200);
    assert_eq!(client.refresh(&fresh.refresh).await.unwrap().0, 400);

    // Nothing of it is beside the path.
    for path in [
        "/oauth/token",
        "/oauth/authorize",
        "/login",
        "/consent",
        "/.well-known/jwks.json",
        "/tenant2/login",
        "/tenant1x/login",
    ] {
        assert_eq!(
            http()
                .get(format!("{origin}{path}"))
                .send()
                .await
                .unwrap()
                .status(),
            404,
            "{path}"
        );
    }
    place.run(&["healthcheck", "--url", &server.public_url]).success();
}

/// Style sheets, icons and forms of a page are there, under the issuer.
async fn assert_links_stay(page: &crate::support::Page, issuer: &str) {
    let links: Vec<_> = page
        .attributes("href")
        .into_iter()
        .chain(page.attributes("src"))
        .collect();
    assert!(links.iter().any(|link| link.contains("/assets/")), "{page:?}");
    for link in links.iter().filter(|link| !link.starts_with("data:")) {
        let url = page.url.join(link).unwrap();
        assert!(url.as_str().starts_with(&format!("{issuer}/")), "{link}");
        assert_eq!(http().get(url).send().await.unwrap().status(), 200, "{link}");
    }
    for action in page.attributes("action") {
        assert!(
            page.url
                .join(&action)
                .unwrap()
                .as_str()
                .starts_with(&format!("{issuer}/")),
            "{action}"
        );
    }
}
