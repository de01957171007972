//! The tables and views of database `sli`, as versioned migrations.
//!
//! The SQL stands in `ddl/`, with what every table and column means. Applying it is `deploy`'s; what the rows
//! hold is in [`crate::rows`].

/// One step of the database's schema. Migrations are applied in the order of their versions, each once; every
/// statement may be repeated, so that a migration that was cut short can be applied again.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// Position, from 1 without gaps.
    pub version: u32,
    /// Name for people.
    pub name: &'static str,
    /// Statements, each ended by `;` at the end of a line.
    pub sql: &'static str,
}

/// Every migration, in order.
pub const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "tables", sql: include_str!("ddl/001_tables.sql") },
    Migration { version: 2, name: "definitions", sql: include_str!("ddl/002_definitions.sql") },
    Migration { version: 3, name: "journey views", sql: include_str!("ddl/003_journey_views.sql") },
    Migration { version: 4, name: "objective views", sql: include_str!("ddl/004_objective_views.sql") },
    Migration { version: 5, name: "audit view", sql: include_str!("ddl/005_audit_view.sql") },
];

/// Brings `sli.objective_counts`, and so `sli.slo_status` and `sli.slo_burn`, up to date at once instead of within ten
/// seconds: statements that need the privilege `SYSTEM VIEWS`.
pub const REFRESH: [&str; 2] =
    ["SYSTEM REFRESH VIEW sli.objective_counts_refresh", "SYSTEM WAIT VIEW sli.objective_counts_refresh"];

impl Migration {
    /// The statements one by one, without their `;`, since ClickHouse's HTTP interface takes one a request.
    ///
    /// ```
    /// let first = schema::ddl::MIGRATIONS[0].statements().next();
    /// assert!(first.is_some_and(|sql| sql.ends_with("CREATE DATABASE IF NOT EXISTS sli")));
    /// ```
    pub fn statements(&self) -> impl Iterator<Item = &'static str> {
        self.sql.split(";\n").map(str::trim).filter(|statement| !statement.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rows::BATCH_TABLES;

    fn statements() -> impl Iterator<Item = &'static str> {
        MIGRATIONS.iter().flat_map(Migration::statements)
    }

    /// A statement without its comment lines.
    fn code(statement: &str) -> String {
        statement
            .lines()
            .filter(|line| !line.starts_with("--"))
            .collect::<Vec<_>>()
            .join("\n")
            .trim()
            .to_owned()
    }

    #[test]
    fn versions_count_from_one_without_gaps() {
        let versions: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..=MIGRATIONS.len() as u32).collect::<Vec<_>>());
    }

    #[test]
    fn every_statement_is_ended_and_may_be_repeated() {
        for migration in MIGRATIONS {
            assert!(migration.sql.ends_with(";\n"), "{}", migration.name);
        }
        for statement in statements().map(code) {
            let repeatable = [
                "CREATE DATABASE IF NOT EXISTS ",
                "CREATE TABLE IF NOT EXISTS ",
                "CREATE OR REPLACE VIEW ",
                "CREATE MATERIALIZED VIEW IF NOT EXISTS ",
            ];
            assert!(repeatable.iter().any(|start| statement.starts_with(start)), "{statement}");
        }
    }

    #[test]
    fn every_table_of_a_batch_is_there_and_every_table_with_inserts_deduplicates() {
        for table in BATCH_TABLES {
            let start = format!("CREATE TABLE IF NOT EXISTS sli.{table}\n");
            assert!(statements().any(|statement| code(statement).starts_with(&start)), "{table}");
        }
        // This one is replaced as a whole.
        let refreshed = "CREATE TABLE IF NOT EXISTS sli.objective_counts\n";
        for statement in statements().map(code).filter(|statement| statement.starts_with("CREATE TABLE")) {
            // Late data reaches back over eight parts of a table by the day, and two of any other.
            let window = if statement.contains("PARTITION BY toDate(") { 20_000 } else { 10_000 };
            assert!(
                statement.contains(&format!("SETTINGS non_replicated_deduplication_window = {window}"))
                    || statement.starts_with(refreshed),
                "{statement}"
            );
        }
    }
}
