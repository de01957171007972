use super::*;

#[test]
fn long_ids_do_not_meet() {
    let long = |tail: &str| identifier(Cow::Owned("x".repeat(TEXT_BYTES_MAX) + tail));
    assert_eq!(identifier(Cow::Owned("x".repeat(TEXT_BYTES_MAX))).len(), TEXT_BYTES_MAX);
    assert_ne!(long("1"), long("2"));
    assert_eq!(long("1").len(), 32);
}

#[test]
fn the_same_body_of_another_session_is_another_beacon() {
    assert_eq!(content_id("a", b"body"), content_id("a", b"body"));
    assert_ne!(content_id("a", b"body"), content_id("b", b"body"));
    assert_ne!(content_id("a", b"body"), content_id("a", b"bodz"));
}

#[test]
fn a_beacon_holds_500_events() {
    assert_eq!(check_event_count(EVENTS_MAX), Ok(()));
    assert_eq!(check_event_count(EVENTS_MAX + 1), Err(Refusal::TooManyEvents(501)));
}
