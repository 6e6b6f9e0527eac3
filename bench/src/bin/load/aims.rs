//! What the project wants to reach, and whether this run did.

use doorward_bench::spread::Spread;

use crate::figures::{Figures, Row};
use crate::measure::Measurement;
use crate::scenario::Scenario;
use crate::server::Engine;

/// One aim.
#[derive(Debug, PartialEq)]
pub struct Aim {
    pub what: String,
    pub wanted: &'static str,
    pub found: String,
    pub reached: bool,
}

impl Aim {
    /// The median counts.
    pub fn at_least(what: impl Into<String>, wanted: &'static str, least: f64, found: Spread) -> Self {
        Self {
            what: what.into(),
            wanted,
            found: shown(found),
            reached: found.median >= least,
        }
    }

    /// The median counts.
    pub fn at_most(what: impl Into<String>, wanted: &'static str, most: f64, found: Spread) -> Self {
        Self {
            what: what.into(),
            wanted,
            found: shown(found),
            reached: found.median <= most,
        }
    }
}

/// Those about requests, at the highest number of connections but where they say otherwise. What was not measured is left
/// out.
pub fn of_requests(figures: &Figures, concurrency: usize) -> Vec<Aim> {
    let sqlite = Engine::Sqlite.subject();
    let postgres = Engine::Postgres.subject();
    let row = |subject, scenario| figures.row(subject, scenario, concurrency);
    let beside_floor = |row: &Row<'_>| figures.beside_floor(row);
    let mut aims = Vec::new();
    for (scenario, wanted, least) in [
        (
            Scenario::ClientCredentials,
            "≥ 0.50 of the sign-only server, a CPU second",
            0.5,
        ),
        (
            Scenario::Refresh,
            "≥ 0.40 of the sign-only server, a CPU second",
            0.4,
        ),
        (
            Scenario::Metadata,
            "≥ 0.70 of the constant answer, a CPU second",
            0.7,
        ),
        (Scenario::Jwks, "≥ 0.70 of the constant answer, a CPU second", 0.7),
    ] {
        let found = row(sqlite, scenario).and_then(|row| beside_floor(&row));
        aims.extend(found.map(|found| Aim::at_least(named(scenario, sqlite), wanted, least, found)));
    }
    // As many connections as `pgbench` has, whatever their number.
    let all = figures.rows();
    let of_postgres = all
        .iter()
        .filter(|row| (row.subject, row.scenario) == (postgres, Scenario::Refresh));
    for row in of_postgres {
        let what = format!(
            "{}, {} connections",
            named(row.scenario, postgres),
            row.concurrency
        );
        let found = figures.beside_pgbench(row);
        aims.extend(found.map(|found| Aim::at_least(what, "≥ 0.60 of pgbench, a second", 0.6, found)));
    }
    for subject in [sqlite, postgres] {
        let flow = row(subject, Scenario::Flow);
        let found = flow.and_then(|row| figures.beside_other(&row, Scenario::Refresh));
        aims.extend(found.map(|found| {
            let what = named(Scenario::Flow, subject);
            Aim::at_most(what, "≤ 4 times the CPU of a refresh", 4.0, found)
        }));
    }
    if let Some(row) = row(sqlite, Scenario::IntrospectionAgain) {
        let what = named(Scenario::IntrospectionAgain, sqlite);
        let cpu = row.over(Measurement::cpu_us);
        aims.push(Aim::at_most(&what, "≤ 15 µs CPU", 15.0, cpu));
    }
    for (scenario, subject) in [
        (Scenario::Introspection, sqlite),
        (Scenario::IntrospectionElsewhere, sqlite),
        (Scenario::Introspection, postgres),
        (Scenario::IntrospectionElsewhere, postgres),
    ] {
        let found = row(subject, scenario).and_then(|row| figures.beside_check(&row));
        let what = named(scenario, subject);
        aims.extend(found.map(|found| Aim::at_most(what, "≤ 1.3 bare checks of a signature", 1.3, found)));
    }
    aims
}

