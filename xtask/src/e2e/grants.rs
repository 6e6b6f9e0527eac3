//! Grants for programs: OAuth clients that were written elsewhere, unmodified, against the built server, and
//! schemathesis over everything that the server describes.

use anyhow::Result;

use super::AT_ONCE;
use super::walk::{Language, Script, walk_as_operator, walk_with};
use super::world::{self, Engine, McpServer, World};
use crate::at_once::{self, Part};
use crate::install::{self, PYTHON_GENERATIONS, TOOLS};
use crate::suite::Outcome;

const fn node(file: &'static str) -> Script {
    Script {
        file,
        language: Language::Node,
    }
}

const fn python(generation: &'static str, file: &'static str) -> Script {
    Script {
        file,
        language: Language::Python(generation),
    }
}

pub(crate) fn run() -> Result<Outcome> {
    install::clients()?;
    install::tools()?;
    world::build()?;
    let mut parts = Vec::new();
    for engine in Engine::ALL {
        let label = |what| format!("{what} on {}", engine.name());
        parts.push(Part::new(label("schemathesis"), move || schemas(engine)));
        parts.push(Part::new(label("clients"), move || clients(engine)));
        parts.push(Part::new(label("nonces"), move || with_nonces(engine)));
    }
    Ok(at_once::run(AT_ONCE, parts))
}

fn clients(engine: Engine) -> Result<Outcome> {
    let world = World::start_on(engine, "grants", &[])?;
    let guarded = world.serve_rust()?;
    let bound = world.serve_bound()?;
    let mut scripts = vec![
        node("openid_client.mjs"),
        node("mcp_remote_machine.mjs"),
        python("v1", "authlib_client.py"),
    ];
    for generation in PYTHON_GENERATIONS {
        scripts.push(python(generation, "machine_clients.py"));
    }
    let mut outcome = Outcome::default();
    for script in &scripts {
        outcome.add(check(&world, &guarded, &bound, script, &[])?);
    }
    outcome.add(with_keys(&world, &guarded, &bound, &[])?);
    Ok(outcome)
}

/// On a server that wants its own nonce in every proof.
fn with_nonces(engine: Engine) -> Result<Outcome> {
    let nonces = [("DOORWARD_DPOP_REQUIRE_NONCE", "true")];
    let world = World::start_on(engine, "grants-nonce", &nonces)?;
    let guarded = world.serve_rust()?;
    let bound = world.serve_bound()?;
    with_keys(&world, &guarded, &bound, &[("E2E_NONCE", "1")])
}

/// The clients that hold keys of their own.
fn with_keys(
    world: &World,
    guarded: &McpServer,
    bound: &McpServer,
    more: &[(&str, &str)],
) -> Result<Outcome> {
    let mut outcome = check(world, guarded, bound, &node("openid_client_dpop.mjs"), more)?;
    // This one walks the whole road, as people's clients do.
    outcome.add(walk_with(world, bound, &node("client_v2_dpop.mjs"), more)?);
    Ok(outcome)
}

/// On a server of its own: what is generated deletes, disables and rotates as it comes.
fn schemas(engine: Engine) -> Result<Outcome> {
    let world = World::start_on(engine, "grants-schemas", &[])?;
    let guarded = world.serve_rust()?;
    check(&world, &guarded, &guarded, &python(TOOLS, "schemas.py"), &[])
}

/// One script, which may use the admin API.
fn check(
    world: &World,
    guarded: &McpServer,
    bound: &McpServer,
    script: &Script,
    more: &[(&str, &str)],
) -> Result<Outcome> {
    let mut environment = vec![("E2E_BOUND_URL", bound.url.as_str())];
    environment.extend(more);
    walk_as_operator(world, guarded, script, &environment)
}
