//! Tests of the simulation itself: seeds that must hold, and teeth that must bite.

mod seeds;
mod teeth;
