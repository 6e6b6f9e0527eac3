//! `doorward dev`: the README's first command.

use std::net::TcpListener;

use crate::support::{Finished, Place, free_port};

fn dev(place: &Place, ports: [u16; 3]) -> Finished {
    let [port, admin, demo] = ports.map(|port| port.to_string());
    let arguments = [
        "dev",
        "--once",
        "--data-dir",
        "dev",
        "--port",
        &port,
        "--admin-port",
        &admin,
        "--demo-port",
        &demo,
    ];
    place.run(&arguments)
}

fn free_ports() -> [u16; 3] {
    [free_port(), free_port(), free_port()]
}

/// The names of the steps that were walked.
fn steps(stdout: &str) -> Vec<String> {
    let steps = stdout.lines().filter(|line| line.contains(" ms  "));
    steps.map(|line| line[4..18].trim().to_owned()).collect()
}

#[test]
fn the_walk_passes_in_an_empty_folder_and_again_in_the_same() {
    let place = Place::bare();
    let ports = free_ports();
    let first = dev(&place, ports).success();
    assert_eq!(
        steps(&first),
        [
            "challenge",
            "discovery",
            "registration",
            "authorize",
            "login",
            "consent",
            "token",
            "refresh",
            "tools/list",
            "tools/call",
            "tools/call",
            "cut off"
        ]
    );
    assert!(first.contains("DEVELOPMENT: loopback only"), "{first}");
    assert!(first.contains("All 12 steps passed"), "{first}");
    let second = dev(&place, ports).success();
    assert_eq!(steps(&second), steps(&first));
    // Other ports make another issuer and another resource, in the same folder.
    let third = dev(&place, free_ports()).success();
    assert_eq!(steps(&third), steps(&first));
}

#[test]
fn a_taken_port_is_named_with_the_flag_that_chooses_another() {
    let place = Place::bare();
    for (index, flag) in [(0, "--port"), (1, "--admin-port"), (2, "--demo-port")] {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ports = free_ports();
        ports[index] = taken.local_addr().unwrap().port();
        let refused = dev(&place, ports);
        assert_eq!(refused.code, Some(1), "{refused:?}");
        assert!(steps(&refused.stdout).is_empty(), "{refused:?}");
        assert_eq!(refused.stderr.lines().count(), 1, "{refused:?}");
        for part in [flag, &ports[index].to_string(), "Address already in use"] {
            assert!(refused.stderr.contains(part), "{part}: {refused:?}");
        }
    }
    dev(&place, free_ports()).success();
}

#[test]
fn two_runs_at_once_in_one_folder_do_not_disturb_each_other() {
    let place = Place::bare();
    let [port, admin, demo] = free_ports().map(|port| port.to_string());
    let stays = [
        "dev",
        "--data-dir",
        "dev",
        "--port",
        &port,
        "--admin-port",
        &admin,
        "--demo-port",
        &demo,
    ];
    let running = place.start(&stays, "");
    let until = |text: &str| {
        (0..3000).any(|_| {
            running.stdout().contains(text) || {
                std::thread::sleep(std::time::Duration::from_millis(10));
                false
            }
        })
    };
    assert!(
        until("Stop          Ctrl-C"),
        "{}{}",
        running.stdout(),
        running.stderr()
    );
    let said = running.stdout();
    assert!(
        said.contains(&format!(
            "claude mcp add --transport http doorward-demo http://localhost:{demo}/mcp"
        )),
        "{said}"
    );
    let key_file = said.split_once("DOORWARD_ADMIN_KEY=$(cat '").expect(&said).1;
    let key_file = key_file.split_once('\'').expect(&said).0;
    let key =
        std::fs::read_to_string(place.folder().join(key_file)).expect("the operator's key is where it says");
    assert!(key.starts_with("dwk_"), "no operator's key");

    let second = dev(&place, free_ports());
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.stderr.contains("another process uses "), "{second:?}");
    running.terminate();
    let stopped = running.finish();
    assert_eq!(
        (stopped.code, stopped.stdout.lines().last()),
        (Some(0), Some("Stopping.")),
        "{stopped:?}"
    );
}
