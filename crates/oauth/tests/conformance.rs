//! Runs the language-neutral vectors of `conformance/`.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "tests say why they fail by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;

use doorward_oauth::challenge::Challenge;
use doorward_oauth::error::ErrorCode;
use doorward_oauth::pkce::CodeChallenge;
use doorward_oauth::redirect::{ApplicationType, RedirectUri, SchemePolicy};
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::scope::ScopeSet;
use serde::Deserialize;
use serde::de::DeserializeOwned;

fn vectors<T: DeserializeOwned>(name: &str) -> T {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../conformance")
        .join(name);
    let text = std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Collects every vector that failed, so that one run shows them all.
#[derive(Default)]
struct Report {
    failures: Vec<String>,
    count: usize,
}

impl Report {
    fn check(&mut self, passed: bool, vector: &impl std::fmt::Debug) {
        self.count += 1;
        if !passed {
            self.failures.push(format!("{vector:?}"));
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            assert!(self.count > 5, "too few vectors");
            assert!(self.failures.is_empty(), "{:#?}", self.failures);
        }
    }
}

#[derive(Debug, Deserialize)]
struct Matching {
    #[expect(dead_code, reason = "shown when the vector fails")]
    id: Option<String>,
    #[expect(dead_code, reason = "shown when the vector fails")]
    title: String,
    registered: String,
    requested: String,
    matches: bool,
}

#[derive(Debug, Deserialize)]
struct RedirectRegistration {
    #[expect(dead_code, reason = "shown when the vector fails")]
    title: String,
    uri: String,
    application_type: ApplicationType,
    accepted: bool,
}

#[test]
fn redirect_uris_match_as_the_vectors_say() {
    #[derive(Deserialize)]
    struct File {
        registration: Vec<RedirectRegistration>,
        matching: Vec<Matching>,
    }

    let file: File = vectors("redirect-uri-matching.json");
    let names = ["cursor", "vscode", "vscode-insiders", "windsurf"];
    let policy = SchemePolicy {
        allowed: names.map(str::to_owned).to_vec(),
    };
    let mut report = Report::default();
    for vector in &file.registration {
        let registered = RedirectUri::register(&vector.uri, vector.application_type, &policy);
        report.check(registered.is_ok() == vector.accepted, vector);
    }
    for vector in &file.matching {
        let registered = RedirectUri::register(&vector.registered, ApplicationType::Native, &policy)
            .unwrap_or_else(|error| panic!("{vector:?}: {error}"));
        report.check(registered.matches(&vector.requested) == vector.matches, vector);
    }
}

#[derive(Debug, Deserialize)]
struct ResourceRegistration {
    uri: String,
    accepted: bool,
    canonical: Option<String>,
    metadata_url: Option<String>,
}

#[test]
fn resources_match_as_the_vectors_say() {
    #[derive(Deserialize)]
    struct File {
        registration: Vec<ResourceRegistration>,
        matching: Vec<Matching>,
    }

    let file: File = vectors("resource-matching.json");
    let mut report = Report::default();
    for vector in &file.registration {
        let resource = ResourceUri::parse(&vector.uri).ok();
        let canonical = resource.as_ref().map(|resource| resource.canonical().to_owned());
        let metadata_url = resource.as_ref().map(ResourceUri::metadata_url);
        let passed = resource.is_some() == vector.accepted
            && canonical == vector.canonical
            && metadata_url == vector.metadata_url;
        report.check(passed, vector);
    }
    for vector in &file.matching {
        let resource =
            ResourceUri::parse(&vector.registered).unwrap_or_else(|error| panic!("{vector:?}: {error}"));
        report.check(resource.matches(&vector.requested) == vector.matches, vector);
    }
}

#[derive(Debug, Deserialize)]
struct ChallengeVector {
    code_challenge: String,
    code_challenge_method: Option<String>,
    accepted: bool,
}

#[derive(Debug, Deserialize)]
struct VerifierVector {
    code_challenge: String,
    code_verifier: String,
    verifies: bool,
}

#[test]
fn pkce_follows_the_vectors() {
    #[derive(Deserialize)]
    struct File {
        challenges: Vec<ChallengeVector>,
        verifiers: Vec<VerifierVector>,
    }

    let file: File = vectors("pkce.json");
    let mut report = Report::default();
    for vector in &file.challenges {
        let parsed = CodeChallenge::parse(&vector.code_challenge, vector.code_challenge_method.as_deref());
        report.check(parsed.is_ok() == vector.accepted, vector);
    }
    for vector in &file.verifiers {
        let challenge = CodeChallenge::parse(&vector.code_challenge, Some("S256")).unwrap();
        report.check(challenge.verify(&vector.code_verifier) == vector.verifies, vector);
    }
}

#[derive(Debug, Deserialize)]
struct ScopeVector {
    value: String,
    scopes: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
struct ContainmentVector {
    held: String,
    needed: String,
    contains_all: bool,
}

#[test]
fn scopes_follow_the_vectors() {
    #[derive(Deserialize)]
    struct File {
        parsing: Vec<ScopeVector>,
        containment: Vec<ContainmentVector>,
    }

    let file: File = vectors("scope.json");
    let mut report = Report::default();
    for vector in &file.parsing {
        let scopes = ScopeSet::parse(&vector.value)
            .ok()
            .map(|set| set.iter().map(ToString::to_string).collect::<Vec<_>>());
        report.check(scopes == vector.scopes, vector);
    }
    for vector in &file.containment {
        let held = ScopeSet::parse(&vector.held).unwrap();
        let needed = ScopeSet::parse(&vector.needed).unwrap();
        report.check(held.contains_all(&needed) == vector.contains_all, vector);
    }
}

#[derive(Debug, Deserialize)]
struct BuildingVector {
    scheme: String,
    algs: Option<Vec<String>>,
    error: Option<ErrorCode>,
    error_description: Option<String>,
    scope: Option<String>,
    resource_metadata: Option<String>,
    header: String,
}

impl BuildingVector {
    fn build(&self) -> Challenge {
        let mut challenge = match &self.algs {
            Some(algorithms) => Challenge::dpop(algorithms.iter().map(String::as_str)),
            None => Challenge::bearer(),
        };
        assert_eq!(challenge.scheme(), self.scheme);
        if let Some(url) = &self.resource_metadata {
            challenge = challenge.resource_metadata(url);
        }
        if let Some(scope) = &self.scope {
            challenge = challenge.scope(&ScopeSet::parse(scope).unwrap());
        }
        if let Some(sentence) = &self.error_description {
            challenge = challenge.description(sentence);
        }
        if let Some(code) = self.error {
            challenge = challenge.error(code);
        }
        challenge
    }
}

#[derive(Debug, Deserialize)]
struct ParsingVector {
    header: String,
    challenges: Vec<ParsedVector>,
}

#[derive(Debug, Deserialize)]
struct ParsedVector {
    scheme: String,
    parameters: BTreeMap<String, String>,
}

impl ParsedVector {
    fn fits(&self, challenge: &Challenge) -> bool {
        let parameters: BTreeMap<_, _> = challenge.parameters().collect();
        challenge.scheme() == self.scheme
            && parameters
                == self
                    .parameters
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect()
    }
}

#[test]
fn challenges_follow_the_vectors() {
    #[derive(Deserialize)]
    struct File {
        building: Vec<BuildingVector>,
        parsing: Vec<ParsingVector>,
    }

    let file: File = vectors("challenge.json");
    let mut report = Report::default();
    for vector in &file.building {
        let header = vector.build().to_header_value();
        report.check(header == vector.header, &(vector, header));
    }
    for vector in &file.parsing {
        let parsed = Challenge::parse(&vector.header);
        let fits = parsed.len() == vector.challenges.len()
            && parsed
                .iter()
                .zip(&vector.challenges)
                .all(|(challenge, expected)| expected.fits(challenge));
        report.check(fits, &(vector, parsed));
    }
}

/// Whoever sends the header must not decide how much of it is kept.
#[test]
fn challenges_are_read_within_bounds() {
    let many = vec!["A"; 17].join(", ");
    assert_eq!(Challenge::parse(&many).len(), 16);
    let parameters: Vec<_> = (0..40).map(|number| format!("p{number}=x")).collect();
    let read = Challenge::parse(&format!("Bearer {}", parameters.join(", ")));
    assert_eq!(read.len(), 1);
    assert_eq!(read[0].parameters().count(), 32);
    assert_eq!((read[0].get("p31"), read[0].get("p32")), (Some("x"), None));
    let longest = format!("Bearer realm=\"{}\"", "x".repeat(16 * 1024 - 15));
    assert_eq!(longest.len(), 16 * 1024);
    assert_eq!(Challenge::parse(&longest).len(), 1);
    assert!(Challenge::parse(&format!("{longest} ")).is_empty());
}

#[test]
fn what_is_no_parameter_is_left_out() {
    for unreadable in ["=x", "a b=x", "a=", "a=\"x", "a=\"x\"y", "a=x y", "a\"=x"] {
        let read = Challenge::parse(&format!("Bearer {unreadable}, scope=\"s\""));
        let names = read
            .iter()
            .flat_map(|challenge| challenge.parameters().map(|(name, _)| name));
        assert!({ names }.all(|name| name == "scope"), "{unreadable}: {read:?}");
    }
}
