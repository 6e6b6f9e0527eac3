//! What operators can count. Labels come from our own lists, never from a request.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use axum::http::StatusCode;
use doorward_oauth::client::GrantType;
use doorward_oauth::time::UnixSeconds;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Upper bounds of the duration histogram, in seconds.
const DURATIONS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// The server's metrics; clones share them.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram>,
    errors: Family<ErrorLabels, Counter>,
    tokens: Family<GrantTypeLabels, Counter>,
    logins: Family<OutcomeLabels, Counter>,
    limited: Family<LimitLabels, Counter>,
    unreadable: Counter,
    connections: Family<ListenerLabels, Gauge>,
    connections_refused: Counter,
    store_errors: Counter,
    audit_dropped: Counter,
    feed_connections: Gauge,
    revocations_told: Counter,
    changes_known: Gauge,
    jobs: JobMetrics,
    process: ProcessMetrics,
}

/// The process itself.
#[derive(Default)]
struct ProcessMetrics {
    started_at: Gauge,
    last_reload_successful: Gauge,
    log_lines_dropped: Counter,
}

impl ProcessMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let process = Self::default();
        process.last_reload_successful.set(1);
        let version = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Which program runs", version);
        registry.register(
            "config_last_reload_successful",
            "Whether the configuration could be used when it was read last",
            process.last_reload_successful.clone(),
        );
        registry.register(
            "log_lines_dropped",
            "Log lines that nobody will read",
            process.log_lines_dropped.clone(),
        );
        process
    }
}

/// What runs by itself.
#[derive(Default)]
struct JobMetrics {
    runs: Family<JobLabels, Counter>,
    done_at: Family<JobNameLabels, Gauge>,
    removed: Family<RemovedLabels, Counter>,
    signing_key_age: Gauge,
}

