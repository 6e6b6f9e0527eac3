//! Codes that people read from one screen and type into another (RFC 8628 §6.1).

use std::fmt;

use doorward_store::Digest;

use crate::context::Context;
use crate::random::Random;

/// Twenty consonants: no vowels, so no words; nothing that looks like a digit or another letter when read aloud or
/// badly printed. Eight of them are 34 bits, for ten minutes and a throttled page.
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";
const LENGTH: usize = 8;
/// Bytes from here on would make some letters likelier than others.
const FAIR: u8 = 240;
const PURPOSE: &str = "user-code";

/// A user code, without its dash.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct UserCode([u8; LENGTH]);

impl UserCode {
    /// A new one.
    pub(super) fn generate(random: &dyn Random) -> Self {
        let mut code = [0; LENGTH];
        let mut filled = 0;
        while filled < LENGTH {
            for byte in random.bytes::<16>() {
                if byte < FAIR && filled < LENGTH {
                    code[filled] = ALPHABET[usize::from(byte) % ALPHABET.len()];
                    filled += 1;
                }
            }
        }
        Self(code)
    }

    /// Reads what a person typed: case, dashes and spaces do not count.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut code = [0; LENGTH];
        let mut letters = text
            .bytes()
            .filter(|byte| !matches!(byte, b' ' | b'-' | b'_' | b'.'))
            .map(|byte| byte.to_ascii_uppercase());
        for place in &mut code {
            *place = letters.next().filter(|letter| ALPHABET.contains(letter))?;
        }
        letters.next().is_none().then_some(Self(code))
    }

    /// What the store recognises it by. A plain digest of 34 bits could be turned back.
    pub(super) fn digest(&self, ctx: &Context) -> Digest {
        ctx.secrets.mac(PURPOSE, &[&self.0])
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = String::from_utf8_lossy(&self.0);
        let (first, second) = text.split_at(LENGTH / 2);
        write!(f, "{first}-{second}")
    }
}

impl fmt::Debug for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::OsRandom;

    /// DEV-001, DEV-014
    #[test]
    fn codes_read_back_however_they_are_typed() {
        for _ in 0..1000 {
            let code = UserCode::generate(&OsRandom::default());
            let shown = code.to_string();
            assert_eq!(shown.len(), 9);
            for typed in [
                shown.clone(),
                shown.to_lowercase(),
                shown.replace('-', ""),
                shown.replace('-', " "),
                format!("  {shown} "),
            ] {
                assert_eq!(UserCode::parse(&typed), Some(code.clone()), "{typed}");
            }
        }
    }

    #[test]
    fn what_is_no_code_is_none() {
        for text in [
            "",
            "BCDF-GHJ",
            "BCDF-GHJKL",
            "BCDF-GHJA",
            "BCDF-GHJ0",
            "ＢCDF-GHJK",
            "BCDF\0GHJK",
        ] {
            assert_eq!(UserCode::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn every_letter_is_as_likely_as_any_other() {
        let mut counts = [0_u32; 256];
        for _ in 0..5000 {
            for letter in UserCode::generate(&OsRandom::default()).0 {
                counts[usize::from(letter)] += 1;
            }
        }
        for letter in ALPHABET {
            assert!((1700..2300).contains(&counts[usize::from(*letter)]), "{counts:?}");
        }
    }
}
