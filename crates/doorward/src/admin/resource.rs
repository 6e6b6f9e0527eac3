//! `doorward admin resource`.

use anyhow::bail;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::{Value, json};

use super::api::{Api, Reading, path};
use super::failure::{Failure, Kind};
use super::input;
use super::list::{List, Paging};
use super::policy::Policy;

const COLUMNS: [&str; 4] = ["slug", "uri", "display_name", "scopes"];
/// How often scopes are put together anew, because another operator was faster.
const TRIES: u32 = 10;

#[derive(Subcommand)]
pub enum Command {
    /// Adds a resource.
    Create(Create),
    /// Lists the resources. A scope in brackets is one that only a request that names it gets.
    List(Paging),
    /// Shows a resource.
    Get {
        /// Its short name.
        slug: String,
    },
    /// Changes a resource.
    Update(Update),
    /// Removes a resource with the clients that only introspect its tokens, and ends the grants on it. Not while rules of a
    /// trusted issuer name it.
    Delete {
        /// Its short name.
        slug: String,
    },
}

#[derive(Args)]
pub struct Create {
    /// Short name: lower-case letters, digits and hyphens.
    #[arg(long)]
    slug: String,
    /// The MCP server's URL, exactly as clients type it.
    #[arg(long)]
    uri: String,
    /// Where its tokens come from. `mint`, made by this server, is the only kind so far.
    #[arg(long, default_value = "mint", value_parser = ["mint"])]
    backend_kind: String,
    /// Shown to people; the slug when absent.
    #[arg(long)]
    display_name: Option<String>,
    /// A scope: its name alone, or `name|upstream scope|description` with both bars; the middle is empty for `mint`. May be repeated.
    #[arg(long = "scopes", value_parser = scope)]
    scopes: Vec<Value>,
    /// The name of one of the scopes that only a request that names it gets. May be repeated.
    #[arg(long = "on-request", value_name = "SCOPE", requires = "scopes")]
    on_request: Vec<String>,
    #[command(flatten)]
    policy: Policy,
}

#[derive(Args)]
pub struct Update {
    /// Its short name.
    slug: String,
    /// Known only to be refused: whoever tries it would be led to `--url`, and their key to the MCP server.
    #[arg(long, hide = true)]
    uri: Option<String>,
    /// Shown to people.
    #[arg(long)]
    display_name: Option<String>,
    /// The scopes from now on, `name|upstream scope|description`. May be repeated; those that are not named are taken away. A scope that stays keeps its description, upstream scope and default unless you give others.
    #[arg(long = "scopes", value_parser = scope, group = "named")]
    scopes: Vec<Value>,
    /// A scope more, or another description for one that is there, `name|upstream scope|description`; the others stay. May be repeated.
    #[arg(long = "add-scope", value_name = "SCOPES", value_parser = scope, group = "named")]
    add_scopes: Vec<Value>,
    /// The name of a scope that is taken away; the others stay. May be repeated.
    #[arg(long = "remove-scope", value_name = "SCOPE", conflicts_with = "scopes")]
    remove_scopes: Vec<String>,
    /// The name of one of its scopes that only a request that names it gets. May be repeated.
    #[arg(long = "on-request", value_name = "SCOPE")]
    on_request: Vec<String>,
    /// The name of one of its scopes that a request without `scope` gets, as new ones are. May be repeated.
    #[arg(long = "by-default", value_name = "SCOPE")]
    by_default: Vec<String>,
    #[command(flatten)]
    policy: Policy,
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::Create(create) => {
            let mut scopes = create.scopes;
            set_default(&mut scopes, &create.on_request, false).map_err(Failure::usage)?;
            let mut body = json!({
                "slug": create.slug,
                "uri": create.uri,
                "backend_kind": create.backend_kind,
                "display_name": create.display_name,
                "scopes": scopes,
            });
            if let Some(policy) = create.policy.into_json() {
                body["policy"] = policy;
            }
            api.call(Method::POST, "/admin/resources", Some(&body)).await?
        }
        Command::List(paging) => {
            let list = List {
                prepare: with_brackets,
                ..List::at("/admin/resources", &COLUMNS)
            };
            return list.print(api, &paging).await;
        }
        Command::Get { slug } => {
            api.call(Method::GET, &path("/admin/resources", &slug), None)
                .await?
        }
        Command::Update(update) => {
            if update.uri.is_some() {
                bail!(Failure::usage(format!(
                    "a resource's URI stands in its tokens and cannot be changed; `doorward admin resource delete {0}` ends the grants on it, then create it with the other URI",
                    update.slug
                )));
            }
            let mut body = json!({});
            if let Some(name) = update.display_name {
                body["display_name"] = name.into();
            }
            if let Some(policy) = update.policy.into_json() {
                body["policy"] = policy;
            }
            let path = path("/admin/resources", &update.slug);
            let scopes = ScopeChange {
                from_now_on: update.scopes,
                more: update.add_scopes,
                away: update.remove_scopes,
                by_default: update.by_default,
                on_request: update.on_request,
            };
            scopes.check()?;
            if scopes.is_empty() {
                let body = input::change::<Update>(body)?;
                api.call(Method::PATCH, &path, Some(&body)).await?
            } else {
                change_with_scopes(api, &path, body, &scopes).await?
            }
        }
        Command::Delete { slug } => {
            api.call(Method::DELETE, &path("/admin/resources", &slug), None)
                .await?;
            api.done("The resource is gone and the grants on it have ended.");
            return Ok(());
        }
    };
    api.print(&with_brackets(api, answer), &COLUMNS)
}

