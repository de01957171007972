//! boomerang: `POST /beacon` with a form, or `GET /beacon?…` as an image.
//! <https://akamai.github.io/boomerang/oss/>
//!
//! A page's load counts once: the beacon that tells of it has an id made of the page's, so that a beacon that tells of it
//! again is its duplicate. It need not be the page's first, which may tell of a call or be `early`; what an early beacon has,
//! the load's has too, so nothing is taken of it. The beacon of a page that is left repeats the load as well. A timer that the page started
//! and named (`xhr.pg`) is a journey of that name. Layout shift and interaction to next paint grow for as long as the page
//! is open, so they are taken from the beacon that the page sends when it is left, as the web-vitals library does:
//! an earlier value would have been counted before the last one came. All vitals of a page have its id.

use std::borrow::Cow;

use crate::admission::attributes::Attributes;
use crate::admission::scalar::Scalar;
use crate::admission::{
    Admission, BeaconBuilder, Draft, Request, SampleRate, Stamp, content_id, cut, identifier, reason,
};
use crate::refusal::Refusal;

/// Statuses of HTTP; boomerang's own codes for requests without an answer are negative.
const STATUSES: std::ops::RangeInclusive<i64> = 100..=599;

/// What is read of a beacon, by boomerang's names.
#[derive(Debug, Default)]
struct Wire<'a> {
    session: Cow<'a, str>,
    page: Cow<'a, str>,
    number: Cow<'a, str>,
    url: Cow<'a, str>,
    connection: Cow<'a, str>,
    release: Cow<'a, str>,
    segment: Cow<'a, str>,
    start: Cow<'a, str>,
    began: Scalar<'a>,
    page_began: Scalar<'a>,
    ended: Scalar<'a>,
    quits: bool,
    early: bool,
    aborted: bool,
    done: Scalar<'a>,
    first_byte: Scalar<'a>,
    first_paint: Scalar<'a>,
    largest_paint: Scalar<'a>,
    shift: Scalar<'a>,
    interaction: Scalar<'a>,
    interaction_at: Scalar<'a>,
    initiator: Cow<'a, str>,
    method: Cow<'a, str>,
    error: Cow<'a, str>,
    timer: Cow<'a, str>,
}

impl<'a> Wire<'a> {
    fn read(body: &'a [u8], segment: impl Fn(&str) -> bool) -> Self {
        let mut wire = Self::default();
        for (name, value) in form_urlencoded::parse(body) {
            match name.as_ref() {
                "rt.si" => wire.session = value,
                "pid" => wire.page = value,
                "n" => wire.number = value,
                "u" => wire.url = value,
                "mob.etype" => wire.connection = value,
                "h.vr" => wire.release = value,
                "rt.start" => wire.start = value,
                "rt.tstart" => wire.began = Scalar::Text(value),
                "rt.nstart" => wire.page_began = Scalar::Text(value),
                "rt.end" => wire.ended = Scalar::Text(value),
                "rt.quit" => wire.quits = true,
                "rt.abld" => wire.aborted = true,
                "early" => wire.early = true,
                "t_done" => wire.done = Scalar::Text(value),
                "t_resp" => wire.first_byte = Scalar::Text(value),
                "pt.fcp" => wire.first_paint = Scalar::Text(value),
                "pt.lcp" => wire.largest_paint = Scalar::Text(value),
                "c.cls" => wire.shift = Scalar::Text(value),
                "et.inp" => wire.interaction = Scalar::Text(value),
                "et.inp.t" => wire.interaction_at = Scalar::Text(value),
                "http.initiator" => wire.initiator = value,
                "http.method" => wire.method = value,
                "http.errno" => wire.error = value,
                "xhr.pg" => wire.timer = value,
                other if segment(other) => wire.segment = value,
                _ => {}
            }
        }
        wire
    }

    fn is_first_of_page(&self) -> bool {
        matches!(self.number.as_ref(), "" | "1")
    }

    /// Whether it is about the page as it was loaded, and not about something in it.
    fn is_of_page(&self) -> bool {
        self.initiator.is_empty() && self.start != "manual" || self.initiator == "spa_hard"
    }

