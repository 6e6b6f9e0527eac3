//! One client: walks through grants of every kind, leaves some alive, comes back to them, and checks each answer against
//! the ones before. One file for each way to a token, and one for what counts once.

mod assertions;
mod codes;
mod devices;
mod exchange;
mod once;
mod programs;
mod pushed;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, StatusCode};
use tokio::time::{Instant, sleep};

use self::once::Used;
use crate::balancer::{Answer, Ask};
use crate::ledger::{Ending, Story, Tally, Tokens, Violation, is_invalid_grant};
use crate::load::{Grants, Insisted, Shared};
use crate::random::Random;
use crate::world::{Person, REVOKE, Who};

/// How soon every node knows of a revocation.
const KNOWN: Duration = Duration::from_secs(2);
/// How often a client of a program is created, in a hundred grants.
const PROGRAMS: usize = 4;
/// In a hundred steps, how often something is sent again that counts once and was used.
const AGAIN: usize = 15;
/// In a hundred grants of people, how many tokens are exchanged.
const EXCHANGED: usize = 25;

/// One client.
pub struct Walker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) random: Random,
    pub(crate) tally: Tally,
    pub(crate) stories: Vec<Story>,
    /// Programs whose creation was answered.
    pub(crate) programs: Vec<(String, HeaderValue)>,
    /// What counts once, and was used.
    used: Vec<Used>,
    person: Person,
    number: usize,
    told: usize,
}

/// A way to a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Road {
    /// A person's code.
    Code(Who),
    /// A code for a request that was pushed.
    Pushed,
    /// A person's word at another device.
    Device,
    /// An identity provider's word for a person.
    Vouched,
    /// A program's own.
    Own,
}

/// What comes of an exchange, among the names of the ways.
const EXCHANGE: &str = "exchange";

/// The names of the ways to a token, all of which a run has tried.
pub fn roads_to(grants: Grants) -> impl Iterator<Item = &'static str> {
    let exchange = (grants == Grants::Every).then_some(EXCHANGE);
    grants.roads().iter().map(|road| road.name()).chain(exchange)
}

impl Grants {
    const fn roads(self) -> &'static [Road] {
        match self {
            Self::Codes => &[Road::Code(Who::Public)],
            Self::Signed => &[
                Road::Code(Who::Public),
                Road::Code(Who::Bound),
                Road::Vouched,
                Road::Own,
            ],
            Self::Every => &[
                Road::Code(Who::Public),
                Road::Code(Who::Bound),
                Road::Pushed,
                Road::Device,
                Road::Vouched,
                Road::Own,
            ],
        }
    }
}

impl Road {
    const fn name(self) -> &'static str {
        match self {
            Self::Code(Who::Bound) => "bound",
            Self::Code(_) => "code",
            Self::Pushed => "pushed",
            Self::Device => "device",
            Self::Vouched => "vouched",
            Self::Own => "own",
        }
    }
}

pub(crate) type Step<T> = Result<T, Violation>;

impl Walker {
    /// The client of this number.
    pub fn new(shared: Arc<Shared>, number: usize, random: Random) -> Self {
        let people = &shared.world.people;
        Self {
            person: people[number % people.len()].clone(),
            shared,
            random,
            tally: Tally::default(),
            stories: Vec::new(),
            programs: Vec::new(),
            used: Vec::new(),
            number,
            told: 0,
        }
    }

    /// Grant after grant.
    pub async fn until_stopped(mut self) -> Self {
        while !self.shared.stopped() {
            if self.random.percent(PROGRAMS) {
                self.program().await;
            }
            if self.random.percent(AGAIN) {
                self.use_one_again().await;
            }
            let old = !self.stories.is_empty() && self.random.percent(30);
            let mut story = if old {
                let place = self.random.below(self.stories.len());
                self.stories.swap_remove(place)
            } else {
                self.told += 1;
                Story::new(format!("client {} grant {}", self.number, self.told))
            };
            let walked = if old {
                self.come_back(&mut story).await
            } else {
                self.grant(&mut story).await
            };
            match walked {
                Ok(()) => self.keep(story).await,
                // Told already; nothing more can be said of this grant.
                Err(violation) => self.shared.report(violation),
            }
        }
        self
    }

    async fn keep(&mut self, story: Story) {
        if story.ending == Ending::Void {
            return;
        }
        self.stories.push(story);
        if self.stories.len() > self.shared.rules.kept {
            let place = self.random.below(self.stories.len());
            let mut story = self.stories.swap_remove(place);
            if let Err(violation) = self.verify(&mut story).await {
                self.shared.report(violation);
            }
        }
    }

    pub(crate) async fn ask(&mut self, story: &mut Story, what: &str, ask: &Ask) -> Step<Insisted> {
        let shared = Arc::clone(&self.shared);
        shared
            .insist(story, &mut self.tally, &mut self.random, what, ask)
            .await
    }

    /// Each way in turn, so that a short run has them all; then as it happens, codes most of all.
    fn road(&mut self) -> Road {
        let roads = self.shared.rules.grants.roads();
        if self.told <= roads.len() {
            return roads[(self.number + self.told) % roads.len()];
        }
        let road = match self.random.below(100) {
            0..40 => Road::Code(Who::Public),
            40..60 => Road::Code(Who::Bound),
            60..75 => Road::Pushed,
            75..85 => Road::Device,
            85..93 => Road::Vouched,
            _ => Road::Own,
        };
        if roads.contains(&road) {
            road
        } else {
            Road::Code(Who::Public)
        }
    }

