//! What a guard counts, to Python.

use std::collections::BTreeMap;

use doorward_guard::MetricsSnapshot;

/// `(connected, remembered, heard, disconnects)`
type Feed = (bool, usize, u64, u64);

/// `(issuer, age_seconds, failures)`
type Keys = (String, Option<f64>, u64);

/// `(allowed, refused, feed, keys)`
pub(crate) type Snapshot = (u64, BTreeMap<&'static str, u64>, Option<Feed>, Vec<Keys>);

/// Field by field, as the data classes have them.
pub(crate) fn snapshot(metrics: MetricsSnapshot) -> Snapshot {
    let feed = metrics
        .feed
        .map(|feed| (feed.connected, feed.remembered, feed.heard, feed.disconnects));
    let keys = metrics.keys.into_iter().map(|keys| {
        let age = keys.age.map(|age| age.as_secs_f64());
        (keys.issuer, age, keys.failures)
    });
    (metrics.allowed, metrics.refused, feed, keys.collect())
}
