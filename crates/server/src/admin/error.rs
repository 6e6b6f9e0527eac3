//! Errors of the admin API: `{"error","error_description","error_id"}`, and input that says what is wrong.

use std::borrow::Cow;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use doorward_jose::JoseError;
use doorward_jose::json::{self, MAX_DEPTH, objects};
use doorward_oauth::error::OAuthError;
use doorward_store::StoreError;
use http::request::Parts;
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::error::{PageError, UNKNOWN_ENDPOINT};
use crate::keys::KeyError;
use crate::login::PasswordError;

/// Why a request of an operator was not carried out. Nothing of it was.
#[derive(Debug)]
pub(super) enum AdminError {
    /// No admin key, or a wrong one; which of them is for the log alone.
    Unauthenticated(&'static str),
    /// Nothing is served there.
    UnknownEndpoint,
    /// No such thing.
    NotFound(&'static str),
    /// The name is taken, or another record needs this one.
    Conflict(Cow<'static, str>),
    /// The record is not what was read.
    NotAsRead,
    /// The input cannot be used; the sentence says how to fix it.
    Invalid(String),
    /// The input cannot be read.
    Unreadable(StatusCode, String),
    /// The store failed.
    Store(StoreError),
    /// A fault of the server.
    Internal(String),
}

impl AdminError {
    /// Input that cannot be used; the sentence says how to fix it.
    pub(super) fn invalid(sentence: impl Into<String>) -> Self {
        Self::Invalid(sentence.into())
    }

    /// Another sentence for what is taken: it says what of it is.
    pub(super) fn taken(sentence: &'static str) -> impl FnOnce(StoreError) -> Self {
        move |error| match error {
            StoreError::Conflict => Self::Conflict(sentence.into()),
            error => error.into(),
        }
    }
}

/// The body of every error.
#[derive(Serialize, ToSchema)]
pub(super) struct ErrorBody {
    /// A code for programs.
    error: String,
    /// A sentence for people, with the fix.
    error_description: String,
    /// Finds the log line.
    error_id: String,
}

impl From<StoreError> for AdminError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound => {
                Self::NotFound("There is no such record; list the records to see what there is.")
            }
            StoreError::Conflict => Self::Conflict("The name or identifier is taken; choose another.".into()),
            StoreError::Invalid(sentence) => Self::Invalid(sentence.to_owned()),
            error => Self::Store(error),
        }
    }
}

impl From<KeyError> for AdminError {
    fn from(error: KeyError) -> Self {
        match error {
            KeyError::Store(error) => error.into(),
            KeyError::Full { .. } => Self::Conflict(format!("{error}.").into()),
            error => Self::Internal(error.to_string()),
        }
    }
}

impl From<PasswordError> for AdminError {
    fn from(error: PasswordError) -> Self {
        match error {
            PasswordError::Busy => Self::Store(StoreError::Busy),
            PasswordError::Failed(internal) => Self::Internal(internal),
            PasswordError::TooShort | PasswordError::TooLong => Self::Invalid(format!("{error}.")),
        }
    }
}

impl From<OAuthError> for AdminError {
    fn from(error: OAuthError) -> Self {
        Self::Invalid(error.description.into_owned())
    }
}

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        let sentence = |status, sentence: String| PageError::new(status, "", sentence);
        let error = match self {
            Self::Unauthenticated(why) => {
                let error = sentence(
                    StatusCode::UNAUTHORIZED,
                    "Send Authorization: Bearer with an admin key: the one that was printed at first start, one that `doorward admin admin-key create` printed, or admin.bootstrap_key.".to_owned(),
                );
                let mut response = error.with_internal(why).into_response();
                let challenge = HeaderValue::from_static("Bearer realm=\"admin\"");
                response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
                return response;
            }
            Self::UnknownEndpoint => sentence(
                StatusCode::NOT_FOUND,
                "Nothing is served at this address; GET /admin/openapi.json names every operation."
                    .to_owned(),
            )
            .with_code(UNKNOWN_ENDPOINT),
            Self::NotFound(text) => sentence(StatusCode::NOT_FOUND, text.to_owned()),
            Self::Conflict(text) => sentence(StatusCode::CONFLICT, text.into_owned()),
            Self::NotAsRead => sentence(
                StatusCode::PRECONDITION_FAILED,
                "The record does not have the ETag that If-Match names: it was changed since; read it again, and send the change with the ETag that it has now.".to_owned(),
            ),
            Self::Invalid(text) => sentence(StatusCode::BAD_REQUEST, text),
            Self::Unreadable(status, text) => sentence(status, text).quoting(),
            Self::Store(error) => error.into(),
            Self::Internal(internal) => PageError::internal(internal),
        };
        error.into_response()
    }
}

