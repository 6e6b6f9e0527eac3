//! Any bytes as the answer to `tools/list` of a token that lacks the scope of the tool `write`, of the prompt `review` and of
//! the resources `secret://…`: whatever an ordinary client reads from what leaves the guard, these are not in it.
//!
//! The first byte says whether the rest is one JSON text or an event stream, and how large the pieces of the stream are.
#![no_main]

use std::cell::RefCell;

use doorward_fuzz::world::World;
use doorward_guard::{Head, Visit};
use http::{HeaderMap, HeaderValue, Method, Uri};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

struct Fixture {
    /// Holds what the visit needs.
    _world: World,
    visit: Visit,
}

impl Fixture {
    fn new() -> Self {
        let world = World::new(|builder| {
            builder
                .hide_unavailable(true)
                .tool_scopes("write", ["write"])
                .prompt_scopes("review", ["write"])
                .resource_scopes("secret://{name}", ["write"])
        });
        let mut headers = HeaderMap::new();
        let credentials = format!("Bearer {}", world.token());
        headers.insert(
            "authorization",
            HeaderValue::try_from(credentials).expect("ASCII"),
        );
        let uri = Uri::from_static("/mcp");
        let head = Head::new(&Method::POST, &uri, &headers);
        let visit = world.runtime.block_on(async {
            let mut visit = world.guard.admit(head).await.expect("a good token");
            let message = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
            visit.authorize(message).await.expect("enough scopes");
            visit
        });
        assert!(visit.filters_lists());
        Self { _world: world, visit }
    }
}

/// Reads as browsers do, who forgive a byte order mark and bad UTF-8.
fn judge(text: &[u8]) {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let Ok(answer) = serde_json::from_str::<Value>(&String::from_utf8_lossy(text)) else {
        return;
    };
    let messages = answer.as_array().cloned().unwrap_or_else(|| vec![answer]);
    for message in &messages {
        let result = &message["result"];
        let named = |list: &str, member: &str, hidden: &dyn Fn(&str) -> bool| {
            let items = result[list].as_array().into_iter().flatten();
            let mut names = items.filter_map(|item| item[member].as_str());
            assert!(!names.any(hidden), "{list} names what is hidden: {message}");
        };
        named("tools", "name", &|name| name == "write");
        named("prompts", "name", &|name| name == "review");
        // Which other spellings are the same address is the business of the guard's own tests.
        let is_secret = |uri: &str| uri.strip_prefix("secret://").is_some_and(is_plain);
        named("resources", "uri", &is_secret);
        named("resourceTemplates", "uriTemplate", &is_secret);
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// The data of the events of a stream, read as WHATWG HTML §9.2.6 says.
fn event_data(stream: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(stream);
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let (mut events, mut data) = (Vec::new(), String::new());
    // What the last line feed does not end is no line.
    let Some((lines, _)) = text.rsplit_once('\n') else {
        return events;
    };
    for line in lines.split('\n') {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        if line.is_empty() {
            events.push(std::mem::take(&mut data));
        } else if name == "data" {
            data.push_str(value.strip_prefix(' ').unwrap_or(value));
            data.push('\n');
        }
    }
    events
}

thread_local! {
    static FIXTURE: RefCell<Fixture> = RefCell::new(Fixture::new());
}

fuzz_target!(|input: &[u8]| {
    let Some((mode, answer)) = input.split_first() else {
        return;
    };
    FIXTURE.with_borrow(|fixture| {
        if mode % 2 == 0 {
            let filtered = fixture.visit.filter_list(answer);
            let before = serde_json::from_slice::<Value>(answer);
            if let (Some(filtered), Ok(_)) = (&filtered, before) {
                serde_json::from_slice::<Value>(filtered).expect("JSON stays JSON");
            }
            judge(filtered.as_deref().unwrap_or(answer));
            return;
        }
        let mut passed = Vec::new();
        let mut filter = fixture.visit.event_filter();
        for piece in answer.chunks(usize::from(mode / 2) + 1) {
            match filter.push(piece) {
                Ok(events) => passed.extend_from_slice(&events),
                Err(_) => break,
            }
        }
        let events = event_data(&passed);
        events.iter().for_each(|data| judge(data.as_bytes()));
        assert!(events.len() <= event_data(answer).len());
    });
});
