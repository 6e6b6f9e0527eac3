//! Any bytes as client metadata: an accepted client survives storage and has only addresses that may be registered.
#![no_main]

use doorward_oauth::client::{
    ClientMetadata, EffectiveClient, RegistrationPolicy, consent_fingerprint, derived_client_id, effective,
};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    let Ok(metadata) = ClientMetadata::from_json(document) else {
        return;
    };
    for policy in [
        RegistrationPolicy::dynamic(),
        RegistrationPolicy::metadata_document(),
    ] {
        let Ok(client) = effective(&metadata, &policy) else {
            continue;
        };
        let stored = serde_json::to_string(&client).expect("a client serialises");
        let read: EffectiveClient = serde_json::from_str(&stored).expect("what was stored can be read");
        assert_eq!(read, client);
        assert_eq!(derived_client_id(&read), derived_client_id(&client));
        assert_eq!(consent_fingerprint(&read), consent_fingerprint(&client));
        for uri in &client.redirect_uris {
            let scheme = uri.as_str().split(':').next().unwrap_or_default();
            assert!(!["javascript", "data", "file", "vbscript", "blob"].contains(&scheme));
        }
        for page in [
            &client.client_uri,
            &client.logo_uri,
            &client.policy_uri,
            &client.tos_uri,
        ]
        .into_iter()
        .flatten()
        {
            assert!(page.to_ascii_lowercase().starts_with("https://"));
        }
        assert!(!client.grant_types.is_empty());
    }
});
