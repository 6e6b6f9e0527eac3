//! Workload identity federation: programs without a client (B.4, JWTB-017).

use doorward_jose::{Algorithm, sign};
use futures_util::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};

use crate::machine::{TOKEN, access_token, app, key, machine, proof, statuses};
use crate::support::{ISSUER, RESOURCE, claims};
use crate::trusted::{CI, JWT_BEARER_GRANT, Trusted, assert_error, desktop, merge, show, show_alone, trust};

const MCP: [(&str, &str); 1] = [("resource", RESOURCE)];

async fn platform(app: &crate::support::TestApp, claims: Value) -> Trusted {
    let rules = json!({"rules": [
        {"name": "deploy", "claims": claims, "resource": "mcp", "scope": "mcp:read"},
    ]});
    trust(app, "workload", "ci", CI, rules).await
}

/// B.4: the tokens that platforms make, each by a rule as an operator would write it.
#[tokio::test]
async fn tokens_of_the_usual_platforms_are_taken() {
    let app = app().await;
    for (slug, issuer, typ, rule, token) in [
        (
            "kubernetes",
            "https://oidc.eks.eu-west-1.amazonaws.com/id/EXAMPLED539D4633E53DE1B71EXAMPLE",
            None,
            json!({"/kubernetes.io/namespace": "prod", "sub": {"glob": "system:serviceaccount:prod:*"}}),
            json!({"aud": [ISSUER], "sub": "system:serviceaccount:prod:agent", "jti": null, "kubernetes.io": {
                "namespace": "prod", "serviceaccount": {"name": "agent", "uid": "a-1"}, "pod": {"name": "agent-0"},
            }}),
        ),
        (
            "github",
            "https://token.actions.githubusercontent.com",
            Some("JWT"),
            json!({"repository": "org/repo", "ref": "refs/heads/main", "sub": {"glob": "repo:org/repo:*:refs/heads/main"}}),
            json!({"sub": "repo:org/repo:ref:refs/heads/main", "repository": "org/repo", "ref": "refs/heads/main",
                "repository_owner_id": "42", "run_id": "7", "event_name": "push"}),
        ),
        (
            "gitlab",
            "https://gitlab.com",
            Some("JWT"),
            json!({"project_path": "group/project", "ref_protected": "true", "ref_type": "branch"}),
            json!({"sub": "project_path:group/project:ref_type:branch:ref:main", "project_path": "group/project",
                "ref_protected": "true", "ref_type": "branch", "ref": "main"}),
        ),
        (
            "spiffe",
            "https://spire.td.example",
            Some("JOSE"),
            json!({"sub": "spiffe://td.example/ns/prod/sa/agent"}),
            json!({"sub": "spiffe://td.example/ns/prod/sa/agent", "aud": [format!("{ISSUER}{TOKEN}")], "iat": null, "jti": null}),
        ),
        (
            "cloud",
            "https://accounts.google.com",
            Some("JWT"),
            json!({"sub": "113774264463038321964", "email_verified": true}),
            json!({"sub": "113774264463038321964", "azp": "113774264463038321964", "email_verified": true,
                "email": "agent@project.iam.gserviceaccount.com", "jti": null}),
        ),
    ] {
        let rules = json!({"rules": [
            {"name": slug, "claims": rule, "resource": "mcp", "scope": "mcp:read"},
        ]});
        let platform = trust(&app, "workload", slug, issuer, rules).await;
        let now = app.context.now().seconds();
        let mut claims_of_token =
            json!({"iss": issuer, "aud": ISSUER, "iat": now, "exp": now + 3600, "jti": slug});
        merge(&mut claims_of_token, token);
        let signed = crate::machine::sign_with(&platform.key, typ, &claims_of_token);
        let reply = show_alone(&app, &signed, &MCP).await;
        assert_eq!(reply.status, StatusCode::OK, "{slug}: {reply:?}");
        let claims = claims(&reply.json());
        let sub = claims_of_token["sub"].as_str().unwrap();
        assert_eq!(claims["sub"], format!("workload:{slug}:{sub}"));
        assert_eq!(claims["client_id"], format!("workload:{slug}"));
        for claim in ["auth_time", "amr", "email", "repository", "act"] {
            assert_eq!(claims.get(claim), None, "{slug}: {claim}");
        }
        assert_eq!(reply.json().get("refresh_token"), None);
    }
    assert_eq!(app.grants().await.len(), 5);
}

