//! Rotations on several nodes, watched by verifiers that keep what they got.

use std::collections::BTreeSet;

use doorward_jose::{Algorithm, Jws};
use doorward_oauth::time::Clock as _;

use crate::nodes::{Node, Place, Program, Verifier, key_of};
use crate::support::Engine;

/// Seconds between two looks.
const STEP: u64 = 20;
/// How long a token is good, in seconds.
const LIFETIME: i64 = 300;

/// Everybody, and what they have seen.
struct Watch {
    place: Place,
    nodes: Vec<Node>,
    program: Program,
    verifiers: Vec<Verifier>,
    /// Tokens that are good, and until when.
    live: Vec<(String, i64)>,
    signed_by: BTreeSet<String>,
    algorithms: BTreeSet<String>,
    steps: usize,
}

impl Watch {
    async fn new() -> Self {
        let place = Place::new().await;
        // One process at a time can have a SQLite file.
        let number = if Engine::is_postgres() { 3 } else { 1 };
        let mut nodes = Vec::new();
        for _ in 0..number {
            nodes.push(place.node().await);
        }
        let program = nodes[0].program().await;
        let verifiers = [0, 60, 149, 299].map(|offset| Verifier::new(&place.clock, offset));
        Self {
            place,
            nodes,
            program,
            verifiers: verifiers.into(),
            live: Vec::new(),
            signed_by: BTreeSet::new(),
            algorithms: BTreeSet::new(),
            steps: 0,
        }
    }

    /// Lets time pass. Nodes look at the database one after the other, verifiers ask any of them; every token is taken
    /// by every verifier when it is new and when it is about to expire.
    async fn step(&mut self) {
        self.place.wait(STEP);
        self.steps += 1;
        let now = self.place.clock.now().0;
        let node = self.steps % self.nodes.len();
        self.nodes[node].tick().await;
        for (number, verifier) in self.verifiers.iter_mut().enumerate() {
            let asked = (self.steps + number) % self.nodes.len();
            verifier.refresh(&self.nodes[asked], now).await;
        }
        for node in &self.nodes {
            let token = node.token(&self.program).await;
            self.algorithms
                .insert(Jws::parse(&token).unwrap().header().algorithm.as_str().to_owned());
            self.signed_by.insert(key_of(&token));
            self.taken(&token, "new");
            self.live.push((token, now + LIFETIME));
        }
        let (live, last): (Vec<_>, Vec<_>) = std::mem::take(&mut self.live)
            .into_iter()
            .partition(|(_, end)| end - now > STEP.cast_signed());
        self.live = live;
        for (token, _) in &last {
            self.taken(token, "old");
        }
    }

    fn taken(&self, token: &str, age: &str) {
        for (number, verifier) in self.verifiers.iter().enumerate() {
            assert!(
                verifier.takes(token),
                "verifier {number} refuses a {age} token at step {}",
                self.steps
            );
        }
    }

    async fn steps_for(&mut self, seconds: u64) {
        for _ in 0..seconds / STEP {
            self.step().await;
        }
    }
}

/// [KEY-001, KEY-003, KEY-005]: by schedule, by command and to another algorithm, while every token of every node is
/// taken by verifiers that ask for keys no more often than they have to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_refused_while_keys_rotate_on_every_node() {
    let mut watch = Watch::new().await;
    watch.steps_for(3 * 3600 + 60).await;
    assert_eq!(watch.signed_by.len(), 4, "one key an hour");

    let last = watch.nodes.len() - 1;
    watch.nodes[last].context.keys.rotate().await.unwrap();
    watch.steps_for(1800).await;
    assert_eq!(watch.signed_by.len(), 5, "an operator asked for one");

    // Nodes are started again one after the other with another algorithm.
    for number in 0..watch.nodes.len() {
        watch.nodes[number].server.close().await.unwrap();
        watch.nodes[number] = watch.place.node_with(Algorithm::EdDsa).await;
        watch.steps_for(120).await;
    }
    watch.steps_for(1800).await;
    assert_eq!(watch.algorithms.len(), 2);
    assert_eq!(
        watch.signed_by.len(),
        6,
        "one key for the new algorithm, whoever started first"
    );
    for node in &watch.nodes {
        assert_eq!(node.context.keys.signer().algorithm(), Algorithm::EdDsa);
    }
}

/// Whoever looks first makes the next key; the others take it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_rotate_at_once_agree_on_one_key() {
    let watch = Watch::new().await;
    for round in 1..=3 {
        watch.place.wait(3600);
        let rotations = watch.nodes.iter().map(|node| {
            let context = std::sync::Arc::clone(&node.context);
            tokio::spawn(async move { context.keys.rotate_when_due().await })
        });
        for rotation in rotations.collect::<Vec<_>>() {
            rotation.await.unwrap().unwrap();
        }
        let stored = watch.nodes[0].context.store.signing_keys().await.unwrap();
        assert_eq!(stored.len(), round + 1);
        for node in &watch.nodes {
            node.context.keys.reload().await.unwrap();
        }
    }
}