/// For people: the names of scopes, those in brackets that a request without `scope` does not get.
fn with_brackets(api: &Api, mut answer: Value) -> Value {
    if api.prints_json() {
        return answer;
    }
    let of_list = answer
        .get_mut("items")
        .and_then(Value::as_array_mut)
        .map(std::mem::take);
    match of_list {
        Some(mut rows) => {
            rows.iter_mut().for_each(bracket);
            answer["items"] = rows.into();
        }
        None => bracket(&mut answer),
    }
    answer
}

fn bracket(resource: &mut Value) {
    let scopes = resource.get_mut("scopes").and_then(Value::as_array_mut);
    for scope in scopes.into_iter().flatten() {
        if let (Some(name), Some(false)) = (scope["name"].as_str(), scope["default"].as_bool()) {
            *scope = format!("({name})").into();
        }
    }
}

/// What is said of the scopes of a resource that is there.
struct ScopeChange {
    from_now_on: Vec<Value>,
    more: Vec<Value>,
    away: Vec<String>,
    by_default: Vec<String>,
    on_request: Vec<String>,
}

impl ScopeChange {
    fn is_empty(&self) -> bool {
        let of_scopes = self.from_now_on.is_empty() && self.more.is_empty();
        of_scopes && self.away.is_empty() && self.by_default.is_empty() && self.on_request.is_empty()
    }

    fn check(&self) -> Result<(), Failure> {
        match self.away.iter().find(|name| has(&self.more, &json!(name))) {
            Some(name) => Err(Failure::usage(format!(
                "{name} is both added and taken away; say one of them"
            ))),
            None => Ok(()),
        }
    }

    /// What becomes of those that are there. Of `first`, which were there when the command began, those stay that are not
    /// taken away, and of the others all: another operator has just added them.
    fn of(&self, there: &[Value], first: &[Value]) -> anyhow::Result<Vec<Value>> {
        for name in &self.away {
            if !has(first, &json!(name)) {
                bail!(no_such_scope("--remove-scope", name));
            }
        }
        let named = [&*self.from_now_on, &self.more].concat();
        let replaces_all = !self.from_now_on.is_empty();
        let stays = |scope: &&Value| {
            let name = &scope["name"];
            let is_taken_away = replaces_all || self.away.iter().any(|away| name == away.as_str());
            let goes = is_taken_away && has(first, name);
            !goes && !has(&named, name)
        };
        let staying = there.iter().filter(stays).cloned();
        let mut scopes: Vec<Value> = staying.chain(as_before(named.clone(), there)).collect();
        set_default(&mut scopes, &self.by_default, true).map_err(anyhow::Error::msg)?;
        set_default(&mut scopes, &self.on_request, false).map_err(anyhow::Error::msg)?;
        Ok(scopes)
    }
}

