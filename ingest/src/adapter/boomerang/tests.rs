use super::*;
use crate::adapter::fixture::{apps, client, recordings, rendered, request};
use crate::admission::Notation;

fn adapt_text(form: &str) -> Result<String, &'static str> {
    let (apps, client) = (apps(), client());
    let request = Request {
        write_key: Some("web-key"),
        notation: Notation::Form,
        ..request(form.as_bytes(), &apps, &client)
    };
    adapt(&request).map(|admission| rendered(&admission)).map_err(|refusal| refusal.error())
}

/// The events, without the line of the beacon.
fn events(form: &str) -> Vec<String> {
    let text = adapt_text(form).unwrap();
    text.lines().skip(1).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn recorded_requests() {
    let posts: Vec<_> = recordings("boomerang-post-").iter().map(|one| one.body()).collect();
    let gets: Vec<_> = recordings("boomerang-get-")
        .iter()
        .map(|one| one.target.split_once('?').unwrap().1.as_bytes().to_vec())
        .collect();
    assert_eq!((posts.len(), gets.len()), (3, 3));
    let text: Vec<_> = posts
        .into_iter()
        .chain(gets)
        .map(|form| adapt_text(std::str::from_utf8(&form).unwrap()).unwrap())
        .collect();
    insta::assert_snapshot!(text.join("\n"));
}

#[test]
fn a_load_counts_in_the_beacon_that_was_sent_for_it() {
    let check = |form: &str, expect: &[&str]| assert_eq!(events(form), expect, "{form}");
    let load = "1000 browser.navigation = 7 [AsSent] id=\"p\" route=\"/a\" type=\"navigate\"";
    check("rt.start=navigation&t_done=7&rt.end=1000&pid=p&n=1&u=https://h/a?x=1", &[load]);
    check("rt.start=navigation&t_done=7&rt.end=1000&pid=p&u=https://h/a", &[load]);
    // A call or an early beacon came before.
    check("rt.start=navigation&t_done=7&rt.end=1000&pid=p&n=2&u=https://h/a", &[load]);
    check("rt.start=navigation&t_done=7&rt.end=1000&pid=p&n=1&early=1&t_resp=3&pt.lcp=5", &[]);
    check("http.initiator=spa&pid=p&n=1&early=1", &[]);
    check("rt.start=navigation&t_done=7&rt.end=1000&n=2&u=https://h/a", &["rejected repeated_page_load 1"]);
    check(
        "t_done=7&rt.end=1000&pid=p&n=2&rt.quit=",
        &["1795405700000 page.hidden [Received]", "rejected repeated_page_load 1"],
    );
    check("t_done=7&rt.end=1000&pid=p&n=1&rt.quit=&rt.abld=", &["1795405700000 page.hidden [Received]"]);
    check("t_done=7&rt.end=1000&pid=p&n=2&rt.quit=&rt.abld=", &["1795405700000 page.hidden [Received]"]);
    check("http.initiator=spa_hard&t_done=7&rt.end=1000&pid=p&n=1&u=https://h/a", &[load]);
    check(
        "http.initiator=spa&t_done=7&rt.end=1000&pid=p&n=5&u=https://h/a",
        &["1000 browser.navigation = 7 [AsSent] route=\"/a\" type=\"soft\""],
    );
}

#[test]
fn beacons_of_one_load_are_duplicates() {
    let id = |form: &str| {
        let (apps, client) = (apps(), client());
        let request = Request { write_key: Some("web-key"), ..request(form.as_bytes(), &apps, &client) };
        adapt(&request).unwrap().admitted[0].beacon.id.to_string()
    };
    let load = id("rt.si=s&rt.start=navigation&t_done=7&rt.end=1000&pid=p&n=2");
    assert_eq!(id("rt.si=s&rt.start=navigation&t_done=8&rt.end=1001&pid=p&n=3"), load);
    assert_eq!(id("n=3&pid=p&http.initiator=spa_hard&t_done=8&rt.si=s"), load);
    for other in [
        "rt.si=s&rt.start=navigation&t_done=7&rt.end=1000&pid=q&n=2",
        "rt.si=t&rt.start=navigation&t_done=7&rt.end=1000&pid=p&n=2",
        "rt.si=s&rt.start=navigation&t_done=7&rt.end=1000&pid=p&n=1&early=1",
        "rt.si=s&t_done=7&rt.end=1000&pid=p&n=3&rt.quit=",
        "rt.si=s&http.initiator=spa&t_done=7&rt.end=1000&pid=p&n=3",
        "rt.si=s&http.initiator=xhr&t_done=7&rt.end=1000&pid=p&n=1",
    ] {
        assert_ne!(id(other), load, "{other}");
    }
}

#[test]
fn initiators_become_events() {
    let check = |form: &str, expect: &[&str]| {
        assert_eq!(events(&format!("{form}&t_done=7&rt.end=1000&n=3&u=/a")), expect, "{form}");
    };
    let call = |more: &str| format!("1000 http.client = 7 [AsSent] {more}");
    check("http.initiator=xhr", &[&call("method=\"GET\" route=\"/a\" status=\"200\"")]);
    check(
        "http.initiator=xhr&http.errno=503&http.method=PUT",
        &[&call("method=\"PUT\" route=\"/a\" status=\"503\"")],
    );
    check(
        "http.initiator=xhr&http.errno=-1001",
        &[&call("error=\"-1001\" method=\"GET\" route=\"/a\" status=\"0\"")],
    );
    check("http.initiator=click&xhr.pg=buy", &["1000 user.action = 7 [AsSent] name=\"buy\" route=\"/a\""]);
    check("http.initiator=error", &["1000 exception [AsSent] fatal=\"true\" route=\"/a\""]);
    check("http.initiator=api_custom_timer", &["1000 boomerang.api_custom_timer = 7 [AsSent] route=\"/a\""]);
    check("rt.start=manual", &["1000 boomerang.manual = 7 [AsSent] route=\"/a\""]);
    check(
        "rt.start=manual&xhr.pg=pay&rt.tstart=993&http.errno=500",
        &[
            "993 journey.start [AsSent] journey=\"pay\"",
            "1000 journey.end = 7 [AsSent] journey=\"pay\" outcome=\"failure\" reason=\"http 500\"",
        ],
    );
}

#[test]
fn what_is_no_number_or_time_is_counted() {
    assert_eq!(events("rt.start=navigation&t_done=fast"), ["rejected invalid_value 1"]);
    assert_eq!(events("rt.start=navigation&t_done=7&rt.end=late"), ["rejected invalid_time 1"]);
    assert_eq!(events(""), [""; 0]);
    assert_eq!(events("%ff&=&a=%zz&&"), [""; 0]);
}

#[test]
fn context_and_key_come_from_the_form() {
    let (apps, client) = (apps(), client());
    let form = "key=web-key&rt.si=s-1&mob.etype=4g&h.vr=7&grade=jhs2";
    let admission = adapt(&request(form.as_bytes(), &apps, &client)).unwrap();
    let beacon = &admission.admitted[0].beacon;
    assert_eq!(
        (&*beacon.session, &*beacon.connection, &*beacon.release, &*beacon.segment),
        ("s-1", "4g", "7", "jhs2")
    );
    let refused = |form: &str| adapt(&request(form.as_bytes(), &apps, &client)).unwrap_err().error();
    assert_eq!(refused("rt.si=s-1"), "no_key");
    assert_eq!(refused("key=nobody"), "wrong_key");
}
