//! The stack on real parts.

mod authority;
mod compose;
mod connect;
mod ddl;
mod lifecycle;
mod pipeline;
