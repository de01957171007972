//! The stack on real parts.

mod compose;
mod ddl;
mod lifecycle;
mod pipeline;
