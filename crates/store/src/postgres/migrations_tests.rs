use super::super::cluster;
use super::*;

const FIRST: Migration = Migration {
    version: 1,
    name: "0001_first",
    sql: "CREATE TABLE a (x BIGINT);",
};
const SECOND: Migration = Migration {
    version: 2,
    name: "0002_second",
    sql: "CREATE TABLE b (x BIGINT);",
};
const EDITED: Migration = Migration {
    version: 1,
    name: "0001_first",
    sql: "CREATE TABLE a (y BIGINT);",
};
const BROKEN: Migration = Migration {
    version: 2,
    name: "0002_broken",
    sql: "CREATE TABLE c (x BIGINT); CREATE NONSENSE;",
};

async fn connection(database: &cluster::Database) -> ClientWrapper {
    let (client, connection) = tokio_postgres::connect(&database.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    let task = tokio::spawn(async move { drop(connection.await) });
    ClientWrapper::new(client, task)
}

fn refusal(result: Fallible<()>) -> String {
    match result {
        Err(Fault::Refused(StoreError::Unusable(why))) => why,
        other => panic!("not refused: {other:?}"),
    }
}

async fn tables(db: &ClientWrapper) -> Vec<String> {
    let rows = db
        .query(
            "SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' ORDER BY 1",
            &[],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test]
async fn migrations_run_once_and_in_order() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    apply(&mut db, &[FIRST]).await.unwrap();
    apply(&mut db, &[FIRST]).await.unwrap();
    apply(&mut db, &[FIRST, SECOND]).await.unwrap();
    assert_eq!(tables(&db).await, ["a", "b", "schema_migration"]);
}

#[tokio::test]
async fn edited_newer_and_missing_steps_are_refused() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    apply(&mut db, &[FIRST]).await.unwrap();
    assert!(refusal(apply(&mut db, &[EDITED]).await).contains("was edited"));
    apply(&mut db, &[FIRST, SECOND]).await.unwrap();
    assert!(refusal(apply(&mut db, &[FIRST]).await).contains("0002_second"));
    assert!(refusal(apply(&mut db, &[SECOND]).await).contains("another way"));
}

#[tokio::test]
async fn a_failed_migration_leaves_nothing_behind() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    apply(&mut db, &[FIRST]).await.unwrap();
    assert!(refusal(apply(&mut db, &[FIRST, BROKEN]).await).contains("0002_broken"));
    assert_eq!(tables(&db).await, ["a", "schema_migration"]);
    apply(&mut db, &[FIRST, SECOND]).await.unwrap();
}

#[tokio::test]
async fn another_programs_database_is_refused() {
    let Some(database) = cluster::empty_database().await else {
        return;
    };
    let mut db = connection(&database).await;
    db.batch_execute("CREATE TABLE precious (x BIGINT)")
        .await
        .unwrap();
    assert!(refusal(migrate(&mut db).await).contains("another program"));
    assert_eq!(tables(&db).await, ["precious"]);
}

#[test]
fn the_embedded_migrations_are_numbered_without_gaps() {
    for (index, migration) in MIGRATIONS.iter().enumerate() {
        assert_eq!(migration.version, i64::try_from(index).unwrap() + 1);
        assert!(migration.name.starts_with(&format!("{:04}_", migration.version)));
    }
}
