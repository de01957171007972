//! What a session does, with the outcome that it must have.

use super::{Happening, SPREAD_MS, Visitor, happening};
use crate::definitions::{GRACE_MS, PATIENCE_MS, TIMEOUT_MS};
use crate::log::Origin;
use crate::truth::Attempt;

/// After an attempt that ends in silence nothing may be heard for this long since its start.
const SILENCE_MS: i64 = TIMEOUT_MS + GRACE_MS[1] + 1_000;

impl Visitor {
    /// Plays any act; the visitor's clock is then where the next may begin.
    pub(super) fn act(&mut self) {
        match self.dice.below(16) {
            0..=2 => self.watch_success(),
            3 => self.watch_failure(),
            4 => self.watch_unrepaired(),
            5 => self.watch_timeout(),
            6 => self.watch_abandoned(),
            7 => self.watch_unknown(),
            8 => self.watch_cancelled(),
            9 => self.watch_restarted(),
            10 if !self.offline => self.watch_late(),
            10 | 11 => self.uploads(),
            12 => self.keep(),
            13 => self.calls(),
            _ => self.paint(),
        }
    }

    fn ms(&mut self, from: i64, to: i64) -> i64 {
        self.dice.within(from..=to)
    }

    fn watch(&self, start_ms: i64, outcome: &'static str, valid: bool) -> Attempt {
        Attempt {
            journey: "watch",
            platform: "",
            route: String::new(),
            start_ms,
            outcome,
            valid,
            reason: if outcome == "success" { String::new() } else { outcome.to_owned() },
            latency_ms: None,
            wait_ms: None,
            steps: Vec::new(),
            weight: 1,
            arrived_late: false,
        }
    }

