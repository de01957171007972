//! The stack on real parts.

mod lifecycle;
