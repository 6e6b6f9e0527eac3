//! The `OpenAPI` document: that it is one, and that it says what the server answers.

use std::collections::BTreeSet;

use doorward_store::ClientSource;
use serde_json::{Map, Value, json};

use crate::operator::{Operator, operator};
use crate::support::{Authorization, PASSWORD, REDIRECT};

fn document() -> Value {
    serde_json::to_value(doorward_server::admin_openapi()).unwrap()
}

fn object(value: &Value) -> &Map<String, Value> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}"))
}

/// Every operation, by method and path.
fn operations(document: &Value) -> Vec<(String, &Value)> {
    let paths = object(&document["paths"]).iter();
    let named = |(path, operations): (&String, &'_ Value)| {
        let operations = object(operations).clone().into_iter();
        operations
            .map(|(method, _)| (method, path.clone()))
            .collect::<Vec<_>>()
    };
    let all = paths.flat_map(named);
    all.map(|(method, path)| {
        let operation = &document["paths"][&path][&method];
        (format!("{} {path}", method.to_uppercase()), operation)
    })
    .collect()
}

/// What stands in braces in a path.
fn names_in(path: &str) -> BTreeSet<&str> {
    path.split('{')
        .skip(1)
        .filter_map(|rest| rest.split('}').next())
        .collect()
}

fn references<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::Object(members) => {
            found.extend(members.get("$ref").and_then(Value::as_str));
            members.values().for_each(|member| references(member, found));
        }
        Value::Array(items) => items.iter().for_each(|item| references(item, found)),
        _ => {}
    }
}

fn resolved<'a>(document: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    match schema["$ref"].as_str() {
        None => Some(schema),
        Some(reference) => document.pointer(reference.strip_prefix('#')?),
    }
}

/// `OpenAPI` 3.1 §4.8: what makes generators stop, or leave things out.
#[test]
fn the_document_is_valid() {
    let document = document();
    let mut faults = Vec::new();
    let mut ids = BTreeSet::new();
    let operations = operations(&document);
    for (name, operation) in &operations {
        let id = operation["operationId"].as_str().unwrap_or_default();
        if id.is_empty() || !ids.insert(id) {
            faults.push(format!(
                "{name}: the operationId `{id}` names another one too, or none"
            ));
        }
        let tags = operation["tags"].as_array().map_or(0, Vec::len);
        if tags == 0 {
            faults.push(format!("{name}: no tag"));
        }
        for (status, response) in object(&operation["responses"]) {
            let response = resolved(&document, response).unwrap_or(&Value::Null);
            if response["description"].as_str().unwrap_or_default().is_empty() {
                faults.push(format!("{name}: the response {status} has no description"));
            }
        }
        let parameters = operation["parameters"].as_array();
        let parameters: Vec<&Value> = parameters.into_iter().flatten().collect();
        let mut declared = BTreeSet::new();
        for parameter in &parameters {
            let key = (
                parameter["in"].as_str().unwrap(),
                parameter["name"].as_str().unwrap(),
            );
            if !declared.insert(key) || !parameter["schema"].is_object() {
                faults.push(format!("{name}: {key:?} is there twice, or is nothing"));
            }
            if key.0 == "path" && parameter["required"] != true {
                faults.push(format!("{name}: {key:?} is not required"));
            }
        }
        let in_path = declared.iter().filter(|(place, _)| *place == "path");
        if in_path.map(|(_, name)| *name).collect::<BTreeSet<_>>() != names_in(name) {
            faults.push(format!("{name}: its path has other parameters than {declared:?}"));
        }
    }
    let mut found = Vec::new();
    references(&document, &mut found);
    assert!(!found.is_empty());
    for reference in found {
        if resolved(&document, &json!({"$ref": reference})).is_none() {
            faults.push(format!("{reference} leads nowhere"));
        }
    }
    assert!(operations.len() >= 45, "{}", operations.len());
    assert_eq!(faults, Vec::<String>::new());
}

/// The members of objects by a schema: name, schema, and whether each object has it.
fn members<'a>(document: &'a Value, schema: &'a Value) -> Vec<(&'a String, &'a Value, bool)> {
    let schema = resolved(document, schema).expect("a reference that leads somewhere");
    let parts = ["allOf", "oneOf", "anyOf"]
        .iter()
        .filter_map(|word| schema[word].as_array())
        .flatten();
    let mut all: Vec<_> = parts.flat_map(|part| members(document, part)).collect();
    let required = schema["required"].as_array().into_iter().flatten();
    let required: Vec<&Value> = required.collect();
    let own = schema["properties"].as_object().into_iter().flatten();
    all.extend(own.map(|(name, schema)| {
        let is_required = required.iter().any(|required| **required == name.as_str());
        (name, schema, is_required)
    }));
    all
}