/// Changes a resource whose scopes are put together with those that it has: when another operator has changed it meanwhile,
/// with those that it has then.
async fn change_with_scopes(
    api: &Api,
    path: &str,
    mut body: Value,
    scopes: &ScopeChange,
) -> anyhow::Result<Value> {
    let first = api.read(path).await?;
    let mut now = first.clone();
    for _ in 0..TRIES {
        body["scopes"] = scopes.of(scopes_of(&now), scopes_of(&first))?.into();
        if let Some(changed) = api.change(path, &body, &now).await? {
            return Ok(changed);
        }
        now = api.read(path).await?;
    }
    bail!(Failure::new(
        Kind::Conflict,
        "others change this resource all the time, and nothing was changed here; look at it, and run the command again",
    ))
}

fn scopes_of(resource: &Reading) -> &[Value] {
    let scopes = resource.record["scopes"].as_array();
    scopes.map(Vec::as_slice).unwrap_or_default()
}

fn has(scopes: &[Value], name: &Value) -> bool {
    scopes.iter().any(|scope| scope["name"] == *name)
}

/// What is not said of a scope that is there already stays as it is.
fn as_before(mut scopes: Vec<Value>, known: &[Value]) -> Vec<Value> {
    for scope in &mut scopes {
        let Some(known) = known.iter().find(|known| known["name"] == scope["name"]) else {
            continue;
        };
        for member in ["description", "upstream", "default"] {
            if scope.get(member).is_none() && !known[member].is_null() {
                scope[member] = known[member].clone();
            }
        }
    }
    scopes
}

/// Which of the scopes a request without `scope` gets: of new ones, all but those of which it is said otherwise.
fn set_default(scopes: &mut [Value], names: &[String], default: bool) -> Result<(), String> {
    let option = if default { "--by-default" } else { "--on-request" };
    for name in names {
        let scope = scopes.iter_mut().find(|scope| scope["name"] == name.as_str());
        scope.ok_or_else(|| no_such_scope(option, name))?["default"] = default.into();
    }
    Ok(())
}

fn no_such_scope(option: &str, name: &str) -> String {
    format!("{option} {name}: the resource has no such scope")
}

/// `name|upstream scope|description`, or the name alone. With one `|` nobody knows which of the two follows.
fn scope(text: &str) -> Result<Value, String> {
    let mut parts = text.splitn(3, '|').map(str::trim);
    let name = parts.next().filter(|name| !name.is_empty());
    let name = name.ok_or("a scope is `name|upstream scope|description`, and the name is missing")?;
    let (upstream, description) = match (parts.next(), parts.next()) {
        (None, _) => return Ok(json!({"name": name})),
        (Some(upstream), Some(description)) => (upstream, description),
        (Some(_), None) => {
            return Err("a scope is `name|upstream scope|description`, with both bars: for a description write `name||description`".to_owned());
        }
    };
    let mut scope = json!({"name": name, "description": description});
    if !upstream.is_empty() {
        scope["upstream"] = upstream.into();
    }
    Ok(scope)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_name_upstream_and_description() {
        assert_eq!(
            scope("tools/read||Read tools"),
            Ok(json!({"name": "tools/read", "description": "Read tools"}))
        );
        assert_eq!(
            scope("mail|https://up/mail|Mail"),
            Ok(json!({"name": "mail", "description": "Mail", "upstream": "https://up/mail"}))
        );
        assert_eq!(scope("bare"), Ok(json!({"name": "bare"})));
        assert!(scope("||x").is_err());
        assert!(
            scope("read|Read tools")
                .unwrap_err()
                .contains("`name||description`")
        );
    }
}
