//! The `OpenAPI` document, and what handlers do not say of themselves.

use utoipa::Modify;
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa::openapi::{
    ContentBuilder, Header, HeaderBuilder, OpenApi, Ref, RefOr, Required, Response, ResponseBuilder,
};

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "Doorward admin API",
        description = "Resources, clients, people, grants, token exchange, trusted issuers, assertion audiences, admin keys, signing keys and the audit list. Send `Authorization: Bearer <admin key>`."
    ),
    modifiers(&AdminKeyScheme),
    security(("admin_key" = []))
)]
pub(super) struct Document;

struct AdminKeyScheme;

impl Modify for AdminKeyScheme {
    fn modify(&self, document: &mut OpenApi) {
        let components = document.components.get_or_insert_default();
        components.add_security_scheme(
            "admin_key",
            SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer)),
        );
    }
}

/// The operation's name, and as its tag the collection that it is about (`OpenAPI` 3.1 §4.8.10.1).
pub(super) fn name_operation<E: utoipa::Path>(document: &mut OpenApi, id: &str) {
    let path = E::path();
    let collection = path.split('/').nth(2).unwrap_or_default().to_owned();
    let Some(item) = document.paths.paths.get_mut(&path) else {
        return;
    };
    for method in E::methods() {
        let operation = match method {
            HttpMethod::Get => &mut item.get,
            HttpMethod::Post => &mut item.post,
            HttpMethod::Patch => &mut item.patch,
            HttpMethod::Delete => &mut item.delete,
            _ => continue,
        };
        if let Some(operation) = operation {
            operation.operation_id = Some(id.to_owned());
            operation.tags = Some(vec![collection.clone()]);
        }
    }
}

/// What a status means wherever it is answered; the description of a response is required (`OpenAPI` 3.1 §4.8.17.1).
fn meaning(status: &str) -> &'static str {
    match status {
        "200" => "It was done, or here it is.",
        "201" => "It was made.",
        "204" => "It was done.",
        "400" => "The input cannot be used; the sentence says how to fix it.",
        "404" => "There is no such record.",
        "409" => "It is taken, or something that is there stands against it.",
        "503" => "The database does not answer, or not in time.",
        _ => "What else can happen.",
    }
}

/// With what every operation may answer that no handler decides (no key, an unreadable body, a store that is away), what each
/// status means, and the tags of records.
pub(super) fn completed(mut document: OpenApi) -> OpenApi {
    for item in document.paths.paths.values_mut() {
        let operations = [&mut item.get, &mut item.post, &mut item.patch, &mut item.delete];
        for operation in operations.into_iter().flatten() {
            let responses = &mut operation.responses.responses;
            for (status, response) in &mut *responses {
                if let RefOr::T(response) = response {
                    describe(status, response);
                }
            }
            responses.insert("default".to_owned(), RefOr::T(error("Any other error")));
        }
    }
    tell_conditions(&mut document);
    document
}

fn describe(status: &str, response: &mut Response) {
    if !response.description.is_empty() {
        return;
    }
    meaning(status).clone_into(&mut response.description);
    if status == "201" {
        let mut header = Header::default();
        header.description = Some("Where it is.".to_owned());
        response.headers.insert("Location".to_owned(), RefOr::T(header));
    }
}

fn error(description: &str) -> Response {
    ResponseBuilder::new()
        .description(description)
        .content(
            "application/json",
            ContentBuilder::new()
                .schema(Some(Ref::from_schema_name("ErrorBody")))
                .build(),
        )
        .build()
}

/// Says what [`etag`](super::etag) does with what has an address of its own and can be changed or removed there.
fn tell_conditions(document: &mut OpenApi) {
    let mut collections = Vec::new();
    for (path, item) in &mut document.paths.paths {
        let Some((collection, last)) = path.rsplit_once('/') else {
            continue;
        };
        let can_change = item.patch.is_some() || item.delete.is_some();
        let Some(get) = item.get.as_mut().filter(|_| can_change && last.starts_with('{')) else {
            continue;
        };
        tells_the_tag(get, "200");
        for change in [&mut item.patch, &mut item.delete].into_iter().flatten() {
            tells_the_tag(change, "200");
            change
                .parameters
                .get_or_insert_default()
                .push(RefOr::T(condition()));
            let responses = &mut change.responses.responses;
            responses.insert(
                "412".to_owned(),
                RefOr::T(error("The record is not the one that `If-Match` names")),
            );
        }
        collections.push(collection.to_owned());
    }
    for collection in collections {
        let item = document.paths.paths.get_mut(&collection);
        if let Some(create) = item.and_then(|item| item.post.as_mut()) {
            tells_the_tag(create, "201");
        }
    }
}

fn tells_the_tag(operation: &mut Operation, status: &str) {
    if let Some(RefOr::T(response)) = operation.responses.responses.get_mut(status) {
        response.headers.insert("ETag".to_owned(), RefOr::T(etag()));
    }
}

fn etag() -> Header {
    HeaderBuilder::new()
        .description(Some("The record as it stands: for `If-Match`."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}

fn condition() -> Parameter {
    ParameterBuilder::new()
        .name("If-Match")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some(
            "The `ETag` of the record that was read, several, or `*` for whatever it is: nothing is done to another one.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}