/// JWTB-017.
#[tokio::test]
async fn a_workload_is_the_one_that_the_rule_describes() {
    let app = app().await;
    let main = "repo:org/repo:ref:refs/heads/main";
    let ci = platform(&app, json!({"sub": main})).await;
    access_token(&show_alone(&app, &ci.workload(&app, json!({"sub": main})), &MCP).await);
    let mut answers = Vec::new();
    for changes in [
        json!({"sub": "repo:org/repo-evil:ref:refs/heads/main"}),
        json!({"sub": "repo:org/repo:ref:refs/heads/main-evil"}),
        json!({"sub": "repo:org/repo:pull_request"}),
        json!({"sub": "repo:Org/repo:ref:refs/heads/main"}),
        json!({"sub": main, "aud": "https://other.example"}),
        json!({"sub": main, "aud": [ISSUER, "https://other.example"]}),
        json!({"sub": main, "iss": "https://ci.example.evil.example"}),
        json!({"sub": main, "iss": "https://ci.example/"}),
        json!({"sub": main, "exp": 1}),
        json!({"sub": [main]}),
    ] {
        let reply = show_alone(&app, &ci.workload(&app, changes), &MCP).await;
        assert_error(&reply, "invalid_grant");
        answers.push(reply.json()["error_description"].clone());
    }
    let forged = sign(
        &key(Algorithm::Es256),
        "JWT",
        &json!({"iss": CI, "sub": main, "aud": ISSUER, "exp": 2_000_000_000}),
    );
    answers.push(show_alone(&app, &forged.unwrap(), &MCP).await.json()["error_description"].clone());
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

/// B.4: resource and scope as the rule says; errors as the draft names them.
#[tokio::test]
async fn resource_and_scope_are_those_of_the_rule() {
    let app = app().await;
    let ci = platform(&app, json!({"sub": "job-1"})).await;
    let token = || ci.workload(&app, json!({}));
    let with = |scope| [MCP[0], ("scope", scope)];
    let reply = show_alone(&app, &token(), &with("mcp:read mcp:write")).await;
    assert_eq!(reply.json()["scope"], "mcp:read");
    assert_error(
        &show_alone(&app, &token(), &with("mcp:write")).await,
        "invalid_scope",
    );
    assert_error(&show_alone(&app, &token(), &[]).await, "invalid_target");
    let search = [("resource", crate::machine::SEARCH)];
    assert_error(&show_alone(&app, &token(), &search).await, "invalid_grant");
    assert_error(
        &show_alone(&app, &token(), &[("resource", "https://x.example")]).await,
        "invalid_target",
    );
    assert_error(&show_alone(&app, "", &MCP).await, "invalid_request");
}

/// B.4: told apart by typ and by what the issuer is trusted with.
#[tokio::test]
async fn neither_kind_passes_for_the_other() {
    let app = app().await;
    let client = desktop(&app).await;
    let ci = platform(&app, json!({"sub": "00u1"})).await;
    // A platform cannot speak of people.
    assert_error(&ci.show(&app, &client, json!({})).await, "invalid_grant");
    let idp = crate::trusted::provider(&app, json!({})).await;
    let as_workload = idp.workload(&app, json!({"sub": "00u1"}));
    assert_error(&show_alone(&app, &as_workload, &MCP).await, "invalid_grant");
    // A workload has no client, and a client is no workload.
    let token = ci.workload(&app, json!({"sub": "00u1"}));
    assert_error(&show(&app, &client, &token, &MCP).await, "invalid_grant");
    let unknown = [MCP[0], ("client_id", "workload:ci")];
    assert_error(&show_alone(&app, &token, &unknown).await, "invalid_client");
    let access = access_token(&show_alone(&app, &token, &MCP).await);
    assert_error(&show_alone(&app, &access, &MCP).await, "invalid_grant");
}

#[tokio::test]
async fn a_workloads_token_ends_with_its_grant_or_the_trust() {
    let app = app().await;
    let server = machine(&app, json!({"resource_server": "mcp"})).await;
    let ci = platform(&app, json!({"sub": "job-1"})).await;
    let token = access_token(&show_alone(&app, &ci.workload(&app, json!({})), &MCP).await);
    let seen = server.introspect(&app, &token).await;
    assert_eq!(
        (&seen["active"], &seen["client_id"]),
        (&json!(true), &json!("workload:ci"))
    );
    assert_eq!(app.grants().await[0].trusted_issuer.as_deref(), Some("ci"));
    ci.change(&app, json!({"disabled": true})).await;
    assert_eq!(server.introspect(&app, &token).await["active"], false);
    let reply = show_alone(&app, &ci.workload(&app, json!({})), &MCP).await;
    assert_error(&reply, "invalid_grant");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_callers_with_one_single_use_token_one_gets_a_token() {
    let app = app().await;
    let ci = platform(&app, json!({"sub": "job-1"})).await;
    ci.change(&app, json!({"single_use": true})).await;
    let token = ci.workload(&app, json!({}));
    let replies = join_all((0..50).map(|_| show_alone(&app, &token, &MCP))).await;
    assert_eq!(statuses(&replies), [(200, 1), (400, 49)].into());
    let unnamed = ci.workload(&app, json!({"jti": null}));
    assert_error(&show_alone(&app, &unnamed, &MCP).await, "invalid_grant");
}

#[tokio::test]
async fn a_workload_binds_its_token_to_a_key() {
    let app = app().await;
    let ci = platform(&app, json!({"sub": "job-1"})).await;
    crate::machine::set_policy(&app, "mcp", json!({"dpop_bound_access_tokens_required": true})).await;
    let token = ci.workload(&app, json!({}));
    assert_error(&show_alone(&app, &token, &MCP).await, "invalid_dpop_proof");
    let mine = key(Algorithm::Es256);
    let proof = proof(&app, &mine);
    let form = [
        ("grant_type", JWT_BEARER_GRANT),
        ("assertion", token.as_str()),
        MCP[0],
    ];
    let reply = app.browser().post_pairs(TOKEN, &[("dpop", &proof)], &form).await;
    assert_eq!(reply.json()["token_type"], "DPoP", "{reply:?}");
    let replayed = app.browser().post_pairs(TOKEN, &[("dpop", &proof)], &form).await;
    assert_error(&replayed, "invalid_dpop_proof");
}
