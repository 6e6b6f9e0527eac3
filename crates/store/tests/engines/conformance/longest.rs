//! The longest names that there are: each engine takes them, together in one row of an index too.

use std::iter;

use doorward_store::{
    ApprovalOutcome, AssertedOutcome, ClientSource, Consent, MAX_CLIENT_ID, MAX_RESOURCE, TrustedIssuerKind,
};

use super::asserted::asserted;
use super::scene::{Opened, Scene, at, client, resource};
use super::trusted_issuers::{self, issuer};

/// Text that does not get shorter by being packed.
fn text(beginning: &str, length: usize) -> String {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let letters = iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(state % 64) as usize])
    });
    beginning.chars().chain(letters).take(length).collect()
}

pub(crate) async fn somebody_can_be_allowed_the_longest_names(opened: Opened) {
    let scene = Scene::new(opened).await;
    let client_id = text("https://app.example/", MAX_CLIENT_ID);
    let uri = text("https://mcp.example/", MAX_RESOURCE);
    scene.store.create_resource(resource("long", &uri)).await.unwrap();
    scene
        .store
        .create_client(client(&client_id, ClientSource::Dynamic))
        .await
        .unwrap();
    let mut approval = scene.approval_of(&client_id, &uri);
    approval.consent = Some(Consent {
        scopes: approval.grant.scopes.clone(),
        fingerprint: approval.fingerprint.clone(),
        redirect_uris: Vec::new(),
        granted_at: at(0),
    });
    let outcome = scene.approve(&approval).await;
    assert!(matches!(outcome, ApprovalOutcome::Approved(_)), "{outcome:?}");
    let consent = scene
        .store
        .consent(scene.user.id, &client_id, &uri)
        .await
        .unwrap();
    assert!(consent.is_some());
}

/// The slug of an issuer has 64 bytes at most, a workload's subject 1,024 and its issuer's name before it.
pub(crate) async fn an_issuer_can_name_the_longest_subject(opened: Opened) {
    let scene = trusted_issuers::scene(opened).await;
    let slug = text("s", 64);
    let mut workload = issuer(&slug, TrustedIssuerKind::Workload);
    workload.issuer.push_str("/long");
    let terms = workload.terms.clone();
    scene.store.create_trusted_issuer(workload).await.unwrap();
    let uri = text("https://mcp.example/", MAX_RESOURCE);
    scene.store.create_resource(resource("long", &uri)).await.unwrap();
    let mut issue = asserted(&scene, "ci", 0);
    issue.terms = terms;
    issue.grant.trusted_issuer = Some(slug.clone());
    issue.grant.client_id = format!("workload:{slug}");
    issue.grant.subject = text(&format!("workload:{slug}:"), 10 + 64 + 1024);
    issue.grant.resource.clone_from(&uri);
    issue.issuance.client_id.clone_from(&issue.grant.client_id);
    issue.issuance.subject.clone_from(&issue.grant.subject);
    issue.issuance.resource = uri;
    let outcome = scene.store.issue_asserted(issue).await;
    assert!(matches!(outcome, Ok(AssertedOutcome::Issued(_))), "{outcome:?}");
}
