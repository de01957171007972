//! The tables and views of database `sli`, as versioned migrations.

/// One step of the database's schema. Migrations are applied in the order of their versions, each once.
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
pub const MIGRATIONS: &[Migration] = &[];
