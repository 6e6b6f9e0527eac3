//! Answers that are none of the admin API, and answers that do not come.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread::{JoinHandle, spawn};

use super::NOBODY;
use crate::support::{Finished, Place};

/// A server that answers one request with this, and hangs up.
pub(super) fn answers_with(answer: String) -> (String, JoinHandle<()>) {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let thread = spawn(move || {
        let (mut caller, _) = other.accept().unwrap();
        let _request = caller.read(&mut [0; 4096]).unwrap();
        caller.write_all(answer.as_bytes()).unwrap();
    });
    (url, thread)
}

/// The same, with this status and this body.
pub(super) fn answers(status: &str, body: &str) -> (String, JoinHandle<()>) {
    let length = body.len();
    answers_with(format!(
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
    ))
}

/// What a command makes of such a server, and where that was.
fn asked(command: &[&str], (url, thread): (String, JoinHandle<()>)) -> (Finished, String) {
    let place = Place::bare();
    let finished = place.run_with_input(&[&["admin", "--url", &url], command].concat(), "a token\n");
    // Not waited for: where the command was refused, nobody comes.
    drop(thread);
    (finished, url)
}

/// A web server says 200 to everything, and nothing was done.
#[test]
fn a_success_of_somebody_else_is_none() {
    let revoke = &["grant", "revoke", NOBODY][..];
    let create = &["client", "create", "--name", "A"][..];
    let list = &["client", "list", "--all", "--json"][..];
    for (command, status, body) in [
        (revoke, "200 OK", "<!doctype html>"),
        (revoke, "200 OK", ""),
        (create, "200 OK", "<!doctype html>"),
        (create, "201 Created", "\"made\""),
        (create, "204 No Content", ""),
        (list, "200 OK", "[]"),
        (
            &["token-exchange", "explain", "--client-id", "a"],
            "200 OK",
            "null",
        ),
    ] {
        let (finished, url) = asked(command, answers(status, body));
        let status = &status[..3];
        let expected = format!(
            "{url} answers HTTP {status} and is no admin API of Doorward; correct --url (DOORWARD_ADMIN_URL)"
        );
        if command.contains(&"--json") {
            let told = finished.json_failure_with(1);
            assert_eq!(told["error_description"], expected);
        } else {
            assert_eq!(finished.one_line_failure(), expected, "{command:?} {body}");
        }
    }
    // What is there in every answer of the API.
    for (command, member) in [
        (&["client", "list", "--all"][..], "items"),
        (&["user", "list"], "items"),
        (&["token-exchange", "explain", "--client-id", "a"], "allowed"),
    ] {
        let (finished, url) = asked(command, answers("200 OK", "{}"));
        let expected = format!("{url} answers without `{member}` and is no admin API of Doorward");
        let told = finished.one_line_failure();
        assert!(told.starts_with(&expected), "{told}");
    }
    let (gone, _) = asked(revoke, answers("204 No Content", ""));
    assert!(gone.success().starts_with("The grant has ended"));
}

#[test]
fn a_server_is_ready_when_it_says_so() {
    for (answer, code) in [("ready", 0), ("<!doctype html>", 1), ("", 1)] {
        let (url, thread) = answers("200 OK", answer);
        let finished = Place::bare().run(&["healthcheck", "--url", &url]);
        thread.join().unwrap();
        assert_eq!(finished.code, Some(code), "{finished:?}");
        if code == 1 {
            let told = finished.one_line_failure();
            assert!(told.contains("is no server of Doorward"), "{told}");
        }
    }
}

#[test]
fn what_was_sent_and_not_answered_to_the_end_may_have_been_done() {
    let cut = "HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"id\"";
    for (command, further) in [
        (
            &["client", "create", "--name", "A"][..],
            "what was sent may have been done: look, or run the command again",
        ),
        (&["client", "list"], "; run the command again"),
    ] {
        for answer in ["", cut] {
            let (finished, url) = asked(command, answers_with(answer.to_owned()));
            let told = finished.one_line_failure_with(3);
            let expected = format!("the admin API at {url} was asked, and has not answered to the end; ");
            assert!(told.starts_with(&expected) && told.contains(further), "{told}");
        }
    }
}

#[test]
fn an_id_that_is_too_long_for_an_address_is_not_the_fault_of_the_address() {
    let id = "a".repeat(70_000);
    let told = Place::bare()
        .run(&["admin", "client", "get", &id])
        .one_line_failure_with(2);
    assert!(
        told.starts_with("a name or id is too long for an address; nothing was sent"),
        "{told}"
    );
}

/// One value of base64url in 64 does, and subjects are what issuers like.
#[test]
fn what_may_begin_with_a_hyphen_is_taken() {
    let link = &["trusted-issuer", "link", "okta", "-sub", "--user", NOBODY][..];
    for command in [
        &["client", "list", "--cursor", "-next"][..],
        &[
            "token-exchange",
            "explain",
            "--client-id",
            "a",
            "--dpop-jkt",
            "-jkt",
        ],
        link,
        &["trusted-issuer", "unlink", "okta", "-sub"],
        &["trusted-issuer", "links", "okta", "--subject", "-sub"],
    ] {
        let (finished, _) = asked(command, answers("200 OK", r#"{"items":[],"allowed":true}"#));
        finished.success();
    }
}
