//! Any request body through a whole guard, with a token that lacks the scope of the tool `write`: whatever reaches the
//! service behind, no ordinary JSON reader finds a call of that tool in it.
#![no_main]

use std::cell::RefCell;
use std::convert::Infallible;

use bytes::Bytes;
use doorward_fuzz::world::World;
use doorward_guard::GuardService;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tower::util::BoxCloneSyncService;
use tower::{Layer, ServiceExt, service_fn};

type Inside = BoxCloneSyncService<Request<Full<Bytes>>, Response<Full<Bytes>>, Infallible>;

struct Fixture {
    world: World,
    credentials: String,
    service: GuardService<Inside>,
}

impl Fixture {
    fn new() -> Self {
        let world = World::new(|builder| builder.tool_scopes("write", ["write"]));
        let inside = BoxCloneSyncService::new(service_fn(|request: Request<Full<Bytes>>| async move {
            assert!(!request.headers().contains_key("authorization"));
            let body = request.into_body().collect().await?.to_bytes();
            judge(&body);
            Ok::<_, Infallible>(Response::new(Full::new(Bytes::new())))
        }));
        let service = {
            let _entered = world.runtime.enter();
            world.guard.layer().layer(inside)
        };
        Self {
            credentials: format!("Bearer {}", world.token()),
            world,
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
    static FIXTURE: RefCell<Fixture> = RefCell::new(Fixture::new());
}

fuzz_target!(|body: &[u8]| {
    FIXTURE.with_borrow(|fixture| {
        let request = Request::post("/mcp")
            .header("authorization", &fixture.credentials)
            .header("content-type", "application/json")
            .body(Full::new(Bytes::copy_from_slice(body)))
            .expect("a request");
        let answer = fixture
            .world
            .runtime
            .block_on(fixture.service.clone().oneshot(request))
            .expect("infallible");
        assert!(
            matches!(answer.status().as_u16(), 200 | 400 | 403 | 413),
            "{}",
            answer.status()
        );
    });
});
