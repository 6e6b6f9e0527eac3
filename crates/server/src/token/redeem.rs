//! What a code becomes once its request has passed every check, however it was given out: a grant in use, and its first
//! tokens (OAuth 2.1 §4.1.3, RFC 8628 §3.5).

use doorward_oauth::client::GrantType;
use doorward_store::{Code, Grant, RedeemCode, RedeemOutcome};

use super::refresh::RefreshToken;
use super::{TokenRequest, TokenResponse, about_person, unusable};
use crate::http::error::TokenError;
use crate::issue::Draft;
use crate::resources::Targets;

/// A code, the grant that it is of, and what the token is for.
pub(super) struct Redeemable<'a> {
    pub(super) code: &'a Code,
    pub(super) grant: &'a Grant,
    /// The resources of the grant.
    pub(super) all: &'a Targets,
    /// Those of them that this token is for.
    pub(super) targets: &'a Targets,
    /// Whether the grant ends when the code comes twice.
    pub(super) replay_ends_grant: bool,
}

/// What came of it.
pub(super) enum Redeemed {
    Answer(TokenResponse),
    /// It was redeemed while this request was being checked.
    Replayed,
}

impl Redeemable<'_> {
    /// Uses the code up. `sentence`: what a client is told whose code does not work any more.
    pub(super) async fn redeem(
        self,
        request: &TokenRequest<'_>,
        sentence: &'static str,
    ) -> Result<Redeemed, TokenError> {
        let Self {
            code,
            grant,
            all,
            targets,
            replay_ends_grant,
        } = self;
        let TokenRequest { ctx, client, .. } = *request;
        let (now, key_thumbprint) = (ctx.now(), request.key_thumbprint());
        let scopes = targets.still_defined(&grant.scopes);
        let (draft, issuance) = Draft::for_grant(ctx, grant, targets, scopes, key_thumbprint, now);
        let draft = about_person(ctx, draft, targets, grant).await?;
        draft.check_size()?;
        let policy = all.refresh_policy(ctx.refresh_policy());
        request.spend().await?;
        let redeem = RedeemCode {
            digest: code.digest,
            replay_ends_grant,
            refresh: (code.stay_connected && client.may_use(GrantType::RefreshToken)).then_some(policy),
            // RFC 9449 §5: nothing else binds the refresh tokens of a client that cannot authenticate.
            dpop_jkt: key_thumbprint
                .filter(|_| !client.is_confidential())
                .map(str::to_owned),
            issuance,
            now,
        };
        let grant = match request.acting().redeem_code(redeem).await? {
            RedeemOutcome::Redeemed(grant) => grant,
            RedeemOutcome::Replayed => return Ok(Redeemed::Replayed),
            RedeemOutcome::Refused(state) => {
                let reason = format!("expired, or the grant ({state:?}), person, client or resource is gone");
                return Err(unusable(sentence, reason));
            }
            RedeemOutcome::Unknown => return Err(unusable(sentence, "no such code")),
        };
        let token = draft.sign(ctx, request.signer).await?;
        let refresh_token =
            (grant.generation > 0).then(|| RefreshToken::derive(&grant, grant.generation, &ctx.secrets));
        let answer = TokenResponse::new(token, refresh_token).with_refresh_expiry(&grant, policy, now);
        Ok(Redeemed::Answer(answer))
    }
}
