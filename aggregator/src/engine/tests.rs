//! The engine's semantics as tables, and its laws as properties.

mod laws;
mod semantics;
mod world;
