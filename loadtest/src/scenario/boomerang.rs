//! A session in the browser as boomerang reports it: a beacon for each page load, call and timer, and one when the
//! page is left, which tells of the load again.

use std::borrow::Cow;

use schema::value::Value;

use super::population::Client;
use super::session::finish;
use super::timeline::{Timeline, Voice};
use super::{Attribute, Beacon, Event, Format, Session, signals};
use crate::sample::{Sampler, whole_ms};
use crate::truth::{Attempt, Outcome};

const PAGES_MAX: u64 = 2;
const ROUTES: [&str; 3] = ["/lectures/:id", "/home", "/settings"];
const API_ROUTES: [&str; 3] = ["/api/lectures/:id", "/api/profile", "/api/search"];
/// Timers of the page that are journeys.
const TIMERS: [&str; 3] = ["watch-lecture", "submit-answer", "sign-in"];
/// Between what has happened and its sending, ms.
const SENT_WITHIN_MS: (u64, u64) = (20, 200);

struct Pages {
    timeline: Timeline,
    format: Format,
    beacons: Vec<Beacon>,
}

/// Plays session `number` of a client whose pages have boomerang.
pub(super) fn play(mut sampler: Sampler, number: u64, client: Client) -> Session {
    let format = sampler.weighted(&[(7, Format::Boomerang), (3, Format::BoomerangGet)]);
    // What is told is told as the native API would.
    let mut pages =
        Pages { timeline: Timeline::new(sampler, client.app, Voice::Native), format, beacons: Vec::new() };
    for page in 1..=pages.timeline.sampler.between(1, PAGES_MAX) {
        pages.visit(&format!("p{number:x}n{page}"));
    }
    signals::whole_session(&mut pages.timeline);
    let Pages { timeline, mut beacons, .. } = pages;
    for (place, beacon) in beacons.iter_mut().enumerate() {
        beacon.sequence = place as u64 + 1;
    }
    finish(Client { weight: 1, gzip: false, ..client }, number, beacons, timeline.truth)
}

impl Pages {
    /// Loads a page, does something in it, and leaves it, within a few seconds.
    fn visit(&mut self, page: &str) {
        let began_ms = self.timeline.now_ms;
        let route = self.timeline.sampler.one_of(&ROUTES);
        let mut load = self.load(page, route, began_ms);
        for _ in 0..self.timeline.sampler.between(0, 2) {
            self.timeline.wait_between(20, 400);
            self.call(page);
        }
        if self.timeline.sampler.chance(500) {
            self.timeline.wait_between(20, 400);
            self.timer(page);
        }
        if self.timeline.sampler.chance(40) {
            self.timeline.wait_between(20, 200);
            self.error(page);
        }
        self.timeline.wait_between(50, 600);
        self.leave(page, began_ms, &mut load);
    }

