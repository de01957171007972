//! Placing events in time: which of the client's stamps are believed, and what is done with the others.

use schema::beacon::TimeMethod;

/// The longest plausible time between a client's sending and our reading; a larger offset is its clock's.
pub const TRANSIT_MS_MAX: i64 = 30_000;

/// What a client says about when something happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stamp {
    /// Nothing.
    None,
    /// Its clock, ms since the epoch.
    At(i64),
    /// How long before it sent, ms: no clock of the client's is involved.
    Ago(i64),
}

impl From<Option<i64>> for Stamp {
    fn from(time_ms: Option<i64>) -> Self {
        time_ms.map_or(Self::None, Self::At)
    }
}

/// What is known of a client's clock.
#[derive(Debug, Clone, Copy)]
pub struct ClientClock {
    received_at_ms: i64,
    /// What is added to the client's stamps; 0 when they are taken as sent.
    offset_ms: i64,
}

/// An event's place in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placed {
    /// ms since the epoch.
    pub time_ms: i64,
    /// How it was derived.
    pub method: TimeMethod,
    /// What was added to the client's stamp.
    pub correction_ms: i64,
}

impl ClientClock {
    /// A clock that is corrected by `received − sent` where that is more than transit explains.
    pub fn new(received_at_ms: i64, sent_at_ms: Option<i64>) -> Self {
        let offset_ms = sent_at_ms.map_or(0, |sent| received_at_ms.saturating_sub(sent));
        let offset_ms = if offset_ms.saturating_abs() > TRANSIT_MS_MAX { offset_ms } else { 0 };
        Self { received_at_ms, offset_ms }
    }

    /// Places an event by its client's stamp. What still lies in the future becomes the time of receipt; what
    /// lies before the epoch becomes the epoch.
    pub fn place(&self, stamp: Stamp) -> Placed {
        let received =
            |time_ms: i64| Placed { time_ms: time_ms.max(0), method: TimeMethod::Received, correction_ms: 0 };
        let sent_ms = match stamp {
            Stamp::None => return received(self.received_at_ms),
            Stamp::Ago(age_ms) => return received(self.received_at_ms.saturating_sub(age_ms.max(0))),
            Stamp::At(sent_ms) => sent_ms,
        };
        let time_ms = sent_ms.saturating_add(self.offset_ms).max(0);
        if time_ms > self.received_at_ms {
            let correction_ms = self.received_at_ms.saturating_sub(sent_ms);
            return Placed {
                time_ms: self.received_at_ms,
                method: TimeMethod::ClampedToReceived,
                correction_ms,
            };
        }
        let method = if self.offset_ms == 0 { TimeMethod::AsSent } else { TimeMethod::OffsetCorrected };
        Placed { time_ms, method, correction_ms: time_ms.saturating_sub(sent_ms) }
    }
}

#[cfg(test)]
mod tests;
