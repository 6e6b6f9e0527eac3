//! A device that a person connects elsewhere (RFC 8628). What the person allowed is had once.

use http::StatusCode;
use http::header::COOKIE;

use super::{Step, Walker};
use crate::balancer::Ask;
use crate::ledger::{Story, is_invalid_grant};
use crate::load::Insisted;
use crate::world::{DEVICE_AUTHORIZATION, DEVICE_CODE, RESOURCE, SCOPE, TOKEN, Who, allowing};

/// In a hundred devices, how many ask before anybody has decided.
const IMPATIENT: usize = 30;

impl Walker {
    /// From the device's request to its tokens.
    pub(super) async fn by_device(&mut self, story: &mut Story) -> Step<bool> {
        story.client = Who::Television;
        let fields = [("scope", SCOPE), ("resource", RESOURCE)];
        let asked = self.request(story.client, story, "device", DEVICE_AUTHORIZATION, &fields);
        let answer = asked.await?.answer;
        let codes = answer.json();
        let (Some(device_code), Some(user_code)) =
            (codes["device_code"].as_str(), codes["user_code"].as_str())
        else {
            return Err(story.violation(&format!("device: {}", answer.summary())));
        };
        let fields = [("grant_type", DEVICE_CODE), ("device_code", device_code)];
        if self.random.percent(IMPATIENT) {
            let asked = self.request(story.client, story, "poll", TOKEN, &fields);
            let answer = asked.await?.answer;
            let error = answer.json()["error"].as_str().unwrap_or_default().to_owned();
            if !matches!(&*error, "authorization_pending" | "slow_down") {
                return Err(story.violation(&format!("poll before the answer: {}", answer.summary())));
            }
        }
        self.connect(story, user_code).await?;
        // The person's word was answered: it counts.
        let (ask, _) = self
            .shared
            .world
            .request(story.client, TOKEN, &fields)
            .map_err(|error| story.violation(&error.to_string()))?;
        let Insisted { answer, unsure } = self.ask(story, "redeem", &ask).await?;
        if is_invalid_grant(&answer) && unsure {
            return Ok(false);
        }
        self.take(story, &answer, "redeem")?;
        self.remember("a device code", ask);
        Ok(true)
    }

    /// The person types the code, and allows what the device asks for.
    async fn connect(&mut self, story: &mut Story, user_code: &str) -> Step<()> {
        let (cookies, token) = (self.person.cookies.clone(), self.person.device_form.clone());
        let form = [("csrf_token", &*token), ("user_code", user_code)];
        let ask = Ask::form("/device", &form).with(COOKIE, &cookies);
        let answer = self.ask(story, "type the code", &ask).await?.answer;
        let page = answer.location().filter(|page| page.starts_with('/'));
        let Some(page) = page else {
            return Err(story.violation(&format!("type the code: {}", answer.summary())));
        };
        let ask = Ask::get(page).with(COOKIE, &cookies);
        let page = self.ask(story, "consent page", &ask).await?.answer;
        let allow = allowing(&page).map_err(|error| story.violation(&format!("consent page: {error}")))?;
        let answer = self
            .ask(story, "allow", &allow.with(COOKIE, &cookies))
            .await?
            .answer;
        if answer.status == StatusCode::OK {
            return Ok(());
        }
        Err(story.violation(&format!("allow: {}", answer.summary())))
    }
}
