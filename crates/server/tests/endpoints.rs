//! The table of endpoints, from which the reference page is made, is the routers' own.

#![cfg(test)]

mod support;

use std::collections::{BTreeMap, BTreeSet};

use axum::Router;
use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use doorward_server::{admin_endpoints, admin_openapi, bare_routers, public_endpoints};
use support::{ADMIN_KEY, TestApp};
use tower::ServiceExt as _;

type Table = BTreeMap<String, BTreeSet<String>>;

/// The paths of a router, which axum tells in its `Debug` output only.
fn paths(router: &Router) -> BTreeSet<String> {
    let debug = format!("{router:?}");
    let quoted = debug.split('"').skip(1).step_by(2);
    // `/` is the fallback, and so are these: nothing is served there.
    let fallbacks = ["/admin", "/admin/", "/admin/{*unknown}"];
    quoted
        .filter(|text| text.len() > 1 && text.starts_with('/') && !text.contains("__private__"))
        .filter(|text| !fallbacks.contains(text))
        .map(str::to_owned)
        .collect()
}

/// The methods of a path: what `Allow` says to a method that nobody serves.
async fn methods(router: &Router, path: &str, key: Option<&str>) -> BTreeSet<String> {
    let path = path
        .replace("{*path}", "mcp")
        .replace("{id}", "0197b0a0-0000-7000-8000-000000000000");
    let path = path.replace(['{', '}'], "");
    let mut request = Request::builder()
        .method("PROPFIND")
        .uri(&path)
        .header(header::HOST, "localhost");
    if let Some(key) = key {
        request = request.header(header::AUTHORIZATION, format!("Bearer {key}"));
    }
    let response = router
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
    let allow = response.headers().get(header::ALLOW).unwrap().to_str().unwrap();
    allow
        .split(',')
        .filter(|method| *method != "HEAD")
        .map(str::to_owned)
        .collect()
}

async fn served(router: &Router, bare: &Router, key: Option<&str>) -> Table {
    let mut table = Table::new();
    for path in paths(bare) {
        let methods = methods(router, &path, key).await;
        table.entry(nameless(&path)).or_default().extend(methods);
    }
    table
}

/// Assets have the digest of their content in the path.
fn nameless(path: &str) -> String {
    if path.starts_with("/assets/") {
        "/assets/{hash}/{file}".to_owned()
    } else {
        path.to_owned()
    }
}

#[tokio::test]
async fn the_table_of_public_endpoints_is_what_the_router_serves() {
    let app = TestApp::new().await;
    let written: Table = public_endpoints()
        .into_iter()
        .map(|endpoint| {
            (
                endpoint.path.to_owned(),
                endpoint.methods.iter().map(ToString::to_string).collect(),
            )
        })
        .collect();
    assert_eq!(
        written,
        served(&app.public, &bare_routers(&app.context).public, None).await
    );
}

/// An error that no endpoint has given can be read from other origins exactly where those of the endpoint can.
#[tokio::test]
async fn other_origins_read_what_is_refused_before_an_endpoint_where_they_read_its_answers() {
    for issuer in ["https://auth.example", "https://example.com/auth"] {
        let app = TestApp::with(|settings| settings.server.issuer = issuer.into()).await;
        let mut open = 0;
        for path in paths(&bare_routers(&app.context).public) {
            let path = path.replace("{*path}", "mcp").replace(['{', '}'], "");
            let is_read = async |status: StatusCode, length: usize| {
                let request = Request::builder()
                    .method("PROPFIND")
                    .uri(&path)
                    .header(header::HOST, "localhost")
                    .header(header::ORIGIN, "https://app.example");
                let request = request.body(Body::from(vec![b'a'; length])).unwrap();
                let response = app.public.clone().oneshot(request).await.unwrap();
                assert_eq!(response.status(), status, "{path}");
                response
                    .headers()
                    .contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN)
            };
            let by_endpoint = is_read(StatusCode::METHOD_NOT_ALLOWED, 0).await;
            assert_eq!(
                is_read(StatusCode::PAYLOAD_TOO_LARGE, 65_537).await,
                by_endpoint,
                "{path}"
            );
            open += usize::from(by_endpoint);
        }
        assert!(open >= 12, "{open}");
    }
}

#[tokio::test]
async fn the_tables_of_the_admin_router_are_what_it_serves() {
    let app = TestApp::with_admin_key().await;
    let mut written: Table = admin_endpoints()
        .into_iter()
        .map(|endpoint| {
            (
                endpoint.path.to_owned(),
                endpoint.methods.iter().map(ToString::to_string).collect(),
            )
        })
        .collect();
    let document = serde_json::to_value(admin_openapi()).unwrap();
    for (path, operations) in document["paths"].as_object().unwrap() {
        let methods = operations
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_uppercase())
            .collect();
        written.insert(path.clone(), methods);
    }
    assert_eq!(
        written,
        served(&app.admin, &bare_routers(&app.context).admin, Some(ADMIN_KEY)).await
    );
}