/// An operator who looks at every answer whether the document tells of it.
struct Reader {
    operator: Operator,
    document: Value,
    asked: BTreeSet<String>,
    /// What was in an answer: the name of the schema and of the member.
    seen: BTreeSet<(String, String)>,
    faults: BTreeSet<String>,
}

impl Reader {
    async fn ask(&mut self, method: &str, path: &str, place: &str, body: Value) -> Value {
        let reply = self.operator.call(method, place, body).await;
        let status = reply.status.as_u16().to_string();
        let operation = format!("{method} {path}");
        let described = &self.document["paths"][path][method.to_lowercase()]["responses"][&status];
        let described = described.clone();
        assert!(
            described.is_object(),
            "{operation} {status} is not in the document: {reply:?}"
        );
        self.asked.insert(operation.clone());
        if status == "201" {
            let made = reply.header("location").to_owned();
            let found = self.operator.call("GET", &made, Value::Null).await;
            assert_eq!(found.status, 200, "{operation} {made}");
            let found = found.json();
            let found = found["items"].get(0).unwrap_or(&found);
            for id in ["slug", "client_id", "id", "key_id", "subject"] {
                assert_eq!(found.get(id), reply.json().get(id), "{operation} {made}");
            }
        }
        let schema = &described["content"]["application/json"]["schema"];
        if schema.is_null() {
            assert_eq!(reply.body, "", "{operation} {status}");
            return Value::Null;
        }
        let answer = reply.json();
        self.compare(schema, &answer, &operation);
        answer
    }

    /// Every member is in the schema, and the schema demands none that is not there.
    fn compare(&mut self, schema: &Value, value: &Value, place: &str) {
        let document = self.document.clone();
        // The document writes what a list has into the list.
        let in_list = place
            .strip_prefix("List_")
            .and_then(|rest| rest.strip_suffix(".items"));
        let name = match schema["$ref"].as_str() {
            Some(reference) => reference.rsplit('/').next().unwrap_or_default(),
            None => in_list.unwrap_or(place),
        };
        match value {
            Value::Object(there) => {
                let documented = members(&document, schema);
                let whole = resolved(&document, schema).unwrap();
                if documented.is_empty() && whole["additionalProperties"].is_object() {
                    for value in there.values() {
                        self.compare(&whole["additionalProperties"], value, &format!("{name}.*"));
                    }
                    return;
                }
                // Any object.
                if documented.is_empty() {
                    return;
                }
                for (member, value) in there {
                    self.seen.insert((name.to_owned(), member.clone()));
                    let known = documented.iter().find(|(known, ..)| *known == member);
                    match known {
                        Some((_, schema, _)) => self.compare(schema, value, &format!("{name}.{member}")),
                        None => drop(
                            self.faults
                                .insert(format!("{name}: {member} is not in the document")),
                        ),
                    }
                }
                for (member, ..) in documented.iter().filter(|(.., required)| *required) {
                    if !there.contains_key(*member) {
                        self.faults
                            .insert(format!("{name}: {member} is not in the answer"));
                    }
                }
            }
            Value::Array(items) => {
                let items_of = resolved(&document, schema).unwrap()["items"].clone();
                for item in items {
                    self.compare(&items_of, item, place);
                }
            }
            _ => {}
        }
    }

    /// Makes a record, shows, lists, changes and removes it.
    async fn life(&mut self, collection: &str, id: &str, new: Value, change: Value) -> Value {
        let made = self.ask("POST", collection, collection, new).await;
        let path = format!("{collection}/{{{id}}}");
        let place = format!("{collection}/{}", made[id].as_str().unwrap());
        self.ask("GET", &path, &place, Value::Null).await;
        if !change.is_null() {
            self.ask("PATCH", &path, &place, change).await;
        }
        self.ask("GET", collection, collection, Value::Null).await;
        made
    }

    async fn remove(&mut self, path: &str, place: &str) {
        self.ask("DELETE", path, place, Value::Null).await;
    }
}

/// What an answer has only after a long story, which other tests tell.
const NOT_MADE_HERE: &[(&str, &str)] = &[
    ("GrantBody", "more_resources"),
    ("GrantBody", "trusted_issuer"),
    ("AuditBody", "reason"),
    ("Explanation", "token"),
    ("KeyBody", "stops_at"),
];

