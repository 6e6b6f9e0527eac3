//! What can be asked for.

use doorward_oauth::time::UnixSeconds;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};

use super::answer::Members;
use super::cache::Key;
use super::error::ClientError;
use super::form::Form;
use super::token::ACCESS_TOKEN_TYPE;

/// A token of the client's own (RFC 6749 §4.4).
#[derive(Debug, Clone, Default)]
pub struct ClientCredentialsRequest {
    scopes: Vec<String>,
    resources: Vec<String>,
}

impl ClientCredentialsRequest {
    /// Asks for the default scopes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Asks for scopes.
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// Says what the token is for (RFC 8707 §2); repeated calls add up.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    pub(crate) fn form(&self) -> Form {
        let mut form = Form::default();
        form.push("grant_type", "client_credentials");
        form.push("scope", &space_separated(&self.scopes));
        form.push_all("resource", &self.resources);
        form
    }

    pub(crate) fn key(&self) -> Key {
        let words = self.scopes.iter().flat_map(|scope| scope.split(' '));
        let named = |values: &[String]| values.iter().filter(|value| !value.is_empty()).cloned().collect();
        Key {
            scopes: words
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned)
                .collect(),
            resources: named(&self.resources),
        }
    }
}

fn space_separated(scopes: &[String]) -> String {
    let scopes: Vec<_> = scopes
        .iter()
        .map(String::as_str)
        .filter(|scope| !scope.is_empty())
        .collect();
    scopes.join(" ")
}

/// The exchange of one token for another (RFC 8693 §2.1): the token that a request brought along for one that another
/// service takes. Empty values are left out. `Debug` shows no token.
#[derive(Debug, Clone)]
pub struct ExchangeRequest {
    subject_token: SecretString,
    subject_token_type: String,
    actor: Option<(SecretString, String)>,
    requested_token_type: String,
    scopes: Vec<String>,
    resources: Vec<String>,
    audiences: Vec<String>,
    /// The one issuer that may be shown the token, if that is known.
    issuer: Option<String>,
}

impl ExchangeRequest {
    /// Exchanges an access token for another access token.
    pub fn new(subject_token: impl Into<SecretString>) -> Self {
        Self {
            subject_token: subject_token.into(),
            subject_token_type: String::new(),
            actor: None,
            requested_token_type: String::new(),
            scopes: Vec::new(),
            resources: Vec::new(),
            audiences: Vec::new(),
            issuer: None,
        }
    }

    /// No other authorization server may be shown the token.
    pub(crate) fn only_at(mut self, issuer: &str) -> Self {
        self.issuer = Some(issuer.to_owned());
        self
    }

    /// `subject_token_type`. Default: an access token.
    #[must_use]
    pub fn subject_token_type(mut self, token_type: impl Into<String>) -> Self {
        self.subject_token_type = token_type.into();
        self
    }

    /// `actor_token`, an access token: who acts for the subject.
    #[must_use]
    pub fn actor_token(self, token: impl Into<SecretString>) -> Self {
        self.actor_token_of_type(token, "")
    }

    /// `actor_token` and `actor_token_type`.
    #[must_use]
    pub fn actor_token_of_type(
        mut self,
        token: impl Into<SecretString>,
        token_type: impl Into<String>,
    ) -> Self {
        self.actor = Some((token.into(), token_type.into()));
        self
    }

    /// `requested_token_type`. Default: not sent, and an access token is expected.
    #[must_use]
    pub fn requested_token_type(mut self, token_type: impl Into<String>) -> Self {
        self.requested_token_type = token_type.into();
        self
    }

    /// Asks for scopes.
    #[must_use]
    pub fn scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes.extend(scopes.into_iter().map(Into::into));
        self
    }

    /// The URI of a service for which the new token is; repeated calls add up.
    #[must_use]
    pub fn resource(mut self, resource: impl Into<String>) -> Self {
        self.resources.push(resource.into());
        self
    }

    /// The name of a service for which the new token is; repeated calls add up.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audiences.push(audience.into());
        self
    }

    /// What is sent to the authorization server `issuer`.
    pub(crate) fn form(&self, issuer: &str) -> Result<Form, ClientError> {
        // Whoever gets it could use it here until it expires.
        if self.issuer.as_deref().is_some_and(|only| only != issuer) {
            return Err(ClientError::Request(
                "the caller's token is of another issuer than this client's and is not shown to it; exchange it with `guard.client_of(&claims.issuer)`",
            ));
        }
        let subject_token = self.subject_token.expose_secret();
        if subject_token.is_empty() {
            return Err(ClientError::Request("a token exchange needs a subject token"));
        }
        let mut form = Form::default();
        form.push("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange");
        form.push("subject_token", subject_token);
        form.push("subject_token_type", or_access_token(&self.subject_token_type));
        // RFC 8693 §2.1: the type only goes with the token.
        if let Some((token, token_type)) = &self.actor
            && !token.expose_secret().is_empty()
        {
            form.push("actor_token", token.expose_secret());
            form.push("actor_token_type", or_access_token(token_type));
        }
        form.push("requested_token_type", &self.requested_token_type);
        form.push("scope", &space_separated(&self.scopes));
        form.push_all("resource", &self.resources);
        form.push_all("audience", &self.audiences);
        Ok(form)
    }

    pub(crate) fn issued_token_type(&self) -> String {
        or_access_token(&self.requested_token_type).to_owned()
    }
}

fn or_access_token(token_type: &str) -> &str {
    if token_type.is_empty() {
        ACCESS_TOKEN_TYPE
    } else {
        token_type
    }
}

