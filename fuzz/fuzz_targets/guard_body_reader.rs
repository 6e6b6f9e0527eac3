//! Any request body through a whole guard, with a token that lacks the scope of the tool `write`: whatever reaches the
//! service behind, no ordinary JSON reader finds a call of that tool in it.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use doorward_guard::{Document, Fetch, FetchFailure, Guard, GuardService};
use doorward_jose::{Algorithm, SigningKey, sign};
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

const ISSUER: &str = "https://as.example";
const RESOURCE: &str = "https://mcp.example/mcp";

struct Server(Value);

impl Fetch for Server {
    fn get_json<'a>(&'a self, url: &'a str, _: usize) -> BoxFuture<'a, Result<Document, FetchFailure>> {
        let document = if url.ends_with("/jwks") {
            json!({"keys": [self.0]})
        } else {
            json!({"issuer": ISSUER, "jwks_uri": format!("{ISSUER}/jwks")})
        };
        let body = Bytes::from(document.to_string());
        Box::pin(async move {
            Ok(Document {
                body,
                fresh_for: None,
            })
        })
    }
}

type Inside = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

struct World {
    runtime: Runtime,
    token: String,
    service: GuardService<Inside>,
}

impl World {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let key = SigningKey::generate(Algorithm::EdDsa).expect("the system has randomness");
        let server = Server(serde_json::to_value(key.public_jwk()).expect("a key serialises"));
        let claims = json!({
            "iss": ISSUER, "sub": "s", "aud": RESOURCE, "client_id": "c", "scope": "read", "jti": "j",
            "iat": 1_700_000_000_u64, "exp": 99_999_999_999_u64,
        });
        let guard = Guard::builder(ISSUER, RESOURCE)
            .required_scopes(["read"])
            .tool_scopes("write", ["write"])
            .fetch(Arc::new(server))
            .build()
            .expect("good settings");
        let inside = BoxCloneSyncService::new(service_fn(|request: Request<Full<Bytes>>| async move {
            assert!(!request.headers().contains_key("authorization"));
            let body = request.into_body().collect().await?.to_bytes();
            judge(&body);
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }));
        let service = {
            let _entered = runtime.enter();
            guard.layer().layer(inside)
        };
        Self {
            token: sign(&key, "at+jwt", &claims).expect("signed"),
            runtime,
            service,
        }
    }
}

/// Reads as leniently as parsers get: the last of several members wins, names in any letter case.
fn judge(body: &[u8]) {
    let Ok(value) = serde_json::from_slice::<Value>(body) else {
        panic!("a service got what is no JSON");
    };
    let messages = value.as_array().cloned().unwrap_or_else(|| vec![value]);
    for message in &messages {
        let member = |value: &Value, name: &str| {
            let members = value.as_object()?;
            members
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.clone())
        };
        let calls = member(message, "method").is_some_and(|method| method == "tools/call");
        let name = member(message, "params").and_then(|params| member(&params, "name"));
        assert!(
            !(calls && name.is_some_and(|name| name == "write")),
            "the tool would run"
        );
    }
}

thread_local! {
    static WORLD: RefCell<World> = RefCell::new(World::new());
}

fuzz_target!(|body: &[u8]| {
    WORLD.with_borrow(|world| {
        let request = Request::post("/mcp")
            .header("authorization", format!("Bearer {}", world.token))
            .header("content-type", "application/json")
            .body(Full::new(Bytes::copy_from_slice(body)))
            .expect("a request");
        let answer = world
            .runtime
            .block_on(world.service.clone().oneshot(request))
            .expect("infallible");
        assert!(
            matches!(answer.status().as_u16(), 200 | 400 | 403 | 413),
            "{}",
            answer.status()
        );
    });
});
