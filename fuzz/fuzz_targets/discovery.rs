//! Any bytes as the metadata of an authorization server: nothing but `https` is asked for because of it, a document of
//! somebody else counts for nothing, and what is read can be written and read again.
#![no_main]

use doorward_fuzz::world::{ISSUER, World};
use doorward_guard::client::ClientAuth;
use doorward_oauth::metadata::{AuthorizationServerMetadata, ProtectedResourceMetadata};
use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

fn survives<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(document: &[u8]) {
    let Ok(read) = serde_json::from_slice::<T>(document) else {
        return;
    };
    let written = serde_json::to_vec(&read).expect("metadata serialises");
    assert_eq!(
        serde_json::from_slice::<T>(&written).expect("what was written"),
        read
    );
}

fuzz_target!(|document: &[u8]| {
    survives::<AuthorizationServerMetadata>(document);
    survives::<ProtectedResourceMetadata>(document);

    let world = World::new(|builder| builder.client_auth(ClientAuth::basic("guard", "secret")));
    *world.server.metadata.lock().expect("not poisoned") = Some(document.to_vec().into());
    let verified = world.runtime.block_on(world.guard.verify(&world.token())).is_ok();
    let introspected = world
        .runtime
        .block_on(world.guard.client().introspect("x"))
        .is_ok();
    let asked = world.server.asked.lock().expect("not poisoned").clone();
    let outside = asked.iter().filter(|url| !url.contains("/.well-known/"));
    for url in outside.clone() {
        let url = Url::parse(url).expect("a URL");
        assert_eq!(url.scheme(), "https", "{url}");
    }
    if verified || introspected || outside.count() > 0 {
        let ordinary: Value = serde_json::from_slice(document).expect("the strict reader takes a subset");
        assert_eq!(ordinary["issuer"], ISSUER);
    }
});
