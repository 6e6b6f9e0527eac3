//! What is refused, by the server or before it is asked, and how that is said.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use serde_json::{Value, json};

use super::answers::answers;
use super::{CREATE, NOBODY};
use crate::support::{Place, free_port};

fn exit_code(status: &str) -> i32 {
    match status {
        "404" => 5,
        "409" => 6,
        _ => 1,
    }
}

#[tokio::test]
async fn a_refused_command_says_why_in_one_line() {
    let place = Place::new();
    let server = place.serve().await;
    place.run(&CREATE).success();
    let refused = |arguments: &[&str]| {
        let finished = place.run(arguments);
        let code = finished.code.unwrap_or_default();
        let complaint = finished.one_line_failure_with(code);
        // Behind the sentence stands what finds the log line.
        let (sentence, rest) = complaint
            .split_once(" (HTTP ")
            .unwrap_or_else(|| panic!("{complaint}"));
        assert!(rest.contains("error id "), "{complaint}");
        assert_eq!(code, exit_code(&rest[..3]), "{complaint}");
        format!("{} {sentence}", &rest[..3])
    };
    insta::assert_snapshot!(refused(&["admin", "resource", "get", "nope"]), @"404 There is no resource with this slug; list the resources to see what there is.");
    insta::assert_snapshot!(refused(&CREATE), @"409 A resource with this URI exists; update it instead.");
    let other_uri = [
        "admin",
        "resource",
        "create",
        "--slug",
        "my-server",
        "--uri",
        "http://localhost:8081/mcp",
    ];
    insta::assert_snapshot!(refused(&other_uri), @"409 There is a resource with this slug already; choose another slug.");
    let kind = [
        "admin",
        "resource",
        "create",
        "--slug",
        "b",
        "--uri",
        "http://localhost:1/b",
        "--backend-kind",
        "brew",
    ];
    let complaint = place.run(&kind).stderr;
    assert!(complaint.contains("[possible values: mint]"), "{complaint}");
    let grant_type = [
        "admin",
        "client",
        "create",
        "--name",
        "Robot",
        "--grant-type",
        "client_credential",
    ];
    insta::assert_snapshot!(refused(&grant_type), @"400 There is no grant type 'client_credential' here; see grant_types_supported in the metadata.");
    insta::assert_snapshot!(refused(&["admin", "client", "get", "nope"]), @"404 There is no client with this id; list the clients to see what there is.");
    for (what, verb, id) in [
        ("resource", "delete", "nope"),
        ("client", "delete", "nope"),
        ("client", "rotate-secret", "nope"),
        ("user", "get", NOBODY),
        ("user", "delete", NOBODY),
        ("user", "disable", NOBODY),
        ("grant", "get", NOBODY),
        ("grant", "revoke", NOBODY),
    ] {
        let sentence = refused(&["admin", what, verb, id]);
        assert!(
            sentence.starts_with("404 There is no "),
            "{what} {verb}: {sentence}"
        );
    }
    for (what, id) in [("resource", "nope"), ("client", "nope"), ("user", NOBODY)] {
        let name = if what == "resource" {
            "--display-name"
        } else {
            "--name"
        };
        let sentence = refused(&["admin", what, "update", id, name, "A"]);
        assert!(sentence.starts_with("404 There is no "), "{what}: {sentence}");
    }
    for (words, place) in [
        (&["grant", "revoke", "nope"][..], "the path"),
        (&["audit", "list", "--grant", "nope"], "grant"),
    ] {
        let sentence = refused(&[&["admin"], words].concat());
        let expected = format!("400 The id in {place} is malformed; list the records to see their ids.");
        assert_eq!(sentence, expected);
    }
    assert!(
        refused(&[
            "admin",
            "client",
            "create",
            "--name",
            "X",
            "--redirect-uri",
            "javascript:alert(1)"
        ])
        .starts_with("400 ")
    );
    assert!(refused(&["admin", "client", "list", "--limit", "0"]).starts_with("400 "));
    assert!(refused(&["admin", "client", "list", "--cursor", "x"]).starts_with("400 "));
    // A path is not left by a name with dots and slashes in it.
    assert!(refused(&["admin", "resource", "get", "../keys"]).starts_with("404 "));
    drop(server);
}

#[tokio::test]
async fn a_key_with_a_character_that_no_key_has_is_refused_and_the_end_of_its_line_is_not_part_of_it() {
    let place = Place::new();
    let _server = place.serve().await;
    let list = ["admin", "resource", "list"];
    let mut place = place;
    for key in ["dwk_in\ntwo", "dwk_in two", "dwk_ä"] {
        place = place.set("DOORWARD_ADMIN_KEY", key);
        insta::allow_duplicates! {
            insta::assert_snapshot!(place.run(&list).one_line_failure_with(4), @"the admin key has a character in it that no key has: a space, a line break, or one that is not ASCII");
        }
    }
    let key = format!("{}\r\n", crate::support::ADMIN_KEY);
    place.set("DOORWARD_ADMIN_KEY", &key).run(&list).success();
}

