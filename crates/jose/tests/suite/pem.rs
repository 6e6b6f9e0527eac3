//! Keys in PEM form: what another tool writes is read, and nothing else is.

use doorward_jose::{Algorithm, JoseError, Jwk, SigningKey, base64url, sign};

use crate::support::{accepts, key, published};

// Written by OpenSSL 3.
const P256: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEyRyTMyNErlWubmHbFi635KI6mY2m
2Inw9O0KqBoXicB4KG0Lx54NcgrKM3w6Z1LrJzT+K0+amAiOjVP4iMPUlw==
-----END PUBLIC KEY-----
";
const P384: &str = "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAEB5mlcYBcN2aycbxiftsneCtQMpmmtQAT
zQ1TYmYmfhys2DcaTc+ZlldOOoG4WkmOma970HZ7CdUVlnQGRU/LvLBbSbZ+HZ04
a1o23+eCUVNUYPBSeLGa79oIfXjEUs9B
-----END PUBLIC KEY-----
";
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAd8GBxB0gyobgyMn0aGqUgXwmgNn1v8bKECjeEpwi6QY=
-----END PUBLIC KEY-----
";
const RSA: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAoiSQL8Drs5MXVOQPtlJs
9Jn6PTgOVTqbbe7RL2mcY0N3YKdUOczY6rc8/sHpONdG9NDsMHMMT0avtTqMIu5+
WlorhVgk9m3vBl5GHWTnrA/6dalRbUI1OgCIgL9Cjf2vlY9anLtbVzuwJZD7HyZw
I4aibogBfwqv1D8YM6a8H5IsC9M1ozwPUd1KrnwYDDBJl8Z486ZjLdv7EsE778ic
LUDP1PB+t7biUdcz9NsxWcGmrzYy7MiVBZ5VQeb70xhrxmoyCs2d3WF8uViusaLa
j9O53xBN9NT1yINiBXIgNvIk3gvxo83h9m19O2qpNGeqwvCK/ZibvCTWgpxeFW/l
rQIDAQAB
-----END PUBLIC KEY-----
";
/// The key of [`RSA`].
const RSA_PKCS1: &str = "-----BEGIN RSA PUBLIC KEY-----
MIIBCgKCAQEAoiSQL8Drs5MXVOQPtlJs9Jn6PTgOVTqbbe7RL2mcY0N3YKdUOczY
6rc8/sHpONdG9NDsMHMMT0avtTqMIu5+WlorhVgk9m3vBl5GHWTnrA/6dalRbUI1
OgCIgL9Cjf2vlY9anLtbVzuwJZD7HyZwI4aibogBfwqv1D8YM6a8H5IsC9M1ozwP
Ud1KrnwYDDBJl8Z486ZjLdv7EsE778icLUDP1PB+t7biUdcz9NsxWcGmrzYy7MiV
BZ5VQeb70xhrxmoyCs2d3WF8uViusaLaj9O53xBN9NT1yINiBXIgNvIk3gvxo83h
9m19O2qpNGeqwvCK/ZibvCTWgpxeFW/lrQIDAQAB
-----END RSA PUBLIC KEY-----
";
const P256_COMPRESSED: &str = "-----BEGIN PUBLIC KEY-----
MDkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDIgADJbe8g+KgS3v8nfiRie5QiTlCHJVQ
myr/Q2TcqDjtSKs=
-----END PUBLIC KEY-----
";
const SECP256K1: &str = "-----BEGIN PUBLIC KEY-----
MFYwEAYHKoZIzj0CAQYFK4EEAAoDQgAEE4s/+ZHniWhRIOo40RjW3+hNHiaKvaxK
CuQwJWBpvuSTikBd2LBZWQYR8a1z8nTxauX4U2o8djO4zQCRec+dpA==
-----END PUBLIC KEY-----
";

/// An `AlgorithmIdentifier` of PKCS #1 without parameters, up to the last byte of its object identifier.
const ALGORITHM: &[u8] = &[
    0x30, 0x0b, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01,
];

/// The `PUBLIC KEY` block with one byte of its DER changed.
fn with_byte(pem: &str, index: usize, change: impl FnOnce(u8) -> u8) -> String {
    let mut der = der_of(pem);
    der[index] = change(der[index]);
    public_key(&der)
}

fn der_of(pem: &str) -> Vec<u8> {
    let base64: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
    let base64url = base64.trim_end_matches('=').replace('+', "-").replace('/', "_");
    base64url::decode(&base64url).unwrap_or_default()
}

fn public_key(der: &[u8]) -> String {
    let padding = "=".repeat((3 - der.len() % 3) % 3);
    let base64 = base64url::encode(der).replace('-', "+").replace('_', "/");
    format!("-----BEGIN PUBLIC KEY-----\n{base64}{padding}\n-----END PUBLIC KEY-----")
}

#[test]
fn what_openssl_writes_is_read_and_written_again_byte_for_byte() {
    for (pem, algorithms) in [
        (P256, &[Algorithm::Es256][..]),
        (P384, &[Algorithm::Es384]),
        (ED25519, &[Algorithm::EdDsa]),
        (
            RSA,
            &[
                Algorithm::Rs256,
                Algorithm::Rs384,
                Algorithm::Rs512,
                Algorithm::Ps256,
            ],
        ),
    ] {
        let key = Jwk::from_pem(pem).unwrap();
        for algorithm in Algorithm::ALL {
            assert_eq!(
                key.fits(algorithm),
                algorithms.contains(&algorithm),
                "{algorithm}"
            );
        }
        assert_eq!((key.key_id(), key.algorithm()), (None, None));
        assert_eq!(key.to_pem().unwrap(), pem);
    }
    assert_eq!(Jwk::from_pem(RSA_PKCS1), Jwk::from_pem(RSA));
}

