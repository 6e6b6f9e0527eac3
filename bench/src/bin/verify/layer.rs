//! What the guard's layer adds to a request, without network and server.

use std::convert::Infallible;

use anyhow::{Context as _, Result, ensure};
use bytes::Bytes;
use doorward_bench::beside;
use doorward_bench::issuer::{self, token};
use doorward_jose::SigningKey;
use futures_util::FutureExt as _;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue};
use http::{HeaderMap, Method, Request, Response};
use http_body_util::Full;
use serde_json::json;
use tower::{Layer as _, Service, ServiceExt as _, service_fn};

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"echo","arguments":{"text":"hello"}}}"#;

/// Nanoseconds for a tool call with a token that was seen before, beyond what the service behind the layer takes, which does
/// nothing.
pub fn measure(key: &SigningKey) -> Result<f64> {
    let guard = issuer::guard(&json!({ "keys": [key.public_jwk()] }))
        .tool_scopes("echo", ["tools/read"])
        .build()?;
    let token = token(key, 0)?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?
        .block_on(guard.verify(&token))?;
    let headers = headers(&token)?;
    let open = service_fn(|request: Request<Full<Bytes>>| {
        std::hint::black_box(request);
        let mut response = Response::new(Full::new(Bytes::from_static(b"{}")));
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        std::future::ready(Ok::<_, Infallible>(response))
    });
    let guarded = guard.layer().layer(open);
    ensure!(
        call(&guarded, &headers)? == 200,
        "the guard refuses a good request"
    );
    let measured = beside::measure(|| call(&guarded, &headers), || call(&open, &headers));
    Ok(measured.ours.median - measured.limit.median)
}

fn headers(token: &str) -> Result<HeaderMap> {
    Ok(HeaderMap::from_iter([
        (HOST, HeaderValue::from_static("mcp.example.com")),
        (AUTHORIZATION, HeaderValue::from_str(&format!("Bearer {token}"))?),
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (CONTENT_LENGTH, HeaderValue::from(CALL.len())),
        (
            ACCEPT,
            HeaderValue::from_static("application/json, text/event-stream"),
        ),
        (
            http::HeaderName::from_static("mcp-protocol-version"),
            HeaderValue::from_static("2025-06-18"),
        ),
    ]))
}

/// Nothing is waited for, so the answer is there when it is polled for the first time.
fn call<S, B>(service: &S, headers: &HeaderMap) -> Result<u16>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error = Infallible> + Clone,
{
    let mut request = Request::new(Full::from(CALL));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = http::Uri::from_static("/mcp");
    *request.headers_mut() = headers.clone();
    let answered = service.clone().oneshot(request).now_or_never();
    Ok(answered
        .context("the layer waits for something")??
        .status()
        .as_u16())
}
