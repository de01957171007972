use super::*;

#[test]
fn a_rate_becomes_a_weight() {
    let check = |rate: Scalar<'_>, expect: Result<u32, &str>| {
        assert_eq!(weight(&rate, "s-1").map_err(|refusal| refusal.error()), expect, "{rate:?}");
    };
    check(Scalar::Null, Ok(1));
    check(Scalar::Whole(1), Ok(1));
    check(Scalar::Number(0.5), Ok(2));
    check(Scalar::Number(1.0 / 3.0), Ok(3));
    check(Scalar::Text("0.1".into()), Ok(10));
    check(Scalar::Number(1.0 / f64::from(WEIGHT_MAX)), Ok(WEIGHT_MAX));
    for bad in [0.0, -0.5, 1.5, f64::NAN, 1.0 / (f64::from(WEIGHT_MAX) + 1.0), 1e-300] {
        check(Scalar::Number(bad), Err("invalid_sample_rate"));
    }
    check(Scalar::Flag(true), Err("invalid_sample_rate"));
}

#[test]
fn rounding_of_weights_is_unbiased_over_sessions_and_constant_in_one() {
    let rate = Scalar::Number(0.4);
    let weights: Vec<u32> = (0..20_000).map(|n| weight(&rate, &format!("s-{n}")).unwrap()).collect();
    assert!(weights.iter().all(|weight| matches!(weight, 2 | 3)));
    let mean = weights.iter().map(|weight| f64::from(*weight)).sum::<f64>() / 20_000.0;
    assert!((mean - 2.5).abs() < 0.02, "{mean}");
    assert_eq!(weight(&rate, "s-7"), weight(&rate, "s-7"));
}

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
