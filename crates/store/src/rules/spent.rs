//! What counts once.

use crate::Spend;

/// Whether what stands at this place stands before it, too.
pub(crate) fn is_twice(spends: &[Spend], place: usize) -> bool {
    let digest = &spends[place].digest;
    spends[..place].iter().any(|other| other.digest == *digest)
}
