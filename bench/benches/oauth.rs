//! The pure rules that a request passes.

#![expect(
    clippy::unwrap_used,
    reason = "a benchmark that cannot be set up has nothing to measure"
)]

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use doorward_oauth::parameters::Parameters;
use doorward_oauth::pkce::CodeChallenge;
use doorward_oauth::redirect::RedirectUri;
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::scope::ScopeSet;

const VERIFIER: &str = "a-code-verifier-of-forty-three-characters-or-more";

fn pkce(criterion: &mut Criterion) {
    let challenge = CodeChallenge::of_verifier(VERIFIER);
    criterion.bench_function("pkce/verify", |b| b.iter(|| challenge.verify(VERIFIER)));
    criterion.bench_function("pkce/parse", |b| {
        b.iter(|| CodeChallenge::parse(challenge.as_str(), Some("S256")))
    });
}

fn matching(criterion: &mut Criterion) {
    let loopback = RedirectUri::parse("http://127.0.0.1/callback").unwrap();
    criterion.bench_function("redirect/loopback", |b| {
        b.iter(|| loopback.matches("http://127.0.0.1:52341/callback"))
    });
    let https = RedirectUri::parse("https://app.example.com/oauth/callback").unwrap();
    criterion.bench_function("redirect/https", |b| {
        b.iter(|| https.matches("https://app.example.com/oauth/callback"))
    });
    let resource = ResourceUri::parse("https://mcp.example.com/mcp").unwrap();
    criterion.bench_function("resource/same", |b| {
        b.iter(|| resource.matches("https://mcp.example.com/mcp"))
    });
    criterion.bench_function("resource/other_case", |b| {
        b.iter(|| resource.matches("HTTPS://MCP.example.com:443/mcp"))
    });
    criterion.bench_function("resource/parse", |b| {
        b.iter(|| ResourceUri::parse("https://mcp.example.com/mcp"))
    });
}

fn reading(criterion: &mut Criterion) {
    let form = "grant_type=refresh_token&client_id=dwc_Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmE\
                &refresh_token=dwr_AZC4pF88fB6NKjtMXW5_gAAAAAGqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqo\
                &resource=https%3A%2F%2Fmcp.example.com%2Fmcp";
    criterion.bench_function("parameters/refresh_form", |b| {
        b.iter(|| Parameters::parse(form.as_bytes()))
    });
    criterion.bench_function("scope/parse", |b| {
        b.iter(|| ScopeSet::parse("tools/read tools/write offline_access"))
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    targets = pkce, matching, reading
}
criterion_main!(benches);
