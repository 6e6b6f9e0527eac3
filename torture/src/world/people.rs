//! People who have signed in, and allowed the clients what they ask for.

use anyhow::{Context as _, ensure};
use http::HeaderValue;
use http::header::COOKIE;

use super::{SCOPE, World, code_of};
use crate::balancer::{Answer, Ask, Balancer};
use crate::pages::{Cookies, field};
use crate::random::Random;
use crate::site::Site;

pub(super) const PASSWORD: &str = "correct horse battery staple";

/// Somebody who has signed in.
#[derive(Debug, Clone)]
pub struct Person {
    /// What their browser sends along.
    pub cookies: HeaderValue,
    /// What goes with the form for the code of a device, in their browser.
    pub device_form: String,
    /// What the identity provider calls them.
    pub subject: String,
}

impl Person {
    /// Signs in, and consents to everything that the clients will ask for.
    pub(super) async fn sign_in(
        site: &Site,
        balancer: &Balancer,
        world: &World,
        email: &str,
    ) -> anyhow::Result<Self> {
        let mut browser = Browser {
            site,
            balancer,
            random: Random::new(0, 0),
            cookies: Cookies::default(),
        };
        let mut authorizations = world.authorizations();
        let first = authorizations.next().context("no client asks for anything")?;
        let page = browser.walk(first).await?;
        let form = [
            ("request", field(page.text(), "request")?),
            ("csrf_token", field(page.text(), "csrf_token")?),
            ("email", email),
            ("password", PASSWORD),
        ];
        let page = browser.walk(Ask::form("/login", &form)).await?;
        browser.allow(&page).await?;
        for ask in authorizations {
            let page = browser.walk(ask).await?;
            browser.allow(&page).await?;
        }
        let page = browser.walk(Ask::get("/device")).await?;
        Ok(Self {
            cookies: browser.cookies.header()?,
            device_form: field(page.text(), "csrf_token")?.to_owned(),
            subject: email.to_owned(),
        })
    }
}

/// What is sent when somebody allows all that a page asks for.
pub fn allowing(page: &Answer) -> anyhow::Result<Ask> {
    let mut form = vec![
        ("request", field(page.text(), "request")?),
        ("csrf_token", field(page.text(), "csrf_token")?),
        ("decision", "allow"),
    ];
    // Every box that the page offers ticked; without the last one there are no refresh tokens.
    let scopes = SCOPE.split(' ').chain(["offline_access"]);
    form.extend(scopes.map(|scope| ("scope", scope)));
    Ok(Ask::form("/consent", &form))
}

struct Browser<'s> {
    site: &'s Site,
    balancer: &'s Balancer,
    random: Random,
    cookies: Cookies,
}

impl Browser<'_> {
    async fn allow(&mut self, page: &Answer) -> anyhow::Result<()> {
        let answer = self.walk(allowing(page)?).await?;
        ensure!(
            code_of(&answer).is_some(),
            "no code after consent: {}",
            answer.summary()
        );
        Ok(())
    }

    /// Sends it and follows redirects on the server itself.
    async fn walk(&mut self, mut ask: Ask) -> anyhow::Result<Answer> {
        let own = self.site.issuer()?;
        loop {
            let cookies = self.cookies.header()?;
            if !cookies.is_empty() {
                ask = ask.with(COOKIE, &cookies);
            }
            let sent = self.balancer.send(&ask, &mut self.random).await;
            let answer = sent.map_err(|failure| anyhow::anyhow!("{failure:?}"))?;
            self.cookies.keep(&answer.headers)?;
            let path = answer
                .location()
                .map(|location| location.strip_prefix(&own).unwrap_or(location));
            match path.filter(|path| path.starts_with('/')) {
                Some(path) => ask = Ask::get(path),
                None => return Ok(answer),
            }
        }
    }
}
