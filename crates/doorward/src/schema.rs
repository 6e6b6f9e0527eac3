//! How the schema of a database is told of.

use doorward_server::maintenance::Schema;

/// How a schema stands to this program's, and what that means for going back.
pub fn describe(schema: &Schema) -> String {
    let Schema {
        last,
        steps_behind,
        no_way_back,
        steps_ahead,
    } = schema;
    let steps = |number: &usize| match number {
        1 => "1 step".to_owned(),
        more => format!("{more} steps"),
    };
    match (steps_behind, steps_ahead, no_way_back) {
        (0, 0, _) => format!("this version's schema ({last})"),
        (0, ahead, _) => format!(
            "a newer version's schema ({last}), {} ahead of this program, which works with it",
            steps(ahead)
        ),
        (behind, _, None) => format!(
            "an older schema ({last}; the start, or `doorward migrate`, adds {})",
            steps(behind)
        ),
        (behind, _, Some(step)) => format!(
            "an older schema ({last}; the start, or `doorward migrate`, adds {}, and programs before {step} refuse to start after it: stop them all first, and keep a copy to go back to)",
            steps(behind)
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_described_by_what_becomes_of_it_and_of_older_programs() {
        let of = |steps_behind, steps_ahead, no_way_back| {
            describe(&Schema {
                last: "0007_last".to_owned(),
                steps_behind,
                no_way_back,
                steps_ahead,
            })
        };
        assert_eq!(of(0, 0, None), "this version's schema (0007_last)");
        assert_eq!(
            of(0, 1, None),
            "a newer version's schema (0007_last), 1 step ahead of this program, which works with it"
        );
        assert_eq!(
            of(2, 0, None),
            "an older schema (0007_last; the start, or `doorward migrate`, adds 2 steps)"
        );
        let breaking = of(2, 0, Some("0009_breaking"));
        assert!(
            breaking.contains("programs before 0009_breaking refuse to start"),
            "{breaking}"
        );
    }
}