#[tokio::test]
async fn every_answer_has_the_members_that_the_document_names_and_no_others() {
    let operator = operator().await;
    let mut reader = Reader {
        operator,
        document: document(),
        asked: BTreeSet::new(),
        seen: BTreeSet::new(),
        faults: BTreeSet::new(),
    };
    let policy = json!({"dpop_bound_access_tokens_required": true, "exchange_clients": ["a"], "access_ttl": 60, "refresh_idle_ttl": 60,
        "refresh_absolute_ttl": 60, "max_auth_age": 60, "person_claims": ["email"], "claims": {"tenant": "a"}});
    let resource = json!({"slug": "files", "uri": "https://files.example/mcp", "policy": policy,
        "scopes": [{"name": "files:read", "upstream": "drive"}]});
    let (slug, client_id) = ("slug", "client_id");
    reader
        .life(
            "/admin/resources",
            slug,
            resource,
            json!({"display_name": "Files"}),
        )
        .await;
    people_and_grants(&mut reader).await;
    clients(&mut reader).await;
    let body = json!({"name": "A team", "uses": 2, "expires_in": 60});
    let token = reader
        .life("/admin/initial-access-tokens", "id", body, Value::Null)
        .await;
    let key = reader
        .life("/admin/admin-keys", "id", json!({"name": "ada"}), Value::Null)
        .await;
    for (collection, made) in [
        ("/admin/initial-access-tokens", token),
        ("/admin/admin-keys", key),
    ] {
        let place = format!("{collection}/{}", made["id"].as_str().unwrap());
        reader.remove(&format!("{collection}/{{id}}"), &place).await;
    }
    other_servers(&mut reader).await;
    let rotated = reader
        .ask("POST", "/admin/keys/rotate", "/admin/keys/rotate", Value::Null)
        .await;
    reader
        .ask("POST", "/admin/keys/rotate", "/admin/keys/rotate", Value::Null)
        .await;
    reader.ask("GET", "/admin/keys", "/admin/keys", Value::Null).await;
    let place = format!("/admin/keys/{}", rotated["key_id"].as_str().unwrap());
    reader
        .ask("GET", "/admin/keys/{key_id}", &place, Value::Null)
        .await;
    let path = "/admin/keys/{key_id}/revoke";
    reader
        .ask("POST", path, &format!("{place}/revoke"), Value::Null)
        .await;
    let would_be = json!({client_id: "nobody", "subject_token": "x"});
    let path = "/admin/token-exchange/explain";
    reader.ask("POST", path, path, would_be).await;
    reader
        .remove("/admin/resources/{slug}", "/admin/resources/files")
        .await;
    let mut events = Vec::new();
    let mut query = String::from("?limit=200");
    loop {
        let page = reader
            .ask(
                "GET",
                "/admin/audit",
                &format!("/admin/audit{query}"),
                Value::Null,
            )
            .await;
        events.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=200&cursor={next}");
    }
    let place = format!("/admin/audit/{}", events[0]["id"].as_str().unwrap());
    reader.ask("GET", "/admin/audit/{id}", &place, Value::Null).await;

    assert_eq!(reader.faults, BTreeSet::new());
    let document = reader.document.clone();
    let all = operations(&document).into_iter().map(|(name, _)| name);
    assert_eq!(reader.asked, all.collect());
    let excused = |schema: &str, member: &str| NOT_MADE_HERE.contains(&(schema, member));
    let schemas: BTreeSet<String> = reader.seen.iter().map(|(schema, _)| schema.clone()).collect();
    let mut unseen = Vec::new();
    for schema in schemas
        .iter()
        .filter(|schema| !schema.contains(['.', ' ']) && !schema.starts_with("List_"))
    {
        let reference = json!({"$ref": format!("#/components/schemas/{schema}")});
        for (member, ..) in members(&document, &reference) {
            if !reader.seen.contains(&(schema.clone(), member.clone())) && !excused(schema, member) {
                unseen.push(format!("{schema}: {member} is in no answer"));
            }
        }
    }
    assert_eq!(unseen, Vec::<String>::new());
}

async fn people_and_grants(reader: &mut Reader) {
    let body = json!({"email": "bob@example.com", "password": PASSWORD});
    let bob = reader
        .life("/admin/users", "id", body, json!({"name": "Bob"}))
        .await;
    let place = format!("/admin/users/{}", bob["id"].as_str().unwrap());
    for verb in ["disable", "enable"] {
        let path = format!("/admin/users/{{id}}/{verb}");
        reader
            .ask("POST", &path, &format!("{place}/{verb}"), Value::Null)
            .await;
    }
    reader.remove("/admin/users/{id}", &place).await;

    let body = json!({"client_name": "App", "redirect_uris": [REDIRECT]});
    let client = reader.ask("POST", "/admin/clients", "/admin/clients", body).await;
    let client = client["client_id"].as_str().unwrap().to_owned();
    let app = &reader.operator.app;
    let code = app
        .approve(&app.browser(), &Authorization::new(&client, REDIRECT))
        .await;
    app.redeem(&client, &code).await;
    let grants = reader
        .ask("GET", "/admin/grants", "/admin/grants", Value::Null)
        .await;
    let place = format!("/admin/grants/{}", grants["items"][0]["id"].as_str().unwrap());
    reader.remove("/admin/grants/{id}", &place).await;
    reader.ask("GET", "/admin/grants/{id}", &place, Value::Null).await;
    let path = "/admin/grants/revoke";
    reader.ask("POST", path, path, json!({"client_id": client})).await;
}

