use super::*;

/// What a program that does not know a step would trip over, and what is wrong with it.
const BREAKING: &[(&str, &str)] = &[
    ("DROP ", "takes away what older programs may use"),
    (" RENAME ", "takes away a name that older programs use"),
    (" TYPE ", "changes what older programs read"),
    ("ALTER COLUMN ", "changes what older programs may write"),
    (" SET NOT NULL", "refuses what older programs write"),
    ("ADD CONSTRAINT", "refuses what older programs may write"),
    ("ADD CHECK", "refuses what older programs may write"),
    ("ADD UNIQUE", "refuses what older programs may write"),
    ("ADD FOREIGN", "refuses what older programs may write"),
    ("ADD PRIMARY", "refuses what older programs may write"),
];

/// A step's text without comments, in capitals, and with one space where there is any.
fn code(sql: &str) -> String {
    sql.lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
        .to_uppercase()
}

/// Why a step's text, looked at statement by statement, would not keep older programs working.
pub(crate) fn objections(sql: &str) -> Vec<String> {
    let code = code(sql);
    let mut objections = Vec::new();
    let mut made_here = Vec::new();
    for statement in code.split(';').map(str::trim) {
        if let Some(table) = statement.strip_prefix("CREATE TABLE ") {
            made_here.extend(table.split([' ', '(']).next());
            continue;
        }
        let of_a_new_table = made_here.iter().any(|table| {
            statement.starts_with(&format!("ALTER TABLE {table} "))
                || statement.contains(&format!(" ON {table} ("))
        });
        if of_a_new_table {
            continue;
        }
        for (words, why) in BREAKING {
            if statement.contains(words) {
                objections.push(format!("{words:?} {why}: {statement}"));
            }
        }
        let adds = statement.contains("ADD COLUMN") && statement.contains("NOT NULL");
        if adds && !statement.contains("DEFAULT ") {
            objections.push(format!("older programs do not fill the column: {statement}"));
        }
        if statement.starts_with("CREATE UNIQUE INDEX") {
            objections.push(format!("refuses what older programs may write: {statement}"));
        }
    }
    objections
}

/// The rule for every engine's list. `looked_at`: steps whose text looks like breaking and which keep older programs working
/// for a reason that stands beside them.
pub(crate) fn assert_honest(migrations: &[Migration], looked_at: &[(&str, &str)]) {
    for (index, migration) in migrations.iter().enumerate() {
        let name = migration.name;
        assert_eq!(migration.version, i64::try_from(index).unwrap() + 1);
        assert!(name.starts_with(&format!("{:04}_", migration.version)));
        let excused = looked_at.iter().any(|(step, _)| *step == name);
        let objections = objections(migration.sql);
        assert!(!excused || !objections.is_empty(), "{name} needs no excuse");
        // What breaks older programs may also be what new ones write: then the text has nothing of it.
        if !migration.breaks_older && !excused {
            assert_eq!(objections, Vec::<String>::new(), "{name}: mark it `breaks_older`");
        }
    }
}

/// Tables of a few rows, whatever is stored.
const SMALL: &[&str] = &[
    "CHANGE_COUNT",
    "HEARTBEAT",
    "REVOCATION_LOG",
    "SERVED",
    "SERVER_SECRET",
    "SIGNING_KEY",
];

/// What is done at once, whatever is in a table, when nobody is in the way.
const AT_ONCE: &[&str] = &[
    "COMMENT ON ",
    "CREATE CONSTRAINT TRIGGER ",
    "CREATE FUNCTION ",
    "CREATE OR REPLACE FUNCTION ",
    "CREATE SEQUENCE ",
    "CREATE TRIGGER ",
    "DROP FUNCTION ",
    "DROP INDEX ",
    "DROP TABLE ",
    "DROP TRIGGER ",
];

