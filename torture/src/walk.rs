//! One client: walks through grants, leaves some alive, comes back to them, and checks each answer against the ones before.

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Method, StatusCode};
use tokio::time::{Instant, sleep};

use crate::balancer::{Answer, Ask};
use crate::ledger::{Ending, Story, Tally, Tokens, Violation, is_invalid_grant};
use crate::load::{Insisted, Shared};
use crate::pages::{basic, text};
use crate::random::Random;
use crate::world::{World, code_of};

/// When a code may have expired: `tokens.code_ttl` is a minute.
const CODE_AGES: Duration = Duration::from_secs(50);
/// How soon every node knows of a revocation.
const KNOWN: Duration = Duration::from_secs(2);
/// How often a client of a program is created, in a hundred grants.
const PROGRAMS: usize = 4;

/// One client.
pub struct Walker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) random: Random,
    pub(crate) tally: Tally,
    pub(crate) stories: Vec<Story>,
    /// Programs whose creation was answered.
    pub(crate) programs: Vec<(String, HeaderValue)>,
    person: HeaderValue,
    number: usize,
    told: usize,
}

type Step<T> = Result<T, Violation>;

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

    /// From the authorization request to its tokens, and for some to the end.
    async fn grant(&mut self, story: &mut Story) -> Step<()> {
        let ask = self.shared.world.authorization(&self.person);
        let answer = self.ask(story, "authorize", &ask).await?.answer;
        let Some(code) = code_of(&answer) else {
            let location = answer.location().unwrap_or_default();
            return Err(story.violation(&format!("no code: {} {location}", answer.summary())));
        };
        story.code = Some((code.clone(), Instant::now()));
        if !self.redeem(story, &code).await? {
            story.ending = Ending::Void;
            return Ok(());
        }
        self.introspect_last(story).await?;
        for _ in 0..self.random.below(3) {
            self.refresh(story).await?;
        }
        if self.random.percent(self.shared.rules.complete) {
            self.refresh(story).await?;
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
        self.refresh(story).await?;
        self.introspect_last(story).await?;
        if self.random.percent(20) {
            self.revoke(story).await?;
        }
        Ok(())
    }

    /// Whether the code gave tokens. It need not when an answer was lost: what was redeemed may be gone.
    async fn redeem(&mut self, story: &mut Story, code: &str) -> Step<bool> {
        let ask = self.shared.world.redemption(code);
        let Insisted { answer, unsure } = self.ask(story, "redeem", &ask).await?;
        let late = story.code.as_ref().is_none_or(|(_, at)| at.elapsed() > CODE_AGES);
        if is_invalid_grant(&answer) && (unsure || late || self.shared.rules.clock_jumps) {
            return Ok(false);
        }
        self.take(story, &answer, "redeem")?;
        Ok(true)
    }

    pub(crate) async fn refresh(&mut self, story: &mut Story) -> Step<()> {
        let Some(token) = story.refresh.last().cloned() else {
            return Err(story.violation("no refresh token to use"));
        };
        let ask = self.shared.world.refresh(&token);
        let what = format!("refresh {}", story.refresh.len());
        // Whatever was lost on the way, the client gets its successor.
        let answer = self.ask(story, &what, &ask).await?.answer;
        self.take(story, &answer, &what)
    }

    /// Takes the tokens of an answer into the ledger.
    fn take(&mut self, story: &mut Story, answer: &Answer, what: &str) -> Step<()> {
        let tokens = Tokens::of(answer).filter(|_| answer.status == StatusCode::OK);
        let Some(Tokens {
            access,
            refresh: Some(refresh),
            grant: Some(grant),
            jti,
        }) = tokens
        else {
            return Err(story.violation(&format!("{what}: {}", answer.summary())));
        };
        if !self.shared.is_new("jti", &jti) {
            return Err(story.violation(&format!("{what}: the jti {jti} was given before")));
        }
        if story.grant.is_none() && !self.shared.is_new("gid", &grant) {
            return Err(story.violation(&format!("{what}: the grant {grant} is another code's")));
        }
        if story.grant.get_or_insert_with(|| grant.clone()) != &grant {
            return Err(story.violation(&format!("{what}: the grant is {grant} now")));
        }
        if !self.shared.is_new("refresh", &refresh) {
            return Err(story.violation(&format!("{what}: a refresh token that was given before")));
        }
        story.access.push(access);
        story.refresh.push(refresh);
        Ok(())
    }

    async fn introspect_last(&mut self, story: &mut Story) -> Step<()> {
        let Some(token) = story.access.last().cloned() else {
            return Ok(());
        };
        self.introspect(story, &token, true).await
    }

    /// Whether a token works, which must be so or not. That it has ended may take a moment to be known everywhere.
    pub(crate) async fn introspect(&mut self, story: &mut Story, token: &str, active: bool) -> Step<()> {
        let ask = self.shared.world.introspection(token);
        let began = Instant::now();
        loop {
            let answer = self.ask(story, "introspect", &ask).await?.answer;
            match answer.json()["active"].as_bool() {
                Some(said) if said == active => return Ok(()),
                Some(true) if began.elapsed() < KNOWN => sleep(Duration::from_millis(50)).await,
                // Nothing is said of tokens that have expired meanwhile.
                Some(false) if self.shared.may_have_expired(token) => return Ok(()),
                _ => {
                    let what = format!("introspect: {}, and it must say {active}", answer.summary());
                    return Err(story.violation(&what));
                }
            }
        }
    }

    async fn revoke(&mut self, story: &mut Story) -> Step<()> {
        let Some(token) = story.refresh.last().cloned() else {
            return Ok(());
        };
        let ask = self.shared.world.revocation(&token);
        let answer = self.ask(story, "revoke", &ask).await?.answer;
        if answer.status != StatusCode::OK {
            return Err(story.violation(&format!("revoke: {}", answer.summary())));
        }
        story.ending = Ending::Revoked;
        self.is_over(story).await
    }

    /// Nothing of a grant that has ended works, at any node.
    pub(crate) async fn is_over(&mut self, story: &mut Story) -> Step<()> {
        if let Some(token) = story.refresh.last().cloned() {
            let ask = self.shared.world.refresh(&token);
            let answer = self.ask(story, "refresh after the end", &ask).await?.answer;
            if !is_invalid_grant(&answer) {
                return Err(story.violation(&format!("refresh after the end: {}", answer.summary())));
            }
        }
        match story.access.last().cloned() {
            Some(token) => self.introspect(story, &token, false).await,
            None => Ok(()),
        }
    }

    /// Creates a program's client, and lets it have a token.
    async fn program(&mut self) {
        let mut story = Story::new(format!("client {} program {}", self.number, self.programs.len()));
        let admin = self.shared.world.admin();
        // An operator does not insist: what was not answered may be there or not.
        let answer = admin.ask(Method::POST, "/admin/clients", &World::program()).await;
        let Some(client) = answer.ok().filter(|answer| answer.status == StatusCode::CREATED) else {
            return;
        };
        let client = client.json();
        let (Ok(id), Ok(credentials)) = (text(&client, "client_id"), basic(&client)) else {
            self.shared
                .report(story.violation(&format!("no client: {client}")));
            return;
        };
        story.tell(self.shared.at(), &format!("created {id}"));
        match self.use_program(&mut story, &credentials).await {
            Ok(()) => self.programs.push((id, credentials)),
            Err(violation) => self.shared.report(violation),
        }
    }

    pub(crate) async fn use_program(&mut self, story: &mut Story, credentials: &HeaderValue) -> Step<()> {
        let ask = World::client_credentials(credentials);
        let answer = self.ask(story, "client_credentials", &ask).await?.answer;
        let tokens = Tokens::of(&answer).filter(|_| answer.status == StatusCode::OK);
        let Some(tokens) = tokens else {
            return Err(story.violation(&format!("client_credentials: {}", answer.summary())));
        };
        if !self.shared.is_new("jti", &tokens.jti) {
            return Err(story.violation("client_credentials: a jti that was given before"));
        }
        self.introspect(story, &tokens.access, true).await
    }
}
