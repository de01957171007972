//! The journeys that every app gets without configuration.
