//! `kill -9` under load: nothing that was answered is lost, and nothing that was spent comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::support::{Browser, Client, Place, Server, Tokens, claims, eventually, http, random_below};

const ROUNDS: usize = 10;
const CLIENTS: usize = 4;

/// What a client knows of one grant when the server is gone.
struct Held {
    code: String,
    /// The answers, oldest first; empty when the code was sent and no answer came.
    answers: Vec<Tokens>,
    /// A request was on its way.
    asked: bool,
}

/// What a client knows when the server is gone.
#[derive(Default)]
struct Ledger {
    held: Vec<Held>,
    /// Codes that were never sent.
    unsent: Vec<String>,
}

/// Code, token, refresh, refresh, over and over, until there is no answer.
async fn live(client: &Client, browser: &Browser, answered: &AtomicUsize) -> Ledger {
    let mut ledger = Ledger::default();
    loop {
        for spare in [true, false] {
            let Ok(page) = browser.open(&client.authorization_url()).await else {
                return ledger;
            };
            let away = page.away.clone().unwrap_or_else(|| panic!("no code: {page:?}"));
            let code = away
                .query_pairs()
                .find(|(name, _)| name == "code")
                .unwrap_or_else(|| panic!("{away}"))
                .1
                .into_owned();
            answered.fetch_add(1, Ordering::Relaxed);
            if spare {
                ledger.unsent.push(code);
            } else {
                ledger.held.push(Held {
                    code,
                    answers: Vec::new(),
                    asked: true,
                });
            }
        }
        let Some(held) = ledger.held.last_mut() else {
            return ledger;
        };
        let Ok(answer) = client.redeem(&held.code).await else {
            return ledger;
        };
        held.answers.push(Tokens::of(answer));
        answered.fetch_add(1, Ordering::Relaxed);
        for _ in 0..2 {
            let Ok(answer) = client
                .refresh(&held.answers[held.answers.len() - 1].refresh)
                .await
            else {
                return ledger;
            };
            held.answers.push(Tokens::of(answer));
            answered.fetch_add(1, Ordering::Relaxed);
        }
        held.asked = false;
    }
}

fn is_invalid_grant(answer: &(reqwest::StatusCode, Value)) -> bool {
    answer.0 == 400 && answer.1["error"] == "invalid_grant"
}

/// Holds the server that came back to what the one before answered.
async fn check(client: &Client, ledger: &Ledger) {
    for held in &ledger.held {
        match held.answers.as_slice() {
            // The code was sent and nobody answered: it was redeemed or not, but cleanly so.
            [] => {
                let answer = client.redeem(&held.code).await.unwrap();
                assert!(answer.0 == 200 || is_invalid_grant(&answer), "{answer:?}");
            }
            [.., before, last] if !held.asked => {
                // As after a lost answer: the token before gives the same one again, as long as that is unused.
                let again = Tokens::of(client.refresh(&before.refresh).await.unwrap());
                assert_eq!(again.refresh, last.refresh);
                Tokens::of(client.refresh(&last.refresh).await.unwrap());
            }
            [.., last] => {
                Tokens::of(client.refresh(&last.refresh).await.unwrap());
            }
        }
    }
    for code in &ledger.unsent {
        Tokens::of(client.redeem(code).await.unwrap());
    }
}

/// A code that was answered with tokens is spent; and to try ends its grant.
async fn replay(client: &Client, ledger: &Ledger) {
    for held in ledger.held.iter().filter(|held| !held.answers.is_empty()) {
        let answer = client.redeem(&held.code).await.unwrap();
        assert!(is_invalid_grant(&answer), "{answer:?}");
        let answer = client
            .refresh(&held.answers[held.answers.len() - 1].refresh)
            .await
            .unwrap();
        assert!(is_invalid_grant(&answer), "{answer:?}");
    }
}

/// The ids of the client's active grants.
fn active_grants(place: &Place, client: &Client) -> Vec<String> {
    let mut grants = Vec::new();
    let mut cursor = None::<String>;
    loop {
        let mut list = vec![
            "admin",
            "grant",
            "list",
            "--json",
            "--limit",
            "200",
            "--state",
            "active",
            "--client-id",
            &client.id,
        ];
        if let Some(cursor) = &cursor {
            list.extend(["--cursor", cursor]);
        }
        let page = place.run(&list).json();
        grants.extend(
            page["items"]
                .as_array()
                .unwrap()
                .iter()
                .map(|grant| grant["id"].as_str().unwrap().to_owned()),
        );
        match page["next"].as_str() {
            Some(next) => cursor = Some(next.to_owned()),
            None => return grants,
        }
    }
}

/// Lets every client work until so many answers have come, and kills the server in the midst of it.
async fn crash(mut server: Server, clients: &[Client], browser: &Arc<Browser>) -> Vec<Ledger> {
    let answered = Arc::new(AtomicUsize::new(0));
    let lives = clients.iter().cloned().map(|client| {
        let (browser, answered) = (Arc::clone(browser), Arc::clone(&answered));
        tokio::spawn(async move { live(&client, &browser, &answered).await })
    });
    let lives: Vec<_> = lives.collect();
    let enough = 10 + random_below(90);
    eventually("the clients get answers", || async {
        (answered.load(Ordering::Relaxed) >= enough).then_some(())
    })
    .await;
    server.process.kill();
    let mut ledgers = Vec::new();
    for life in lives {
        ledgers.push(life.await.unwrap());
    }
    ledgers
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_answered_is_lost_and_nothing_spent_comes_back() {
    let place = Place::new();
    let mut server = place.serve().await;
    place.populate();
    let browser = Arc::new(Browser::new());
    let mut clients = Vec::new();
    for number in 0..CLIENTS {
        let client = Client::register(&server, &format!("Client {number}")).await;
        // The first time is asked for; from then on a code takes one request.
        browser.approve(&client.authorization_url()).await;
        clients.push(client);
    }
    let mut answers = 0;
    for _ in 0..ROUNDS {
        let ledgers = crash(server, &clients, &browser).await;
        server = place.serve().await;
        let checks = clients.iter().zip(&ledgers).map(|(client, ledger)| async {
            check(client, ledger).await;
            let active = active_grants(&place, client);
            let granted = ledger.held.iter().filter_map(|held| held.answers.first());
            for tokens in granted {
                let grant = claims(&tokens.access)["gid"].as_str().unwrap().to_owned();
                assert!(active.contains(&grant), "grant {grant} is lost");
            }
            replay(client, ledger).await;
            ledger.held.iter().map(|held| held.answers.len()).sum::<usize>()
        });
        for check in checks {
            answers += check.await;
        }
    }
    assert!(
        answers > ROUNDS * 2,
        "the server was hardly used: {answers} answers"
    );
    assert_eq!(server.stop().code, Some(0));
}

#[tokio::test]
async fn a_first_start_that_is_killed_can_be_repeated() {
    for _ in 0..10 {
        let place = Place::new();
        let mut first = place.start(&["serve"], "");
        // From before the first file to after the first answer.
        tokio::time::sleep(Duration::from_millis(random_below(120) as u64)).await;
        first.kill();
        let server = place.serve().await;
        let jwks = http()
            .get(format!("{}/.well-known/jwks.json", server.issuer))
            .send()
            .await
            .unwrap();
        let jwks: Value = jwks.json().await.unwrap();
        assert_eq!(jwks["keys"].as_array().map(Vec::len), Some(1), "{jwks}");
        place.populate();
        assert_eq!(server.stop().code, Some(0));
    }
}