    /// From nothing to its tokens, and for some to the end.
    async fn grant(&mut self, story: &mut Story) -> Step<()> {
        let road = self.road();
        let given = match road {
            Road::Code(who) => self.by_code(story, who).await?,
            Road::Pushed => self.by_pushed_request(story).await?,
            Road::Device => self.by_device(story).await?,
            Road::Vouched => self.by_word_of_another(story).await?,
            Road::Own => self.by_itself(story).await?,
        };
        if !given {
            story.ending = Ending::Void;
            return Ok(());
        }
        self.tally.roads.insert(road.name());
        self.introspect_last(story).await?;
        for _ in 0..self.random.below(3) {
            self.renew(story).await?;
        }
        let grants = self.shared.rules.grants;
        let may_exchange = grants == Grants::Every && story.client == Who::Public;
        if may_exchange && (self.told <= grants.roads().len() || self.random.percent(EXCHANGED)) {
            self.exchange(story).await?;
        }
        if self.random.percent(self.shared.rules.complete) {
            self.renew(story).await?;
            self.introspect_last(story).await?;
            self.revoke(story).await?;
            self.tally.flows += 1;
            self.shared.count_flow();
        }
        Ok(())
    }

    /// To a grant that was left alive, or ended, before.
    async fn come_back(&mut self, story: &mut Story) -> Step<()> {
        if story.ending == Ending::Revoked {
            return self.is_over(story).await;
        }
        self.renew(story).await?;
        self.introspect_last(story).await?;
        if self.random.percent(20) {
            self.revoke(story).await?;
        }
        Ok(())
    }

    /// Takes the one token of an answer that gives no refresh token.
    fn take_alone(&self, story: &mut Story, answer: &Answer, what: &str) -> Step<String> {
        let tokens = Tokens::of(answer).filter(|_| answer.status == StatusCode::OK);
        let Some(Tokens {
            access,
            refresh: None,
            jti,
            ..
        }) = tokens
        else {
            return Err(story.violation(&format!("{what}: {}", answer.summary())));
        };
        if !self.shared.is_new("jti", &jti) {
            return Err(story.violation(&format!("{what}: the jti {jti} was given before")));
        }
        Ok(access)
    }

    async fn introspect_last(&mut self, story: &mut Story) -> Step<()> {
        if let Some(token) = story.access.last().cloned() {
            self.introspect(story, &token, true).await?;
        }
        if let Some(token) = story.exchanged.last().cloned() {
            self.introspect_exchanged(story, &token, true).await?;
        }
        Ok(())
    }

    /// Whether a token works, which must be so or not. That it has ended may take a moment to be known everywhere.
    pub(crate) async fn introspect(&mut self, story: &mut Story, token: &str, active: bool) -> Step<()> {
        let ask = self.shared.world.introspection(token);
        self.is_active(story, token, &ask, active).await
    }

    async fn is_active(&mut self, story: &mut Story, token: &str, ask: &Ask, active: bool) -> Step<()> {
        let began = Instant::now();
        loop {
            // An answer is too late by when it was asked for, however long it took.
            let asked_after = began.elapsed();
            let answer = self.ask(story, "introspect", ask).await?.answer;
            match answer.json()["active"].as_bool() {
                Some(said) if said == active => return Ok(()),
                Some(true) if asked_after < KNOWN => sleep(Duration::from_millis(50)).await,
                // Nothing is said of tokens that have expired meanwhile.
                Some(false) if self.shared.may_have_expired(token) => return Ok(()),
                _ => {
                    let what = format!("introspect: {}, and it must say {active}", answer.summary());
                    return Err(story.violation(&what));
                }
            }
        }
    }

    /// With its refresh token a grant ends, and without one the token alone.
    async fn revoke(&mut self, story: &mut Story) -> Step<()> {
        let Some(token) = story.refresh.last().or(story.access.last()).cloned() else {
            return Ok(());
        };
        let fields = [("token", &*token)];
        let asked = self.request(story.client, story, "revoke", REVOKE, &fields);
        let answer = asked.await?.answer;
        if answer.status != StatusCode::OK {
            return Err(story.violation(&format!("revoke: {}", answer.summary())));
        }
        story.ending = Ending::Revoked;
        self.is_over(story).await
    }

    /// Nothing of a grant that has ended works, at any node.
    pub(crate) async fn is_over(&mut self, story: &mut Story) -> Step<()> {
        if let Some(token) = story.refresh.last().cloned() {
            let answer = self
                .refresh_with(story, "refresh after the end", &token)
                .await?
                .answer;
            if !is_invalid_grant(&answer) {
                return Err(story.violation(&format!("refresh after the end: {}", answer.summary())));
            }
        }
        if let Some(token) = story.access.last().cloned() {
            self.introspect(story, &token, false).await?;
        }
        match story.exchanged.last().cloned() {
            Some(token) => self.introspect_exchanged(story, &token, false).await,
            None => Ok(()),
        }
    }
}