async fn clients(reader: &mut Reader) {
    let body = json!({"client_name": "Guard", "redirect_uris": [REDIRECT], "resource_server": "files",
        "token_endpoint_auth_method": "client_secret_basic"});
    let change = json!({"client_name": "The guard"});
    let guard = reader.life("/admin/clients", "client_id", body, change).await;
    let place = format!("/admin/clients/{}", guard["client_id"].as_str().unwrap());
    let path = "/admin/clients/{client_id}/rotate-secret";
    reader
        .ask("POST", path, &format!("{place}/rotate-secret"), Value::Null)
        .await;
    reader.remove("/admin/clients/{client_id}", &place).await;
    let of_itself = json!({
        "redirect_uris": [REDIRECT],
        "client_name": "App",
        "client_uri": "https://client.example",
        "logo_uri": "https://client.example/logo.png",
        "policy_uri": "https://client.example/policy",
        "tos_uri": "https://client.example/tos",
        "contacts": ["ops@client.example"],
        "scope": "mcp:read",
        "software_id": "app",
        "software_version": "1",
        "dpop_bound_access_tokens": true,
        "require_pushed_authorization_requests": true,
    });
    let app = &reader.operator.app;
    app.add_client_with("tells-all", ClientSource::Dynamic, of_itself)
        .await;
    let signs = json!({"redirect_uris": [REDIRECT], "jwks_uri": "https://client.example/jwks.json",
        "token_endpoint_auth_method": "private_key_jwt"});
    app.add_client_with("has-keys-elsewhere", ClientSource::Dynamic, signs)
        .await;
    let keys = app.browser().get("/.well-known/jwks.json").await.json();
    let signs =
        json!({"redirect_uris": [REDIRECT], "jwks": keys, "token_endpoint_auth_method": "private_key_jwt"});
    app.add_client_with("has-keys", ClientSource::Dynamic, signs)
        .await;
    reader
        .ask("GET", "/admin/clients", "/admin/clients", Value::Null)
        .await;
}

async fn other_servers(reader: &mut Reader) {
    let keys = reader
        .operator
        .app
        .browser()
        .get("/.well-known/jwks.json")
        .await
        .json();
    let rule = json!({"name": "a", "client_ids": ["*"], "claims": {"sub": "x"}, "resource": "files", "scope": "files:read",
        "token_lifetime": 60});
    let issuer = json!({"slug": "idp", "kind": "identity_provider", "issuer": "https://idp.example", "tenant": "acme", "jwks": keys,
        "audiences": ["a"], "id_token_clients": {"a": "b"}, "rules": [rule]});
    let collection = "/admin/trusted-issuers";
    reader
        .life(collection, "slug", issuer, json!({"single_use": true}))
        .await;
    let change = json!({"jwks_uri": "https://idp.example/keys"});
    reader
        .ask(
            "PATCH",
            "/admin/trusted-issuers/{slug}",
            "/admin/trusted-issuers/idp",
            change,
        )
        .await;
    let (path, place) = (
        "/admin/trusted-issuers/{slug}/subjects",
        "/admin/trusted-issuers/idp/subjects",
    );
    let link = json!({"subject": "ada lovelace", "user": reader.operator.app.user.id.0});
    reader.ask("POST", path, place, link).await;
    reader.ask("GET", path, place, Value::Null).await;
    reader
        .remove(path, &format!("{place}?subject=ada%20lovelace"))
        .await;
    reader
        .remove("/admin/trusted-issuers/{slug}", "/admin/trusted-issuers/idp")
        .await;

    let rule = json!({"name": "a", "client_ids": ["*"], "resource": "https://there.example/mcp", "scope": "chat.read"});
    let audience = json!({"slug": "there", "issuer": "https://there.example", "person_claims": ["email"],
        "client_names": {"a": "b"}, "rules": [rule]});
    let collection = "/admin/assertion-audiences";
    reader
        .life(collection, "slug", audience, json!({"lifetime": 60}))
        .await;
    reader
        .remove(
            "/admin/assertion-audiences/{slug}",
            "/admin/assertion-audiences/there",
        )
        .await;
}