/// What was measured once has no spread.
fn shown(found: Spread) -> String {
    if found.min < found.max {
        format!("{found:.2}")
    } else {
        format!("{:.2}", found.median)
    }
}

/// How far the dearest of these is from the cheapest, as a part of the cheapest. One alone says nothing.
pub fn slope(costs: &[f64]) -> Option<f64> {
    if costs.len() < 2 {
        return None;
    }
    let least = costs.iter().copied().min_by(f64::total_cmp)?;
    let most = costs.iter().copied().max_by(f64::total_cmp)?;
    Some(most / least - 1.0)
}

fn named(scenario: Scenario, subject: &str) -> String {
    format!("{}, {subject}", scenario.name())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::figures::tests::{limit, measurement};
    use crate::subject::Role;

    #[test]
    fn an_aim_is_reached_at_its_bound() {
        let once = |figure| Spread::of([figure]);
        assert!(Aim::at_least("it", "", 0.5, once(0.5)).reached);
        assert!(!Aim::at_least("it", "", 0.5, once(0.49)).reached);
        assert!(Aim::at_most("it", "", 4.0, once(4.0)).reached);
        assert!(!Aim::at_most("it", "", 4.0, once(4.01)).reached);
    }

    #[test]
    fn an_aim_is_reached_by_the_median_and_shows_the_other_rounds() {
        let aim = Aim::at_most("it", "", 4.0, Spread::of([3.0, 9.0, 4.0]));
        assert_eq!((aim.found.as_str(), aim.reached), ("4.00 (3.00–9.00)", true));
    }

    #[test]
    fn only_what_was_measured_has_an_aim() {
        let figures = Figures {
            limits: vec![limit(1000.0)],
            measurements: vec![
                measurement("floor", Role::Floor, Scenario::Sign, 1, 30),
                measurement(Engine::Sqlite.subject(), Role::Ours, Scenario::Refresh, 1, 100),
                measurement(Engine::Postgres.subject(), Role::Ours, Scenario::Refresh, 1, 100),
            ],
        };
        let aims = of_requests(&figures, 16);
        let found: Vec<_> = aims.iter().map(|aim| (aim.found.as_str(), aim.reached)).collect();
        assert_eq!(found, [("0.30", false), ("1.00", true)]);
        let at_most: Vec<_> = of_requests(&figures, 64)
            .into_iter()
            .map(|aim| aim.what)
            .collect();
        assert_eq!(at_most, ["refresh, Doorward, PostgreSQL, 16 connections"]);
    }

    #[test]
    fn the_flow_is_beside_a_refresh_of_its_own_engine_with_its_database() {
        let with_database = |scenario, server, database| {
            let mut measured = measurement(Engine::Postgres.subject(), Role::Ours, scenario, 1, server);
            measured.used.database = Some(Duration::from_millis(database));
            measured
        };
        let figures = Figures {
            limits: vec![limit(1000.0)],
            measurements: vec![
                with_database(Scenario::Refresh, 100, 100),
                with_database(Scenario::Flow, 300, 700),
                measurement(Engine::Sqlite.subject(), Role::Ours, Scenario::Refresh, 1, 100),
                measurement(Engine::Sqlite.subject(), Role::Ours, Scenario::Flow, 1, 390),
            ],
        };
        let aims = of_requests(&figures, 16);
        let flows = aims.iter().filter(|aim| aim.what.starts_with("whole flow"));
        let found: Vec<_> = flows.map(|aim| (aim.found.as_str(), aim.reached)).collect();
        assert_eq!(found, [("3.90", true), ("5.00", false)]);
    }

    #[test]
    fn the_slope_is_between_the_ends() {
        let slope = slope(&[100.0, 120.0, 110.0]).unwrap();
        assert!((slope - 0.2).abs() < 1e-9);
        assert_eq!(super::slope(&[]), None);
        assert_eq!(super::slope(&[100.0]), None);
    }
}
