//! A log that nobody reads: a collector that hangs, with a pipe that is full.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::thread;

use reqwest::StatusCode;
use serde_json::Value;

use crate::support::{Place, Server, eventually, http};

/// Lines that were dropped, as the server counts them.
async fn dropped(server: &Server) -> u64 {
    let url = format!("{}/metrics", server.admin_url);
    let text = http().get(url).send().await.unwrap().text().await.unwrap();
    let lines = text.lines();
    let mut count = lines.filter_map(|line| line.strip_prefix("doorward_log_lines_dropped_total "));
    count.next().unwrap().parse().unwrap()
}

/// A server whose log is a pipe that is open and that nobody reads, asked until it drops lines.
async fn stuck(place: &Place) -> Server {
    let process = place.start_in_shell("mkfifo log && exec \"$0\" serve 2<>log");
    let server = Server::ready(process, &place.issuer(), place.public, place.admin).await;
    assert_eq!(dropped(&server).await, 0);
    let (client, nowhere) = (http(), format!("{}/nowhere", server.public_url));
    eventually("lines are dropped", || async {
        for _ in 0..100 {
            let answer = client.get(&nowhere).send().await.unwrap();
            assert_eq!(answer.status(), StatusCode::NOT_FOUND);
        }
        (dropped(&server).await > 0).then_some(())
    })
    .await;
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_stops_nothing_and_says_what_is_missing() {
    let place = Place::new();
    let server = stuck(&place).await;
    for path in ["livez", "readyz"] {
        let url = format!("{}/{path}", server.public_url);
        assert_eq!(http().get(url).send().await.unwrap().status(), StatusCode::OK);
    }
    let log = File::open(place.folder().join("log")).unwrap();
    let reader = thread::spawn(move || {
        let lines = BufReader::new(log).lines();
        let mut lines = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
        lines.find(|line| line["message"] == "these log lines were dropped, as nobody read the log")
    });
    let told = reader.join().unwrap().unwrap();
    assert_eq!(told["level"], "WARN");
    assert!(told["lines"].as_u64().unwrap() > 0, "{told}");
    assert!(dropped(&server).await >= told["lines"].as_u64().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_nobody_reads_does_not_hold_up_the_end() {
    let place = Place::new();
    assert_eq!(stuck(&place).await.stop().code, Some(0));
}
