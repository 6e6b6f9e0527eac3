//! The house: crates stand above what they use, and no arrow runs another way.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use cargo_metadata::{DependencyKind, MetadataCommand};

/// What each crate may name as a normal or build dependency. Tests may look anywhere (dev-dependencies are exempt),
/// except between the guard and the server's side: these two meet on the wire only.
const ARROWS: &[(&str, &[&str])] = &[
    ("doorward-jose", &[]),
    ("doorward-oauth", &["doorward-jose"]),
    ("doorward-fetch", &["doorward-oauth", "doorward-jose"]),
    (
        "doorward-guard",
        &["doorward-fetch", "doorward-oauth", "doorward-jose"],
    ),
    ("doorward-store", &["doorward-oauth", "doorward-jose"]),
    (
        "doorward-server",
        &[
            "doorward-store",
            "doorward-fetch",
            "doorward-oauth",
            "doorward-jose",
        ],
    ),
    (
        "doorward",
        &[
            "doorward-server",
            "doorward-guard",
            "doorward-store",
            "doorward-fetch",
            "doorward-oauth",
            "doorward-jose",
        ],
    ),
    (
        "doorward-python",
        &[
            "doorward-guard",
            "doorward-fetch",
            "doorward-oauth",
            "doorward-jose",
        ],
    ),
    ("example-basic", &["doorward-guard"]),
    ("example-embedded", &["doorward-server", "doorward-guard"]),
    ("example-guard", &["doorward-guard"]),
    (
        "doorward-bench",
        &[
            "doorward-server",
            "doorward-guard",
            "doorward-store",
            "doorward-oauth",
            "doorward-jose",
        ],
    ),
    ("doorward-torture", &["doorward-jose"]),
    ("xtask", &[]),
];

const NEVER: &[(&str, &str)] = &[
    ("doorward-guard", "doorward-server"),
    ("doorward-guard", "doorward-store"),
    ("doorward-server", "doorward-guard"),
    ("doorward-store", "doorward-guard"),
];

#[test]
fn no_arrow_runs_against_the_design() -> Result<(), Box<dyn Error>> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let allowed: BTreeMap<_, BTreeSet<_>> = ARROWS
        .iter()
        .map(|(from, to)| (*from, to.iter().copied().collect()))
        .collect();
    let ours: BTreeSet<_> = metadata
        .packages
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let mut wrong = Vec::new();
    for package in &metadata.packages {
        let from = package.name.as_str();
        let Some(may_use) = allowed.get(from) else {
            wrong.push(format!("{from} has no place in this test's table"));
            continue;
        };
        for dependency in package
            .dependencies
            .iter()
            .filter(|dependency| ours.contains(&dependency.name))
        {
            let to = dependency.name.as_str();
            let in_tests_only = dependency.kind == DependencyKind::Development;
            if NEVER.contains(&(from, to)) || !(in_tests_only || may_use.contains(to)) {
                wrong.push(format!("{from} -> {to}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "arrows that the design does not allow: {wrong:?}"
    );
    Ok(())
}

#[test]
fn every_crate_of_the_table_exists() -> Result<(), Box<dyn Error>> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let ours: BTreeSet<_> = metadata
        .packages
        .iter()
        .map(|package| package.name.as_str())
        .collect();
    let gone: Vec<_> = ARROWS
        .iter()
        .map(|(name, _)| name)
        .filter(|name| !ours.contains(**name))
        .collect();
    assert!(
        gone.is_empty(),
        "the table names crates that are not there: {gone:?}"
    );
    Ok(())
}

/// `cargo run` in the workspace only knows what to run when exactly one of its packages says so.
#[test]
fn cargo_run_means_the_doorward_program() -> Result<(), Box<dyn Error>> {
    let metadata = MetadataCommand::new().no_deps().exec()?;
    let default_runs: Vec<_> = metadata
        .packages
        .iter()
        .filter_map(|package| package.default_run.as_deref())
        .collect();
    assert_eq!(default_runs, ["doorward"]);
    Ok(())
}
