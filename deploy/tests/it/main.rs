//! The stack on real parts.

mod ddl;
mod lifecycle;
