//! The load generator against servers that answer as real ones do on bad days.
//!
//! What the pipeline makes of the traffic is tested where the whole stack is; here it is only the generator.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails where it stands")]

mod browser;
mod engine;
mod hostile;
mod pages;
mod run;
mod server;
mod stall;
