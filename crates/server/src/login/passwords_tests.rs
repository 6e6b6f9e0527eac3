use std::net::Ipv4Addr;

use super::*;
use crate::random::OsRandom;

fn secret(text: &str) -> SecretString {
    text.into()
}

async fn verify(passwords: &Passwords, password: &str, hash: Option<&str>) -> Result<bool, PasswordError> {
    let place = passwords.place(Ipv4Addr::LOCALHOST.into(), false)?;
    passwords.verify(place, password, hash).await
}

fn passwords() -> Passwords {
    Passwords::new(Arc::new(OsRandom::default()))
}

#[tokio::test]
async fn a_hash_is_argon2id_with_its_documented_parameters_and_a_salt_of_its_own() {
    let passwords = passwords();
    let first = passwords.hash(&secret("correct horse battery")).await.unwrap();
    let second = passwords.hash(&secret("correct horse battery")).await.unwrap();
    assert!(first.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{first}");
    assert_ne!(first, second);
}

#[tokio::test]
async fn only_the_right_password_passes() {
    let passwords = passwords();
    let hash = passwords.hash(&secret("correct horse battery")).await.unwrap();
    assert_eq!(
        verify(&passwords, "correct horse battery", Some(&hash)).await,
        Ok(true)
    );
    assert_eq!(
        verify(&passwords, "correct horse batterY", Some(&hash)).await,
        Ok(false)
    );
    assert_eq!(verify(&passwords, "", Some(&hash)).await, Ok(false));
}

/// RFC 8265 §4.2.
#[tokio::test]
async fn a_password_is_the_same_however_a_keyboard_writes_it() {
    let passwords = passwords();
    let composed = "gr\u{fc}\u{df}e aus K\u{f6}ln \u{ac00}";
    let hash = passwords.hash(&secret(composed)).await.unwrap();
    for same in [
        composed,
        "gru\u{308}\u{df}e aus Ko\u{308}ln \u{1100}\u{1161}",
        "gr\u{fc}\u{df}e\u{a0}aus\u{3000}K\u{f6}ln\u{2000}\u{ac00}",
    ] {
        assert_eq!(verify(&passwords, same, Some(&hash)).await, Ok(true), "{same}");
    }
    for other in [
        "gr\u{fc}sse aus K\u{f6}ln \u{ac00}",
        "gru\u{df}e aus Koln \u{ac00}",
        "Gr\u{fc}\u{df}e aus K\u{f6}ln \u{ac00}",
        "gr\u{fc}\u{df}e  aus K\u{f6}ln \u{ac00}",
    ] {
        assert_eq!(verify(&passwords, other, Some(&hash)).await, Ok(false), "{other}");
    }
}

#[test]
fn a_password_is_prepared_and_ascii_stays_as_it_is() {
    let ascii: String = ('\0'..='\u{7f}').collect();
    assert_eq!(*prepared(&ascii).unwrap(), ascii);
    // The one that grows most.
    let most = "\u{1d160}".repeat(MAX_LENGTH / 4);
    let grown = prepared(&most).unwrap();
    assert!(grown.len() > most.len() && grown.capacity() == most.len() * MOST_GROWTH);
    // Width and case stay.
    assert_eq!(*prepared("\u{ff21}a\u{200b}").unwrap(), "\u{ff21}a\u{200b}");
}

#[tokio::test]
async fn the_decoy_is_a_real_hash_that_no_password_passes() {
    assert!(PasswordHash::new(DECOY).is_ok());
    assert_eq!(
        verify(&passwords(), "correct horse battery", None).await,
        Ok(false)
    );
}

#[tokio::test]
async fn long_passwords_count_to_their_last_byte() {
    let passwords = passwords();
    let long = "x".repeat(100);
    let hash = passwords.hash(&secret(&long)).await.unwrap();
    assert_eq!(verify(&passwords, &long, Some(&hash)).await, Ok(true));
    assert_eq!(
        verify(&passwords, &format!("{}y", "x".repeat(99)), Some(&hash)).await,
        Ok(false)
    );
}

#[tokio::test]
async fn lengths_out_of_bounds_cost_nothing() {
    // No worker at all: whatever is hashed would wait for ever, and keep its place.
    let passwords = Passwords::with_limits(Arc::new(OsRandom::default()), 0, 1);
    assert_eq!(
        passwords.hash(&secret("eleven char")).await,
        Err(PasswordError::TooShort)
    );
    assert_eq!(
        passwords.hash(&secret(&"u\u{308}".repeat(11))).await,
        Err(PasswordError::TooShort),
        "as it is hashed"
    );
    assert_eq!(
        passwords.hash(&secret(&"x".repeat(1025))).await,
        Err(PasswordError::TooLong)
    );
    assert_eq!(
        verify(&passwords, &"x".repeat(1 << 20), None).await,
        Err(PasswordError::TooLong)
    );
}

#[tokio::test]
async fn the_queue_is_bounded() {
    let passwords = Passwords::with_limits(Arc::new(OsRandom::default()), 0, 1);
    let waiting = verify(&passwords, "a waiting password", None);
    tokio::pin!(waiting);
    assert!(futures_util::poll!(waiting.as_mut()).is_pending());
    assert_eq!(
        verify(&passwords, "one too many", None).await,
        Err(PasswordError::Busy)
    );
}

#[tokio::test]
async fn a_broken_stored_hash_is_a_fault_not_a_wrong_password() {
    assert!(matches!(
        verify(&passwords(), "anything at all", Some("plain text")).await,
        Err(PasswordError::Failed(_))
    ));
}
