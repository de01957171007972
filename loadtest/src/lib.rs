//! Open-loop traffic whose truth is known, and its verification against ClickHouse.
//!
//! [`scenario`] plays seeded sessions of the study app and says what an exact pipeline must count of them;
//! [`drive`] sends their beacons by a schedule that no answer delays and writes every answer and every truth to a
//! [`ledger`]; [`verify`] reads the ledger and compares it with what ClickHouse holds; [`observe`] looks at the parts
//! meanwhile, and [`report`] makes one page of it all; [`faults`] does both while processes are killed, stopped and
//! restarted; [`drill`] reads from files what is to go wrong; [`hostile`] attacks the server; [`soak`] goes on for an hour.
//! [`cost`] says what parts use, [`peers`] compares that with what others use for the same traffic, [`capacity`] says what a
//! traffic needs, and [`scale`] what more of everything costs.
//!
//! Nothing here is shared with what is checked beyond the types of `schema`: the truth comes from what a session
//! was made to do, never from evaluating definitions against events.

pub mod capacity;
pub mod client;
pub mod cost;
pub mod drill;
pub mod drive;
pub mod faults;
pub mod fleet;
pub mod hostile;
pub mod ledger;
pub mod observe;
pub mod page;
pub mod parts;
pub mod peers;
pub mod report;
pub mod sample;
pub mod scale;
pub mod scenario;
pub mod schedule;
pub mod soak;
pub mod summary;
pub mod truth;
pub mod verify;
