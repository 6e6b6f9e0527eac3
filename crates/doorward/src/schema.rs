//! How the schema of a database is told of.

use doorward_server::maintenance::Schema;

/// How a schema stands to this program's, and what that means for going back.
pub fn describe(schema: &Schema) -> String {
    let Schema {
        last,
        steps_behind,
        indexes_behind,
        no_way_back,
        steps_ahead,
    } = schema;
    let number = |number: usize, one: &str, more: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {more}"),
    };
    let steps = |count| number(count, "step", "steps");
    let indexes = || number(*indexes_behind, "index", "indexes");
    let behind = steps_behind.saturating_sub(*indexes_behind);
    if behind > 0 {
        let index = match indexes_behind {
            0 => String::new(),
            _ => format!(", and {} while servers work", indexes()),
        };
        let stop = no_way_back.map_or_else(String::new, |step| {
            format!(
                ", and programs before {step} refuse to start after it: stop them all first, and keep a copy to go back to"
            )
        });
        return format!(
            "an older schema ({last}; the start, or `doorward migrate`, adds {}{index}{stop})",
            steps(behind)
        );
    }
    let known = match steps_ahead {
        0 => format!("this version's schema ({last})"),
        ahead => format!(
            "a newer version's schema ({last}), {} ahead of this program, which works with it",
            steps(*ahead)
        ),
    };
    match indexes_behind {
        0 => known,
        _ => format!(
            "{known}, but for {} (a server, or `doorward migrate`, makes what is missing while servers work)",
            indexes()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_is_described_by_what_becomes_of_it_and_of_older_programs() {
        let with = |steps_behind, indexes_behind, steps_ahead, no_way_back| {
            describe(&Schema {
                last: "0007_last".to_owned(),
                steps_behind,
                indexes_behind,
                no_way_back,
                steps_ahead,
            })
        };
        let of = |steps_behind, steps_ahead, no_way_back| with(steps_behind, 0, steps_ahead, no_way_back);
        assert_eq!(of(0, 0, None), "this version's schema (0007_last)");
        assert_eq!(
            of(0, 1, None),
            "a newer version's schema (0007_last), 1 step ahead of this program, which works with it"
        );
        assert_eq!(
            of(2, 0, None),
            "an older schema (0007_last; the start, or `doorward migrate`, adds 2 steps)"
        );
        assert_eq!(
            with(3, 1, 0, None),
            "an older schema (0007_last; the start, or `doorward migrate`, adds 2 steps, and 1 index while servers work)"
        );
        let missing =
            ", but for 2 indexes (a server, or `doorward migrate`, makes what is missing while servers work)";
        assert_eq!(
            with(2, 2, 0, None),
            format!("this version's schema (0007_last){missing}")
        );
        assert_eq!(with(2, 2, 1, None), of(0, 1, None) + missing);
        let breaking = of(2, 0, Some("0009_breaking"));
        assert!(
            breaking.contains("programs before 0009_breaking refuse to start"),
            "{breaking}"
        );
    }
}
