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

/// Why a step's text, looked at statement by statement, would not keep older programs working.
pub(crate) fn objections(sql: &str) -> Vec<String> {
    let code: String = sql
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .flat_map(|line| line.split_whitespace().chain(std::iter::once("")))
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
        .to_uppercase();
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
