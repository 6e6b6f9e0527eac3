//! What is in the database: the same for the same number of grants, whatever the engine.

use std::time::Duration;

use doorward_store::{GrantId, UnixSeconds};
use uuid::{Builder, Uuid};

/// The present of the measurements.
pub const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const DAY: u64 = 86_400;
/// How long ago the first grant was approved, and the first token that is still recorded was issued.
const GRANTED_OVER: u64 = 90 * DAY;
const ISSUED_OVER: u64 = 30 * DAY;
pub const TOKENS_LIVE: Duration = Duration::from_hours(24);
pub const RESOURCES: u64 = 20;

/// So many grants, and everybody and everything that they need.
#[derive(Debug, Clone)]
pub struct World {
    pub grants: u64,
    pub clients: u64,
    /// Their ids, sorted.
    pub people: Vec<u128>,
}

impl World {
    /// Ten grants a person, a thousand a client.
    pub fn of(grants: u64) -> Self {
        let mut people: Vec<u128> = (0..(grants / 10).max(10))
            .map(|person| Builder::from_random_bytes(bytes(1, person)).into_uuid().as_u128())
            .collect();
        people.sort_unstable();
        Self {
            grants,
            clients: (grants / 1000).max(20),
            people,
        }
    }

    pub fn person(&self, number: u64) -> Uuid {
        Uuid::from_u128(self.people[index(number)])
    }

    pub fn grant(&self, number: u64) -> OfGrant {
        let people = self.people.len() as u64;
        let (person, nth) = (number % people, number / people);
        let created_at = NOW.0 - signed(GRANTED_OVER - GRANTED_OVER * number / self.grants);
        let millis = u64::try_from(created_at).unwrap_or(0) * 1000;
        let used = hash(2, number) % u64::try_from(NOW.0 - created_at).unwrap_or(1).max(1);
        OfGrant {
            id: GrantId(Builder::from_unix_timestamp_millis(millis, &bytes(3, number)).into_uuid()),
            person,
            client: (7 * nth + person) % self.clients,
            resource: (person + nth) % RESOURCES,
            created_at,
            used_at: created_at + signed(used),
            generation: 1 + u32::try_from(hash(4, number) % 20).unwrap_or(0),
            // One in fifty.
            ended: number.is_multiple_of(50),
        }
    }

    /// The token with this number, of the grant with this number; each next one is a little younger.
    pub fn token(&self, number: u64) -> (String, i64) {
        let issued_at = NOW.0 - signed(ISSUED_OVER - ISSUED_OVER * number / self.grants);
        (token_id(issued_at, 0, &bytes(5, number)), issued_at)
    }
}

pub struct OfGrant {
    pub id: GrantId,
    pub person: u64,
    pub client: u64,
    pub resource: u64,
    pub created_at: i64,
    pub used_at: i64,
    pub generation: u32,
    pub ended: bool,
}

/// As the server makes them: at a place in their second, of which there are four million.
pub fn token_id(issued_at: i64, place: u32, random: &[u8; 10]) -> String {
    let millis = u64::try_from(issued_at).unwrap_or(0) * 1000 + u64::from(place >> 12);
    let [.., high, low] = place.to_be_bytes();
    let mut random = *random;
    random[..2].copy_from_slice(&[high, low]);
    Builder::from_unix_timestamp_millis(millis, &random)
        .into_uuid()
        .to_string()
}

pub fn client(number: u64) -> String {
    format!("dwc_{:016x}{:016x}{number:011}", hash(6, number), hash(7, number))
}

pub fn resource(number: u64) -> String {
    format!("https://mcp{number}.example.com/mcp")
}

/// The same for the same arguments, and like random: for ids and digests.
pub fn bytes<const N: usize>(kind: u64, number: u64) -> [u8; N] {
    let mut bytes = [0; N];
    for (at, chunk) in (0_u64..).zip(bytes.chunks_mut(8)) {
        let word = hash(kind.wrapping_mul(16).wrapping_add(at), number).to_le_bytes();
        chunk.copy_from_slice(&word[..chunk.len()]);
    }
    bytes
}

/// The last step of `SplitMix64`.
pub fn hash(kind: u64, number: u64) -> u64 {
    let mut z = number
        .wrapping_add(kind.wrapping_mul(0xd1b5_4a32_d192_ed03))
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn index(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
