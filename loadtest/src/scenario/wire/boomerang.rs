//! boomerang: `POST /beacon` with a form from `sendBeacon`, or `GET /beacon?…` as an image.

use std::borrow::Cow;
use std::fmt::Display;

use hyper::Method;

use super::super::{Beacon, Event};
use super::{Rendering, Request, url_of};

/// Where beacons are sent; they cannot set headers.
const TARGET: &str = "/beacon?key=studyapp-key";

/// Parameters of a beacon in their order.
struct Form(form_urlencoded::Serializer<'static, String>);

impl Form {
    fn add(&mut self, name: &str, value: impl Display) {
        self.0.append_pair(name, &value.to_string());
    }
}

impl Rendering<'_> {
    pub(super) fn boomerang(&self, by_get: bool) -> Request {
        let form = self.form(by_get);
        if !by_get {
            return self.post(TARGET, "application/x-www-form-urlencoded", form.into_bytes());
        }
        let mut request = self.post(TARGET, "", Vec::new());
        request.method = Method::GET;
        request.target = Cow::Owned(format!("{TARGET}&{form}"));
        // An image has no origin and no body.
        request.headers.retain(|(name, _)| *name == "user-agent");
        request
    }

    fn form(&self, by_get: bool) -> String {
        let mut form = Form(form_urlencoded::Serializer::new(String::new()));
        let events = &self.beacon.events;
        let Some(first) = events.first() else { return String::new() };
        let page = self.text(first, "id");
        let of_page = |beacon: &&Beacon| {
            let first = beacon.events.first();
            first.is_some_and(|event| self.text(event, "id") == page)
        };
        let before = self.session.beacons.iter().take_while(|beacon| beacon.sequence < self.beacon.sequence);
        let mut number = 1 + before.filter(of_page).count();
        // A later beacon of a page may tell of its load once more.
        number += usize::from(self.again && first.name == "browser.navigation");
        form.add("mob.etype", "4g");
        form.add("h.vr", self.session.release);
        form.add("rt.si", self.session_id());
        form.add("rt.sl", self.beacon.sequence);
        form.add("vis.st", "visible");
        form.add("v", "1.815.1");
        form.add("pid", &page);
        form.add("n", number);
        form.add("u", url_of(first));
        match first.name {
            "browser.navigation" => self.add_load(&mut form, events),
            "http.client" => self.add_call(&mut form, first),
            "journey.start" => self.add_timer(&mut form, events),
            "exception" => {
                form.add("http.initiator", "error");
                form.add("rt.end", self.stamp(first));
            }
            _ => self.add_leaving(&mut form, events),
        }
        if !by_get {
            form.add("sb", 1);
        }
        form.0.finish()
    }

    fn add_load(&self, form: &mut Form, events: &[Event]) {
        form.add("rt.start", "navigation");
        self.add_load_times(form, &events[0]);
        for event in events {
            let value = event.value.map_or(0, |value| value.units());
            match event.text("name") {
                Some("TTFB") => form.add("t_resp", value),
                Some("FCP") => form.add("pt.fcp", value),
                Some("LCP") => form.add("pt.lcp", value),
                Some(_) | None => {}
            }
        }
        form.add("c.cls", 0);
    }

    /// What every beacon of a page repeats of its load.
    fn add_load_times(&self, form: &mut Form, load: &Event) {
        let (end_ms, took_ms) = (self.stamp(load), load.value.map_or(0, |value| value.units()));
        let began_ms = end_ms - took_ms as i64;
        form.add("rt.tstart", began_ms);
        form.add("rt.end", end_ms);
        form.add("t_done", took_ms);
        form.add("nt_nav_st", began_ms);
        form.add("nt_load_end", end_ms);
    }

    fn add_call(&self, form: &mut Form, call: &Event) {
        let (end_ms, took_ms) = (self.stamp(call), call.value.map_or(0, |value| value.units()));
        form.add("http.initiator", "xhr");
        form.add("rt.start", "manual");
        form.add("rt.tstart", end_ms - took_ms as i64);
        form.add("rt.end", end_ms);
        form.add("t_done", took_ms);
        match call.whole("status") {
            Some(status) if status >= 400 => form.add("http.errno", status),
            // The library's own code of a request without an answer.
            Some(0) => form.add("http.errno", -998),
            Some(_) | None => {}
        }
    }

    fn add_timer(&self, form: &mut Form, events: &[Event]) {
        let (Some(start), Some(end)) = (events.first(), events.last()) else { return };
        form.add("xhr.pg", self.text(start, "journey"));
        form.add("rt.start", "manual");
        form.add("rt.tstart", self.stamp(start));
        form.add("rt.end", self.stamp(end));
        form.add("t_done", end.value.map_or(0, |value| value.units()));
        if let Some(status) = end.whole("status") {
            form.add("http.errno", status);
        }
    }

    fn add_leaving(&self, form: &mut Form, events: &[Event]) {
        form.add("rt.quit", "");
        for event in events {
            let value = event.value.map(|value| value.to_string()).unwrap_or_default();
            match event.text("name") {
                Some("CLS") => form.add("c.cls", value),
                Some("INP") => {
                    form.add("et.inp", value);
                    form.add("et.inp.t", event.whole("after_ms").unwrap_or(0));
                }
                Some("LCP") => form.add("pt.lcp", value),
                Some(_) => {}
                None if event.name == "browser.navigation" => self.add_load_times(form, event),
                None => {}
            }
        }
    }
}
