//! The cost curve as tables, and as JSON.

use doorward_bench::spread::Spread;
use serde_json::{Value, json};

use crate::measure::Round;
use crate::operations::Operation;

/// Everything about one engine.
pub struct Curve {
    pub engine: &'static str,
    pub sizes: Vec<Size>,
}

/// A filled database, and its rounds by operation.
pub struct Size {
    pub grants: u64,
    pub bytes: u64,
    pub filled_in: f64,
    pub rounds: Vec<(Operation, Vec<Round>)>,
}

impl Size {
    fn spread(&self, operation: Operation, figure: impl Fn(&Round) -> f64) -> Spread {
        let rounds = self.rounds.iter().find(|(of, _)| *of == operation);
        Spread::of(rounds.into_iter().flat_map(|(_, rounds)| rounds).map(figure))
    }
}

fn cpu(round: &Round) -> f64 {
    round.program + round.database
}

impl Curve {
    pub fn json(&self, operations: &[Operation]) -> Value {
        let size = |size: &Size| {
            let of = |operation: &Operation| {
                let figure = |figure: fn(&Round) -> f64| {
                    let spread = size.spread(*operation, figure);
                    json!({ "median": spread.median, "min": spread.min, "max": spread.max })
                };
                json!({
                    "operation": name(*operation),
                    "cpu_us": figure(cpu),
                    "of_it_database_us": figure(|round| round.database),
                    "p50_us": figure(|round| round.p50),
                    "p99_us": figure(|round| round.p99),
                })
            };
            let operations: Vec<Value> = operations.iter().map(of).collect();
            json!({
                "grants": size.grants, "bytes": size.bytes, "filled_in_s": size.filled_in, "operations": operations,
            })
        };
        json!({ "engine": self.engine, "sizes": self.sizes.iter().map(size).collect::<Vec<_>>() })
    }

    #[expect(clippy::print_stdout, reason = "a program that prints figures")]
    pub fn print(&self, operations: &[Operation]) {
        println!("\n### {}\n", self.engine);
        println!("| grants | size, MB | bytes a grant | filled in, s |\n|--:|--:|--:|--:|");
        for size in &self.sizes {
            println!(
                "| {} | {} | {} | {:.0} |",
                size.grants,
                size.bytes / 1_000_000,
                size.bytes / size.grants,
                size.filled_in
            );
        }
        let heads = |unit: &str| {
            let heads: Vec<String> = self
                .sizes
                .iter()
                .map(|size| format!("{} grants", size.grants))
                .collect();
            println!(
                "\n| {unit} | {} |\n|---|{}",
                heads.join(" | "),
                "--:|".repeat(heads.len())
            );
        };
        heads("processor time, µs (of it the database's), beside the smallest");
        for operation in operations {
            let least = self
                .sizes
                .first()
                .map_or(0.0, |size| size.spread(*operation, cpu).median);
            let cells: Vec<String> = self
                .sizes
                .iter()
                .map(|size| {
                    let all = size.spread(*operation, cpu).median;
                    let database = size.spread(*operation, |round| round.database).median;
                    format!("{all:.1} ({database:.1}) {:.2}", all / least)
                })
                .collect();
            println!("| {} | {} |", name(*operation), cells.join(" | "));
        }
        heads("wall time, µs: p50 / p99");
        for operation in operations {
            let cells: Vec<String> = self
                .sizes
                .iter()
                .map(|size| {
                    let figure = |figure: fn(&Round) -> f64| size.spread(*operation, figure).median;
                    format!(
                        "{:.0} / {:.0}",
                        figure(|round| round.p50),
                        figure(|round| round.p99)
                    )
                })
                .collect();
            println!("| {} | {} |", name(*operation), cells.join(" | "));
        }
    }
}

fn name(operation: Operation) -> String {
    use clap::ValueEnum as _;
    operation
        .to_possible_value()
        .map(|value| value.get_name().to_owned())
        .unwrap_or_default()
}