    /// A start, and perhaps the first step.
    fn begin(&mut self) -> (i64, Vec<Happening>, Vec<(&'static str, u64)>) {
        let start_ms = self.clock_ms;
        let mut events = vec![happening(start_ms, "user.action", &[("name", "open")])];
        let mut steps = Vec::new();
        self.clock_ms += self.ms(10, 400);
        if self.dice.chance(60) {
            events.push(happening(self.clock_ms, "app.screen", &[]));
            steps.push(("page", (self.clock_ms - start_ms) as u64));
            self.clock_ms += self.ms(10, 400);
        }
        (start_ms, events, steps)
    }

    fn unavailable(&mut self) -> Happening {
        let call = happening(self.clock_ms, "http.client", &[("route", "/api"), ("status", "503")]);
        let attempt = Attempt {
            journey: "calls",
            route: "/api".to_owned(),
            reason: "http 503 /api".to_owned(),
            ..self.watch(self.clock_ms, "failure", true)
        };
        self.attempted(attempt);
        self.clock_ms += self.ms(10, 400);
        call
    }

    /// Success, sometimes after a call that failed and was repaired.
    fn watch_success(&mut self) {
        let (start_ms, mut events, mut steps) = self.begin();
        if self.dice.chance(30) {
            events.push(self.unavailable());
        }
        self.clock_ms += self.ms(1, 3_000);
        let latency_ms = (self.clock_ms - start_ms) as u64;
        events.push(happening(self.clock_ms, "video.first_frame", &[]));
        steps.push(("video", latency_ms));
        let attempt =
            Attempt { latency_ms: Some(latency_ms), steps, ..self.watch(start_ms, "success", true) };
        self.attempted(attempt);
        self.send(events);
    }

    fn watch_failure(&mut self) {
        let (start_ms, mut events, steps) = self.begin();
        events.push(happening(self.clock_ms, "exception", &[("fatal", "true"), ("type", "TypeError")]));
        let reason = "exception TypeError".to_owned();
        let attempt = Attempt { reason, steps, ..self.watch(start_ms, "failure", true) };
        self.attempted(attempt);
        self.send(events);
    }

    /// A recoverable failure that nothing repairs counts at the deadline.
    fn watch_unrepaired(&mut self) {
        let (start_ms, mut events, steps) = self.begin();
        events.push(self.unavailable());
        let reason = "http 503 /api".to_owned();
        let attempt = Attempt { reason, steps, ..self.watch(start_ms, "failure", true) };
        self.attempted(attempt);
        self.send(events);
        self.clock_ms = start_ms + TIMEOUT_MS + 100;
    }

    fn watch_timeout(&mut self) {
        let (start_ms, mut events, steps) = self.begin();
        self.clock_ms = start_ms + TIMEOUT_MS + self.ms(1, 900);
        events.push(happening(self.clock_ms, "ping", &[]));
        let missing = if steps.is_empty() { "page" } else { "video" };
        let reason = format!("timeout at {missing}");
        let attempt = Attempt { reason, steps, ..self.watch(start_ms, "timeout", true) };
        self.attempted(attempt);
        self.send(events);
    }

    /// Leaving is bad only after the patience.
    fn watch_abandoned(&mut self) {
        let (start_ms, mut events, steps) = self.begin();
        self.clock_ms += self.ms(0, TIMEOUT_MS - 1_500);
        let wait_ms = self.clock_ms - start_ms;
        events.push(happening(self.clock_ms, "page.hidden", &[]));
        let abandoned = self.watch(start_ms, "abandoned", wait_ms > PATIENCE_MS);
        self.attempted(Attempt { wait_ms: Some(wait_ms as u64), steps, ..abandoned });
        self.send(events);
        self.clock_ms = start_ms + SILENCE_MS;
    }

    fn watch_unknown(&mut self) {
        let (start_ms, events, steps) = self.begin();
        let attempt = Attempt { steps, ..self.watch(start_ms, "unknown", false) };
        self.attempted(attempt);
        self.send(events);
        self.clock_ms = start_ms + SILENCE_MS;
    }

    fn watch_cancelled(&mut self) {
        let (start_ms, mut events, steps) = self.begin();
        events.push(happening(self.clock_ms, "user.action", &[("name", "close")]));
        let attempt = Attempt { steps, ..self.watch(start_ms, "cancelled", false) };
        self.attempted(attempt);
        self.send(events);
    }

    /// A second start ends the first attempt.
    fn watch_restarted(&mut self) {
        let (start_ms, mut events, steps) = self.begin();
        self.clock_ms += self.ms(1, 6_000);
        let second_ms = self.clock_ms;
        events.push(happening(second_ms, "user.action", &[("name", "open")]));
        self.clock_ms += self.ms(1, 1_000);
        events.push(happening(self.clock_ms, "video.first_frame", &[]));
        let wait_ms = second_ms - start_ms;
        let first = Attempt {
            reason: "restarted".to_owned(),
            wait_ms: Some(wait_ms as u64),
            steps,
            ..self.watch(start_ms, "abandoned", wait_ms > PATIENCE_MS)
        };
        let latency_ms = (self.clock_ms - second_ms) as u64;
        let second = Attempt { latency_ms: Some(latency_ms), ..self.watch(second_ms, "success", true) };
        self.attempted(first);
        self.attempted(second);
        self.send(events);
    }

    /// A success that arrives when its attempt has settled as unknown changes nothing, and is counted as late.
    fn watch_late(&mut self) {
        let (start_ms, events, steps) = self.begin();
        let attempt = Attempt { steps, ..self.watch(start_ms, "unknown", false) };
        self.attempted(attempt);
        self.send(events);
        let late = [happening(self.clock_ms, "video.first_frame", &[])];
        // Settled at the deadline and the longest grace: the mark of the step and the one of the success are late.
        let at_ms = start_ms + SILENCE_MS + self.ms(0, 2_000);
        let beacon = self.beacon(&late);
        self.deliver(at_ms, beacon, Origin::Counted { events: 1, too_old: 0 });
        self.late_marks += 2;
        self.clock_ms = at_ms;
    }

    /// Two attempts beside each other of a journey that only the app declares.
    fn uploads(&mut self) {
        let start_ms = self.clock_ms;
        let (first, second) = (format!("a{start_ms}"), format!("b{start_ms}"));
        let declared = |at_ms, name, attempt: &str| {
            happening(at_ms, name, &[("journey", "upload"), ("attempt", attempt)])
        };
        let gap_ms = self.ms(1, 500);
        let [second_ms, done_ms, failed_ms] = [1, 2, 3].map(|times| start_ms + times * gap_ms);
        let events = vec![
            declared(start_ms, "journey.start", &first),
            declared(second_ms, "journey.start", &second),
            declared(done_ms, "journey.success", &first),
            declared(failed_ms, "journey.failure", &second),
        ];
        let good = Attempt {
            journey: "upload",
            latency_ms: Some((done_ms - start_ms) as u64),
            ..self.watch(start_ms, "success", true)
        };
        let bad = Attempt { journey: "upload", ..self.watch(second_ms, "failure", true) };
        self.attempted(good);
        self.attempted(bad);
        self.clock_ms = failed_ms;
        self.send(events);
    }

    /// A second start is ignored.
    fn keep(&mut self) {
        let start_ms = self.clock_ms;
        let (again_ms, done_ms) = (start_ms + self.ms(1, 2_000), start_ms + self.ms(2_001, 8_000));
        let action = |at_ms, name| happening(at_ms, "user.action", &[("name", name)]);
        let latency_ms = Some((done_ms - start_ms) as u64);
        let attempt = Attempt { journey: "keep", latency_ms, ..self.watch(start_ms, "success", true) };
        self.attempted(attempt);
        self.clock_ms = done_ms;
        self.send(vec![action(start_ms, "begin"), action(again_ms, "begin"), action(done_ms, "finish")]);
    }

    /// Calls, each an attempt by itself.
    fn calls(&mut self) {
        let mut events = Vec::new();
        for _ in 0..1 + self.dice.below(3) {
            if self.dice.chance(30) {
                events.push(self.unavailable());
                continue;
            }
            let value_ms = self.ms(1, 20_000) as u64;
            let route = self.dice.pick(&["/api", "/img"]);
            let call = happening(self.clock_ms, "http.client", &[("route", route), ("status", "200")]);
            events.push(Happening { value_ms: Some(value_ms), ..call });
            let attempt = Attempt {
                journey: "calls",
                route: route.to_owned(),
                latency_ms: Some(value_ms),
                ..self.watch(self.clock_ms, "success", true)
            };
            self.attempted(attempt);
            self.clock_ms += self.ms(10, 2_000);
        }
        self.send(events);
    }

    /// A paint whose value is revised; it counts with its last value, on the page that it belongs to.
    pub(super) fn paint(&mut self) {
        let start_ms = self.clock_ms;
        let (page, id) = (format!("n{start_ms}"), format!("p{start_ms}"));
        let mut events = Vec::new();
        let page_is_known = !self.session.is_empty() && self.dice.chance(70);
        if page_is_known {
            let attributes = [("id", page.as_str()), ("route", "/home")];
            events.push(happening(start_ms, "browser.navigation", &attributes));
        }
        self.clock_ms += self.ms(1, 100);
        let first_ms = self.clock_ms;
        let mut value_ms = 0;
        for _ in 0..1 + self.dice.below(3) {
            value_ms = self.ms(1, 5_000) as u64;
            let attributes =
                [("name", "LCP"), ("id", id.as_str()), ("navigation", page.as_str()), ("route", "/next")];
            let vital = happening(self.clock_ms, "browser.web_vital", &attributes);
            events.push(Happening { value_ms: Some(value_ms), ..vital });
            self.clock_ms += self.ms(1, (SPREAD_MS - 1_000) / 3);
        }
        let attempt = Attempt {
            journey: "paint",
            route: if page_is_known { "/home" } else { "/next" }.to_owned(),
            latency_ms: Some(value_ms),
            ..self.watch(first_ms, "success", true)
        };
        self.attempted(attempt);
        self.send(events);
    }
}
