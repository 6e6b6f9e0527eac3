//! The physical limits: what a token costs whoever makes it, and what a durable record costs wherever it is kept.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};
use rusqlite::{Connection, params};
use tokio::time::Instant;

use crate::cpu;

/// About as long as the signing input of an access token of ours.
const SIGNING_INPUT: [u8; 640] = [b'x'; 640];

/// How often something could be done.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// Times.
    pub count: u32,
    /// In this time.
    pub wall: Duration,
    /// On this processor time of the one thread that did it.
    pub cpu: Duration,
}

impl Rate {
    /// Times a second.
    pub fn per_second(&self) -> f64 {
        f64::from(self.count) / self.wall.as_secs_f64()
    }

    /// Times a second of processor time.
    pub fn per_cpu_second(&self) -> f64 {
        f64::from(self.count) / self.cpu.as_secs_f64()
    }

    fn measure(time: Duration, mut once: impl FnMut() -> anyhow::Result<()>) -> anyhow::Result<Self> {
        let (started, cpu) = (Instant::now(), cpu::of_this_thread());
        let mut count = 0;
        // At least once, whatever else the machine does.
        loop {
            once()?;
            count += 1;
            if started.elapsed() >= time {
                break;
            }
        }
        Ok(Self {
            count,
            wall: started.elapsed(),
            cpu: cpu::of_this_thread().saturating_sub(cpu),
        })
    }
}

/// ES256 signatures by aws-lc-rs, with nothing around them, on one core.
pub fn es256_signatures(time: Duration) -> anyhow::Result<Rate> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| anyhow!("no key"))?;
    let random = SystemRandom::new();
    Rate::measure(time, || {
        let signature = key
            .sign(&random, &SIGNING_INPUT)
            .map_err(|_| anyhow!("no signature"))?;
        std::hint::black_box(signature);
        Ok(())
    })
}

/// Checks of one ES256 signature by aws-lc-rs, with nothing around them, on one core.
pub fn es256_checks(time: Duration) -> anyhow::Result<Rate> {
    let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(|_| anyhow!("no key"))?;
    let signature = key
        .sign(&SystemRandom::new(), &SIGNING_INPUT)
        .map_err(|_| anyhow!("no signature"))?;
    let public = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.public_key().as_ref())
        .map_err(|_| anyhow!("no public key"))?;
    Rate::measure(time, || {
        public
            .verify_sig(&SIGNING_INPUT, signature.as_ref())
            .map_err(|_| anyhow!("a good signature is refused"))
    })
}

/// A `SQLite` database with one table, as durable as the server's own: write-ahead log, `synchronous=FULL`.
pub struct RawDatabase {
    db: Connection,
    rows: u64,
}

impl RawDatabase {
    /// Makes the database in this folder, which must be on the disk that is to be measured.
    pub fn create(folder: &Path) -> anyhow::Result<Self> {
        let db = Connection::open(folder.join("floor.db")).context("cannot make a database")?;
        db.execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;
             CREATE TABLE record (id TEXT NOT NULL PRIMARY KEY, grant_id BLOB NOT NULL, client_id TEXT NOT NULL,
                subject TEXT NOT NULL, resource TEXT NOT NULL, issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL)
                STRICT, WITHOUT ROWID;",
        )?;
        Ok(Self { db, rows: 0 })
    }

    /// Inserts so many rows of the size of an issuance record in one durable transaction.
    pub fn commit(&mut self, rows: u32) -> anyhow::Result<()> {
        let transaction = self.db.transaction()?;
        for _ in 0..rows {
            self.rows += 1;
            // Scattered over the table, as random identifiers are.
            let id = format!(
                "{:032x}",
                u128::from(self.rows.wrapping_mul(0x9e37_79b9_7f4a_7c15))
            );
            let mut insert =
                transaction.prepare_cached("INSERT INTO record VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?;
            insert.execute(params![
                id,
                [7_u8; 16],
                "dwc_0123456789012345678901234567890123456789012",
                "00000000-0000-4000-8000-000000000000",
                "https://mcp.example.com/mcp",
                1_800_000_000_i64,
                1_800_000_300_i64,
            ])?;
        }
        Ok(transaction.commit()?)
    }

    /// Durable transactions of so many rows, one after the other.
    pub fn commits(&mut self, time: Duration, rows: u32) -> anyhow::Result<Rate> {
        Rate::measure(time, || self.commit(rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limits_can_be_measured() {
        let folder = tempfile::tempdir().unwrap();
        let mut database = RawDatabase::create(folder.path()).unwrap();
        let moment = Duration::from_millis(5);
        assert!(database.commits(moment, 3).unwrap().per_second() > 0.0);
        assert!(es256_signatures(moment).unwrap().count > 0);
        assert!(es256_checks(moment).unwrap().count > 0);
        let rows: u32 = database
            .db
            .query_row("SELECT count(*) FROM record", [], |row| row.get(0))
            .unwrap();
        assert_eq!(u64::from(rows), database.rows);
    }
}
