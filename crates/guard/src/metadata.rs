//! Protected resource metadata (RFC 9728): how a client finds the authorization server.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use doorward_oauth::issuer::Issuer;
use doorward_oauth::metadata::ProtectedResourceMetadata;
use doorward_oauth::resource::ResourceUri;
use doorward_oauth::scope::ScopeSet;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW,
    CACHE_CONTROL, CONTENT_TYPE,
};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use tower_service::Service;

use crate::dpop::{DpopPolicy, DpopSettings};

/// The path at the root of the host.
pub(crate) const ROOT_PATH: &str = "/.well-known/oauth-protected-resource";

/// The document, rendered once.
#[derive(Debug)]
pub(crate) struct Metadata {
    body: Bytes,
    /// Where it is served: the well-known path with the resource's path inserted (RFC 9728 §3.1).
    pub(crate) path: String,
}

impl Metadata {
    pub(crate) fn new(
        issuers: &[Issuer],
        resource: &ResourceUri,
        scopes: &ScopeSet,
        name: Option<String>,
        documentation: Option<String>,
        dpop: &DpopSettings,
    ) -> Self {
        let dpop_is_on = dpop.policy() != DpopPolicy::Off;
        let algorithms = dpop.algorithms().into_iter().map(str::to_owned).collect();
        let scopes: Vec<_> = scopes.iter().map(ToString::to_string).collect();
        let document = ProtectedResourceMetadata {
            resource: resource.as_str().to_owned(),
            authorization_servers: issuers.iter().map(ToString::to_string).collect(),
            scopes_supported: (!scopes.is_empty()).then_some(scopes),
            bearer_methods_supported: Some(vec!["header".to_owned()]),
            resource_name: name,
            resource_documentation: documentation,
            dpop_signing_alg_values_supported: dpop_is_on.then_some(algorithms),
            dpop_bound_access_tokens_required: dpop_is_on.then_some(dpop.policy() == DpopPolicy::Require),
            ..ProtectedResourceMetadata::default()
        };
        // Strings in lists: nothing that could fail to serialise.
        let body = serde_json::to_vec(&document).unwrap_or_default().into();
        Self {
            body,
            path: format!("{ROOT_PATH}{}", resource.path()),
        }
    }
}

/// Answers with the resource metadata, to anybody. Made by [`Guard::metadata_service`](crate::Guard::metadata_service).
#[derive(Debug, Clone)]
pub struct MetadataService {
    body: Bytes,
}

impl MetadataService {
    pub(crate) fn new(metadata: &Metadata) -> Self {
        Self {
            body: metadata.body.clone(),
        }
    }

    pub(crate) fn answer(&self, method: &Method) -> Response<Bytes> {
        const METHODS: HeaderValue = HeaderValue::from_static("GET, HEAD, OPTIONS");
        let mut response = Response::new(Bytes::new());
        if method == Method::GET || method == Method::HEAD {
            // The server below drops the body of an answer to HEAD and keeps its length.
            *response.body_mut() = self.body.clone();
            let headers = response.headers_mut();
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=3600"));
        } else if method == Method::OPTIONS {
            *response.status_mut() = StatusCode::NO_CONTENT;
            let headers = response.headers_mut();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static("MCP-Protocol-Version, *"),
            );
        } else {
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response.headers_mut().insert(ALLOW, METHODS);
        }
        response
            .headers_mut()
            .insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
        response
    }
}

impl<B> Service<Request<B>> for MetadataService {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        ready(Ok(self.answer(request.method()).map(Full::new)))
    }
}
