//! What counts once.

use doorward_oauth::time::UnixSeconds;

use super::errors::Fallible;
use super::statements::{Connection, run, statements};
use crate::{Digest, Spend};

statements! {
    /// No row changes when it was used up before and would still be refused for it, and when it may have been: it was
    /// made before everything was ended.
    SPEND = "INSERT INTO spent AS s (digest, expires_at) \
             SELECT $1::bytea, $2::bigint FROM revocation_log WHERE id = 1 AND ended_before < $4::bigint \
             ON CONFLICT (digest) DO UPDATE SET expires_at = excluded.expires_at WHERE s.expires_at <= $3";
    GIVE_BACK = "DELETE FROM spent WHERE digest = ANY ($1)";
}

/// All or none. In the order of the digests, so that nobody waits in a circle.
pub(super) async fn spend(db: &Connection, spends: &[Spend], now: UnixSeconds) -> Fallible<bool> {
    let mut spends = spends.to_vec();
    spends.sort_unstable_by_key(|spend| spend.digest);
    let mut used: Vec<Digest> = Vec::with_capacity(spends.len());
    for Spend {
        digest,
        until,
        made_at,
    } in spends
    {
        if run(db, SPEND, &[&digest.as_slice(), &until.0, &now.0, &made_at.0]).await? == 0
            || used.contains(&digest)
        {
            let used: Vec<&[u8]> = used.iter().map(Digest::as_slice).collect();
            run(db, GIVE_BACK, &[&used]).await?;
            return Ok(false);
        }
        used.push(digest);
    }
    Ok(true)
}
