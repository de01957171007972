//! Fuzz targets: each adapter, and the decompression of bodies in every encoding, with what must hold for any bytes.
//!
//! One program has all targets and is told by `FUZZ_TARGET` which one to be, so that it is built once. `FUZZ_SEEDS` names a
//! folder that the recorded requests of that target are written to before libFuzzer reads it. How it is built and run is in
//! `README.md`.

#![no_main]

use std::sync::LazyLock;

use ingest::adapter::Format;
use libfuzzer_sys::fuzz_target;

mod admitted;
mod bodies;
mod seeds;

/// What the bytes go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    /// An adapter, as a body whose notation its first byte tells.
    Adapter(Format),
    /// The decompression of a body: a byte for the encoding, then what is sent.
    Body,
}

static TARGET: LazyLock<Target> = LazyLock::new(|| {
    let name = std::env::var("FUZZ_TARGET").unwrap_or_default();
    let format = Format::ALL.into_iter().find(|format| format.name() == name);
    match format {
        Some(format) => Target::Adapter(format),
        None if name == "body" => Target::Body,
        None => panic!("FUZZ_TARGET={name}: want body, or the name of a format"),
    }
});

fuzz_target!(
    init: seeds::write(*TARGET),
    |bytes: &[u8]| match *TARGET {
        Target::Adapter(format) => admitted::check(format, bytes),
        Target::Body => bodies::check(bytes),
    }
);
