//! What is refused, by the server or before it is asked, and how that is said.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::CREATE;
use crate::support::{Place, free_port};

/// An id that nobody has.
const NOBODY: &str = "6f1a3c52-7d0e-4b7a-9a35-1f0c2d4e8b96";

#[tokio::test]
async fn a_refused_command_says_why_in_one_line() {
    let place = Place::new();
    let server = place.serve().await;
    place.run(&CREATE).success();
    let refused = |arguments: &[&str]| {
        let complaint = place.run(arguments).one_line_failure();
        // Behind the sentence stands what finds the log line.
        let (sentence, rest) = complaint
            .split_once(" (HTTP ")
            .unwrap_or_else(|| panic!("{complaint}"));
        assert!(rest.contains("error id "), "{complaint}");
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
        ("resource", "update", "nope"),
        ("client", "delete", "nope"),
        ("client", "update", "nope"),
        ("client", "rotate-secret", "nope"),
        ("user", "get", NOBODY),
        ("user", "delete", NOBODY),
        ("user", "update", NOBODY),
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
    for (what, verb) in [("user", "get"), ("user", "disable"), ("grant", "revoke")] {
        let sentence = refused(&["admin", what, verb, "nope"]);
        assert_eq!(
            sentence, "400 The id in the path is malformed; list the records to see their ids.",
            "{what} {verb}"
        );
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
            insta::assert_snapshot!(place.run(&list).one_line_failure(), @"the admin key has a character in it that no key has: a space, a line break, or one that is not ASCII");
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
    insta::assert_snapshot!(place.run(&list).one_line_failure(), @"the server refuses this admin key; set DOORWARD_ADMIN_KEY to the one that was printed at first start, or to admin.bootstrap_key");
    let place = place.without("DOORWARD_ADMIN_KEY");
    insta::assert_snapshot!(place.run(&list).one_line_failure(), @"no admin key: set DOORWARD_ADMIN_KEY to admin.bootstrap_key of the configuration, or to the key that was printed at first start (`doorward dev` prints where its own is)");
    drop(server);

    let port = free_port();
    let url = format!("http://127.0.0.1:{port}");
    let place = place.set("DOORWARD_ADMIN_KEY", "dwk_any");
    let silent = place
        .run(&["admin", "--url", &url, "resource", "list"])
        .one_line_failure();
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
        .one_line_failure();
    assert!(silent.contains("does not answer"), "{silent}");
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
    insta::assert_snapshot!(place.run(&update).one_line_failure(), @"a resource's URI stands in its tokens and cannot be changed; `doorward admin resource delete notes` ends the grants on it, then create it with the other URI");
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
