//! MCP clients that were written elsewhere, unmodified, against the built server: each walks the whole road.

pub(crate) mod grants;
pub(crate) mod http;
pub(crate) mod walk;
pub(crate) mod world;

use anyhow::Result;

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

pub(crate) fn run() -> Result<Outcome> {
    install::clients()?;
    let mut outcome = Outcome::default();
    for engine in Engine::ALL {
        eprintln!("  the authorization server on {}", engine.name());
        let world = World::start_on(engine, "e2e", &[])?;
        let guarded = world.serve_rust()?;
        walk_all(&world, &guarded, &CLIENTS, &mut outcome)?;
        outcome.add(walk(&world, &guarded, &CONFORMANCE)?);
    }
    // What the guard does in Python is the same on both.
    let world = World::start("e2e-python")?;
    for generation in PYTHON_GENERATIONS {
        let stock = world.serve_python(generation, "e2e/python/fastmcp_server.py", "fastmcp", "mcp:read")?;
        walk_all(&world, &stock, &CLIENTS, &mut outcome)?;
        drop(stock);

        let file = "examples/python/fastmcp-stock/server.py";
        let example = world.serve_python(generation, file, "example", "mcp:read mcp:write")?;
        let client = Script {
            file: "seed_client.py",
            language: Language::Python(generation),
        };
        outcome.add(walk(&world, &example, &client)?);
    }
    Ok(outcome)
}

pub(crate) fn walk_all(
    world: &World,
    server: &McpServer,
    clients: &[Script],
    outcome: &mut Outcome,
) -> Result<()> {
    for client in clients {
        outcome.add(walk(world, server, client)?);
    }
    Ok(())
}
