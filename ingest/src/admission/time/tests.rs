use super::*;
use TimeMethod::{AsSent, ClampedToReceived, OffsetCorrected, Received};
use proptest::prelude::*;

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

/// The longest time that an upload waits.
const DAY_MS: i64 = 86_400_000;

proptest! {
    /// However wrong a clock is: where the time of sending is stamped by the same clock, an event is placed no further
    /// from its true time than what transit explains, and never after its receipt.
    #[test]
    fn a_clock_that_stamps_its_sending_is_as_good_as_a_right_one(
        error_ms in prop_oneof![-400 * DAY_MS..400 * DAY_MS, -2 * TRANSIT_MS_MAX..2 * TRANSIT_MS_MAX],
        transit_ms in 0..TRANSIT_MS_MAX,
        age_ms in 0..7 * DAY_MS,
    ) {
        let (sent_ms, happened_ms) = (NOW_MS - transit_ms, NOW_MS - transit_ms - age_ms);
        let placed = ClientClock::new(NOW_MS, Some(sent_ms + error_ms)).place(Stamp::At(happened_ms + error_ms));
        prop_assert!(placed.time_ms <= NOW_MS);
        prop_assert!((placed.time_ms - happened_ms).abs() <= TRANSIT_MS_MAX + transit_ms, "{:?}", placed);
    }

    /// The order of events stays, no two come further apart, and distances in the past are those of the client's clock.
    #[test]
    fn correction_moves_all_events_of_a_beacon_alike(
        sent in prop::option::of(-30 * DAY_MS..30 * DAY_MS),
        first in -30 * DAY_MS..30 * DAY_MS,
        distance_ms in 0..DAY_MS,
    ) {
        let clock = ClientClock::new(NOW_MS, sent.map(|sent| NOW_MS + sent));
        let [a, b] = [first, first + distance_ms].map(|stamp| clock.place(Stamp::At(NOW_MS + stamp)));
        prop_assert!((0..=distance_ms).contains(&(b.time_ms - a.time_ms)), "{:?} {:?}", a, b);
        if b.method != ClampedToReceived {
            prop_assert_eq!(b.time_ms - a.time_ms, distance_ms);
        }
    }

    /// What the client stamped can be told from what is kept.
    #[test]
    fn no_stamp_is_lost(sent in prop::option::of(-30 * DAY_MS..30 * DAY_MS), stamp in -30 * DAY_MS..30 * DAY_MS) {
        let clock = ClientClock::new(NOW_MS, sent.map(|sent| NOW_MS + sent));
        let placed = clock.place(Stamp::At(NOW_MS + stamp));
        prop_assert_eq!(placed.time_ms - placed.correction_ms, NOW_MS + stamp);
    }
}