    /// Returns what the beacon of the page that is left tells again.
    fn load(&mut self, page: &str, route: &'static str, began_ms: u64) -> Vec<Event> {
        let took = self.rounded(700, 2_000);
        self.timeline.now_ms = began_ms + took.units();
        let of_page = |more: Vec<(&'static str, Attribute)>| {
            let mut attributes: Vec<(&'static str, Attribute)> =
                vec![("id", page.to_owned().into()), ("route", route.into())];
            attributes.extend(more);
            attributes
        };
        let mut events = vec![self.told("browser.navigation", Some(took), of_page(Vec::new()))];
        self.timeline.single_at(signals::standard::PAGE_LOAD, None, Some(took), Some(events[0].at_ms));
        for (name, journey, median_ms) in
            [("TTFB", "web-vital-ttfb", 120), ("FCP", "web-vital-fcp", 500), ("LCP", "web-vital-lcp", 600)]
        {
            let value = self.rounded(median_ms, 2_000);
            events.push(self.told("browser.web_vital", Some(value), of_page(vec![("name", name.into())])));
            self.timeline.single_at(journey, None, Some(value), Some(events[0].at_ms));
        }
        let again = events.clone();
        self.send(events);
        again
    }

    fn call(&mut self, page: &str) {
        let route = self.timeline.sampler.one_of(&API_ROUTES);
        let status = self.timeline.sampler.weighted(&[(90, 200), (4, 404), (3, 503), (3, 0)]);
        let took = self.rounded(90, 1_000);
        self.timeline.now_ms += took.units();
        let attributes: Vec<(&'static str, Attribute)> =
            vec![("id", page.to_owned().into()), ("route", route.into()), ("status", status.into())];
        let event = self.told("http.client", Some(took), attributes);
        let failure = (status == 0 || status >= 500).then(|| format!("http {status} {route}"));
        self.timeline.single_at(signals::standard::HTTP_CALLS, failure, Some(took), Some(event.at_ms));
        self.send(vec![event]);
    }

    /// A timer that the page starts and stops, with the status of what it waited for where that failed.
    fn timer(&mut self, page: &str) {
        let journey = self.timeline.sampler.one_of(&TIMERS);
        let failed = self.timeline.sampler.chance(150);
        let took = self.rounded(400, 1_500);
        let about = |more: Vec<(&'static str, Attribute)>| {
            let mut attributes: Vec<(&'static str, Attribute)> =
                vec![("id", page.to_owned().into()), ("journey", journey.into())];
            attributes.extend(more);
            attributes
        };
        let start = self.told("journey.start", None, about(Vec::new()));
        self.timeline.now_ms += took.units();
        let outcome = if failed { Outcome::Failure } else { Outcome::Success };
        let mut attributes = about(vec![("outcome", outcome.column().into())]);
        if failed {
            attributes.push(("status", 503_u64.into()));
        }
        let end = self.told("journey.end", Some(took), attributes);
        self.timeline.truth.attempts.push(Attempt {
            journey: Cow::Borrowed(journey),
            single_event: false,
            at_ms: Some(start.at_ms),
            outcome,
            reason: Cow::Borrowed(if failed { "http 503" } else { "" }),
            latency: (!failed).then_some(took),
            wait_ms: None,
            reached: Vec::new(),
        });
        self.send(vec![start, end]);
    }

    /// An error that nobody caught, of which the plugin tells no type.
    fn error(&mut self, page: &str) {
        let attributes = vec![("id", page.to_owned().into()), ("fatal", true.into())];
        let event = self.told("exception", None, attributes);
        self.timeline.single_at(
            signals::standard::EXCEPTIONS,
            Some("exception".to_owned()),
            None,
            Some(event.at_ms),
        );
        self.send(vec![event]);
    }

    /// Layout shift and interaction are known when the page is left; the load is told again with what was told of it.
    fn leave(&mut self, page: &str, began_ms: u64, load: &mut Vec<Event>) {
        let loaded_ms = load.first().map(|event| event.at_ms);
        let mut events = vec![self.told("page.hidden", None, vec![("id", page.to_owned().into())])];
        let vital = |name: &'static str| vec![("id", page.to_owned().into()), ("name", name.into())];
        let shift = crate::sample::scaled(self.timeline.sampler.between(0, 3_000));
        events.push(self.told("browser.web_vital", Some(shift), vital("CLS")));
        self.timeline.single_at("web-vital-cls", None, Some(shift), loaded_ms);
        let interaction = self.rounded(90, 1_000);
        let mut attributes = vital("INP");
        let after_ms = self.timeline.now_ms - began_ms;
        attributes.push(("after_ms", after_ms.into()));
        events.push(self.told("browser.web_vital", Some(interaction), attributes));
        self.timeline.single_at("web-vital-inp", None, Some(interaction), Some((began_ms + after_ms) as i64));
        for event in load.drain(..) {
            match event.text("name") {
                None => events.push(Event { left_out: Some("repeated_page_load"), ..event }),
                // Of the vitals only the largest paint may have grown since.
                Some("LCP") => events.push(event),
                Some(_) => {}
            }
        }
        self.send(events);
    }

    fn told(
        &self,
        name: &'static str,
        value: Option<Value>,
        attributes: Vec<(&'static str, Attribute)>,
    ) -> Event {
        Event { at_ms: self.timeline.now_ms as i64, name, value, attributes, left_out: None }
    }

    /// The library rounds to whole ms.
    fn rounded(&mut self, median_ms: u64, max_ms: u64) -> Value {
        whole_ms(self.timeline.duration(median_ms, max_ms).units())
    }

    fn send(&mut self, events: Vec<Event>) {
        let due_ms = self.timeline.now_ms + self.timeline.sampler.between(SENT_WITHIN_MS.0, SENT_WITHIN_MS.1);
        // No event of the session may have the time of another one's.
        self.timeline.events.extend(events.iter().cloned());
        self.timeline.now_ms += 1;
        let mut beacon = Beacon::of(self.format, events, due_ms);
        if self.timeline.sampler.chance(30) {
            beacon.repeat_due_ms = Some(due_ms + self.timeline.sampler.between(100, 3_000));
        }
        self.beacons.push(beacon);
    }
}
