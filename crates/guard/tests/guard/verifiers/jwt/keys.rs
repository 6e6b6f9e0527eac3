//! Keys, algorithms and secrets: a key never verifies with an algorithm that is not its own.

use doorward_jose::{base64url, hmac_sha256};

use super::*;

#[tokio::test]
async fn a_key_verifies_with_its_own_algorithms_and_those_that_are_allowed() {
    let clock = clock();
    for algorithm in Algorithm::ALL {
        let key_pair = KeyPair::generate_for(algorithm).unwrap();
        let token = key_pair
            .create_token(&TokenParameters::new().clock(clock.clone()))
            .unwrap();
        let builder = || {
            JwtVerifier::builder()
                .public_key(key_pair.public_key())
                .clock(clock.clone())
        };
        let verifier = builder().build().unwrap();
        assert!(verdict(&verifier, &token).await.is_ok(), "{algorithm}");
        // As a JWK and as a set, which pin the algorithm.
        let jwks = key_pair.jwks();
        for key in [jwks.to_string(), jwks["keys"][0].to_string()] {
            let verifier = JwtVerifier::builder()
                .public_key(key)
                .clock(clock.clone())
                .build();
            assert!(verdict(&verifier.unwrap(), &token).await.is_ok(), "{algorithm}");
        }
        match algorithm {
            Algorithm::Rs256 => {
                let other = builder().algorithms([Algorithm::Rs512]).build().unwrap();
                assert_eq!(verdict(&other, &token).await.unwrap_err(), Rejection::Algorithm);
            }
            Algorithm::Es256 => {
                let none = builder().algorithms([Algorithm::Rs256]).build();
                assert!(matches!(none, Err(VerifierError::Algorithm)));
            }
            _ => {}
        }
    }
}

/// With one key the `kid` chooses nothing; with several it does.
#[tokio::test]
async fn a_kid_is_needed_where_there_is_a_choice() {
    let (one, two) = (Setting::new(), KeyPair::generate().unwrap());
    let named = |key: &KeyPair, kid: Option<&str>| {
        let parameters = one.parameters();
        let parameters = match kid {
            Some(kid) => parameters.key_id(kid),
            None => parameters,
        };
        key.create_token(&parameters).unwrap()
    };
    let single = one.builder().build().unwrap();
    assert!(
        verdict(&single, &named(&one.key_pair, Some("whatever")))
            .await
            .is_ok()
    );
    assert!(verdict(&single, &named(&one.key_pair, None)).await.is_ok());
    let both = JwtVerifier::builder()
        .public_key(one.key_pair.jwks().to_string())
        .public_key(two.jwks().to_string())
        .clock(one.clock.clone())
        .build()
        .unwrap();
    assert!(
        verdict(&both, &named(&one.key_pair, Some(one.key_pair.key_id())))
            .await
            .is_ok()
    );
    assert!(verdict(&both, &named(&two, Some(two.key_id()))).await.is_ok());
    for (key, kid) in [(&one.key_pair, None), (&one.key_pair, Some("other"))] {
        assert_eq!(
            verdict(&both, &named(key, kid)).await.unwrap_err(),
            Rejection::UnknownKey
        );
    }
    assert_eq!(
        verdict(&both, &named(&one.key_pair, Some(two.key_id())))
            .await
            .unwrap_err(),
        Rejection::Signature
    );
}

/// RFC 8725 §3.11.
#[tokio::test]
async fn a_shared_secret_makes_no_other_kind_of_token_an_access_token() {
    let verifier = JwtVerifier::builder()
        .shared_secret(HmacAlgorithm::Hs256, SECRET)
        .issuer("https://as.example")
        .clock(clock())
        .build()
        .unwrap();
    let claims = json!({"iss": "https://as.example", "sub": "alice", "exp": NOW + 60}).to_string();
    for (typ, accepted) in [
        ("JWT", true),
        ("at+jwt", true),
        ("dpop+jwt", false),
        ("logout+jwt", false),
    ] {
        let header = json!({"alg": "HS256", "typ": typ}).to_string();
        let [header, claims] = [&header, &claims].map(|part| base64url::encode(part.as_bytes()));
        let input = format!("{header}.{claims}");
        let tag = hmac_sha256(SECRET, input.as_bytes());
        let verdict = verdict(&verifier, &format!("{input}.{}", base64url::encode(&tag))).await;
        let expected = if accepted { Ok(()) } else { Err(Rejection::Type) };
        assert_eq!(verdict.map(drop), expected, "{typ}");
    }
}

#[tokio::test]
async fn a_shared_secret_verifies_its_own_algorithm_alone() {
    let clock = clock();
    let claims = json!({"iss": "https://as.example", "sub": "alice", "exp": NOW + 60});
    let claims = claims.as_object().unwrap();
    for algorithm in HmacAlgorithm::ALL {
        let verifier = JwtVerifier::builder()
            .shared_secret(algorithm, SECRET)
            .issuer("https://as.example")
            .clock(clock.clone())
            .build()
            .unwrap();
        for signer in HmacAlgorithm::ALL {
            let token = SharedSecret::new(signer, SECRET).sign(claims).unwrap();
            let expected = if signer == algorithm {
                Ok(())
            } else {
                Err(Rejection::Algorithm)
            };
            assert_eq!(verdict(&verifier, &token).await.map(drop), expected);
        }
        let other = SharedSecret::new(algorithm, b"another secret of many bytes ...")
            .sign(claims)
            .unwrap();
        assert_eq!(
            verdict(&verifier, &other).await.unwrap_err(),
            Rejection::Signature
        );
        let mut ended = claims.clone();
        ended.insert("exp".to_owned(), json!(NOW - 60));
        let ended = SharedSecret::new(algorithm, SECRET).sign(&ended).unwrap();
        assert_eq!(verdict(&verifier, &ended).await.unwrap_err(), Rejection::Expired);
        let public = KeyPair::generate().unwrap().create_token(&TokenParameters::new());
        assert_eq!(
            verdict(&verifier, &public.unwrap()).await.unwrap_err(),
            Rejection::Algorithm
        );
        assert!(!format!("{verifier:?}").contains("secret of"));
    }
}

/// CVE-2015-9235: the public key as the secret of HMAC.
#[tokio::test]
async fn a_public_key_cannot_be_used_as_a_secret() {
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let key_pair = KeyPair::generate_for(algorithm).unwrap();
        let verifier = JwtVerifier::builder()
            .public_key(key_pair.public_key())
            .build()
            .unwrap();
        let claims = json!({"sub": "admin"});
        for hmac in HmacAlgorithm::ALL {
            let secret = SharedSecret::new(hmac, key_pair.public_key().as_bytes());
            let forged = secret.sign(claims.as_object().unwrap()).unwrap();
            assert_eq!(
                verdict(&verifier, &forged).await.unwrap_err(),
                Rejection::Algorithm
            );
            for material in [key_pair.public_key().to_owned(), key_pair.jwks().to_string()] {
                let mixed = JwtVerifier::builder().shared_secret(hmac, material).build();
                assert!(matches!(mixed, Err(VerifierError::SecretIsPublicKey)));
            }
        }
    }
}