impl JobMetrics {
    fn registered(registry: &mut Registry) -> Self {
        let jobs = Self::default();
        registry.register("job_runs", "Runs of what runs by itself", jobs.runs.clone());
        registry.register(
            "job_done_timestamp_seconds",
            "When a job was done for the last time, or the server started",
            jobs.done_at.clone(),
        );
        registry.register(
            "rows_removed",
            "Rows that were past their use",
            jobs.removed.clone(),
        );
        registry.register(
            "signing_key_age_seconds",
            "How long the key that signs has been signing",
            jobs.signing_key_age.clone(),
        );
        jobs
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobLabels {
    job: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct JobNameLabels {
    job: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RemovedLabels {
    kind: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    route: String,
    method: &'static str,
    status: u16,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ErrorLabels {
    route: String,
    error: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct GrantTypeLabels {
    grant_type: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ListenerLabels {
    listener: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LimitLabels {
    limit: &'static str,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut all = Registry::default();
        let registry = all.sub_registry_with_prefix("doorward");
        let requests = Family::default();
        let durations = Family::new_with_constructor((|| Histogram::new(DURATIONS)) as fn() -> Histogram);
        let (feed_connections, revocations_told) = (Gauge::default(), Counter::default());
        let (tokens, logins, store_errors) = (Family::default(), Family::default(), Counter::default());
        registry.register("http_requests", "Requests answered", requests.clone());
        registry.register(
            "http_request_duration_seconds",
            "Time to answer a request",
            durations.clone(),
        );
        let errors = Family::default();
        registry.register(
            "errors",
            "Requests that were told an error, by its code",
            errors.clone(),
        );
        registry.register("tokens_issued", "Access tokens issued", tokens.clone());
        registry.register("logins", "Sign-in attempts", logins.clone());
        let limited = Family::default();
        registry.register(
            "requests_limited",
            "Requests that came too often",
            limited.clone(),
        );
        let unreadable = Counter::default();
        registry.register(
            "http_unreadable_requests",
            "Requests that were refused before they were one",
            unreadable.clone(),
        );
        let connections = Family::default();
        registry.register("connections", "Open connections", connections.clone());
        let connections_refused = Counter::default();
        registry.register(
            "connections_refused",
            "Connections closed at once, because their address held so many",
            connections_refused.clone(),
        );
        registry.register(
            "store_errors",
            "Requests that failed in the store",
            store_errors.clone(),
        );
        let audit_dropped = Counter::default();
        registry.register(
            "audit_events_dropped",
            "Audit events that lost their line; refusals among them are counted in another",
            audit_dropped.clone(),
        );
        registry.register(
            "revocation_feed_connections",
            "Connections that follow the feed of revocations",
            feed_connections.clone(),
        );
        registry.register(
            "revocation_feed_events",
            "Revocations told on the feed, to each connection",
            revocations_told.clone(),
        );
        let changes_known = Gauge::default();
        registry.register(
            "changes_known",
            "Whether this node knows what other nodes change",
            changes_known.clone(),
        );
        let jobs = JobMetrics::registered(registry);
        let process = ProcessMetrics::registered(registry);
        // By the name that dashboards know, which has no prefix.
        all.register(
            "process_start_time_seconds",
            "When the process started",
            process.started_at.clone(),
        );
        Self(Arc::new(Inner {
            registry: all,
            requests,
            durations,
            errors,
            tokens,
            logins,
            limited,
            unreadable,
            connections,
            connections_refused,
            store_errors,
            audit_dropped,
            feed_connections,
            revocations_told,
            changes_known,
            jobs,
            process,
        }))
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Metrics")
    }
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// A server begins to count. What it will count by names of its own is there at zero: with a series that begins with its
    /// first event, nobody notices that there is none, nor the first.
    pub(crate) fn begin(&self, now: UnixSeconds, grant_types: &[GrantType]) {
        self.0.process.started_at.set(now.seconds());
        for grant_type in grant_types {
            let grant_type = grant_type.as_str();
            drop(self.0.tokens.get_or_create(&GrantTypeLabels { grant_type }));
        }
        for outcome in ["ok", "refused", "throttled"] {
            drop(self.0.logins.get_or_create(&OutcomeLabels { outcome }));
        }
        for job in ["keys", "retention", "refusals"] {
            for outcome in ["ok", "failed"] {
                drop(self.0.jobs.runs.get_or_create(&JobLabels { job, outcome }));
            }
            // One that is never done from the start on stands still, too.
            let done_at = self.0.jobs.done_at.get_or_create(&JobNameLabels { job });
            done_at.set(now.seconds());
        }
        self.limit_exists("user_code");
    }

    /// There is such a limit.
    pub(crate) fn limit_exists(&self, limit: &'static str) {
        drop(self.0.limited.get_or_create(&LimitLabels { limit }));
    }

    /// The configuration was read again, and could be used or not.
    pub fn reloaded(&self, successful: bool) {
        self.0.process.last_reload_successful.set(successful.into());
    }

    /// So many log lines were dropped.
    pub fn log_lines_dropped(&self, lines: u64) {
        self.0.process.log_lines_dropped.inc_by(lines);
    }

    /// An answered request. `route` is the path as the router matched it.
    pub(crate) fn request(&self, route: &str, method: &'static str, status: StatusCode, seconds: f64) {
        self.requests(route, method, status).add(seconds);
    }

    /// Where the requests are counted that are answered so.
    pub(super) fn requests(&self, route: &str, method: &'static str, status: StatusCode) -> RequestCount {
        let labels = RequestLabels {
            route: route.to_owned(),
            method,
            status: status.as_u16(),
        };
        let number = self.0.requests.get_or_create(&labels).clone();
        let labels = RouteLabels { route: labels.route };
        let durations = self.0.durations.get_or_create(&labels).clone();
        RequestCount { number, durations }
    }

    /// A request was told this error, in its answer or by a redirect.
    pub(crate) fn error(&self, route: &str, error: &'static str) {
        let labels = ErrorLabels {
            route: route.to_owned(),
            error,
        };
        self.0.errors.get_or_create(&labels).inc();
    }

    /// An access token was issued by this grant type.
    pub(crate) fn token_issued(&self, grant_type: &'static str) {
        self.0.tokens.get_or_create(&GrantTypeLabels { grant_type }).inc();
    }

    /// Somebody tried to sign in: `ok`, `refused` or `throttled`.
    pub(crate) fn login(&self, outcome: &'static str) {
        self.0.logins.get_or_create(&OutcomeLabels { outcome }).inc();
    }

    /// A request came too often for this limit of `[rate_limit]`.
    pub(crate) fn limited(&self, limit: &'static str) {
        self.0.limited.get_or_create(&LimitLabels { limit }).inc();
    }

    /// A request was no HTTP, or its head was too large.
    pub(super) fn unreadable(&self) {
        self.0.unreadable.inc();
    }

    /// The number of connections of a listener.
    pub(super) fn connections(&self, listener: &'static str) -> Gauge {
        let labels = ListenerLabels { listener };
        self.0.connections.get_or_create(&labels).clone()
    }

    /// An address held as many connections as one may, and wanted another.
    pub(super) fn connection_refused(&self) {
        self.0.connections_refused.inc();
    }

    /// An event lost its line: too many waited, or the store was away.
    pub(crate) fn audit_dropped(&self) {
        self.0.audit_dropped.inc();
    }

    /// A request failed in the store.
    pub(crate) fn store_error(&self) {
        self.0.store_errors.inc();
    }

    /// A connection to the feed of revocations, counted as long as the value lives.
    pub(crate) fn feed_connection(&self) -> FeedConnection {
        self.0.feed_connections.inc();
        FeedConnection(self.clone())
    }

    /// So many revocations were told to one connection.
    pub(crate) fn revocations_told(&self, number: u64) {
        self.0.revocations_told.inc_by(number);
    }

    /// A job ran.
    pub(crate) fn job(&self, job: &'static str, now: UnixSeconds, done: bool) {
        let outcome = if done { "ok" } else { "failed" };
        self.0.jobs.runs.get_or_create(&JobLabels { job, outcome }).inc();
        if done {
            let labels = JobNameLabels { job };
            self.0.jobs.done_at.get_or_create(&labels).set(now.seconds());
        }
    }

    /// So many rows were past their use.
    pub(crate) fn removed(&self, kind: &'static str, rows: u64) {
        let labels = RemovedLabels { kind };
        self.0.jobs.removed.get_or_create(&labels).inc_by(rows);
    }

    /// Whether what other nodes change is known here.
    pub(crate) fn changes_known(&self, known: bool) {
        self.0.changes_known.set(known.into());
    }

    /// How long the key that signs has been signing.
    pub(crate) fn signing_key_age(&self, age: Duration) {
        let seconds = i64::try_from(age.as_secs()).unwrap_or(i64::MAX);
        self.0.jobs.signing_key_age.set(seconds);
    }

    /// Everything, in the `OpenMetrics` text format.
    pub fn encode(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry)?;
        Ok(text)
    }
}

/// Requests of one route, method and status.
pub(super) struct RequestCount {
    number: Counter,
    durations: Histogram,
}

impl RequestCount {
    /// One more, which took so long.
    pub(super) fn add(&self, seconds: f64) {
        self.number.inc();
        self.durations.observe(seconds);
    }
}

/// A connection to the feed of revocations.
pub(crate) struct FeedConnection(Metrics);

impl Drop for FeedConnection {
    fn drop(&mut self) {
        self.0.0.feed_connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_has_every_metric() {
        let metrics = Metrics::new();
        // Those with labels that are not known before.
        metrics.request("/", "GET", StatusCode::OK, 0.0);
        metrics.error("/", "not_found");
        metrics.removed("issuances", 0);
        metrics.job("keys", UnixSeconds(0), true);
        metrics.connections("public");
        metrics.begin(UnixSeconds(0), &[GrantType::RefreshToken]);
        let metrics = metrics.encode().unwrap();
        let types = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
        let mut there: Vec<_> = types
            .filter_map(|line| line.split_once(' '))
            .map(|(name, kind)| match kind {
                "counter" => format!("{name}_total"),
                "info" => format!("{name}_info"),
                _ => name.to_owned(),
            })
            .collect();
        let reference = include_str!("../../../../docs/src/reference/observability.md");
        let rows = reference.lines().filter_map(|line| line.strip_prefix("| `"));
        let mut told: Vec<_> = rows
            .filter_map(|row| row.split_once('`'))
            .map(|(name, _)| name)
            .filter(|name| name.starts_with("doorward_") || name.starts_with("process_"))
            .collect();
        told.sort_unstable();
        there.sort_unstable();
        assert_eq!(told, there);
    }
}
