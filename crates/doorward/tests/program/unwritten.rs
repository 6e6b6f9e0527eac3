//! Answers that could not be written: a device without room, and a reader who is gone.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use crate::support::{Finished, Place};

const NO_ROOM: &str = "No space left on device (os error 28)";
const CREATE: &str =
    "admin client create --name A --auth-method client_secret_basic --redirect-uri https://a.example/cb";

fn without_room(place: &Place, words: &str) -> Finished {
    place
        .start_in_shell(&format!("exec \"$0\" {words} > /dev/full"))
        .finish()
}

/// Standard output is a pipe whose other end is closed.
fn without_reader(place: &Place, words: &str) -> Finished {
    let pipe = "rm -f pipe && mkfifo pipe && exec 4<>pipe 5>pipe 4>&-";
    place
        .start_in_shell(&format!("{pipe} && exec \"$0\" {words} >&5"))
        .finish()
}

/// What a list has, newest first.
fn newest(place: &Place, what: &str, id: &str) -> String {
    let list = place.run(&["admin", what, "list", "--json"]).json();
    list["items"][0][id].as_str().unwrap().to_owned()
}

#[test]
fn an_answer_for_which_there_is_no_room_is_told_of() {
    let place = Place::bare();
    let expected =
        format!("the answer could not be written ({NO_ROOM}); what the command had to change is changed");
    for words in [
        "init",
        "check-config --config doorward.toml",
        "completions bash",
        "keys new-master another.key",
        "migrate --config doorward.toml",
    ] {
        assert_eq!(
            without_room(&place, words).one_line_failure(),
            expected,
            "{words}"
        );
    }
    for file in ["doorward.toml", "another.key", "data/doorward.db"] {
        assert!(place.folder().join(file).exists(), "{file}");
    }
    for words in ["check-config --config doorward.toml", "completions bash"] {
        assert_eq!(without_reader(&place, words).success(), "", "{words}");
    }
}

#[tokio::test]
async fn a_secret_that_was_not_shown_is_told_of_with_the_way_to_another() {
    let place = Place::new().set("DOORWARD_REGISTRATION_DCR", "initial_access_token");
    let _server = place.serve().await;
    let lost = format!("it was made, but its secret could not be shown ({NO_ROOM}); ");
    let told = without_room(&place, CREATE).one_line_failure();
    let client = newest(&place, "client", "client_id");
    let another = format!("`doorward admin client rotate-secret {client}` makes another");
    assert_eq!(told, format!("{lost}{another}"));
    let rotate = format!("admin client rotate-secret {client}");
    let told = without_room(&place, &format!("{rotate} --json")).json_failure_with(1);
    assert_eq!(told["error"], "failed");
    assert_eq!(told["error_description"], format!("{lost}{another}"));
    // Nobody saw it either.
    let told = without_reader(&place, &rotate).one_line_failure();
    assert!(
        told.contains("could not be shown") && told.ends_with(&another),
        "{told}"
    );
    place
        .run(&["admin", "client", "rotate-secret", &client])
        .success();
    for what in ["admin-key", "initial-token"] {
        let told = without_room(&place, &format!("admin {what} create --name A")).one_line_failure();
        let id = newest(&place, what, "id");
        let delete = format!("delete it (`doorward admin {what} delete {id}`), and create another");
        assert_eq!(told, format!("{lost}{delete}"));
        place.run(&["admin", what, "delete", &id]).success();
    }

    // Of what can be asked again nothing is to be undone.
    for words in ["admin client list", "admin client list --all", "admin key rotate"] {
        let told = without_room(&place, words).one_line_failure();
        assert!(
            told.starts_with("the answer could not be written ("),
            "{words}: {told}"
        );
        assert_eq!(without_reader(&place, words).success(), "", "{words}");
    }
    let told = without_room(&place, "admin client list --json").json_failure_with(1);
    assert_eq!(told["error"], "failed", "{told}");
}

/// It is shown once, and without it nobody gets in.
#[tokio::test]
async fn a_first_admin_key_that_was_not_shown_is_made_anew_by_the_next_start() {
    let place = Place::new().without("DOORWARD_ADMIN_BOOTSTRAP_KEY");
    for given_up in [without_room(&place, "serve"), without_reader(&place, "serve")] {
        assert_eq!(given_up.code, Some(1), "{given_up:?}");
        let mut lines = given_up.stderr.lines();
        let told =
            lines.find_map(|line| line.strip_prefix("error: the first admin key could not be shown ("));
        assert!(
            told.is_some_and(|told| told.contains("was deleted again")),
            "{given_up:?}"
        );
    }
    let server = place.serve().await;
    let printed = server.process.stdout();
    let key = printed.lines().find(|line| line.starts_with("dwk_")).unwrap();
    let keys = ["admin", "admin-key", "list", "--json"];
    let keys = place.run_with("DOORWARD_ADMIN_KEY", key, &keys).json();
    assert_eq!(keys["items"].as_array().unwrap().len(), 1, "{keys}");
}

/// Answers every request with a page after which there is another one.
fn endless() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        let page = r#"{"items":[{"id":"a","name":"A"}],"next":"further"}"#;
        let length = page.len();
        for caller in listener.incoming() {
            let mut caller = caller.unwrap();
            let _request = caller.read(&mut [0; 4096]).unwrap();
            let answer =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{page}");
            // The program may be gone.
            drop(caller.write_all(answer.as_bytes()));
        }
    });
    url
}

#[test]
fn a_list_ends_when_its_reader_has_seen_enough() {
    let place = Place::bare();
    for (json, first) in [("", "ID  NAME"), ("--json", "{")] {
        let list = format!("admin initial-token list --all {json} --url {}", endless());
        let script = format!("{{ \"$0\" {list}; echo $? > code; }} | head -n 1");
        let read = place.start_in_shell(&script).finish().success();
        assert!(read.starts_with(first), "{read}");
        assert_eq!(fs::read_to_string(place.folder().join("code")).unwrap(), "0\n");
    }
}