/// The statements of a step that read or rewrite a table that is there already, or of which that is not known to be otherwise.
/// Nobody else writes to such a table until every step is committed.
fn holding_up(sql: &str) -> Vec<String> {
    let code = code(sql);
    // A function's body does nothing yet.
    let outside: String = code.split("$$").step_by(2).collect();
    let mut made_here = Vec::new();
    let mut found = Vec::new();
    for statement in outside.split(';').map(str::trim) {
        let new = statement.strip_prefix("CREATE TABLE ").filter(|_| {
            !["SELECT ", " PARTITION OF "]
                .iter()
                .any(|words| statement.contains(words))
        });
        if let Some(table) = new {
            made_here.extend(table.split([' ', '(']).next());
        } else if !(statement.is_empty() || is_short(statement, &made_here)) {
            found.push(statement.to_owned());
        }
    }
    found
}

fn is_short(statement: &str, made_here: &[&str]) -> bool {
    let is_new = |table: &str| made_here.contains(&table.trim_matches(['(', ')']));
    if AT_ONCE.iter().any(|head| statement.starts_with(head)) {
        return true;
    }
    if let Some(altered) = statement.strip_prefix("ALTER TABLE ") {
        return altered.split_once(' ').is_some_and(|(table, actions)| {
            !actions.contains("ATTACH PARTITION")
                && (is_new(table) || actions_of(actions).all(is_short_action))
        });
    }
    let index = ["CREATE INDEX ", "CREATE UNIQUE INDEX "];
    if index.iter().any(|head| statement.starts_with(head)) {
        let table = statement
            .split_once(" ON ")
            .and_then(|(_, of)| of.split(' ').next());
        return table.is_some_and(is_new);
    }
    if !["INSERT INTO ", "UPDATE ", "DELETE FROM "]
        .iter()
        .any(|head| statement.starts_with(head))
    {
        return false;
    }
    let words: Vec<&str> = statement.split(' ').collect();
    let is_read = |table: &str| !SMALL.contains(&table.trim_end_matches(')')) && !is_new(table);
    !words
        .windows(2)
        .any(|pair| matches!(pair, ["FROM" | "JOIN" | "UPDATE" | "USING" | "TABLE", table] if is_read(table)))
}

/// The parts of an `ALTER TABLE`: commas in parentheses separate something else.
fn actions_of(actions: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0_i32;
    actions
        .split(move |character| {
            depth += match character {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            character == ',' && depth == 0
        })
        .map(str::trim)
}

fn is_short_action(action: &str) -> bool {
    if let Some(column) = action.strip_prefix("ADD COLUMN ") {
        let checked = [
            " REFERENCES ",
            " CHECK",
            " UNIQUE",
            " PRIMARY KEY",
            " GENERATED ",
            "SERIAL",
        ];
        let constant = column.split_once(" DEFAULT ").is_none_or(|(_, value)| {
            let literal =
                value.starts_with(|first: char| first == '\'' || first == '-' || first.is_ascii_digit());
            let word = value.split(' ').next().unwrap_or_default();
            !value.contains(['(', '|']) && (literal || ["TRUE", "FALSE", "NULL"].contains(&word))
        });
        return constant && !checked.iter().any(|words| column.contains(words));
    }
    if action.starts_with("ADD CONSTRAINT ") {
        return action.ends_with(" NOT VALID");
    }
    if action.starts_with("ALTER COLUMN ") {
        return [" SET DEFAULT ", " DROP DEFAULT", " DROP NOT NULL"]
            .iter()
            .any(|words| action.contains(words));
    }
    ["DROP COLUMN ", "DROP CONSTRAINT ", "RENAME ", "SET ("]
        .iter()
        .any(|head| action.starts_with(head))
}

/// The rule for the list of an engine whose steps are added while others work: nobody waits for a step until it has read a large
/// table. Steps up to `since` are as they are.
#[cfg(feature = "postgres")]
pub(crate) fn assert_nobody_waits(migrations: &[Migration], since: i64) {
    let partitioned: Vec<String> = migrations
        .iter()
        .flat_map(|step| {
            code(step.sql)
                .split(';')
                .map(|sql| sql.trim().to_owned())
                .collect::<Vec<_>>()
        })
        .filter(|statement| statement.contains(" PARTITION BY "))
        .filter_map(|statement| {
            Some(
                statement
                    .strip_prefix("CREATE TABLE ")?
                    .split([' ', '('])
                    .next()?
                    .to_owned(),
            )
        })
        .collect();
    for step in migrations {
        match step.index {
            Some(index) => assert_eq!(wrong_with_index(step, index, &partitioned), None, "{}", step.name),
            None if step.version > since => {
                assert_eq!(
                    holding_up(step.sql),
                    Vec::<String>::new(),
                    "{}: others wait for this (ARCHITECTURE.md, \"A table or column\")",
                    step.name
                );
            }
            None => {}
        }
    }
}

/// `CREATE INDEX CONCURRENTLY` is for one plain index of one table.
fn wrong_with_index(step: &Migration, index: &str, partitioned: &[String]) -> Option<&'static str> {
    let code = code(step.sql);
    let statement = code.strip_suffix(';').unwrap_or(&code);
    let Some(of) = statement.strip_prefix(&format!("CREATE INDEX {} ON ", index.to_uppercase())) else {
        return Some("it is not `CREATE INDEX` with the name that the list has");
    };
    let table = of.split([' ', '(']).next().unwrap_or_default();
    if !step.sql.contains(&format!("CREATE INDEX {index} ON ")) {
        Some("it is not written as the list has it, on one line")
    } else if statement.contains(';') || step.breaks_older {
        Some("it does more than to make an index")
    } else if table == "ONLY" || partitioned.iter().any(|of| of == table) {
        Some("PostgreSQL makes no index of a table in partitions beside the work of others")
    } else {
        None
    }
}

