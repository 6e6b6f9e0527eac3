//! How often was refused what has no line of its own: a stranger's request may cost no row, and is still told.

use std::collections::HashMap;

use doorward_oauth::time::UnixSeconds;
use doorward_store::ActorKind;

/// Kinds that are told apart from one writing to the next, of each kind of actor: strangers crowd out none but their own. What
/// is of no such kind is counted together: there is a line for each kind, and a bound on lines whatever anybody sends.
const MOST_KINDS: usize = 64;

/// What makes refusals the same. All words are the server's own, none a caller's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Kind {
    pub(super) actor: ActorKind,
    /// The path as the router has it, or what stands for all that it does not have.
    pub(super) route: String,
    pub(super) reason: &'static str,
    /// The answer's HTTP status, where the answer is the refusal.
    pub(super) status: Option<u16>,
}

/// How often, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) number: u64,
    pub(super) first_at: UnixSeconds,
    pub(super) last_at: UnixSeconds,
}

impl Count {
    fn none(now: UnixSeconds) -> Self {
        Self {
            number: 0,
            first_at: now,
            last_at: now,
        }
    }

    fn add(&mut self, now: UnixSeconds) {
        self.number = self.number.saturating_add(1);
        // Clocks go back.
        self.first_at = self.first_at.min(now);
        self.last_at = self.last_at.max(now);
    }
}

/// What was counted since it was written down last.
#[derive(Debug, Default)]
pub(super) struct Counts(HashMap<ActorKind, OfActors>);

#[derive(Debug, Default)]
struct OfActors {
    kinds: HashMap<Kind, Count>,
    others: Option<Count>,
}

impl Counts {
    pub(super) fn add(&mut self, kind: Kind, now: UnixSeconds) {
        let OfActors { kinds, others } = self.0.entry(kind.actor).or_default();
        let count = if kinds.len() < MOST_KINDS || kinds.contains_key(&kind) {
            kinds.entry(kind).or_insert(Count::none(now))
        } else {
            others.get_or_insert(Count::none(now))
        };
        count.add(now);
    }

    /// Everything, to be written down; what is of no kind of its own after the others of its actors. Begins again at nothing.
    pub(super) fn take(&mut self) -> impl Iterator<Item = (ActorKind, Option<Kind>, Count)> + use<> {
        let Self(actors) = std::mem::take(self);
        actors
            .into_iter()
            .flat_map(|(actor, OfActors { kinds, others })| {
                let kinds = kinds
                    .into_iter()
                    .map(move |(kind, count)| (actor, Some(kind), count));
                kinds.chain(others.map(|count| (actor, None, count)))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(status: u16) -> Kind {
        Kind {
            actor: ActorKind::Anyone,
            route: "/oauth/token".to_owned(),
            reason: "invalid_client",
            status: Some(status),
        }
    }

    #[test]
    fn the_same_is_counted_together_from_the_first_to_the_last() {
        let mut counts = Counts::default();
        for now in [1000, 990, 1030] {
            counts.add(kind(401), UnixSeconds(now));
        }
        let count = Count {
            number: 3,
            first_at: UnixSeconds(990),
            last_at: UnixSeconds(1030),
        };
        let expected = (ActorKind::Anyone, Some(kind(401)), count);
        assert_eq!(counts.take().collect::<Vec<_>>(), [expected]);
        assert_eq!(counts.take().count(), 0);
    }

    #[test]
    fn of_more_kinds_than_are_told_apart_the_rest_is_one() {
        let mut counts = Counts::default();
        for status in 0..1000 {
            counts.add(kind(status), UnixSeconds(1000));
        }
        counts.add(kind(0), UnixSeconds(1000));
        let taken: Vec<_> = counts.take().collect();
        assert_eq!(taken.len(), MOST_KINDS + 1);
        let (_, others, count) = taken.last().unwrap();
        assert_eq!((others, count.number), (&None, 1000 - MOST_KINDS as u64));
        let all: u64 = taken.iter().map(|(_, _, count)| count.number).sum();
        assert_eq!(all, 1001);
        counts.add(kind(999), UnixSeconds(1060));
        assert_eq!(counts.take().next().unwrap().1, Some(kind(999)));
    }

    #[test]
    fn strangers_crowd_out_nobody_else() {
        let mut counts = Counts::default();
        for status in 0..1000 {
            counts.add(kind(status), UnixSeconds(1000));
        }
        let of_client = Kind {
            actor: ActorKind::Client,
            ..kind(401)
        };
        counts.add(of_client.clone(), UnixSeconds(1000));
        let mut taken = counts.take().filter(|(actor, _, _)| *actor == ActorKind::Client);
        assert_eq!(taken.next().unwrap().1, Some(of_client));
        assert!(taken.next().is_none());
    }
}