#[tokio::test]
async fn a_wrong_or_missing_key_and_a_silent_server_are_told_apart() {
    let place = Place::new();
    let server = place.serve().await;
    let list = ["admin", "resource", "list"];
    let place = place.set("DOORWARD_ADMIN_KEY", "dwk_wrong");
    insta::assert_snapshot!(place.run(&list).one_line_failure_with(4), @"the server refuses this admin key: it is another one, or was deleted; set DOORWARD_ADMIN_KEY to one that `doorward admin admin-key create` or the first start has shown, or to admin.bootstrap_key");
    let place = place.without("DOORWARD_ADMIN_KEY");
    insta::assert_snapshot!(place.run(&list).one_line_failure_with(4), @"no admin key: set DOORWARD_ADMIN_KEY to admin.bootstrap_key of the configuration, or to the key that was printed at first start (`doorward dev` prints where its own is)");
    drop(server);

    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let place = place.set("DOORWARD_ADMIN_KEY", "dwk_any");
    let silent = place
        .run(&["admin", "--url", &url, "resource", "list"])
        .one_line_failure_with(3);
    let expected = format!(
        "the admin API at {url} does not answer; is the server running, and is this its address (--url)?"
    );
    assert!(silent.starts_with(&expected), "{silent}");
    let unhealthy = place.run(&["healthcheck", "--url", &url]).one_line_failure();
    assert!(
        unhealthy.starts_with(&format!("{url}/readyz does not answer; is the server running")),
        "{unhealthy}"
    );
    let address = url.trim_start_matches("http://");
    insta::assert_snapshot!(place.run(&["healthcheck", "--url", address]).one_line_failure(), @"the server's address must begin with http:// or https://, as in http://127.0.0.1:9000 (--url)");

    // Somebody else's server, which speaks no HTTP.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let hangs_up = std::thread::spawn(move || drop(other.accept().unwrap()));
    let silent = place
        .run(&["admin", "--url", &url, "key", "list"])
        .one_line_failure_with(3);
    assert!(silent.contains("has not answered to the end"), "{silent}");
    hangs_up.join().unwrap();

    // Or one that does, and is something else.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", other.local_addr().unwrap());
    let knows_nothing = std::thread::spawn(move || {
        let (mut caller, _) = other.accept().unwrap();
        let _request = caller.read(&mut [0; 4096]).unwrap();
        caller
            .write_all(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .unwrap();
    });
    let told = place
        .run(&["admin", "--url", &url, "key", "list"])
        .one_line_failure();
    let expected =
        format!("{url} answers HTTP 404 and is no admin API of Doorward; correct --url (DOORWARD_ADMIN_URL)");
    assert_eq!(told, expected);
    knows_nothing.join().unwrap();
}

#[test]
fn scripts_tell_by_the_exit_code_what_went_wrong() {
    const NO_RECORD: &str = r#"{"error":"not_found","error_description":"A sentence.","error_id":"i"}"#;
    const NO_ADDRESS: &str =
        r#"{"error":"unknown_endpoint","error_description":"A sentence.","error_id":"i"}"#;
    const ERROR: &str = r#"{"error":"e","error_description":"A sentence.","error_id":"i"}"#;
    let place = Place::bare().set("DOORWARD_ADMIN_KEY", "dwk_any");
    let cases = [
        ("400 Bad Request", ERROR, 1),
        ("500 Internal Server Error", ERROR, 1),
        ("404 Not Found", "", 1),
        ("409 Conflict", "", 1),
        ("429 Too Many Requests", ERROR, 3),
        ("503 Service Unavailable", ERROR, 3),
        ("502 Bad Gateway", "<html>", 3),
        ("504 Gateway Timeout", "", 3),
        ("401 Unauthorized", ERROR, 4),
        ("403 Forbidden", ERROR, 4),
        ("404 Not Found", NO_RECORD, 5),
        ("404 Not Found", NO_ADDRESS, 1),
        ("404 Not Found", ERROR, 1),
        ("409 Conflict", ERROR, 6),
        ("412 Precondition Failed", ERROR, 6),
    ];
    for (status, body, code) in cases {
        for json in [false, true] {
            let (url, thread) = answers(status, body);
            let list = ["admin", "--url", &url, "key", "list", "--json"];
            let list = &list[..if json { 6 } else { 5 }];
            let finished = place.run(list);
            thread.join().unwrap();
            if !json {
                finished.one_line_failure_with(code);
                continue;
            }
            let told = finished.json_failure_with(code);
            assert_eq!(told["status"], status[..3].parse::<u16>().unwrap(), "{told}");
            if body == ERROR {
                assert_eq!(
                    told,
                    json!({"error": "e", "error_description": "A sentence.", "error_id": "i", "status": told["status"]})
                );
            } else if body == NO_RECORD || body == NO_ADDRESS {
                let sent: Value = serde_json::from_str(body).unwrap();
                assert_eq!(told["error"], sent["error"], "{told}");
            } else {
                let sentence = told["error_description"].as_str().unwrap();
                assert!(sentence.contains("is no admin API of Doorward"), "{told}");
            }
        }
    }

    // What was not answered has no status.
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let list = ["admin", "--url", &nobody, "key", "list", "--json"];
    let told = place.run(&list).json_failure_with(3);
    assert_eq!(
        (&told["error"], told.get("status")),
        (&json!("unavailable"), None)
    );
    let list = ["admin", "--url", "http://[", "key", "list", "--json"];
    let told = place.run(&list).json_failure_with(2);
    assert_eq!(told["error"], "usage");
    let list = ["admin", "key", "list", "--json"];
    let told = place
        .without("DOORWARD_ADMIN_KEY")
        .run(&list)
        .json_failure_with(4);
    assert_eq!(told["error"], "unauthorized");

    let help = Place::bare().run(&["admin", "--help"]).success();
    assert!(help.contains("Exit codes:"), "{help}");
}

/// Nobody listens there, and nothing is sent.
#[test]
fn an_update_of_nothing_is_refused_before_anything_is_sent() {
    let place = Place::bare().set("DOORWARD_ADMIN_KEY", "dwk_any");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let refused = |what: &str| {
        let update = ["admin", what, "update", "a", "--url", &url];
        place.run(&update).one_line_failure_with(2)
    };
    insta::assert_snapshot!(refused("resource"), @"nothing to change, and nothing was sent: give at least one of --display-name, --scopes, --add-scope, --remove-scope, --on-request, --by-default, --require-dpop, --exchange-client, --access-ttl, --refresh-idle-ttl, --refresh-absolute-ttl, --max-auth-age, --person-claim, --no-person-claims, --claim, --no-claims");
    insta::assert_snapshot!(refused("client"), @"nothing to change, and nothing was sent: give at least one of --name, --redirect-uri, --scope, --jwks, --jwks-uri, --require-dpop, --require-par, --disabled");
    insta::assert_snapshot!(refused("user"), @"nothing to change, and nothing was sent: give at least one of --email, --name, --password");
    insta::assert_snapshot!(refused("trusted-issuer"), @"nothing to change, and nothing was sent: give at least one of --jwks-uri, --jwks, --no-jwks, --algorithm, --audience, --no-audiences, --max-lifetime, --single-use, --public-clients, --provision, --id-token-client, --no-id-token-clients, --rule, --no-rules");
    insta::assert_snapshot!(refused("assertion-audience"), @"nothing to change, and nothing was sent: give at least one of --lifetime, --person-claim, --no-person-claims, --client-name, --no-client-names, --rule, --no-rules");
    let nothing = ["admin", "user", "update", "a", "--url", &url, "--json"];
    let told = place.run(&nothing).json_failure_with(2);
    assert_eq!(told["error"], "usage");
    assert!(listener.accept().is_err(), "somebody was asked");
}

/// `--url` is the nearest option that there is, and gets the admin key.
#[test]
fn who_wants_to_move_a_resource_is_not_led_to_send_the_key_there() {
    let place = Place::bare().set("DOORWARD_ADMIN_KEY", "dwk_any");
    let update = [
        "admin",
        "resource",
        "update",
        "notes",
        "--uri",
        "https://mcp.example.com/mcp",
    ];
    insta::assert_snapshot!(place.run(&update).one_line_failure_with(2), @"a resource's URI stands in its tokens and cannot be changed; `doorward admin resource delete notes` ends the grants on it, then create it with the other URI");
}

#[test]
fn completions_are_scripts_for_each_shell() {
    let place = Place::bare();
    for shell in ["bash", "zsh", "fish"] {
        let script = place.run(&["completions", shell]).success();
        assert!(script.contains("rotate-secret"), "{shell}");
    }
    // Wrong words are the command line's own matter: exit code 2, on standard error.
    let refused = place.run(&[
        "admin", "resource", "create", "--slug", "x", "--scopes", "|x|", "--uri", "http://x",
    ]);
    assert_eq!((refused.code, refused.stdout.as_str()), (Some(2), ""));
    assert!(
        refused.stderr.contains("the name is missing"),
        "{}",
        refused.stderr
    );
}
