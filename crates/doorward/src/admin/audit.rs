//! `doorward admin audit`.

use clap::{Args, Subcommand, ValueEnum};
use doorward_oauth::time::{Clock as _, SystemClock};
use doorward_server::config::Span;
use reqwest::Method;

use super::api::{Api, path};
use super::list::{self, Paging};
use super::user;

const COLUMNS: [&str; 10] = [
    "at",
    "action",
    "outcome",
    "reason",
    "actor",
    "actor_id",
    "client_id",
    "subject",
    "target",
    "id",
];

#[derive(Subcommand)]
pub enum Command {
    /// Lists what was changed, refused and issued, newest first.
    List(Box<List>),
    /// Shows one event, or one token by its `jti`.
    Get {
        /// Its id.
        id: String,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum Outcome {
    /// It was done.
    Done,
    /// It was not.
    Refused,
}

#[derive(Args)]
pub struct List {
    /// Not before: a time such as 2027-01-15T08:00:00Z, or how long ago, such as 24h.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<i64>,
    /// Before: as --since.
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<i64>,
    /// What was done or refused, such as client.created.
    #[arg(long)]
    action: Option<String>,
    /// Whether it was.
    #[arg(long, value_enum)]
    outcome: Option<Outcome>,
    /// By what kind of actor: `admin_key`, client, `public_client`, person, system, anyone.
    #[arg(long)]
    actor: Option<String>,
    /// By which one: the name of an admin key, a `client_id`, the id of a person.
    #[arg(long)]
    actor_id: Option<String>,
    /// About this client.
    #[arg(long)]
    client_id: Option<String>,
    /// About this grant.
    #[arg(long)]
    grant: Option<String>,
    /// About this `sub`, or the person with this e-mail address.
    #[arg(long)]
    subject: Option<String>,
    /// About this resource (URI).
    #[arg(long)]
    resource: Option<String>,
    /// Of this request: the error id of an answer, the request id of the log.
    #[arg(long)]
    request_id: Option<String>,
    /// From this IP address.
    #[arg(long)]
    address: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

/// A moment in Unix seconds.
fn moment(text: &str) -> Result<i64, String> {
    if let Ok(span) = text.parse::<Span>() {
        return Ok((SystemClock.now() - span.duration()).seconds());
    }
    let time: Result<jiff::Timestamp, _> = text.parse();
    time.map(jiff::Timestamp::as_second)
        .map_err(|_| "expected a time such as 2027-01-15T08:00:00Z, or how long ago, such as 24h".to_owned())
}

/// Runs one command.
pub async fn run(api: &Api, command: Command) -> anyhow::Result<()> {
    let answer = match command {
        Command::List(asked) => {
            let (since, until) = (
                asked.since.map(|at| at.to_string()),
                asked.until.map(|at| at.to_string()),
            );
            let subject = user::id_if_known(api, asked.subject).await?;
            let outcome = asked.outcome.map(|outcome| match outcome {
                Outcome::Done => "done",
                Outcome::Refused => "refused",
            });
            let filters = [
                ("since", since.as_deref()),
                ("until", until.as_deref()),
                ("action", asked.action.as_deref()),
                ("outcome", outcome),
                ("actor", asked.actor.as_deref()),
                ("actor_id", asked.actor_id.as_deref()),
                ("client_id", asked.client_id.as_deref()),
                ("grant", asked.grant.as_deref()),
                ("subject", subject.as_deref()),
                ("resource", asked.resource.as_deref()),
                ("request_id", asked.request_id.as_deref()),
                ("address", asked.address.as_deref()),
            ];
            let all = list::List {
                filters: &filters,
                ..list::List::at("/admin/audit", &COLUMNS)
            };
            return all.print(api, &asked.paging).await;
        }
        Command::Get { id } => api.call(Method::GET, &path("/admin/audit", &id), None).await?,
    };
    api.print(&answer, &COLUMNS)
}