/// Where a new record is (RFC 9110 §15.3.2).
pub(super) type Location = [(HeaderName, String); 1];

/// The address of the record `name` in a collection.
pub(super) fn location(collection: &str, name: impl std::fmt::Display) -> Location {
    [(header::LOCATION, format!("{collection}/{name}"))]
}

/// A JSON body. Unknown members are refused by the types themselves.
#[derive(Deserialize)]
#[serde(transparent, bound(deserialize = "T: Deserialize<'de>"))]
pub(super) struct Body<T>(#[serde(deserialize_with = "objects")] pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = AdminError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AdminError> {
        let (parts, bytes) = whole(request, state).await?;
        let request = Request::from_parts(parts, bytes.clone().into());
        let Json(body) = Json::<Self>::from_request(request, state)
            .await
            .map_err(|rejection| {
                let status = match rejection {
                    JsonRejection::JsonDataError(_) => StatusCode::BAD_REQUEST,
                    ref other => other.status(),
                };
                AdminError::Unreadable(status, rejection.body_text())
            })?;
        check_strictly(&bytes)?;
        Ok(body)
    }
}

async fn whole<S: Send + Sync>(request: Request, state: &S) -> Result<(Parts, Bytes), AdminError> {
    let (parts, body) = request.into_parts();
    let bytes = Bytes::from_request(Request::from_parts(parts.clone(), body), state)
        .await
        .map_err(|rejection| AdminError::Unreadable(rejection.status(), rejection.body_text()))?;
    Ok((parts, bytes))
}

/// What is JSON and fits, and must not be taken all the same: values of a body go into tokens, and whoever reads those reads
/// strictly.
fn check_strictly(bytes: &[u8]) -> Result<(), AdminError> {
    let sentence = match json::from_slice::<IgnoredAny>(bytes) {
        Ok(IgnoredAny) => return Ok(()),
        Err(JoseError::DuplicateMember) => {
            "A member is there twice in one object; leave one of them.".to_owned()
        }
        Err(JoseError::TooDeep) => {
            format!("Objects and arrays are nested too deep: at most {MAX_DEPTH} levels.")
        }
        Err(_) => "The name of a member has a NUL in it; take that away.".to_owned(),
    };
    Err(AdminError::Invalid(sentence))
}

/// The JSON body of a request that may come without one.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T> {
    type Rejection = AdminError;

    async fn from_request(request: Request, state: &S) -> Result<Self, AdminError> {
        let (parts, bytes) = whole(request, state).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        let Body(value) =
            Body::<Option<T>>::from_request(Request::from_parts(parts, bytes.into()), state).await?;
        Ok(Self(value.unwrap_or_default()))
    }
}

/// A part of the path.
pub(super) struct Path<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        let unreadable = |_: PathRejection| {
            AdminError::invalid("The id in the path is malformed; list the records to see their ids.")
        };
        let axum::extract::Path(value) = read.map_err(unreadable)?;
        Ok(Self(value))
    }
}

/// The query.
pub(super) struct Query<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = AdminError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, AdminError> {
        let read = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        let unreadable = |rejection: QueryRejection| {
            AdminError::Unreadable(StatusCode::BAD_REQUEST, rejection.body_text())
        };
        let axum::extract::Query(value) = read.map_err(unreadable)?;
        Ok(Self(value))
    }
}
