//! The rows of a world, table by table, each in the order of its key: as the engines like to get many.

use anyhow::Result;

use crate::world::{NOW, RESOURCES, TOKENS_LIVE, World, bytes, client, resource};

/// A value, as both engines can store it.
pub enum Value<'a> {
    Null,
    Int(i64),
    Bool(bool),
    Text(&'a str),
    Bytes(&'a [u8]),
    Id(uuid::Uuid),
    /// No numbers: an array for one engine, bytes for the other.
    NoNumbers,
}

/// Takes the rows of one table.
pub type Take<'a> = &'a mut dyn FnMut(&[Value<'_>]) -> Result<()>;

/// Its columns, and who makes its rows.
pub struct Table {
    pub name: &'static str,
    pub columns: &'static str,
    pub rows: fn(&World, Take<'_>) -> Result<()>,
}

pub const TABLES: &[Table] = &[
    Table {
        name: "resource",
        columns: "slug, uri, display_name, scopes, created_at, updated_at",
        rows: resources,
    },
    Table {
        name: "client",
        columns: "client_id, source, metadata, secrets, fingerprint, disabled, created_at, updated_at",
        rows: clients,
    },
    Table {
        name: "person",
        columns: "id, email, email_key, name, disabled, created_at, updated_at",
        rows: people,
    },
    Table {
        name: "session",
        columns: "id, user_id, authenticated_at, methods, last_seen_at, expires_at",
        rows: sessions,
    },
    Table {
        name: "consent",
        columns: "user_id, client_id, resource, scopes, fingerprint, redirect_uris, granted_at",
        rows: consents,
    },
    Table {
        name: "access_grant",
        columns: "id, user_id, subject, client_id, resource, scopes, state, end_reason, ended_at, created_at, \
                  authenticated_at, methods, generation, generation_at, earlier, refresh_salt, refresh_expires_at, \
                  last_used_at",
        rows: grants,
    },
    Table {
        name: "code",
        columns: "digest, request_id, grant_id, session_id, client_id, redirect_uri, code_challenge, stay_connected, \
                  expires_at, redeemed_at",
        rows: codes,
    },
    Table {
        name: "issuance",
        columns: "jti, grant_id, client_id, subject, resource, scopes, issued_at, expires_at",
        rows: issuances,
    },
];

pub const SCOPES: &str = "tools/read tools/write";
const YEAR: i64 = 365 * 86_400;
const REDIRECT_URI: &str = "http://127.0.0.1:7777/callback";

fn resources(_: &World, take: Take<'_>) -> Result<()> {
    for number in 0..RESOURCES {
        take(&[
            Value::Text(&format!("mcp{number}")),
            Value::Text(&resource(number)),
            Value::Text("MCP"),
            Value::Text("[]"),
            Value::Int(NOW.0),
            Value::Int(NOW.0),
        ])?;
    }
    Ok(())
}

fn clients(world: &World, take: Take<'_>) -> Result<()> {
    for number in 0..world.clients {
        take(&[
            Value::Text(&client(number)),
            Value::Text("admin"),
            Value::Text(&format!(
                "{{\"client_name\":\"Client {number}\",\"redirect_uris\":[\"{REDIRECT_URI}\"],\
                 \"grant_types\":[\"authorization_code\",\"refresh_token\"],\"response_types\":[\"code\"],\
                 \"token_endpoint_auth_method\":\"none\",\"scope\":\"{SCOPES}\"}}"
            )),
            Value::Text("[]"),
            Value::Text("fingerprint"),
            Value::Bool(false),
            Value::Int(NOW.0),
            Value::Int(NOW.0),
        ])?;
    }
    Ok(())
}

fn people(world: &World, take: Take<'_>) -> Result<()> {
    for number in 0..world.people.len() as u64 {
        let email = format!("person{number}@example.com");
        take(&[
            Value::Id(world.person(number)),
            Value::Text(&email),
            Value::Text(&email),
            Value::Text("Ada"),
            Value::Bool(false),
            Value::Int(NOW.0),
            Value::Int(NOW.0),
        ])?;
    }
    Ok(())
}

/// The id of a person's session.
pub fn session(person: u64) -> [u8; 32] {
    bytes(8, person)
}

/// One for each person.
fn sessions(world: &World, take: Take<'_>) -> Result<()> {
    let mut sessions: Vec<([u8; 32], u64)> = (0..world.people.len() as u64)
        .map(|person| (session(person), person))
        .collect();
    sessions.sort_unstable();
    for (id, person) in sessions {
        // One in twenty has expired.
        let expires_at = if person % 20 == 7 {
            NOW.0 - 3600
        } else {
            NOW.0 + YEAR
        };
        take(&[
            Value::Bytes(&id),
            Value::Id(world.person(person)),
            Value::Int(NOW.0 - 7200),
            Value::Text("[\"pwd\"]"),
            Value::Int(NOW.0),
            Value::Int(expires_at),
        ])?;
    }
    Ok(())
}

/// One for each grant.
fn consents(world: &World, take: Take<'_>) -> Result<()> {
    let people = world.people.len() as u64;
    for person in 0..people {
        for number in (person..world.grants).step_by(world.people.len()) {
            let grant = world.grant(number);
            take(&[
                Value::Id(world.person(person)),
                Value::Text(&client(grant.client)),
                Value::Text(&resource(grant.resource)),
                Value::Text(SCOPES),
                Value::Text("fingerprint"),
                Value::Text("[\"http://127.0.0.1/callback\"]"),
                Value::Int(grant.created_at),
            ])?;
        }
    }
    Ok(())
}

fn grants(world: &World, take: Take<'_>) -> Result<()> {
    for number in 0..world.grants {
        let grant = world.grant(number);
        let person = world.person(grant.person);
        let (end_reason, ended_at) = if grant.ended {
            (Value::Text("revoked_by_user"), Value::Int(grant.used_at))
        } else {
            (Value::Null, Value::Null)
        };
        take(&[
            Value::Id(grant.id.0),
            Value::Id(person),
            Value::Text(&person.to_string()),
            Value::Text(&client(grant.client)),
            Value::Text(&resource(grant.resource)),
            Value::Text(SCOPES),
            Value::Text(if grant.ended { "ended" } else { "active" }),
            end_reason,
            ended_at,
            Value::Int(grant.created_at),
            Value::Int(grant.created_at),
            Value::Text("[\"pwd\"]"),
            Value::Int(i64::from(grant.generation)),
            Value::Int(grant.used_at),
            Value::NoNumbers,
            Value::Bytes(&bytes::<16>(9, number)),
            Value::Int(grant.created_at + YEAR),
            Value::Int(grant.used_at),
        ])?;
    }
    Ok(())
}

/// One for ten grants: the others' have been removed.
fn codes(world: &World, take: Take<'_>) -> Result<()> {
    let mut codes: Vec<([u8; 32], u64)> = (0..world.grants)
        .step_by(10)
        .map(|number| (bytes(10, number), number))
        .collect();
    codes.sort_unstable();
    for (digest, number) in codes {
        let grant = world.grant(number);
        take(&[
            Value::Bytes(&digest),
            Value::Bytes(&bytes::<32>(11, number)),
            Value::Id(grant.id.0),
            Value::Bytes(&session(grant.person)),
            Value::Text(&client(grant.client)),
            Value::Text(REDIRECT_URI),
            Value::Text("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"),
            Value::Bool(true),
            Value::Int(grant.created_at + 60),
            Value::Int(grant.created_at + 1),
        ])?;
    }
    Ok(())
}

/// One for each grant.
fn issuances(world: &World, take: Take<'_>) -> Result<()> {
    for number in 0..world.grants {
        let grant = world.grant(number);
        let (jti, issued_at) = world.token(number);
        take(&[
            Value::Text(&jti),
            Value::Id(grant.id.0),
            Value::Text(&client(grant.client)),
            Value::Text(&world.person(grant.person).to_string()),
            Value::Text(&resource(grant.resource)),
            Value::Text(SCOPES),
            Value::Int(issued_at),
            Value::Int(issued_at + i64::try_from(TOKENS_LIVE.as_secs())?),
        ])?;
    }
    Ok(())
}