    /// Whether it tells of the page's load as the beacon that was sent for it.
    fn is_load(&self) -> bool {
        self.is_of_page() && self.done != Scalar::Null && !self.quits && !self.early && !self.aborted
    }
}

/// Turns a beacon's parameters, from the body or the query, into a beacon.
///
/// # Errors
/// When there is no valid key.
pub fn adapt<'a>(request: &Request<'a>) -> Result<Admission<'a>, Refusal> {
    let in_body = || form_urlencoded::parse(request.body).find(|(name, _)| name == "key");
    let key = if request.write_key.is_none() { in_body() } else { None };
    let app = request.app(key.as_ref().map(|(_, key)| key.as_ref()))?;
    let wire = Wire::read(request.body, |name| app.segment.as_deref() == Some(name));
    let mut admission = Admission::default();
    let mut beacon = request.beacon(app);
    let session = if wire.session.is_empty() {
        request.session.unwrap_or_default().into()
    } else {
        wire.session.clone()
    };
    beacon.session = identifier(session);
    beacon.id = if wire.is_load() && !wire.page.is_empty() {
        content_id(&beacon.session, format!("load\0{}", wire.page).as_bytes()).into()
    } else {
        request.beacon_id(None, &beacon.session)
    };
    if !wire.connection.is_empty() {
        beacon.connection = cut(wire.connection.clone(), &mut admission);
    }
    beacon.release = cut(wire.release.clone(), &mut admission);
    beacon.segment = cut(wire.segment.clone(), &mut admission);
    let builder = BeaconBuilder::new(beacon, app, SampleRate::ALL);
    let mut page = Page { wire, builder, admission };
    page.add_event();
    page.add_vitals();
    let Page { builder, mut admission, .. } = page;
    builder.admit(&mut admission);
    Ok(admission)
}

struct Page<'a> {
    wire: Wire<'a>,
    builder: BeaconBuilder<'a>,
    admission: Admission<'a>,
}

impl<'a> Page<'a> {
    /// What the beacon was sent for.
    fn add_event(&mut self) {
        if self.wire.early {
            return;
        }
        if self.wire.quits {
            self.add("page.hidden", None, Scalar::Null, &[]);
            if self.wire.done != Scalar::Null && !self.wire.is_first_of_page() && !self.wire.aborted {
                self.builder.reject(reason::REPEATED_PAGE_LOAD, 1);
            }
            return;
        }
        let ended = Some(self.wire.ended.clone());
        let done = self.wire.done.clone();
        match self.wire.initiator.clone().as_ref() {
            "" => self.add_page_or_timer(),
            "xhr" | "fetch" => self.add_call(),
            "spa" => self.add("browser.navigation", ended, done, &[("type", "soft".into())]),
            "spa_hard" => self.add_page_load(),
            "click" | "interaction" => {
                let name = if self.wire.timer.is_empty() { &self.wire.initiator } else { &self.wire.timer };
                let name = name.clone();
                self.add("user.action", ended, done, &[("name", name)]);
            }
            // The plugin hears of what nobody caught.
            "error" => self.add("exception", ended, Scalar::Null, &[("fatal", "true".into())]),
            other => {
                let name = format!("boomerang.{other}");
                self.add(name, ended, done, &[]);
            }
        }
    }

    fn add_page_or_timer(&mut self) {
        if self.wire.start != "manual" {
            return self.add_page_load();
        }
        let timer = self.wire.timer.clone();
        let (began, ended) = (Some(self.wire.began.clone()), Some(self.wire.ended.clone()));
        let done = self.wire.done.clone();
        if timer.is_empty() {
            return self.add("boomerang.manual", ended, done, &[]);
        }
        // A journey has no route: the page where it began is not what it is about.
        self.wire.url = Cow::Borrowed("");
        let (outcome, reason) = if self.wire.error.is_empty() {
            ("success", Cow::Borrowed(""))
        } else {
            ("failure", Cow::Owned(format!("http {}", self.wire.error)))
        };
        self.add("journey.start", began, Scalar::Null, &[("journey", timer.clone())]);
        let attributes = [("journey", timer), ("outcome", outcome.into()), ("reason", reason)];
        self.add("journey.end", ended, done, &attributes);
    }

