//! `metadata.json`.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use doorward_guard::{Document, DpopPolicy, Fetch, FetchFailure, Guard, GuardBuilder};
use futures_util::future::BoxFuture;
use http::{Request, StatusCode};
use serde::Deserialize;
use serde_json::Value;
use tower::ServiceExt;

use super::vectors;
use crate::support::answer;

#[derive(Deserialize)]
struct Metadata {
    resources: Vec<Resource>,
    refused: Vec<Refused>,
    discovery: Vec<Discovery>,
    servers: Vec<Server>,
}

#[derive(Deserialize)]
struct Resource {
    id: String,
    title: String,
    settings: Settings,
    url: String,
    paths: Vec<String>,
    document: Value,
}

#[derive(Deserialize)]
struct Refused {
    title: String,
    settings: Settings,
}

#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    urls: Vec<String>,
}

#[derive(Deserialize)]
struct Server {
    id: String,
    title: String,
    issuer: String,
    document: String,
    #[serde(default)]
    filler: usize,
    jwks_uri: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    resource: String,
    #[serde(default = "usual_issuer")]
    issuer: String,
    #[serde(default)]
    scopes: Vec<String>,
    #[serde(default)]
    required_scopes: Vec<String>,
    resource_name: Option<String>,
    resource_documentation: Option<String>,
    dpop: Option<String>,
    #[serde(default = "yes")]
    root_metadata: bool,
}

fn usual_issuer() -> String {
    "https://as.example".to_owned()
}

fn yes() -> bool {
    true
}

impl Settings {
    fn builder(&self) -> GuardBuilder {
        let mut builder = Guard::builder(&self.issuer, &self.resource)
            .scopes(self.scopes.clone())
            .required_scopes(self.required_scopes.clone())
            .root_metadata(self.root_metadata);
        if let Some(name) = &self.resource_name {
            builder = builder.resource_name(name);
        }
        if let Some(page) = &self.resource_documentation {
            builder = builder.resource_documentation(page);
        }
        match self.dpop.as_deref() {
            Some("accept") => builder.dpop(DpopPolicy::Accept),
            Some("require") => builder.dpop(DpopPolicy::Require),
            _ => builder,
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_resource_metadata_is_what_the_vectors_say() {
    let vectors: Metadata = vectors("metadata.json");
    assert!(vectors.resources.len() > 15, "too few vectors");
    for case in vectors.resources {
        let guard = case.settings.builder().build().unwrap();
        assert_eq!(guard.metadata_paths(), case.paths, "{} {}", case.id, case.title);
        let app: Router = guard.protect("/", axum::routing::any(async || "inside"));
        for path in &case.paths {
            let request = Request::get(path).body(Body::empty()).unwrap();
            let response = answer(app.clone().oneshot(request).await.unwrap()).await;
            assert_eq!(response.status, StatusCode::OK, "{}", case.id);
            assert_eq!(response.json(), case.document, "{} {}", case.id, case.title);
        }
        let request = Request::post("/").body(Body::empty()).unwrap();
        let response = answer(app.oneshot(request).await.unwrap()).await;
        let expected = format!("resource_metadata=\"{}\"", case.url);
        assert!(
            response.challenge().contains(&expected),
            "{}: {}",
            case.id,
            response.challenge()
        );
    }
}

#[test]
fn a_guard_with_settings_that_cannot_work_is_not_built() {
    let vectors: Metadata = vectors("metadata.json");
    assert!(vectors.refused.len() > 30, "too few vectors");
    let built: Vec<_> = vectors
        .refused
        .iter()
        .filter(|case| case.settings.builder().build().is_ok())
        .map(|case| &case.title)
        .collect();
    assert!(built.is_empty(), "{built:#?}");
}

/// Answers with one document at the first place, and writes down what it was asked for.
#[derive(Default)]
struct OneDocument {
    document: Option<String>,
    asked: Mutex<Vec<String>>,
}

impl Fetch for OneDocument {
    fn get_json<'a>(
        &'a self,
        url: &'a str,
        max_body: usize,
    ) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        Box::pin(async move {
            self.asked.lock().unwrap().push(url.to_owned());
            let document = self
                .document
                .clone()
                .filter(|_| url.contains("oauth-authorization-server"));
            match document.filter(|document| document.len() <= max_body) {
                Some(document) => Ok(Document::new(document)),
                None => Err(FetchFailure::new("no such document")),
            }
        })
    }
}

/// Asks for keys and tells which URLs were asked for.
async fn asked(issuer: &str, document: Option<String>) -> Vec<String> {
    let fetch = Arc::new(OneDocument {
        document,
        ..OneDocument::default()
    });
    let guard = Guard::builder(issuer, "https://mcp.example/mcp")
        .fetch(fetch.clone())
        .build()
        .unwrap();
    guard.start();
    // Every attempt of the first second, before the first pause ends.
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    fetch.asked.lock().unwrap().clone()
}

#[tokio::test(start_paused = true)]
async fn metadata_is_looked_for_where_the_vectors_say_in_their_order() {
    let vectors: Metadata = vectors("metadata.json");
    assert!(vectors.discovery.len() > 5, "too few vectors");
    for case in vectors.discovery {
        assert_eq!(asked(&case.issuer, None).await, case.urls, "{}", case.issuer);
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_of_a_server_is_used_or_discarded_as_the_vectors_say() {
    let vectors: Metadata = vectors("metadata.json");
    assert!(vectors.servers.len() > 30, "too few vectors");
    for case in vectors.servers {
        let document = format!("{}{}", case.document, " ".repeat(case.filler));
        let asked = asked(&case.issuer, Some(document)).await;
        let used = asked.iter().find(|url| !url.contains("/.well-known/"));
        assert_eq!(used, case.jwks_uri.as_ref(), "{} {}", case.id, case.title);
    }
}
