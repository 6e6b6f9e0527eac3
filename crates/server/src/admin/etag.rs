//! What tells a record from what it was before (RFC 9110 §8.8.3), and changes of what was read alone (§13.1.1).

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use doorward_jose::{base64url, sha256};
use http::header::{ETAG, IF_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri};
use serde_json::Value;
use tower::Service as _;

use super::error::AdminError;

/// No part of what somebody decides about: what is shown once, and what use and time alone change (a grant would be another
/// one at each refresh).
const LEFT_OUT: [&str; 5] = ["client_secret", "key", "token", "last_used_at", "end_reason"];

/// Adds its tag to each record that is shown, and refuses a change when the record is not the one that was read. Where
/// changes come one after the other, nothing lies between this look and the change.
pub(super) async fn conditional(
    State(endpoints): State<Router>,
    request: Request,
    next: Next,
) -> Result<Response, AdminError> {
    let method = request.method().clone();
    if !method.is_safe() && request.headers().contains_key(IF_MATCH) {
        let record = shown(endpoints, request.uri().clone()).await;
        match record.status() {
            // What there is not, the change itself tells.
            StatusCode::NOT_FOUND => {}
            StatusCode::OK => {
                if !holds(request.headers(), tagged(record).await?.headers().get(ETAG))? {
                    return Err(AdminError::NotAsRead);
                }
            }
            // Nothing is shown there, so nothing was read.
            StatusCode::METHOD_NOT_ALLOWED => return Err(AdminError::NotAsRead),
            _ => return Ok(record),
        }
    }
    let answer = next.run(request).await;
    let shows_the_record = match method {
        Method::GET | Method::PATCH => answer.status() == StatusCode::OK,
        Method::POST => answer.status() == StatusCode::CREATED,
        _ => false,
    };
    if shows_the_record {
        return tagged(answer).await;
    }
    Ok(answer)
}

/// What a reader would be shown there.
async fn shown(mut endpoints: Router, uri: Uri) -> Response {
    let mut request = Request::new(Body::empty());
    *request.uri_mut() = uri;
    match endpoints.call(request).await {
        Ok(answer) => answer,
        Err(never) => match never {},
    }
}

/// The answer with its tag, if it is a record.
async fn tagged(answer: Response) -> Result<Response, AdminError> {
    let (mut parts, body) = answer.into_parts();
    let unreadable = |error: axum::Error| AdminError::Internal(error.to_string());
    let body = to_bytes(body, usize::MAX).await.map_err(unreadable)?;
    if let Some(tag) = tag(&body) {
        parts.headers.insert(ETAG, tag);
    }
    Ok(Response::from_parts(parts, body.into()))
}

/// Of a record: lists have none.
fn tag(body: &[u8]) -> Option<HeaderValue> {
    let Ok(Value::Object(mut record)) = serde_json::from_slice(body) else {
        return None;
    };
    if record.contains_key("items") {
        return None;
    }
    for member in LEFT_OUT {
        record.remove(member);
    }
    let digest = sha256(Value::Object(record).to_string().as_bytes());
    HeaderValue::try_from(format!("\"{}\"", base64url::encode(&digest))).ok()
}

/// Whether the record with this tag is one that may be changed; what has none was not read.
fn holds(headers: &HeaderMap, tag: Option<&HeaderValue>) -> Result<bool, AdminError> {
    let fields = headers.get_all(IF_MATCH).iter();
    let fields: Vec<&str> = fields.map(|field| field.to_str().unwrap_or_default()).collect();
    let list = fields.join(",");
    let is_any = list.trim() == "*";
    let tags = if is_any {
        Some(Vec::new())
    } else {
        strong_tags(&list)
    };
    let tags = tags.ok_or_else(|| {
        AdminError::invalid("If-Match has to be * or an ETag as it was given, with its double quotes.")
    })?;
    let tag = tag.and_then(|tag| tag.to_str().ok());
    Ok(tag.is_some_and(|tag| is_any || tags.contains(&tag)))
}

/// Those of a list (§5.6.1) that can be the tag of a record (§8.8.3.2); there can be commas in them. `None` when it is no list
/// of tags.
fn strong_tags(mut list: &str) -> Option<Vec<&str>> {
    const SPACE: [char; 2] = [' ', '\t'];
    let mut strong = Vec::new();
    loop {
        list = list.trim_start_matches([' ', '\t', ',']);
        if list.is_empty() {
            return Some(strong);
        }
        let tag = list.strip_prefix("W/").unwrap_or(list);
        let end = tag.strip_prefix('"')?.find('"')? + 2;
        if tag.len() == list.len() {
            strong.push(&tag[..end]);
        }
        list = tag[end..].trim_start_matches(SPACE);
        if !list.is_empty() && !list.starts_with(',') {
            return None;
        }
    }
}
