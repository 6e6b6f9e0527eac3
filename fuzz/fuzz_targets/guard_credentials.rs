//! The head of a request through a whole guard: the first line is the path and query, the others are headers. Exactly one
//! good token in exactly one place lets it pass, and no copy of the token goes on. `TOKEN` is the good token.
#![no_main]

use std::cell::RefCell;

use doorward_fuzz::keys::replaced;
use doorward_fuzz::world::World;
use doorward_guard::{DpopPolicy, Head};
use doorward_oauth::challenge::Challenge;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use libfuzzer_sys::fuzz_target;

struct Fixture {
    world: World,
    token: String,
}

impl Fixture {
    fn new() -> Self {
        let world = World::new(|builder| builder.dpop(DpopPolicy::Accept));
        Self {
            token: world.token(),
            world,
        }
    }

    fn request(&self, input: &[u8]) -> Option<(Uri, HeaderMap)> {
        let input = replaced(input, b"TOKEN", self.token.as_bytes());
        let mut lines = input.split(|byte| *byte == b'\n');
        let uri = Uri::try_from(lines.next()?).ok()?;
        let mut headers = HeaderMap::new();
        for line in lines {
            let colon = line.iter().position(|byte| *byte == b':')?;
            let name = HeaderName::from_bytes(&line[..colon]).ok()?;
            headers.append(name, HeaderValue::from_bytes(&line[colon + 1..]).ok()?);
        }
        Some((uri, headers))
    }

    /// A request that passed.
    fn judge(&self, uri: &Uri, headers: &HeaderMap) {
        let values: Vec<_> = headers.get_all("authorization").iter().collect();
        assert_eq!(values.len(), 1);
        let value = values[0].to_str().expect("ASCII");
        let (scheme, token) = value.split_once(' ').expect("two parts");
        assert!(scheme.eq_ignore_ascii_case("Bearer"), "{scheme}");
        assert_eq!(token, self.token);
        let query = uri.query().unwrap_or_default();
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            assert!(name != "access_token" && value != self.token, "{query}");
        }
        assert!(!headers.contains_key("dpop"));
    }
}

thread_local! {
    static FIXTURE: RefCell<Fixture> = RefCell::new(Fixture::new());
}

fuzz_target!(|input: &[u8]| {
    FIXTURE.with_borrow(|fixture| {
        let Some((uri, mut headers)) = fixture.request(input) else {
            return;
        };
        let head = Head::new(&Method::GET, &uri, &headers);
        match fixture.world.runtime.block_on(fixture.world.guard.admit(head)) {
            Ok(visit) => {
                fixture.judge(&uri, &headers);
                visit.strip(&mut headers);
                let token = fixture.token.as_bytes();
                for (name, value) in &headers {
                    let copied = value.as_bytes().windows(token.len()).any(|part| part == token);
                    assert!(!copied, "{name}");
                }
                assert!(!headers.contains_key("authorization"));
            }
            Err(answer) => {
                let status = answer.status().as_u16();
                assert!(
                    matches!(status, 204 | 400 | 401 | 403 | 404 | 413 | 415),
                    "{status}"
                );
                let challenges: Vec<_> = answer
                    .headers()
                    .get_all("www-authenticate")
                    .iter()
                    .flat_map(|value| Challenge::parse(value.to_str().expect("ASCII")))
                    .collect();
                assert!(status != 401 || challenges.iter().any(|challenge| challenge.is("Bearer")));
            }
        }
    });
});
