//! Every operation of the store: told, or in a list of those that tell nothing.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use doorward_store::{
    ClientSecret, ClientSource, Digest, EndReason, GrantFilter, InitialAccessToken, Reseal, Sealed,
    SealedKind, SealedSecret, TrustedIssuerKind, UserId,
};
use uuid::Uuid;

use super::audit::{acting, events};
use super::operations::{READS, SILENT, operations};
use super::scene::{
    Opened, Scene, at, client, digest, fresh, person, redemption, resource, rotation, session,
};
use super::{devices, id_jag, keys, spent, trusted_issuers};

/// What is not told in a walk through everything was forgotten: a new operation has to be in one of the lists.
#[expect(clippy::too_many_lines, reason = "every operation once")]
pub(crate) async fn every_operation_that_changes_something_is_told(opened: Opened) {
    let mut told: BTreeSet<&str> = BTreeSet::new();
    let scene = Scene::new(opened).await;
    let store = Arc::clone(&scene.store);
    let mut expected = 0;
    let mut seen: BTreeSet<Uuid> = BTreeSet::new();
    macro_rules! tells {
        ($operation:ident($($argument:expr),*) => $action:literal) => {{
            let outcome = acting(&store).$operation($($argument),*).await.unwrap();
            told.insert(stringify!($operation));
            expected += 1;
            let events = events(&store).await;
            assert_eq!(events.len(), expected, "{}", stringify!($operation));
            let newest = events.iter().find(|event| seen.insert(event.id)).unwrap();
            assert_eq!(newest.action.as_str(), $action);
            outcome
        }};
    }
    let mut unused = client("unused", ClientSource::Dynamic);
    unused.updated_at = at(-2);
    store.create_client(unused).await.unwrap();
    tells!(sweep(at(0), Duration::from_secs(1), 100) => "client.expired");
    // Of which `sweep` consists.
    told.insert("sweep_kinds");
    tells!(create_resource(resource("a", "https://a.example/mcp")) => "resource.created");
    tells!(update_resource(resource("a", "https://b.example/mcp")) => "resource.updated");
    tells!(delete_resource("a", at(0)) => "resource.deleted");

    let mut own = client("own", ClientSource::Admin);
    tells!(create_client(own.clone()) => "client.created");
    own.secrets = vec![ClientSecret {
        digest: digest(5, 1),
        expires_at: None,
    }];
    tells!(update_client(own.clone()) => "client.secrets_changed");
    own.disabled = true;
    tells!(update_client(own.clone()) => "client.disabled");
    own.disabled = false;
    tells!(update_client(own.clone()) => "client.enabled");
    own.resource_server = Some("files".to_owned());
    tells!(update_client(own.clone()) => "client.updated");
    tells!(delete_client("own", at(0)) => "client.deleted");
    let mut dynamic = client("dynamic", ClientSource::Dynamic);
    dynamic.registration_token = Some(digest(6, 1));
    tells!(register_client(dynamic.clone()) => "client.registered");
    r#"{"client_name":"B"}"#.clone_into(&mut dynamic.metadata);
    tells!(update_registration(dynamic.clone(), &digest(6, 1), at(0)) => "client.updated");
    let initial = initial_token(8);
    tells!(create_initial_token(initial.clone()) => "initial_token.created");
    let with_token = client("with-token", ClientSource::Dynamic);
    tells!(register_with_token(with_token, &initial.digest, at(0)) => "client.registered");
    tells!(delete_initial_token(initial.id) => "initial_token.deleted");

    let mut grace = person("grace@example.com");
    tells!(create_user(grace.clone()) => "user.created");
    grace.password_hash = Some("$argon2id$other".to_owned());
    tells!(update_user(grace.clone(), at(0)) => "user.password_changed");
    let signed_in = session(grace.id);
    tells!(create_session(signed_in.clone(), None) => "session.started");
    tells!(end_session(&signed_in.id, at(0)) => "session.ended");
    "Grace".clone_into(&mut grace.name);
    tells!(update_user(grace.clone(), at(0)) => "user.updated");
    // What is so already is nobody's doing.
    acting(&store).update_user(grace.clone(), at(0)).await.unwrap();
    assert_eq!(events(&store).await.len(), expected);
    grace.disabled = true;
    tells!(update_user(grace.clone(), at(0)) => "user.disabled");
    grace.disabled = false;
    tells!(update_user(grace.clone(), at(0)) => "user.enabled");

    let mut idp = trusted_issuers::issuer("idp", TrustedIssuerKind::IdentityProvider);
    tells!(create_trusted_issuer(idp.clone()) => "trusted_issuer.created");
    tells!(link_subject(trusted_issuers::link("them", grace.id), None) => "trusted_issuer.subject_linked");
    tells!(unlink_subject("idp", "them", at(0)) => "trusted_issuer.subject_unlinked");
    tells!(update_trusted_issuer(idp.clone()) => "trusted_issuer.updated");
    idp.disabled = true;
    tells!(update_trusted_issuer(idp) => "trusted_issuer.disabled");
    tells!(delete_trusted_issuer("idp", at(0)) => "trusted_issuer.deleted");
    tells!(delete_user(grace.id, at(0)) => "user.deleted");
    let mut audience = id_jag::audience("chat", "https://chat.example");
    tells!(create_assertion_audience(audience.clone()) => "assertion_audience.created");
    audience.disabled = true;
    tells!(update_assertion_audience(audience) => "assertion_audience.disabled");
    tells!(delete_assertion_audience("chat") => "assertion_audience.deleted");

    let approval = scene.approval();
    tells!(approve(approval.clone()) => "grant.approved");
    tells!(burn_code(&approval.code.digest, at(0)) => "code.burned");
    let replayed = scene.approved().await;
    scene.redeem(&replayed, at(0)).await;
    tells!(redeem_code(redemption(&replayed, at(1))) => "code.replayed");
    let grant = scene.active().await;
    for generation in 1..4 {
        scene.rotate(grant, generation, at(1)).await;
    }
    tells!(rotate_refresh(rotation(grant, 1, at(5000))) => "refresh_token.reused");
    let grant = scene.active().await;
    for generation in 1..4 {
        scene.rotate(grant, generation, at(1)).await;
    }
    let reuse = rotation(grant, 1, at(5000));
    tells!(use_refresh(grant, Box::new(|_| Some(reuse))) => "refresh_token.reused");
    let token = scene.approved().await;
    let redeemed = redemption(&token, at(0));
    scene.store.redeem_code(redeemed.clone()).await.unwrap();
    tells!(revoke_issuance(&redeemed.issuance.jti, at(2)) => "token.revoked");
    tells!(revoke_grants(GrantFilter::one(token.grant.id), EndReason::RevokedByAdmin, at(2)) => "grant.ended");
    let device = devices::device(digest(21, fresh()));
    store.begin_device(device.clone()).await.unwrap();
    tells!(deny_device(&device.digest, at(0)) => "device.denied");
    let spend = [spent::one(60)];
    store.spend(&spend).await.unwrap();
    tells!(spend(&spend) => "assertion.replayed");

    tells!(add_signing_key(keys::key(1, at(0)), None) => "signing_key.created");
    tells!(replace_signing_key(None, keys::key(2, at(1)), at(1)) => "signing_key.rotated");
    tells!(replace_signing_key(Some("key-2"), keys::key(3, at(2)), at(2)) => "signing_key.revoked");
    tells!(delete_signing_keys(at(100)) => "signing_key.deleted");
    tells!(forget_secrets(at(9)) => "server_secret.replaced");
    tells!(secret("root", SealedSecret(vec![1])) => "server_secret.created");
    let sealed = Sealed {
        kind: SealedKind::ServerSecret,
        name: "root".to_owned(),
        bytes: vec![1],
    };
    let reseal = Reseal {
        before: sealed,
        after: vec![2],
    };
    tells!(reseal(vec![reseal]) => "master_key.changed");
    tells!(add_admin_key(keys::admin_key(1), false) => "admin_key.created");
    tells!(delete_admin_key(keys::admin_key(1).id(), true) => "admin_key.deleted");
    store.add_admin_key(keys::admin_key(1), false).await.unwrap();

    tells!(end_everything(at(9)) => "grant.all_ended");
    store.serve_as("https://one.example").await.unwrap();
    tells!(serve_as("https://other.example") => "issuer.changed");

    let known = READS.iter().copied().chain(SILENT.iter().map(|(name, _)| *name));
    let known: BTreeSet<&str> = known.chain(told).collect();
    assert_eq!(operations(), known);
    // What has changed nothing tells nothing.
    acting(&store)
        .burn_code(&approval.code.digest, at(0))
        .await
        .unwrap();
    acting(&store)
        .secret("root", SealedSecret(vec![9]))
        .await
        .unwrap();
    acting(&store)
        .add_admin_key(keys::admin_key(2), true)
        .await
        .unwrap();
    acting(&store)
        .delete_admin_key(keys::admin_key(2).id(), true)
        .await
        .unwrap();
    acting(&store)
        .revoke_issuance(&redeemed.issuance.jti, at(3))
        .await
        .unwrap();
    acting(&store).revoke_issuance("unknown", at(3)).await.unwrap();
    acting(&store).serve_as("https://other.example").await.unwrap();
    acting(&store).delete_client("nobody", at(3)).await.unwrap();
    acting(&store)
        .delete_user(UserId(Uuid::nil()), at(3))
        .await
        .unwrap();
    assert_eq!(events(&store).await.len(), expected);
}

fn initial_token(number: u32) -> InitialAccessToken {
    let digest: Digest = digest(30, number);
    InitialAccessToken {
        id: Uuid::from_u128(u128::from(fresh())),
        digest,
        name: "for the team".to_owned(),
        uses_left: None,
        created_at: at(0),
        expires_at: None,
    }
}