#[test]
fn a_generated_key_survives_pem_in_both_halves() {
    for algorithm in Algorithm::ALL {
        let key = key(algorithm);
        let again = SigningKey::from_pem(algorithm, &key.to_pem().unwrap()).unwrap();
        assert_eq!(again.public_jwk(), key.public_jwk());
        let public = Jwk::from_pem(&key.public_jwk().to_pem().unwrap()).unwrap();
        assert_eq!(public.thumbprint(), key.public_jwk().thumbprint());
        let token = sign(&again, "at+jwt", &serde_json::json!({})).unwrap();
        assert!(doorward_jose::Jws::parse(&token).unwrap().verify(&public).is_ok());
        assert!(accepts(&token, key).is_ok());
        assert!(!published(key).to_string().contains("PRIVATE"));
    }
}

/// RFC 7468 §2: white space around and inside is no difference.
#[test]
fn line_ends_and_indentation_do_not_matter() {
    for pem in [
        P256.replace('\n', "\r\n"),
        P256.replace('\n', "\n    "),
        format!("\n\n  {P256}  \n"),
        P256.trim_end().to_owned(),
        P256.replace("RgAE", "RgA\nE"),
    ] {
        assert_eq!(Jwk::from_pem(&pem), Jwk::from_pem(P256), "{pem}");
    }
}

#[test]
fn anything_but_one_block_is_malformed() {
    let body = P256.replace("-----BEGIN PUBLIC KEY-----\n", "");
    for bad in [
        "",
        "PUBLIC KEY",
        "-----BEGIN PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY----------END PUBLIC KEY----",
        &body,
        &P256.replace("END PUBLIC KEY", "END PRIVATE KEY"),
        &P256.replace("-----END", "----END"),
        &P256.replace("MFkw", "MFk*"),
        &P256.replace("Ulw==", "Ulw="),
        &P256.replace("Ulw==", "Ulx=="),
        &format!("{P256}{P256}"),
        &format!("{P256}x"),
        &format!("subject=x\n{P256}"),
    ] {
        assert_eq!(Jwk::from_pem(bad), Err(JoseError::Malformed), "{bad}");
    }
    let mut longest = P256.to_owned();
    longest.push_str(&"\n".repeat(16 * 1024 - P256.len()));
    assert_eq!(Jwk::from_pem(&longest), Jwk::from_pem(P256));
    longest.push('\n');
    assert_eq!(Jwk::from_pem(&longest), Err(JoseError::TooLarge));
}

/// Two spellings of one key would be two keys for whoever compares, and RSASSA-PSS keys (RFC 4055 §1.2) have rules of their
/// own.
#[test]
fn an_rsa_key_has_one_spelling_alone() {
    let der = der_of(RSA);
    assert_eq!(Jwk::from_pem(&public_key(&der)), Jwk::from_pem(RSA));
    let bits = &der[19..];
    let trailing = [&der, &[0][..]].concat();
    let without_parameters = [&[0x30, 0x82, 0x01, 0x20], ALGORITHM, &[0x01], bits].concat();
    let for_pss_alone = [&[0x30, 0x82, 0x01, 0x20], ALGORITHM, &[0x0a], bits].concat();
    for other in [trailing, without_parameters, for_pss_alone, der_of(RSA_PKCS1)] {
        assert_eq!(Jwk::from_pem(&public_key(&other)), Err(JoseError::UnusableKey));
    }
}

#[test]
fn keys_of_other_kinds_are_refused() {
    for bad in [
        P256_COMPRESSED,
        SECP256K1,
        "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
        "-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----",
        "-----BEGIN PUBLIC KEY-----\nMFkw\n-----END PUBLIC KEY-----",
        "-----BEGIN RSA PUBLIC KEY-----\nMIIB\n-----END RSA PUBLIC KEY-----",
        // The same key in the other envelope.
        &RSA.replace("PUBLIC", "RSA PUBLIC"),
        &P256.replace("PUBLIC", "RSA PUBLIC"),
        &with_byte(P256, 60, |byte| byte ^ 1),
        &with_byte(P256, 26, |_| 0x02),
        &with_byte(RSA, 20, |_| 0x05),
    ] {
        assert_eq!(Jwk::from_pem(bad), Err(JoseError::UnusableKey), "{bad}");
    }
    for algorithm in Algorithm::ALL {
        let private = key(algorithm).to_pem().unwrap();
        assert_eq!(Jwk::from_pem(&private), Err(JoseError::PrivateKey));
        let public = key(algorithm).public_jwk().to_pem().unwrap();
        assert_eq!(
            SigningKey::from_pem(algorithm, &public).unwrap_err(),
            JoseError::Malformed
        );
    }
    for label in ["RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY"] {
        let pem = format!("-----BEGIN {label}-----\nMIIB\n-----END {label}-----");
        assert_eq!(Jwk::from_pem(&pem), Err(JoseError::PrivateKey));
    }
}