    fn add_page_load(&mut self) {
        if !self.wire.is_load() {
            return;
        }
        // Of a page without an id nobody could tell that a later beacon repeats its load.
        if self.wire.page.is_empty() && !self.wire.is_first_of_page() {
            self.builder.reject(reason::REPEATED_PAGE_LOAD, 1);
        } else {
            let attributes = [("type", "navigate".into()), ("id", self.wire.page.clone())];
            let (ended, done) = (Some(self.wire.ended.clone()), self.wire.done.clone());
            self.add("browser.navigation", ended, done, &attributes);
        }
    }

    fn add_call(&mut self) {
        let error = self.wire.error.clone();
        let (status, error) = match error.parse::<i64>() {
            _ if error.is_empty() => (Cow::Borrowed("200"), Cow::Borrowed("")),
            Ok(number) if STATUSES.contains(&number) => (error, Cow::Borrowed("")),
            Ok(_) | Err(_) => (Cow::Borrowed("0"), error),
        };
        let method = if self.wire.method.is_empty() { "GET".into() } else { self.wire.method.clone() };
        let attributes = [("method", method), ("status", status), ("error", error)];
        let (ended, done) = (Some(self.wire.ended.clone()), self.wire.done.clone());
        self.add("http.client", ended, done, &attributes);
    }

    fn add_vitals(&mut self) {
        if self.wire.early {
            return;
        }
        let loaded = self.wire.is_load() || self.wire.is_of_page() && self.wire.is_first_of_page();
        let ended = self.wire.ended.clone();
        if loaded {
            let first_byte = std::mem::take(&mut self.wire.first_byte);
            self.add_vital("TTFB", first_byte, ended.clone());
            let first_paint = std::mem::take(&mut self.wire.first_paint);
            self.add_vital("FCP", first_paint, ended.clone());
        }
        let largest_paint = std::mem::take(&mut self.wire.largest_paint);
        self.add_vital("LCP", largest_paint, ended.clone());
        if self.wire.quits {
            let shift = std::mem::take(&mut self.wire.shift);
            self.add_vital("CLS", shift, ended.clone());
            let at = self.interaction_time().map_or(ended, Scalar::Whole);
            let interaction = std::mem::take(&mut self.wire.interaction);
            self.add_vital("INP", interaction, at);
        }
    }

    /// When the interaction with the slowest paint was: it is told from the begin of the page.
    fn interaction_time(&self) -> Option<i64> {
        let began =
            if self.wire.page_began == Scalar::Null { &self.wire.began } else { &self.wire.page_began };
        let (began_ms, after_ms) = (began.time_ms().ok()??, self.wire.interaction_at.time_ms().ok()??);
        began_ms.checked_add(after_ms)
    }

    fn add_vital(&mut self, name: &'static str, value: Scalar<'a>, at: Scalar<'a>) {
        if value != Scalar::Null {
            let page = self.wire.page.clone();
            let attributes = [("name", name.into()), ("id", page.clone()), ("navigation", page)];
            self.add("browser.web_vital", Some(at), value, &attributes);
        }
    }

    /// Adds an event on the page's address. Why one is rejected is counted in the beacon; the answer is not read.
    fn add(
        &mut self,
        name: impl Into<Cow<'a, str>>,
        at: Option<Scalar<'a>>,
        value: Scalar<'a>,
        known: &[(&'static str, Cow<'a, str>)],
    ) {
        let mut attributes = Attributes::default();
        for (name, value) in known {
            attributes.push_known(name, value.clone());
        }
        attributes.push_known("url", self.wire.url.clone());
        let time = at.map_or(Ok(None), |at| at.time_ms());
        let _ = match time {
            Ok(time_ms) => {
                let draft = Draft { name: name.into(), stamp: Stamp::from(time_ms), value, attributes };
                self.builder.add(draft, &mut self.admission)
            }
            Err(_) => Err(self.builder.reject(reason::INVALID_TIME, 1)),
        };
    }
}

#[cfg(test)]
mod tests;
