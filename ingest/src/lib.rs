//! The HTTP front door: takes the beacons of web and native clients, turns every wire format into the domain's
//! types, and answers when they are durable on the log.
//!
//! The way of a request: [`endpoint`] reads it ([`body`]), an [`adapter`] turns it into beacons by the rules of
//! [`admission`], [`durable`] writes them to Kafka by the [`log`], or keeps them in the [`spool`] while it is away. Adapters
//! and admission are pure: no clock, no network, no runtime. What beacons mean for journeys is `aggregator`'s.

/// Requests are many small allocations, made on one thread and partly freed on another.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub mod adapter;
pub mod address;
pub mod admin;
pub mod admission;
pub mod apps;
pub mod body;
pub mod checks;
pub mod clock;
pub mod config;
pub mod connection;
pub mod cors;
pub mod durable;
pub mod endpoint;
pub mod hints;
pub mod log;
pub mod metrics;
pub mod openapi;
pub mod rate;
pub mod refusal;
pub mod spool;
pub mod startup;
pub mod ticks;
pub mod user_agent;
