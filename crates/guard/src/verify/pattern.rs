//! Claims read by what they have in common with those of another token.
//!
//! The tokens of an issuer have the same members in the same order, and many of the same values: issuer, audience, often
//! client and scope. So the claims of a token that was verified are kept, member by member. Another token's are compared with
//! them: what is the same text is the same claim, and what differs is read alone. Names are compared and not read, so there is
//! none twice. Whatever has another form goes to the strict reader, which alone says what is wrong with it.

use std::any::Any;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use doorward_jose::json;

use super::Rejection;
use super::claim::Claim;
use super::payload::{Dialect, Payload};
use super::plain::Reader;

/// As many as a token may have that is worth it.
const MAX_MEMBERS: usize = 40;
/// The most members in which a token may differ.
const MAX_CHANGES: usize = 16;
/// Enough for the kinds of tokens that an issuer has.
const PLACES: usize = 4;
/// Of so many tokens that are like no pattern, one becomes a pattern itself.
const MISSES: usize = 64;

/// The claims of a token that was verified.
pub(crate) struct Pattern {
    document: Box<str>,
    members: Vec<Member>,
    companion: OnceLock<Box<dyn Any + Send + Sync>>,
}

struct Member {
    /// Where the member begins, with what separates it from the one before; where its value begins; and where it ends.
    start: usize,
    value: usize,
    end: usize,
    claim: Claim<'static>,
}

/// In what a token differs from a pattern.
#[derive(Clone)]
pub(crate) struct Likeness {
    pattern: Arc<Pattern>,
    changes: [Change; MAX_CHANGES],
    used: usize,
}

/// A member with another value, and where that is. Tokens are far smaller than what these can count.
#[derive(Clone, Copy, Default)]
struct Change {
    member: u16,
    start: u16,
    end: u16,
}

impl Pattern {
    /// Of claims that were read strictly before. `None` where they have another form than the usual one.
    fn of(document: &str, dialect: Dialect) -> Option<Self> {
        if u16::try_from(document.len()).is_err() {
            return None;
        }
        let mut claims = Vec::new();
        json::members(document.as_bytes(), |name, value| {
            claims.push(Claim::read(name, value, dialect)?.into_owned());
            Ok(())
        })
        .ok()?;
        if claims.len() > MAX_MEMBERS {
            return None;
        }
        let mut reader = Reader::of(document);
        let mut members = Vec::with_capacity(claims.len());
        for claim in claims {
            let start = reader.position();
            reader.byte(if start == 0 { b'{' } else { b',' })?;
            reader.string()?;
            reader.byte(b':')?;
            let value = reader.position();
            reader.skip_value()?;
            members.push(Member {
                start,
                value,
                end: reader.position(),
                claim,
            });
        }
        reader.end()?;
        Some(Self {
            document: document.into(),
            members,
            companion: OnceLock::new(),
        })
    }

    /// Puts the claims of another token into an empty payload. `None` says nothing about them.
    fn read<'p>(self: &Arc<Self>, document: &'p str, payload: &mut Payload<'p>) -> Option<Likeness> {
        let known = self.document.as_bytes();
        let mut likeness = Likeness {
            pattern: Arc::clone(self),
            changes: [Change::default(); MAX_CHANGES],
            used: 0,
        };
        let mut reader = Reader::of(document);
        for (at, member) in self.members.iter().enumerate() {
            let start = reader.position() + (member.value - member.start);
            if reader.member(known.get(member.start..member.end)?) {
                let text = document.get(start + 1..reader.position() - 1);
                payload.put(member.claim.again(text)?);
                continue;
            }
            reader.word(known.get(member.start..member.value)?)?;
            payload.put(member.claim.with(reader.value()?)?);
            likeness.note(at, start, reader.position())?;
        }
        reader.end()?;
        Some(likeness)
    }
}

impl Likeness {
    fn note(&mut self, member: usize, start: usize, end: usize) -> Option<()> {
        *self.changes.get_mut(self.used)? = Change {
            member: u16::try_from(member).ok()?,
            start: u16::try_from(start).ok()?,
            end: u16::try_from(end).ok()?,
        };
        self.used += 1;
        Some(())
    }

    /// The claims of the other token, as JSON.
    pub(crate) fn known_document(&self) -> &str {
        &self.pattern.document
    }

    /// What was made of the other token's claims.
    pub(crate) fn companion<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        let companion = self.pattern.companion.get_or_init(|| Box::new(make()));
        companion.downcast_ref()
    }

    /// The members in which `document`, the token's own, differs: each by its place in the order, with its value.
    pub(crate) fn changes<'d>(&self, document: &'d str) -> impl Iterator<Item = (usize, &'d str)> {
        self.changes.iter().take(self.used).map(|change| {
            let value = document.get(change.start.into()..change.end.into());
            (change.member.into(), value.unwrap_or_default())
        })
    }
}

/// The patterns of one verifier. They are claims of tokens that were verified, and stay when their token has ended or its grant was
/// revoked, until other tokens take their place. How long a token takes to be refused may say whether a member that is no string and
/// no whole number is that of a pattern (microseconds, of a whole value, and not of whose token).
pub(crate) struct Patterns {
    places: [ArcSwapOption<Pattern>; PLACES],
    misses: AtomicUsize,
    dialect: Dialect,
}

impl Patterns {
    pub(crate) fn new(dialect: Dialect) -> Self {
        Self {
            places: Default::default(),
            misses: AtomicUsize::new(0),
            dialect,
        }
    }

    /// The claims in a payload, and what they are like, if they are like something.
    pub(crate) fn read<'p>(&self, document: &'p [u8]) -> Result<(Payload<'p>, Option<Likeness>), Rejection> {
        let text = str::from_utf8(document).map_err(|_| Rejection::Claims)?;
        let mut payload = Payload::default();
        let likeness = self.places.iter().find_map(|place| {
            let likeness = place.load().as_ref()?.read(text, &mut payload);
            if likeness.is_none() {
                payload = Payload::default();
            }
            likeness
        });
        if likeness.is_none() {
            return Ok((Payload::read(document, self.dialect)?, None));
        }
        payload.close();
        // Not `debug_assert_eq`, which would print the claims.
        debug_assert!(
            Payload::read(document, self.dialect)
                .is_ok_and(|strict| format!("{strict:?}") == format!("{payload:?}")),
            "the two readers differ"
        );
        Ok((payload, likeness))
    }

    /// Remembers claims of a token that was verified and was like nothing.
    pub(crate) fn remember(&self, document: &[u8]) {
        let miss = self.misses.fetch_add(1, Ordering::Relaxed);
        if !miss.is_multiple_of(MISSES) {
            return;
        }
        let pattern = str::from_utf8(document)
            .ok()
            .and_then(|text| Pattern::of(text, self.dialect));
        if let (Some(pattern), Some(place)) = (pattern, self.places.get(miss / MISSES % PLACES)) {
            place.store(Some(Arc::new(pattern)));
        }
    }
}

impl fmt::Debug for Likeness {
    /// What is in the claims may be personal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Likeness").finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "pattern_tests.rs"]
mod tests;
