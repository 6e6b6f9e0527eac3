//! Identity assertions for other servers, and who gets them.

use std::sync::Arc;
use std::time::Duration;

use doorward_store::{
    AssertionAudience, ClientSource, EndReason, GrantFilter, GrantId, IdJagOutcome, Issuance, IssueIdJag,
    RefreshShown, StoreError,
};

use super::scene::{APP, Opened, POLICY, Scene, at, at_once, client, issuance, rotation, scopes};

const OTHER: &str = "https://other.example";

pub(crate) fn audience(slug: &str, issuer: &str) -> AssertionAudience {
    AssertionAudience {
        slug: slug.to_owned(),
        issuer: issuer.to_owned(),
        terms: r#"{"rules":[]}"#.to_owned(),
        disabled: false,
        created_at: at(0),
        updated_at: at(0),
    }
}

async fn scene(opened: Opened) -> Scene {
    let scene = Scene::new(opened).await;
    scene
        .store
        .create_assertion_audience(audience("other", OTHER))
        .await
        .unwrap();
    scene
}

/// A person's access token; the grant's refresh token has generation 2.
async fn token(scene: &Scene) -> Issuance {
    let id = scene.active().await;
    let rotate = rotation(id, 1, at(1));
    let issuance = rotate.issuance.clone();
    scene.store.rotate_refresh(rotate).await.unwrap();
    issuance
}

/// The assertion for a token, a second later.
pub(crate) fn of(token: &Issuance) -> IssueIdJag {
    let now = token.issued_at + Duration::from_secs(1);
    IssueIdJag {
        issuance: Issuance {
            resource: OTHER.to_owned(),
            scopes: scopes("chat.read"),
            expires_at: token.expires_at,
            parent: Some(token.jti.clone()),
            ..issuance(token.grant, now)
        },
        refresh: None,
        audience: "other".to_owned(),
        now,
    }
}

/// The assertion for a refresh token.
fn of_refresh(grant: GrantId, generation: u32, now: i64) -> IssueIdJag {
    IssueIdJag {
        issuance: Issuance {
            resource: OTHER.to_owned(),
            ..issuance(grant, at(now))
        },
        refresh: Some(RefreshShown {
            generation,
            policy: POLICY,
        }),
        audience: "other".to_owned(),
        now: at(now),
    }
}

async fn outcome(scene: &Scene, issue: &IssueIdJag) -> IdJagOutcome {
    let outcome = scene.store.issue_id_jag(issue.clone()).await.unwrap();
    let recorded = scene.store.issuance(&issue.issuance.jti).await.unwrap();
    let expected = (outcome == IdJagOutcome::Issued).then(|| issue.issuance.clone());
    assert_eq!(recorded, expected);
    outcome
}

pub(crate) async fn an_audience_reads_back_as_it_was_written(opened: Opened) {
    let scene = scene(opened).await;
    let store = &scene.store;
    let other = audience("other", OTHER);
    assert_eq!(store.assertion_audience("other").await, Ok(Some(other.clone())));
    assert_eq!(store.assertion_audience("nobody").await, Ok(None));
    assert_eq!(
        store.assertion_audience_by_url(OTHER).await,
        Ok(Some(other.clone()))
    );
    for unlike in ["https://other.example/", "https://OTHER.example", "", "\0"] {
        assert_eq!(store.assertion_audience_by_url(unlike).await, Ok(None));
    }
    for taken in [
        audience("other", "https://third.example"),
        audience("another", OTHER),
    ] {
        let outcome = store.create_assertion_audience(taken).await;
        assert_eq!(outcome, Err(StoreError::Conflict));
    }
    let changed = AssertionAudience {
        terms: r#"{"rules":[1]}"#.to_owned(),
        disabled: true,
        updated_at: at(9),
        ..other
    };
    store.update_assertion_audience(changed.clone()).await.unwrap();
    let first = audience("first", "https://first.example");
    store.create_assertion_audience(first.clone()).await.unwrap();
    assert_eq!(store.assertion_audiences().await, Ok(vec![first, changed]));
    let unknown = audience("nobody", "https://nobody.example");
    assert_eq!(
        store.update_assertion_audience(unknown).await,
        Err(StoreError::NotFound)
    );
    assert_eq!(store.delete_assertion_audience("first").await, Ok(true));
    assert_eq!(store.delete_assertion_audience("first").await, Ok(false));
}

pub(crate) async fn an_assertion_hangs_under_what_was_shown_for_it(opened: Opened) {
    let scene = scene(opened).await;
    let token = token(&scene).await;
    let child = of(&token);
    assert_eq!(outcome(&scene, &child).await, IdJagOutcome::Issued);
    let of_refresh = of_refresh(token.grant, 2, 2);
    assert_eq!(outcome(&scene, &of_refresh).await, IdJagOutcome::Issued);
    assert_eq!(scene.grant(token.grant).await.generation, 2, "nothing rotated");
    scene.store.revoke_issuance(&token.jti, at(3)).await.unwrap();
    let recorded = scene.store.issuance(&child.issuance.jti).await.unwrap().unwrap();
    assert_eq!(recorded.revoked_at, Some(at(3)));
    assert_eq!(outcome(&scene, &of(&token)).await, IdJagOutcome::SubjectGone);
}

