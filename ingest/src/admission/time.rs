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
mod tests {
    use super::*;
    use TimeMethod::{AsSent, ClampedToReceived, OffsetCorrected, Received};

    const NOW_MS: i64 = 1_795_405_626_000;

    #[test]
    fn a_stamp_is_believed_as_far_as_transit_explains() {
        // sent_at and the event's stamp relative to the receipt, then expected place, method and correction.
        let check = |sent: Option<i64>, event: Option<i64>, place: i64, method, correction_ms| {
            let clock = ClientClock::new(NOW_MS, sent.map(|sent| NOW_MS + sent));
            let placed = clock.place(event.map(|event| NOW_MS + event).into());
            assert_eq!(
                placed,
                Placed { time_ms: NOW_MS + place, method, correction_ms },
                "sent {sent:?}, event {event:?}"
            );
        };
        check(None, Some(-500), -500, AsSent, 0);
        check(Some(-200), Some(-500), -500, AsSent, 0);
        check(Some(-TRANSIT_MS_MAX), Some(-40_000), -40_000, AsSent, 0);
        check(Some(-TRANSIT_MS_MAX - 1), Some(-40_000), -9_999, OffsetCorrected, 30_001);
        check(Some(TRANSIT_MS_MAX), Some(29_000), 0, ClampedToReceived, -29_000);
        check(Some(TRANSIT_MS_MAX + 1), Some(30_000), -1, OffsetCorrected, -30_001);
        check(Some(-3_600_000), Some(-3_600_100), -100, OffsetCorrected, 3_600_000);
        check(Some(-3_600_000), Some(-3_500_000), 0, ClampedToReceived, 3_500_000);
        check(None, Some(1), 0, ClampedToReceived, -1);
        check(None, Some(0), 0, AsSent, 0);
        check(None, Some(-366 * 86_400_000), -366 * 86_400_000, AsSent, 0);
        check(None, Some(366 * 86_400_000), 0, ClampedToReceived, -366 * 86_400_000);
        check(Some(-3_600_000), None, 0, Received, 0);
    }

    #[test]
    fn an_age_counts_back_from_the_receipt_whatever_the_client_s_clock_says() {
        let clock = ClientClock::new(NOW_MS, Some(NOW_MS - 3_600_000));
        let check = |age_ms: i64, time_ms: i64| {
            let expect = Placed { time_ms, method: Received, correction_ms: 0 };
            assert_eq!(clock.place(Stamp::Ago(age_ms)), expect, "{age_ms}");
        };
        check(0, NOW_MS);
        check(92, NOW_MS - 92);
        check(-5, NOW_MS);
        check(i64::MAX, 0);
        check(i64::MIN, NOW_MS);
    }

    #[test]
    fn absurd_stamps_do_not_overflow() {
        for sent in [i64::MIN, -1, 0, i64::MAX] {
            for event in [i64::MIN, -1, 0, i64::MAX] {
                let placed = ClientClock::new(NOW_MS, Some(sent)).place(Stamp::At(event));
                assert!((0..=NOW_MS).contains(&placed.time_ms), "{sent} {event} {placed:?}");
            }
        }
    }
}
