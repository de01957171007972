//! Compares a ledger with ClickHouse.