#[test]
fn what_others_would_wait_for_is_found_in_the_text_of_a_step() {
    for sql in [
        "CREATE INDEX i ON a (b);",
        "CREATE TABLE c (d TEXT); CREATE INDEX i ON a (b);",
        "UPDATE a SET b = 1;",
        "UPDATE heartbeat SET beats = (SELECT count(*) FROM a);",
        "DELETE FROM a;",
        "INSERT INTO c SELECT b FROM a;",
        "CREATE TABLE c AS SELECT b FROM a;",
        "CREATE TABLE c PARTITION OF a FOR VALUES FROM (1) TO (2);",
        "ALTER TABLE a ALTER COLUMN b TYPE BIGINT;",
        "ALTER TABLE a ALTER COLUMN b SET NOT NULL;",
        "ALTER TABLE a ADD COLUMN b UUID DEFAULT gen_random_uuid();",
        "ALTER TABLE a ADD COLUMN b BIGINT DEFAULT 1, ADD COLUMN c TEXT REFERENCES d;",
        "ALTER TABLE a ADD COLUMN b BIGSERIAL;",
        "ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0);",
        "ALTER TABLE a VALIDATE CONSTRAINT c;",
        "ALTER TABLE a ADD PRIMARY KEY (b);",
        "DO $$ BEGIN PERFORM 1; END $$;",
        "LOCK TABLE a;",
    ] {
        assert_ne!(holding_up(sql), Vec::<String>::new(), "{sql}");
    }
    for sql in [
        "-- CREATE INDEX i ON a (b);\nCREATE TABLE c (d TEXT NOT NULL); CREATE INDEX i ON c (d); ALTER TABLE c ADD CHECK (d <> '');",
        "ALTER TABLE a ADD COLUMN b BIGINT NOT NULL DEFAULT 0, ADD COLUMN c TEXT NOT NULL DEFAULT '[]', ADD COLUMN d TEXT;",
        "ALTER TABLE a ADD CONSTRAINT c CHECK (b IN (1, 2)) NOT VALID;",
        "ALTER TABLE a ALTER COLUMN b DROP NOT NULL, DROP COLUMN c;",
        "UPDATE signing_key SET algorithm = 'ES256'; INSERT INTO change_count (id, kind) VALUES (9, 'x');",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE a SET b = 1; RETURN NULL; END $$; \
         CREATE TRIGGER t AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION f();",
    ] {
        assert_eq!(holding_up(sql), Vec::<String>::new(), "{sql}");
    }
}

