//! Refresh tokens are derived, not stored: prefix, grant id, generation, and a MAC over them under a
//! server key and the grant's salt. What the store holds cannot be turned into a token, and a token of
//! one grant cannot be turned into one of another.

use doorward_jose::base64url;
use doorward_store::{Grant, GrantId};
use uuid::Uuid;

use crate::keys::Secrets;
use crate::prefix::REFRESH_TOKEN as PREFIX;

const PURPOSE: &str = "refresh-token";
const GRANT: usize = 16;
const GENERATION: usize = 4;
const MAC: usize = 32;

/// What a refresh token says; not proven until [`RefreshToken::belongs_to`].
pub struct RefreshToken {
    /// The grant it names.
    pub grant: GrantId,
    /// The generation it names.
    pub generation: u32,
    mac: [u8; MAC],
}

impl RefreshToken {
    /// Whether the text has the form of a refresh token.
    pub fn looks_like(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// Reads a token. `None` when it is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(PREFIX)?;
        // Checked before decoding: a refresh token has one length.
        if encoded.len() != (GRANT + GENERATION + MAC).div_ceil(3) * 4 - 2 {
            return None;
        }
        let bytes = base64url::decode(encoded).ok()?;
        let (grant, rest) = bytes.split_first_chunk::<GRANT>()?;
        let (generation, mac) = rest.split_first_chunk::<GENERATION>()?;
        Some(Self {
            grant: GrantId(Uuid::from_bytes(*grant)),
            generation: u32::from_be_bytes(*generation),
            mac: mac.try_into().ok()?,
        })
    }

    /// Whether this server made the token for this grant.
    pub fn belongs_to(&self, grant: &Grant, secrets: &Secrets) -> bool {
        self.grant == grant.id
            && secrets.verify_mac(PURPOSE, &parts(grant, &self.generation.to_be_bytes()), &self.mac)
    }

    /// The token of a generation of a grant: the same text every time.
    pub fn derive(grant: &Grant, generation: u32, secrets: &Secrets) -> String {
        let generation = generation.to_be_bytes();
        let mac = secrets.mac(PURPOSE, &parts(grant, &generation));
        let bytes = [grant.id.0.as_bytes().as_slice(), &generation, &mac].concat();
        format!("{PREFIX}{}", base64url::encode(&bytes))
    }
}

fn parts<'a>(grant: &'a Grant, generation: &'a [u8; GENERATION]) -> [&'a [u8]; 4] {
    [
        grant.id.0.as_bytes(),
        generation,
        &grant.refresh_salt,
        grant.client_id.as_bytes(),
    ]
}
