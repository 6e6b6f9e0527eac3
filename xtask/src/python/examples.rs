//! Every example server, started as its README says: walked by clients with real tokens, and asked the same questions.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::environment::{GENERATIONS, interpreter};
use crate::at_once::Part;
use crate::e2e::walk::{Language, Script, read_steps, walk_as_operator, walk_with};
use crate::e2e::world::{Engine, McpServer, Registration, TOOL_SCOPES, World, binary, build};
use crate::e2e::{CLIENTS, walk_all};
use crate::install;
use crate::ports::free_port;
use crate::process::{run_logged, tail};
use crate::suite::Outcome;
use crate::workspace::{e2e, root};

/// Only what hangs is ended by it.
const LIMIT: Duration = Duration::from_mins(10);

/// The servers that have the tools of the contract: one for each way into Python.
const SERVERS: [&str; 3] = ["fastmcp", "mcp", "asgi"];

/// A smaller example, and what a person with a real token can do there.
struct Tour {
    program: Program,
    scopes: &'static [&'static str],
    /// `[tool, arguments, text of the answer]`; `null` for a call that is refused.
    calls: fn() -> Value,
}

enum Program {
    /// A file below `examples/python`.
    Python(&'static str),
    Rust(&'static str),
}

const TOURS: [Tour; 6] = [
    Tour {
        program: Program::Python("fastmcp/basic.py"),
        scopes: &["mcp:echo"],
        calls: || json!([["echo", { "text": "through the door" }, "through the door"]]),
    },
    Tour {
        program: Program::Python("mcp/basic.py"),
        scopes: &["mcp:echo"],
        calls: || json!([["echo", { "text": "through the door" }, "through the door"]]),
    },
    Tour {
        program: Program::Python("fastmcp/retrofit_after.py"),
        scopes: &["mcp:tools"],
        calls: || json!([["now", {}, "T"], ["dice", { "sides": 1 }, "1"]]),
    },
    Tour {
        program: Program::Python("fastmcp/tool_scopes.py"),
        scopes: &["notes:read", "notes:write"],
        calls: notebook,
    },
    Tour {
        program: Program::Rust("example-tool-scopes"),
        scopes: &["notes:read", "notes:write"],
        calls: notebook,
    },
    Tour {
        program: Program::Rust("first-server"),
        scopes: &["tools/read", "tools/write"],
        calls: || json!([["whoami", {}, "through"], ["write", { "text": "ink" }, "wrote ink"]]),
    },
];

/// `notes:admin` is not registered, so that nobody has it.
fn notebook() -> Value {
    json!([
        ["add", { "text": "one" }, "1"],
        ["add", { "text": "two" }, "2"],
        ["remove", { "count": 1 }, "1"],
        ["remove", { "count": 2 }, null],
    ])
}

/// The examples whose tool gets a token for another service, beside each generation of FastMCP.
const EXCHANGING: [(Program, &str); 4] = [
    (Program::Rust("example-exchange"), "v2"),
    (Program::Python("fastmcp/exchange.py"), "v0"),
    (Program::Python("fastmcp/exchange.py"), "v1"),
    (Program::Python("fastmcp/exchange.py"), "v2"),
];

/// The grants of a server that exchanges tokens.
const EXCHANGE: [&str; 1] = ["urn:ietf:params:oauth:grant-type:token-exchange"];

/// The examples that take bound tokens alone.
const BOUND: [Program; 2] = [Program::Python("fastmcp/dpop.py"), Program::Rust("example-dpop")];

const fn script(file: &'static str) -> Script {
    Script {
        file,
        language: Language::Python("v2"),
    }
}

/// Each has an authorization server of its own, on data of its own. What takes longest comes first.
pub(super) fn parts() -> Result<Vec<Part<'static>>> {
    build()?;
    let mut parts = vec![Part::new("identical_answers.py", || {
        asked("identical_answers.py", &same_servers())
    })];
    for generation in GENERATIONS.into_iter().rev() {
        for server in SERVERS {
            let label = format!("clients of {server} {generation}");
            parts.push(Part::new(label, move || walked(generation, server)));
        }
    }
    parts.push(Part::new("smaller examples", smaller));
    parts.push(Part::new("example-embedded", embedded));
    parts.push(Part::new("exchanging examples", exchanging));
    parts.push(Part::new("bound_tokens.py", || {
        let servers = BOUND.iter().map(|program| (program.label(), program.words("v2")));
        asked("bound_tokens.py", &servers.collect::<Vec<_>>())
    }));
    parts.push(Part::new("exchanged_tokens.py", || {
        let servers = EXCHANGING.iter().map(|(program, generation)| {
            let label = format!("{} {generation}", program.label());
            (label, program.words(generation))
        });
        asked("exchanged_tokens.py", &servers.collect::<Vec<_>>())
    }));
    Ok(parts)
}

fn walked(generation: &str, server: &str) -> Result<Outcome> {
    let world = World::start(&format!("python-{server}-{generation}"))?;
    let guarded = serve(&world, generation, server)?;
    // Every client on the newest generation; one of each family on the others.
    let clients = if generation == "v2" {
        &CLIENTS[..]
    } else {
        &CLIENTS[1..2]
    };
    walk_all(&world, &guarded, clients)
}

fn smaller() -> Result<Outcome> {
    let world = World::start("python-smaller")?;
    let mut outcome = Outcome::default();
    for tour in &TOURS {
        outcome.add(take(&world, tour)?);
    }
    outcome.add(fastapi(&world)?);
    for program in &BOUND {
        outcome.add(bound(&world, program)?);
    }
    Ok(outcome)
}

/// With clients of their own at the authorization server.
fn exchanging() -> Result<Outcome> {
    let world = World::start("python-exchanging")?;
    let mut outcome = Outcome::default();
    for (program, generation) in &EXCHANGING {
        outcome.add(exchanged(&world, program, generation)?);
    }
    for generation in GENERATIONS {
        outcome.add(cut_at_once(&world, generation)?);
    }
    Ok(outcome)
}

fn serve(world: &World, generation: &str, server: &str) -> Result<McpServer> {
    let mut command = Command::new(interpreter(generation));
    command
        .arg(root().join(format!("examples/python/{server}/server.py")))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    world.serve(
        &format!("guarded-{server}-{generation}"),
        command,
        &TOOL_SCOPES,
        "mcp:read",
        true,
    )
}

fn take(world: &World, tour: &Tour) -> Result<Outcome> {
    let label = tour.program.label();
    let required = tour.scopes.first().copied().unwrap_or_default();
    let server = world.serve(&label, tour.program.command("v2")?, tour.scopes, required, true)?;
    walk_through(world, &server, &(tour.calls)())
}

fn walk_through(world: &World, server: &McpServer, calls: &Value) -> Result<Outcome> {
    walk_with(
        world,
        server,
        &script("tour.py"),
        &[("E2E_CALLS", &calls.to_string())],
    )
}

/// The example that is the authorization server and the MCP server in one program.
fn embedded() -> Result<Outcome> {
    let world = World::start_program(
        Engine::Sqlite,
        "python-embedded",
        Command::new(binary("example-embedded")),
    )?;
    let server = world.embedded(&Registration {
        label: "example-embedded",
        scopes: &["mcp:read"],
        required: "mcp:read",
        steps_up: true,
        client: None,
    })?;
    walk_through(&world, &server, &json!([["whoami", {}, "through"]]))
}

/// One guarded route of an application; and the retrofit before it was one.
fn fastapi(world: &World) -> Result<Outcome> {
    let program = Program::Python("asgi/fastapi_app.py");
    let server = world.serve(
        &program.label(),
        program.command("v2")?,
        &["mcp:read"],
        "mcp:read",
        true,
    )?;
    let mut outcome = walk_as_operator(world, &server, &script("fastapi_walk.py"), &[])?;
    let before = root().join("examples/python/fastmcp/retrofit_before.py");
    let before = before.display().to_string();
    outcome.add(walk_with(
        world,
        &server,
        &script("before_retrofit.py"),
        &[("E2E_PROGRAM", &before)],
    )?);
    Ok(outcome)
}

/// With bound tokens of the authorization server.
fn bound(world: &World, program: &Program) -> Result<Outcome> {
    let label = format!("{}-walked", program.label());
    let server = world.serve(&label, program.command("v2")?, &["mcp:read"], "mcp:read", true)?;
    walk_as_operator(world, &server, &script("bound_walk.py"), &[])
}

/// With an exchange at the authorization server, for a person who signs in.
fn exchanged(world: &World, program: &Program, generation: &str) -> Result<Outcome> {
    let registration = Registration {
        label: &format!("{}-walked{generation}", program.label()),
        scopes: &["mcp:read", "mail.read"],
        required: "mcp:read mail.read",
        steps_up: true,
        client: Some(&EXCHANGE),
    };
    let server = world.serve_as(&registration, program.command(generation)?)?;
    let client_id = server.client_id.as_deref().unwrap_or_default();
    walk_as_operator(
        world,
        &server,
        &script("exchange_walk.py"),
        &[("E2E_CLIENT_ID", client_id)],
    )
}

/// A grant that is revoked while somebody uses it, before a guard that follows the server's revocations.
fn cut_at_once(world: &World, generation: &str) -> Result<Outcome> {
    let mut command = Command::new(interpreter(generation));
    command
        .arg(root().join("e2e/python/following_server.py"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let registration = Registration {
        label: &format!("following-{generation}"),
        scopes: &["mcp:read"],
        required: "mcp:read",
        steps_up: true,
        client: Some(&[]),
    };
    let server = world.serve_as(&registration, command)?;
    walk_as_operator(world, &server, &script("cut_at_once.py"), &[])
}

impl Program {
    fn label(&self) -> String {
        match self {
            Self::Python(file) => file.trim_end_matches(".py").replace(['/', '_'], "-"),
            Self::Rust(name) => (*name).to_owned(),
        }
    }

    fn command(&self, generation: &str) -> Result<Command> {
        let words = self.words(generation);
        let Some((program, arguments)) = words.split_first() else {
            bail!("{} has no program", self.label())
        };
        let mut command = Command::new(program);
        command.args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
        Ok(command)
    }

    fn words(&self, generation: &str) -> Vec<PathBuf> {
        match self {
            Self::Python(file) => vec![interpreter(generation), root().join("examples/python").join(file)],
            Self::Rust(name) => vec![binary(name)],
        }
    }
}

/// The reference, in Rust, first.
fn same_servers() -> Vec<(String, Vec<PathBuf>)> {
    let mut servers = vec![("rmcp".to_owned(), vec![binary("example-basic")])];
    for generation in GENERATIONS {
        for server in SERVERS {
            let file = root().join(format!("examples/python/{server}/server.py"));
            servers.push((
                format!("{server}-{generation}"),
                vec![interpreter(generation), file],
            ));
        }
    }
    servers
}

/// Runs a script that starts the servers itself, with an issuer of its own.
fn asked(script: &str, servers: &[(String, Vec<PathBuf>)]) -> Result<Outcome> {
    let folder = e2e().join("run/python").join(script);
    fs::create_dir_all(&folder)?;
    let servers: Vec<_> = servers
        .iter()
        .map(|(label, command)| json!({ "label": label, "command": command, "port": free_port() }))
        .collect();
    let mut command = Command::new(install::interpreter("v2"));
    command
        .current_dir(&folder)
        .arg(root().join("e2e/python").join(script))
        .env("BATTERY_SERVERS", Value::from(servers).to_string())
        .env("BATTERY_TABLE", folder.join("answers"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let (stdout, stderr) = (folder.join("steps.log"), folder.join("stderr.log"));
    let ended = run_logged(&mut command, &stdout, &stderr, LIMIT)?;
    let mut outcome = read_steps(&stdout, script)?;
    if ended.is_none_or(|status| !status.success()) || outcome.passed == 0 {
        outcome
            .failures
            .push(format!("{script} did not end well: {}", tail(&stderr)));
    }
    Ok(outcome)
}