const fn step(version: i64, name: &'static str, sql: &'static str, index: Option<&'static str>) -> Migration {
    Migration {
        version,
        name,
        sql,
        breaks_older: false,
        index,
    }
}

#[test]
fn a_step_of_an_index_makes_one_index_of_one_table() {
    let wrong = |sql| wrong_with_index(&step(1, "0001_i", sql, Some("i")), "i", &["P".to_owned()]);
    assert_eq!(
        wrong("-- Why.\nCREATE INDEX i ON a (b)\n    WHERE b > 0;\n"),
        None
    );
    for sql in [
        "CREATE INDEX j ON a (b);",
        "CREATE UNIQUE INDEX i ON a (b);",
        "CREATE INDEX\n    i ON a (b);",
        "CREATE INDEX i ON a (b); CREATE INDEX j ON a (b);",
        "CREATE INDEX i ON ONLY a (b);",
        "CREATE INDEX i ON p (b);",
    ] {
        assert_ne!(wrong(sql), None, "{sql}");
    }
}

/// An index may come long after the steps that follow it.
#[test]
fn a_missing_index_is_behind_and_no_gap() {
    let known = [
        step(1, "0001_a", "", None),
        step(2, "0002_i", "", Some("i")),
        step(3, "0003_b", "", None),
    ];
    let applied = |steps: &[(i64, &str)]| -> Vec<Applied> {
        let applied = steps.iter().map(|&(version, name)| Applied {
            version,
            name: name.to_owned(),
            sha256: checksum(""),
            breaks_older: false,
        });
        applied.collect()
    };
    let schema = |steps: &[(i64, &str)]| {
        let applied = applied(steps);
        let schema = difference(&known, &applied).map(|difference| difference.with(applied.last().unwrap()));
        schema.map(|schema| (schema.steps_behind, schema.indexes_behind, schema.steps_ahead))
    };
    assert_eq!(schema(&[(1, "0001_a")]), Ok((2, 1, 0)));
    assert_eq!(schema(&[(1, "0001_a"), (3, "0003_b")]), Ok((1, 1, 0)));
    assert_eq!(
        schema(&[(1, "0001_a"), (3, "0003_b"), (4, "0004_c")]),
        Ok((1, 1, 1))
    );
    assert_eq!(
        schema(&[(1, "0001_a"), (2, "0002_i"), (3, "0003_b")]),
        Ok((0, 0, 0))
    );
    let other_ways: [&[(i64, &str)]; 3] = [
        &[(2, "0002_i"), (3, "0003_b")],
        &[(1, "0001_a"), (2, "0002_j")],
        &[(1, "0001_a"), (3, "0003_c")],
    ];
    for steps in other_ways {
        assert!(
            matches!(schema(steps), Err(StoreError::Unusable(why)) if why.contains("another way")),
            "{steps:?}"
        );
    }
}

#[test]
fn what_breaks_older_programs_is_found_in_the_text_of_a_step() {
    for sql in [
        "ALTER TABLE a DROP COLUMN b;",
        "ALTER TABLE a\n    RENAME b TO c;",
        "alter table a alter column b type bigint;",
        "ALTER TABLE a ADD COLUMN b BIGINT NOT NULL;",
        "ALTER TABLE a ADD CONSTRAINT c CHECK (b > 0);",
        "-- CREATE TABLE a (\nCREATE UNIQUE INDEX i ON a (b);",
        "DROP INDEX i;",
    ] {
        assert_ne!(objections(sql), Vec::<String>::new(), "{sql}");
    }
    for sql in [
        "-- DROP TABLE a\nALTER TABLE a ADD COLUMN b BIGINT NOT NULL DEFAULT 0;",
        "ALTER TABLE a ADD COLUMN b TEXT;",
        "CREATE TABLE a (b TEXT NOT NULL); CREATE UNIQUE INDEX i ON a (b);",
        "CREATE INDEX i ON a (b); UPDATE a SET b = 1;",
    ] {
        assert_eq!(objections(sql), Vec::<String>::new(), "{sql}");
    }
}
