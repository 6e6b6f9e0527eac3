//! What happens to keys and secrets of the server and of operators.

use doorward_oauth::time::UnixSeconds;

use super::{Draft, Drafted};
use crate::rules::keys::Replaced;
use crate::signing_keys::signer;
use crate::{AdminKey, AuditAction, SigningKeyRecord};

pub(crate) fn signing_key_added(key: &SigningKeyRecord, keys: &[SigningKeyRecord]) -> Drafted {
    let added = keys.iter().any(|known| known.key_id == key.key_id);
    let draft = Draft::new(AuditAction::SigningKeyCreated).target(&key.key_id);
    added.then(|| {
        draft
            .with("algorithm", key.algorithm.as_str())
            .with("signs_from", key.signs_from.0)
    })
}

/// Who signs after it is the news of a rotation, and of a withdrawal what is needed beside the key that is gone.
pub(crate) fn signing_key_replaced(
    revoked: Option<&str>,
    spare: &SigningKeyRecord,
    replaced: &Replaced,
    now: UnixSeconds,
) -> Drafted {
    let Replaced { before, after } = replaced;
    if before == after {
        return None;
    }
    let signs = signer(after, now);
    let key_id = signs.map(|key| key.key_id.as_str());
    let draft = match revoked {
        Some(revoked) => Draft::new(AuditAction::SigningKeyRevoked)
            .target(revoked)
            .with("signs", key_id),
        None => Draft::new(AuditAction::SigningKeyRotated)
            .target(key_id.unwrap_or_default())
            .with("algorithm", signs.map(|key| key.algorithm.as_str())),
    };
    let brought = after.iter().any(|key| key.key_id == spare.key_id);
    Some(draft.with("created", brought.then_some(spare.key_id.as_str())))
}

pub(crate) fn signing_keys_deleted(removed: u64) -> Drafted {
    (removed > 0).then(|| Draft::new(AuditAction::SigningKeyDeleted).with("keys", removed))
}

pub(crate) fn resealed(changed: u64) -> Drafted {
    (changed > 0).then(|| Draft::new(AuditAction::MasterKeyChanged).with("resealed", changed))
}

pub(crate) fn secret_created(purpose: &str, created: bool) -> Drafted {
    created.then(|| Draft::new(AuditAction::ServerSecretCreated).target(purpose))
}

pub(crate) fn admin_key_added(key: &AdminKey, added: bool) -> Drafted {
    added.then(|| admin_key(AuditAction::AdminKeyCreated, key))
}

pub(crate) fn admin_key_deleted(deleted: Option<&AdminKey>) -> Drafted {
    Some(admin_key(AuditAction::AdminKeyDeleted, deleted?))
}

/// A name is free again when its key is deleted; the id tells them apart.
fn admin_key(action: AuditAction, key: &AdminKey) -> Draft {
    let draft = Draft::new(action).target(&key.name);
    draft.with("key", key.id().to_string())
}