pub(crate) async fn only_the_present_refresh_token_counts(opened: Opened) {
    let scene = scene(opened).await;
    let grant = token(&scene).await.grant;
    let idle = i64::try_from(POLICY.idle_ttl.as_secs()).unwrap();
    for (generation, now, expected) in [
        (2, 5, IdJagOutcome::Issued),
        (1, 5, IdJagOutcome::SubjectGone),
        (3, 5, IdJagOutcome::SubjectGone),
        (0, 5, IdJagOutcome::SubjectGone),
        (2, idle - 300, IdJagOutcome::Issued),
    ] {
        let issue = of_refresh(grant, generation, now);
        assert_eq!(outcome(&scene, &issue).await, expected, "{generation} at {now}");
    }
    let mut idle_for_long = of_refresh(grant, 2, idle + 2);
    idle_for_long.issuance.expires_at = at(idle);
    assert_eq!(outcome(&scene, &idle_for_long).await, IdJagOutcome::SubjectGone);
}

pub(crate) async fn what_an_assertion_rests_on_is_checked_again(opened: Opened) {
    let scene = scene(opened).await;
    let token = token(&scene).await;
    let store = &scene.store;
    store
        .create_client(client("agent", ClientSource::Admin))
        .await
        .unwrap();
    let mut by_agent = of(&token);
    "agent".clone_into(&mut by_agent.issuance.client_id);
    assert_eq!(outcome(&scene, &by_agent).await, IdJagOutcome::Issued);
    let mut disabled = client("agent", ClientSource::Admin);
    disabled.disabled = true;
    store.update_client(disabled).await.unwrap();
    let mut by_agent = of(&token);
    "agent".clone_into(&mut by_agent.issuance.client_id);
    assert_eq!(outcome(&scene, &by_agent).await, IdJagOutcome::ClientGone);

    let mut other = audience("other", OTHER);
    other.disabled = true;
    store.update_assertion_audience(other.clone()).await.unwrap();
    assert_eq!(outcome(&scene, &of(&token)).await, IdJagOutcome::AudienceGone);
    other.disabled = false;
    store.update_assertion_audience(other).await.unwrap();
    let mut late = of(&token);
    late.now = token.expires_at;
    assert_eq!(outcome(&scene, &late).await, IdJagOutcome::SubjectGone);
    let mut app = client(APP, ClientSource::Dynamic);
    app.disabled = true;
    store.update_client(app).await.unwrap();
    assert_eq!(outcome(&scene, &of(&token)).await, IdJagOutcome::SubjectGone);
    store
        .update_client(client(APP, ClientSource::Dynamic))
        .await
        .unwrap();
    store
        .revoke_grants(GrantFilter::one(token.grant), EndReason::RevokedByUser, at(4))
        .await
        .unwrap();
    assert_eq!(outcome(&scene, &of(&token)).await, IdJagOutcome::SubjectGone);
    let by_refresh = of_refresh(token.grant, 2, 5);
    assert_eq!(outcome(&scene, &by_refresh).await, IdJagOutcome::SubjectGone);
}

pub(crate) async fn after_a_revocation_answered_no_assertion_is_recorded(opened: Opened) {
    let scene = Arc::new(scene(opened).await);
    for _ in 0..5 {
        let token = token(&scene).await;
        let answers = at_once(50, |caller| {
            let (scene, token) = (Arc::clone(&scene), token.clone());
            async move {
                if caller == 25 {
                    scene.store.revoke_issuance(&token.jti, at(5)).await.unwrap();
                    return None;
                }
                let issue = of(&token);
                let outcome = scene.store.issue_id_jag(issue.clone()).await.unwrap();
                (outcome == IdJagOutcome::Issued).then_some(issue.issuance.jti)
            }
        })
        .await;
        for jti in answers.iter().flatten() {
            let recorded = scene.store.issuance(jti).await.unwrap().unwrap();
            assert!(recorded.revoked_at.is_some());
        }
    }
}

pub(crate) async fn an_assertion_that_would_grow_is_invalid(opened: Opened) {
    let scene = scene(opened).await;
    let token = token(&scene).await;
    let changed = |mut issue: IssueIdJag, change: fn(&mut IssueIdJag)| {
        change(&mut issue);
        issue
    };
    let later = |issue: &mut IssueIdJag| {
        issue.issuance.expires_at = issue.issuance.expires_at + POLICY.absolute_ttl;
    };
    let by_refresh = || of_refresh(token.grant, 2, 2);
    for issue in [
        changed(of(&token), later),
        changed(of(&token), |issue| {
            "somebody".clone_into(&mut issue.issuance.subject);
        }),
        changed(by_refresh(), later),
        changed(by_refresh(), |issue| {
            "somebody".clone_into(&mut issue.issuance.subject);
        }),
        changed(by_refresh(), |issue| {
            "agent".clone_into(&mut issue.issuance.client_id);
        }),
        IssueIdJag {
            refresh: by_refresh().refresh,
            ..of(&token)
        },
    ] {
        assert!(matches!(
            scene.store.issue_id_jag(issue).await,
            Err(StoreError::Invalid(_))
        ));
    }
}
