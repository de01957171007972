//! The stack on real parts.

mod compose;
mod connect;
mod ddl;
mod lifecycle;
mod pipeline;
