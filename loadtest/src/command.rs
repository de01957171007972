//! The commands of `loadtest`, one a file: arguments in, exit code out.

use clap::ValueEnum;

pub(crate) mod capacity;
pub(crate) mod drill;
pub(crate) mod faults;
pub(crate) mod hostile;
pub(crate) mod numbers;
pub(crate) mod observe;
pub(crate) mod peers;
pub(crate) mod report;
pub(crate) mod run;
pub(crate) mod scale;
pub(crate) mod soak;
pub(crate) mod verify;

/// How a result is printed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Beacons a second that a generator can be asked for.
fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if rate > 0.0 && rate <= 1e6 => Ok(rate),
        Ok(rate) => Err(format!("{rate} is not in 0 < rate <= 1000000")),
        Err(error) => Err(error.to_string()),
    }
}
