//! What a `dev` run needs before the walk: an admin key, a person, and the demo resource.

use std::path::Path;

use doorward_server::random::{OsRandom, Random};
use reqwest::Method;
use serde_json::{Value, json};

use super::Place;
use crate::admin::{Api, page_query, path};
use crate::init::write_secret;

/// Kept in the data directory (0600), so that a second run finds the same.
pub struct Secrets {
    /// The admin key.
    pub admin_key: String,
    password: String,
}

/// Who signs in.
pub struct Person {
    /// The e-mail address.
    pub email: String,
    /// The password.
    pub password: String,
}

impl Secrets {
    /// Reads the secrets of an earlier run, or makes them.
    pub fn load_or_create(data_dir: &Path) -> anyhow::Result<Self> {
        Ok(Self {
            admin_key: secret(&data_dir.join("admin.key"), "dwk_")?,
            password: secret(&data_dir.join("dev.password"), "")?,
        })
    }
}

fn secret(path: &Path, prefix: &str) -> anyhow::Result<String> {
    if !path.exists() {
        write_secret(
            path,
            &format!("{}\n", (&OsRandom::default() as &dyn Random).token(prefix)),
        )?;
    }
    Ok(std::fs::read_to_string(path)?.trim_end().to_owned())
}

/// What an operator does during a `dev` run.
pub struct Operator(Api);

impl Operator {
    /// Over the admin API, with the admin key of the data directory.
    pub fn new(place: &Place, secrets: &Secrets) -> anyhow::Result<Self> {
        Ok(Self(Api::new(
            &place.admin_url,
            &secrets.admin_key.clone().into(),
            false,
        )?))
    }

    /// Creates the person and the demo resource, unless an earlier run did.
    pub async fn prepare(&self, place: &Place, secrets: &Secrets) -> anyhow::Result<Person> {
        let Self(api) = self;
        let person = Person {
            email: "dev@doorward.test".to_owned(),
            password: secrets.password.clone(),
        };
        let users = api.call(Method::GET, "/admin/users?limit=200", None).await?;
        if !has(&users, "email", &person.email) {
            let user = json!({"email": person.email, "name": "Dev", "password": person.password});
            api.call(Method::POST, "/admin/users", Some(&user)).await?;
        }
        let resources = api.call(Method::GET, "/admin/resources?limit=200", None).await?;
        if !has(&resources, "uri", &place.mcp_url) {
            api.call(Method::POST, "/admin/resources", Some(&demo_resource(place)))
                .await?;
        }
        Ok(person)
    }

    /// Ends the active grants of a client. Returns how many there were.
    pub async fn end_grants(&self, client_id: &str) -> anyhow::Result<usize> {
        let Self(api) = self;
        let query = page_query(
            None,
            200,
            &[("client_id", Some(client_id)), ("state", Some("active"))],
        );
        let grants = api
            .call(Method::GET, &format!("/admin/grants{query}"), None)
            .await?;
        let ids: Vec<&str> = grants["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|grant| grant["id"].as_str())
            .collect();
        for id in &ids {
            api.call(Method::DELETE, &path("/admin/grants", id), None).await?;
        }
        Ok(ids.len())
    }
}

fn demo_resource(place: &Place) -> Value {
    // Another port makes another resource: the slug carries it.
    let port = place
        .mcp_url
        .trim_end_matches("/mcp")
        .rsplit(':')
        .next()
        .unwrap_or_default();
    json!({
        "slug": format!("demo-{port}"),
        "uri": place.mcp_url,
        "backend_kind": "mint",
        "display_name": "Demo MCP server",
        "scopes": [
            {"name": "mcp:read", "description": "Use the reading tools"},
            {"name": "mcp:write", "description": "Use the writing tools", "default": false},
        ],
    })
}

fn has(list: &Value, member: &str, value: &str) -> bool {
    list["items"]
        .as_array()
        .is_some_and(|items| items.iter().any(|item| item[member] == value))
}
