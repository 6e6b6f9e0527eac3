//! What the admin API can do, the command line can do.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use serde_json::json;

use super::NOBODY;
use crate::support::Place;

/// A command for each operation; what stands in braces in a path is what is typed, or an id that nobody has.
const COMMANDS: &[&[&str]] = &[
    &["resource", "list"],
    &[
        "resource",
        "create",
        "--slug",
        "a",
        "--uri",
        "https://a.example/mcp",
    ],
    &["resource", "get", "{slug}"],
    &["resource", "update", "{slug}", "--access-ttl", "10m"],
    &["resource", "delete", "{slug}"],
    &["client", "list"],
    &["client", "create", "--name", "A"],
    &["client", "get", "{client_id}"],
    &["client", "update", "{client_id}", "--disabled", "true"],
    &["client", "delete", "{client_id}"],
    &[
        "client",
        "rotate-secret",
        "{client_id}",
        "--overlap-seconds",
        "60",
    ],
    &["user", "list"],
    &["user", "create", "--email", "a@example.com"],
    &["user", "get", NOBODY],
    &["user", "update", NOBODY, "--name", "A"],
    &["user", "disable", NOBODY],
    &["user", "enable", NOBODY],
    &["user", "delete", NOBODY],
    &["grant", "list", "--state", "active"],
    &["grant", "get", "{id}"],
    &["grant", "revoke", "{id}"],
    &["grant", "revoke-all", "--client-id", "a"],
    &["initial-token", "list"],
    &["initial-token", "create", "--name", "A", "--expires-in", "1d"],
    &["initial-token", "get", "{id}"],
    &["initial-token", "delete", "{id}"],
    &["admin-key", "list"],
    &["admin-key", "create", "--name", "A"],
    &["admin-key", "get", "{id}"],
    &["admin-key", "delete", "{id}"],
    &["key", "list"],
    &["key", "get", "{key_id}"],
    &["key", "rotate"],
    &["key", "revoke", "{key_id}"],
    &["token-exchange", "explain", "--client-id", "a"],
    &["trusted-issuer", "list"],
    &[
        "trusted-issuer",
        "create",
        "--slug",
        "a",
        "--kind",
        "workload",
        "--issuer",
        "https://a.example",
    ],
    &["trusted-issuer", "get", "{slug}"],
    &["trusted-issuer", "update", "{slug}", "--single-use", "true"],
    &["trusted-issuer", "delete", "{slug}"],
    &["trusted-issuer", "links", "{slug}"],
    &["trusted-issuer", "link", "{slug}", "subject", "--user", NOBODY],
    &["trusted-issuer", "unlink", "{slug}", "subject"],
    &["assertion-audience", "list"],
    &[
        "assertion-audience",
        "create",
        "--slug",
        "a",
        "--issuer",
        "https://a.example",
    ],
    &["assertion-audience", "get", "{slug}"],
    &["assertion-audience", "update", "{slug}", "--rule", "{}"],
    &["assertion-audience", "delete", "{slug}"],
    &["audit", "list", "--since", "24h", "--action", "client.created"],
    &["audit", "get", "{id}"],
];

#[test]
fn every_operation_of_the_admin_api_has_a_command() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let place = Place::bare().set("DOORWARD_ADMIN_KEY", "dwk_any");
    let server = std::thread::spawn(move || {
        let calls = COMMANDS.iter().map(|_| answered(&listener.accept().unwrap().0));
        calls.collect::<BTreeSet<_>>()
    });
    for command in COMMANDS {
        place
            .run_with_input(
                &[&["admin", "--url", &url], *command].concat(),
                "a line of input\n",
            )
            .success();
    }
    let called = server.join().unwrap();
    let document = serde_json::to_value(doorward_server::admin_openapi()).unwrap();
    let mut there = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for method in operations.as_object().unwrap().keys() {
            there.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    assert_eq!(called, there);
}

/// Answers one request with a record of which every command takes what it needs; says which operation it was.
fn answered(mut stream: &TcpStream) -> String {
    let mut reader = BufReader::new(stream);
    let mut first = String::new();
    reader.read_line(&mut first).unwrap();
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if line.trim().is_empty() {
            break;
        }
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    let body = json!({"items": [], "allowed": true}).to_string();
    write!(
        stream,
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .unwrap();
    let mut words = first.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    let path = target.split('?').next().unwrap();
    let path = path.replace("%7B", "{").replace("%7D", "}");
    format!("{method} {}", path.replace(NOBODY, "{id}"))
}
