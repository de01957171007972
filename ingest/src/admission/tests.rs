use super::*;

#[test]
fn long_ids_do_not_meet() {
    let long = |tail: &str| identifier(Cow::Owned("x".repeat(TEXT_BYTES_MAX) + tail));
    assert_eq!(identifier(Cow::Owned("x".repeat(TEXT_BYTES_MAX))).len(), TEXT_BYTES_MAX);
    assert_ne!(long("1"), long("2"));
    assert_eq!(long("1").len(), 32);
}

#[test]
fn a_token_is_no_id() {
    assert_eq!(identifier(Cow::Borrowed("eyJhbGciOi.eyJzdWIiOi.c2ln")), "");
    assert_eq!(identifier(Cow::Borrowed("Bearer abc")), "");
    assert_eq!(identifier(Cow::Borrowed("s-81f0c2d4")), "s-81f0c2d4");
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

#[test]
fn what_a_client_says_of_itself_is_no_identity_and_within_its_bound() {
    let check = |said: &str, expect: &str| {
        assert_eq!(cut(Cow::Borrowed(said), &mut Admission::default()), expect, "{said}");
    };
    check("2026.11.3", "2026.11.3");
    check("me@school.example", "");
    check("Mozilla/5.0 (X11)", "");
    check("gold of me@school.example", "gold of :mail");
    // What is hidden may be shorter than what stands for it.
    let many = "a@b.cd ".repeat(40);
    assert!(
        cut(Cow::Borrowed("pin=1&".repeat(40).as_str()), &mut Admission::default()).len() <= TEXT_BYTES_MAX
    );
    assert_eq!(cut(Cow::Borrowed(&many), &mut Admission::default()), ":mail ".repeat(40)[..TEXT_BYTES_MAX]);
}
