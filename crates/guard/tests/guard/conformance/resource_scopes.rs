//! The `resources` of `scope.json`.

use doorward_guard::{Claims, Guard, Named, ScopeSet, TokenClaims};
use serde::Deserialize;

use super::vectors;
use crate::support::{ISSUER, RESOURCE};

#[derive(Deserialize)]
struct Scopes {
    resources: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    title: String,
    pattern: String,
    uri: String,
    applies: bool,
}

#[test]
fn scopes_of_resources_apply_as_the_vectors_say() {
    let file: Scopes = vectors("scope.json");
    assert!(file.resources.len() > 30);
    let mut claims = TokenClaims::new(ISSUER, "alice", "client-1", TokenClaims::NEVER);
    claims.scopes = ScopeSet::parse("mcp:read").unwrap();
    let claims = Claims::from(claims);
    for vector in file.resources {
        let guard = Guard::builder(ISSUER, RESOURCE)
            .resource_scopes(&vector.pattern, ["mcp:secret"])
            .build()
            .unwrap();
        let checked = guard.check_scopes(&claims, Named::Resource(&vector.uri));
        assert_eq!(checked.is_err(), vector.applies, "{}", vector.title);
    }
}