/// What the authorization server knows about a token (RFC 7662 §2.2). All that is not about `active` is `None` or empty
/// when the token is not active.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IntrospectionResponse {
    /// Whether the token counts now. A server that does not say so says no.
    pub active: bool,
    /// `scope`
    pub scope: Option<String>,
    /// `client_id`
    pub client_id: Option<String>,
    /// `username`
    pub username: Option<String>,
    /// `token_type`
    pub token_type: Option<String>,
    /// `exp`
    pub expires_at: Option<UnixSeconds>,
    /// `iat`
    pub issued_at: Option<UnixSeconds>,
    /// `nbf`
    pub not_before: Option<UnixSeconds>,
    /// `sub`
    pub subject: Option<String>,
    /// `aud`, a text or an array of texts.
    pub audience: Vec<String>,
    /// `iss`
    pub issuer: Option<String>,
    /// `jti`
    pub jti: Option<String>,
    /// `cnf.jkt` (RFC 9449 §6.2)
    pub key_thumbprint: Option<String>,
    /// Every member of the answer.
    pub raw: Map<String, Value>,
}

impl IntrospectionResponse {
    pub(crate) fn read(members: Members) -> Result<Self, ClientError> {
        const WRONG: &str = "a member of the introspection answer has the wrong type";
        match members.0.get("active") {
            Some(Value::Bool(true)) => {}
            Some(Value::Bool(false)) | None => return Ok(Self::default()),
            Some(_) => return Err(ClientError::Protocol("`active` is neither true nor false")),
        }
        let text = |name| members.text(name, WRONG).map(|text| text.map(str::to_owned));
        Ok(Self {
            active: true,
            scope: text("scope")?,
            client_id: text("client_id")?,
            username: text("username")?,
            token_type: text("token_type")?,
            expires_at: members.time("exp", WRONG)?,
            issued_at: members.time("iat", WRONG)?,
            not_before: members.time("nbf", WRONG)?,
            subject: text("sub")?,
            audience: audience(&members)?,
            issuer: text("iss")?,
            jti: text("jti")?,
            key_thumbprint: key_thumbprint(&members)?,
            raw: members.0,
        })
    }
}

fn audience(members: &Members) -> Result<Vec<String>, ClientError> {
    const WRONG: ClientError = ClientError::Protocol("`aud` is neither a text nor an array of texts");
    match members.0.get("aud") {
        None => Ok(Vec::new()),
        Some(Value::String(one)) => Ok(vec![one.clone()]),
        Some(Value::Array(several)) => several
            .iter()
            .map(|one| one.as_str().map(str::to_owned).ok_or(WRONG))
            .collect(),
        Some(_) => Err(WRONG),
    }
}

/// A confirmation that is there but cannot be read must not make a bound token look unbound.
fn key_thumbprint(members: &Members) -> Result<Option<String>, ClientError> {
    const WRONG: ClientError = ClientError::Protocol("`cnf` is not an object with the `jkt` of a key");
    match members.0.get("cnf") {
        None => Ok(None),
        Some(Value::Object(confirmation)) => match confirmation.get("jkt") {
            Some(Value::String(thumbprint)) => Ok(Some(thumbprint.clone())),
            _ => Err(WRONG),
        },
        Some(_) => Err(WRONG),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<IntrospectionResponse, ClientError> {
        IntrospectionResponse::read(Members::parse(body.as_bytes())?)
    }

    #[test]
    fn an_active_token_is_read() {
        let token = read(
            r#"{"active":true,"scope":"a b","client_id":"c","sub":"s","aud":["x","y"],"exp":5,"cnf":{"jkt":"k"},"gid":"g"}"#,
        )
        .unwrap();
        assert!(token.active);
        assert_eq!(token.scope.as_deref(), Some("a b"));
        assert_eq!(token.expires_at, Some(UnixSeconds(5)));
        assert_eq!(token.audience, ["x", "y"]);
        assert_eq!(token.key_thumbprint.as_deref(), Some("k"));
        assert_eq!(token.raw["gid"], "g");
        assert_eq!(read(r#"{"active":true,"aud":"x"}"#).unwrap().audience, ["x"]);
    }

    #[test]
    fn a_server_that_does_not_say_active_says_no() {
        for body in [
            "{}",
            r#"{"active":false}"#,
            r#"{"sub":"s","exp":"soon"}"#,
            r#"{"active":false,"sub":5}"#,
        ] {
            assert_eq!(read(body).unwrap(), IntrospectionResponse::default(), "{body}");
        }
    }

    #[test]
    fn wrong_types_are_protocol_errors() {
        for member in [
            r#""active":"true""#,
            r#""active":1"#,
            r#""active":null"#,
            r#""active":true,"exp":"5""#,
            r#""active":true,"exp":-5"#,
            r#""active":true,"exp":5.5"#,
            r#""active":true,"sub":5"#,
            r#""active":true,"scope":["a"]"#,
            r#""active":true,"aud":5"#,
            r#""active":true,"aud":["a",5]"#,
            r#""active":true,"cnf":"k""#,
            r#""active":true,"cnf":{}"#,
            r#""active":true,"active":false"#,
        ] {
            let outcome = read(&format!("{{{member}}}"));
            assert!(matches!(outcome, Err(ClientError::Protocol(_))), "{member}");
        }
    }

    #[test]
    fn order_and_repetition_do_not_make_another_token() {
        let request = |scopes: &[&str], resources: &[&str]| {
            let request = ClientCredentialsRequest::new().scopes(scopes.iter().copied());
            resources
                .iter()
                .fold(request, |request, resource| request.resource(*resource))
                .key()
        };
        assert_eq!(
            request(&["a", "b", ""], &["x"]),
            request(&["b a", "b"], &["x", "x"])
        );
        assert_ne!(request(&["a"], &["b"]), request(&["a", "b"], &[]));
        assert_ne!(request(&["a"], &["x"]), request(&["a"], &["y"]));
    }
}
