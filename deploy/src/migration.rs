//! Applying the schema's migrations to a ClickHouse: in order, each once, recorded in `sli.migrations`.
//!
//! What the tables are is `schema`'s. A migration that was applied must not change afterwards, and a database
//! that is newer than this program is left alone.

use std::collections::BTreeMap;

use schema::ddl::{MIGRATIONS, Migration, REFRESH};
use sha2::{Digest, Sha256};

use crate::clickhouse::ClickHouse;
use crate::error::StackError;

/// Name of the database.
pub const DATABASE: &str = "sli";

/// Hex digits of a checksum.
const CHECKSUM_DIGITS: usize = 16;

/// Applies what is missing and returns the versions that were applied now.
///
/// # Errors
/// When the server refuses a statement, an applied migration differs from this program's, or the database is
/// newer.
pub async fn migrate(clickhouse: &ClickHouse) -> Result<Vec<u32>, StackError> {
    clickhouse.execute(&format!("CREATE DATABASE IF NOT EXISTS {DATABASE}")).await?;
    clickhouse
        .execute(&format!(
            "CREATE TABLE IF NOT EXISTS {DATABASE}.migrations (version UInt32, name String, checksum String, \
             applied_at DateTime DEFAULT now()) ENGINE = MergeTree ORDER BY version"
        ))
        .await?;
    let rows = clickhouse
        .query(&format!(
            "SELECT version, any(checksum) AS checksum FROM {DATABASE}.migrations GROUP BY version"
        ))
        .await?;
    let applied = rows
        .iter()
        .filter_map(|row| Some((row["version"].as_u64()? as u32, row["checksum"].as_str()?.to_owned())))
        .collect();
    let due = due(MIGRATIONS, &applied)?;
    for migration in &due {
        for statement in migration.statements() {
            clickhouse.execute(statement).await?;
        }
        clickhouse
            .execute(&format!(
                "INSERT INTO {DATABASE}.migrations (version, name, checksum) VALUES ({}, '{}', '{}')",
                migration.version,
                migration.name.replace('\\', "\\\\").replace('\'', "\\'"),
                checksum(migration)
            ))
            .await?;
    }
    Ok(due.iter().map(|migration| migration.version).collect())
}

/// Brings what the views of objectives say up to date at once instead of within ten seconds.
///
/// # Errors
/// When the server refuses: it takes the privilege `SYSTEM VIEWS`.
pub async fn refresh(clickhouse: &ClickHouse) -> Result<(), StackError> {
    for statement in REFRESH {
        clickhouse.execute(statement).await?;
    }
    Ok(())
}

/// The migrations that are not applied yet.
fn due<'a>(
    known: &'a [Migration],
    applied: &BTreeMap<u32, String>,
) -> Result<Vec<&'a Migration>, StackError> {
    for (migration, expected) in known.iter().zip(1..) {
        if migration.version != expected {
            return Err(StackError::MigrationOrder {
                version: migration.version,
                name: migration.name,
                expected,
            });
        }
        match applied.get(&expected) {
            Some(applied) if *applied != checksum(migration) => {
                return Err(StackError::MigrationChanged {
                    version: expected,
                    name: migration.name.into(),
                    applied: applied.clone(),
                    current: checksum(migration),
                });
            }
            Some(_) | None => {}
        }
    }
    let newest_known = known.len() as u32;
    match applied.keys().next_back() {
        Some(newest) if *newest > newest_known => Err(StackError::MigrationUnknown {
            database: DATABASE.into(),
            version: *newest,
            known: newest_known,
        }),
        Some(_) | None => {
            Ok(known.iter().filter(|migration| !applied.contains_key(&migration.version)).collect())
        }
    }
}

fn checksum(migration: &Migration) -> String {
    let digest = Sha256::digest(migration.sql.as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    hex[..CHECKSUM_DIGITS].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Migration] = &[
        Migration { version: 1, name: "first", sql: "CREATE TABLE a;\n" },
        Migration { version: 2, name: "second", sql: "CREATE TABLE b;\n" },
    ];

    fn check(known: &[Migration], applied: &[(u32, &str)], expect: Result<&[u32], &str>) {
        let applied = applied.iter().map(|(version, checksum)| (*version, (*checksum).to_owned())).collect();
        match (due(known, &applied), expect) {
            (Ok(due), Ok(expect)) => {
                assert_eq!(due.iter().map(|migration| migration.version).collect::<Vec<_>>(), expect);
            }
            (Err(error), Err(expect)) => assert!(error.to_string().contains(expect), "{error}"),
            (got, expect) => panic!("{got:?} instead of {expect:?}"),
        }
    }

    #[test]
    fn what_is_due_follows_from_what_was_applied() {
        let (first, second) = (checksum(&KNOWN[0]), checksum(&KNOWN[1]));
        check(KNOWN, &[], Ok(&[1, 2]));
        check(KNOWN, &[(1, &first)], Ok(&[2]));
        check(KNOWN, &[(1, &first), (2, &second)], Ok(&[]));
        check(KNOWN, &[(1, &second)], Err("migration 1 (first) was applied with checksum"));
        check(
            KNOWN,
            &[(1, &first), (2, &second), (3, "0")],
            Err("is at migration 3 and this program knows 2"),
        );
        check(&KNOWN[1..], &[], Err("migration 2 (second) stands where 1 is due"));
    }

    #[test]
    fn the_schemas_own_migrations_are_in_order() {
        check(MIGRATIONS, &[], Ok(&(1..=MIGRATIONS.len() as u32).collect::<Vec<_>>()));
    }
}
