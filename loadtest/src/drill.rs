//! Drills: scenarios of faults as files, each played under load with known truth and judged.
//!
//! A [`mod@file`] says what dies, when and for how long ([`step`]); a [`world`] has the parts, with proxies ([`link`]), small
//! disks ([`disk`]) and clocks ([`clock`]) in between where a step needs them. [`strike`] does a step, undoes it and sees
//! to it that it happened; [`run`] plays the traffic meanwhile, waits for recovery and compares; an [`outcome`] is what
//! came of it, and the [`table`] has a row for each. Which counts are right is [`crate::verify`]'s.

pub mod clock;
pub mod disk;
pub mod file;
pub mod link;
pub mod outcome;
pub mod run;
pub mod shipped;
pub mod step;
pub mod strike;
pub mod table;
pub mod world;
