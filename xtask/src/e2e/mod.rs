//! MCP clients that were written elsewhere, unmodified, against the built server: each walks the whole road.

pub(crate) mod grants;
pub(crate) mod http;
pub(crate) mod walk;
pub(crate) mod world;

use anyhow::Result;

use crate::at_once::{self, Part};
use crate::install::{self, PYTHON_GENERATIONS};
use crate::suite::Outcome;
use walk::{Language, Script};
use world::{Engine, McpServer, World};

pub(crate) use walk::walk;

/// The clients that walk on every MCP server.
pub(crate) const CLIENTS: [Script; 8] = [
    Script {
        file: "fastmcp_client.py",
        language: Language::Python("v1"),
    },
    Script {
        file: "fastmcp_client.py",
        language: Language::Python("v2"),
    },
    Script {
        file: "mcp_client.py",
        language: Language::Python("v1"),
    },
    Script {
        file: "mcp_client.py",
        language: Language::Python("v2"),
    },
    Script {
        file: "sdk_v1.mjs",
        language: Language::Node,
    },
    Script {
        file: "client_v2.mjs",
        language: Language::Node,
    },
    Script {
        file: "mcp_remote.mjs",
        language: Language::Node,
    },
    Script {
        file: "inspector.mjs",
        language: Language::Node,
    },
];

const CONFORMANCE: Script = Script {
    file: "conformance.mjs",
    language: Language::Node,
};

pub(crate) const BROWSER: Script = Script {
    file: "pages.mjs",
    language: Language::Node,
};

/// Authorization servers that are walked on at the same time: clients wait for them, and for each other's ends.
pub(crate) const AT_ONCE: usize = 3;

pub(crate) fn run() -> Result<Outcome> {
    install::clients()?;
    world::build()?;
    let mut parts = Vec::new();
    for engine in Engine::ALL {
        let label = format!("the authorization server on {}", engine.name());
        parts.push(Part::new(label, move || guarded(engine)));
    }
    // What the guard does in Python is the same on both.
    for generation in PYTHON_GENERATIONS {
        parts.push(Part::new(format!("FastMCP {generation}"), move || {
            stock(generation)
        }));
    }
    Ok(at_once::run(AT_ONCE, parts))
}

fn guarded(engine: Engine) -> Result<Outcome> {
    let world = World::start_on(engine, "e2e", &[])?;
    let guarded = world.serve_rust()?;
    let mut outcome = walk_all(&world, &guarded, &CLIENTS)?;
    outcome.add(walk(&world, &guarded, &CONFORMANCE)?);
    Ok(outcome)
}

fn stock(generation: &'static str) -> Result<Outcome> {
    let world = World::start(&format!("e2e-python-{generation}"))?;
    let stock = world.serve_python(generation, "e2e/python/fastmcp_server.py", "fastmcp", "mcp:read")?;
    let mut outcome = walk_all(&world, &stock, &CLIENTS)?;
    drop(stock);

    let file = "examples/python/fastmcp-stock/server.py";
    let example = world.serve_python(generation, file, "example", "mcp:read mcp:write")?;
    let client = Script {
        file: "seed_client.py",
        language: Language::Python(generation),
    };
    outcome.add(walk(&world, &example, &client)?);
    Ok(outcome)
}

pub(crate) fn walk_all(world: &World, server: &McpServer, clients: &[Script]) -> Result<Outcome> {
    let mut outcome = Outcome::default();
    for client in clients {
        outcome.add(walk(world, server, client)?);
    }
    Ok(outcome)
}
