use super::*;
use crate::verify::compare::AUDIT_ROWS;

/// A drill that holds.
fn held() -> Outcome {
    let mut outcome = Outcome::new("one", "Something happens.");
    outcome.steps.push(Struck::new(1.0, (0, 1), "kill of Kafka".into(), Ok("seen".into())));
    outcome.sent = Some(Sent {
        beacons: 10,
        accepted: 10,
        refused: 0,
        unanswered: 0,
        retries: 0,
        sessions: 5,
        sessions_uncertain: 0,
    });
    outcome.inserted = Some(Inserted { inserts: 10, repeated: 0, contradicted: 0 });
    outcome.compared = Some(Compared { checks: 9, equal: 9, audit_rows: 0, differences: Vec::new() });
    outcome.recovered_s = Some(1.0);
    outcome
}

fn check(change: impl FnOnce(&mut Outcome), expect: &str) {
    let mut outcome = held();
    change(&mut outcome);
    outcome.judge();
    assert_eq!((outcome.verdict, outcome.why.join("; ").as_str()), (Verdict::Fails, expect));
}

#[test]
fn a_drill_holds_when_nothing_is_wrong() {
    let mut outcome = held();
    outcome.judge();
    assert_eq!((outcome.verdict, outcome.why.len()), (Verdict::Holds, 0));
}

#[test]
fn a_drill_fails_by_anything_that_is_not_as_it_must_be() {
    check(|outcome| outcome.steps[0].struck = false, "kill of Kafka did not strike: seen");
    check(|outcome| outcome.recovered_s = None, "it did not recover");
    check(|outcome| outcome.sent = None, "the traffic did not come to its end");
    check(|outcome| outcome.compared = None, "nothing was compared");
    check(|outcome| outcome.why.push("Kafka did not start".into()), "Kafka did not start");
    let compared =
        |equal, audit_rows| Some(Compared { checks: 9, equal, audit_rows, differences: Vec::new() });
    check(|outcome| outcome.compared = compared(8, 0), "1 of 9 checks differ");
    check(|outcome| outcome.compared = compared(9, 2), "the audit lists 2 rows");
    check(
        |outcome| outcome.inserted = Some(Inserted { inserts: 1, repeated: 1, contradicted: 1 }),
        "1 tokens came with different contents",
    );
}

#[test]
fn only_what_time_does_not_touch_is_compared_of_records() {
    let check = |app: &str, journey: &str, what: &str, equal| Check {
        app: app.into(),
        journey: journey.into(),
        what: what.into(),
        expected: "0".into(),
        found: "0".into(),
        equal,
        about: Vec::new(),
    };
    let verified = Verified {
        equal: false,
        complete: true,
        run_ended: true,
        waited_s: 1.0,
        sessions: 1,
        sessions_uncertain: 0,
        beacons: 1,
        checks: vec![
            check("web", "sign-in", "attempts", false),
            check("web", "", "records", true),
            check("web", "", "events of wrong clocks", false),
            check("", "", AUDIT_ROWS, true),
        ],
    };
    let all = Compared::of(&verified, Compare::All);
    assert_eq!((all.checks, all.equal, all.audit_rows, all.differences.len()), (4, 2, 0, 2));
    let records = Compared::of(&verified, Compare::Records);
    assert_eq!((records.checks, records.equal, records.audit_rows), (2, 2, 0));
}
