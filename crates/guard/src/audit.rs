//! Who asked for what, and what the guard decided.

use std::sync::Arc;

use doorward_oauth::scope::ScopeSet;
use doorward_oauth::time::UnixSeconds;

use crate::builder::GuardBuilder;
use crate::claims::Claims;
use crate::message::Message;
use crate::reason::Reason;

/// One decision of the guard: about a message or, where none was read, about a request.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Decision<'d> {
    /// When it was made, by the guard's clock.
    pub at: UnixSeconds,
    /// Whose token it was: subject, client, grant, [actors](crate::TokenClaims::actors). `None` when there was no good one.
    pub claims: Option<&'d Claims>,
    /// The JSON-RPC method. `None` when the request has no message, or was refused before it was read.
    pub method: Option<&'d str>,
    /// The name of the tool or prompt, or the URI of the resource. The client's text.
    pub target: Option<&'d str>,
    /// What was decided.
    pub verdict: Verdict<'d>,
}

/// What the guard decided.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Verdict<'d> {
    /// The message reaches the MCP server.
    Allowed,
    /// The whole request was refused.
    #[non_exhaustive]
    Refused {
        /// Why.
        reason: Reason,
        /// The `error_id` of the answer and of the line in the log.
        error_id: &'d str,
        /// Every scope that the request needs, when one is missing.
        needed: Option<&'d ScopeSet>,
    },
}

/// Learns of every decision. A closure over `&Decision` is one.
pub trait AuditHook: Send + Sync {
    /// A decision was made; an allowed message has not reached the MCP server yet. Must not block: what takes time
    /// belongs into a queue.
    fn on_decision(&self, decision: &Decision<'_>);
}

impl<F: Fn(&Decision<'_>) + Send + Sync> AuditHook for F {
    fn on_decision(&self, decision: &Decision<'_>) {
        self(decision);
    }
}

/// What is known of a request when it is decided about.
#[derive(Clone, Copy, Default)]
pub(crate) struct Scene<'s> {
    pub(crate) claims: Option<&'s Claims>,
    pub(crate) messages: &'s [Message<'s>],
}

/// Tells the hook of each message, or once of a request without any.
pub(crate) fn report(hook: &dyn AuditHook, at: UnixSeconds, scene: Scene<'_>, verdict: Verdict<'_>) {
    let decision = Decision {
        at,
        claims: scene.claims,
        method: None,
        target: None,
        verdict,
    };
    if scene.messages.is_empty() {
        hook.on_decision(&decision);
    }
    for message in scene.messages {
        hook.on_decision(&Decision {
            method: message.method.as_deref(),
            target: message
                .target
                .as_deref()
                .or_else(|| message.prompts().chain(message.resources()).next()),
            ..decision
        });
    }
}

impl GuardBuilder {
    /// Who learns of every decision, for example to keep an audit log of tool calls. Default: nobody.
    #[must_use]
    pub fn on_decision(mut self, hook: Arc<dyn AuditHook>) -> Self {
        self.audit = Some(hook);
        self
    }
}
