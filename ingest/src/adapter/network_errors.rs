//! Network Error Logging: `POST /v1/reports`, what browsers tell of requests that failed, also before any server saw
//! them. <https://www.w3.org/TR/network-error-logging/>
//!
//! Reports belong to no session. Their time is that of receipt less their age, so no client's clock is involved; each
//! stands for 1 ÷ `sampling_fraction` others. Sampled requests that went well come as `network.success`, so that
//! `network.error` is what its name says. A browser that repeats a failed request by itself reports each attempt: the
//! last one counts, as far as they come together.

use std::borrow::Cow;

use serde::Deserialize;

use crate::admission::attributes::Attributes;
use crate::admission::list::List;
use crate::admission::scalar::Scalar;
use crate::admission::{
    Admission, BeaconBuilder, Draft, Request, SampleRate, Stamp, content_id, parse, reason,
};
use crate::refusal::Refusal;

/// A repeat of the browser begins at most so long after the end of the attempt before, ms.
const RETRY_GAP_MS_MAX: i64 = 100;
/// Ages and times are rounded, so that a repeat may seem to begin before the attempt before has ended, ms.
const ROUNDING_MS: i64 = 5;

#[derive(Deserialize, Default)]
#[serde(default)]
struct Report<'a> {
    #[serde(borrow, rename = "type")]
    kind: Scalar<'a>,
    #[serde(borrow)]
    age: Scalar<'a>,
    #[serde(borrow)]
    url: Scalar<'a>,
    #[serde(borrow)]
    body: Option<Body<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    sampling_fraction: Scalar<'a>,
    #[serde(borrow)]
    elapsed_time: Scalar<'a>,
    #[serde(borrow)]
    phase: Scalar<'a>,
    #[serde(borrow, rename = "type")]
    kind: Scalar<'a>,
    #[serde(borrow)]
    method: Scalar<'a>,
    #[serde(borrow)]
    status_code: Scalar<'a>,
}

/// One request as the browser made it.
struct Attempt<'a> {
    url: Cow<'a, str>,
    method: Cow<'a, str>,
    kind: Cow<'a, str>,
    phase: Cow<'a, str>,
    status: Cow<'a, str>,
    rate: SampleRate,
    age_ms: i64,
    /// None where it is not told.
    elapsed_ms: Option<i64>,
}

impl Attempt<'_> {
    fn went_well(&self) -> bool {
        self.kind == "ok"
    }

    fn begin_age_ms(&self) -> i64 {
        self.age_ms.saturating_add(self.elapsed_ms.unwrap_or_default())
    }

    fn is_repeated_by(&self, later: &Self) -> bool {
        let gap_ms = self.age_ms - later.begin_age_ms();
        !self.went_well()
            && self.url == later.url
            && self.method == later.method
            && self.rate == later.rate
            && (-ROUNDING_MS..=RETRY_GAP_MS_MAX).contains(&gap_ms)
    }
}

/// Turns reports into beacons: one for each sampling rate.
///
/// # Errors
/// When the body is no array of objects, holds too many, or there is no valid key.
pub fn adapt<'a>(request: &Request<'a>) -> Result<Admission<'a>, Refusal> {
    let app = request.app(None)?;
    let reports: List<Report<'a>> = parse(request.body)?;
    let mut attempts = Vec::new();
    let mut rejected = Vec::new();
    for report in reports.whole()? {
        match attempt(report) {
            Ok(attempt) => attempts.push(attempt),
            Err(reason) => rejected.push(reason),
        }
    }
    let before = attempts.len();
    let attempts = last_attempts(attempts);
    let retries = before - attempts.len();
    // Equal reports of several clients are no repeats of one: everyone sees the same failure.
    let id = content_id(&request.arrival.to_string(), request.body);
    let mut builders: Vec<(SampleRate, BeaconBuilder<'a>)> = Vec::new();
    let builder_of = |rate: SampleRate, builders: &mut Vec<(SampleRate, BeaconBuilder<'a>)>| {
        builders.iter().position(|(known, _)| *known == rate).unwrap_or_else(|| {
            let mut beacon = request.beacon(app);
            beacon.id = Cow::Owned(content_id(&builders.len().to_string(), id.as_bytes()));
            builders.push((rate, BeaconBuilder::new(beacon, app, rate)));
            builders.len() - 1
        })
    };
    let mut admission = Admission::default();
    for attempt in attempts {
        let at = builder_of(attempt.rate, &mut builders);
        // Why an event is rejected is counted in the beacon; browsers do not read the answer.
        let _ = builders[at].1.add(draft(attempt), &mut admission);
    }
    if retries > 0 {
        rejected.extend(std::iter::repeat_n(reason::BROWSER_RETRY, retries));
    }
    for reason in rejected {
        let at = if builders.is_empty() { builder_of(SampleRate::ALL, &mut builders) } else { 0 };
        builders[at].1.reject(reason, 1);
    }
    builders.into_iter().for_each(|(_, builder)| builder.admit(&mut admission));
    Ok(admission)
}

fn attempt<'a>(report: Report<'a>) -> Result<Attempt<'a>, &'static str> {
    if report.kind.text().as_deref() != Some("network-error") {
        return Err(reason::REPORT_NOT_KEPT);
    }
    let body = report.body.unwrap_or_default();
    let whole = |scalar: &Scalar<'_>| scalar.time_ms().map_err(|_| reason::INVALID_TIME);
    Ok(Attempt {
        rate: SampleRate::read(&body.sampling_fraction).map_err(|_| reason::INVALID_VALUE)?,
        age_ms: whole(&report.age)?.unwrap_or_default().max(0),
        elapsed_ms: whole(&body.elapsed_time)?,
        url: report.url.or_empty(),
        method: body.method.or_empty(),
        kind: body.kind.into_text().filter(|kind| !kind.is_empty()).ok_or(reason::MISSING_NAME)?,
        phase: body.phase.or_empty(),
        status: body.status_code.or_empty(),
    })
}

/// Those that the browser did not repeat, in the order of their ends; the time of repeated ones is added.
fn last_attempts(mut attempts: Vec<Attempt<'_>>) -> Vec<Attempt<'_>> {
    attempts.sort_by_key(|attempt| std::cmp::Reverse(attempt.age_ms));
    let mut last: Vec<Attempt<'_>> = Vec::with_capacity(attempts.len());
    for mut attempt in attempts {
        match last.iter().rposition(|earlier| earlier.is_repeated_by(&attempt)) {
            Some(at) => {
                attempt.elapsed_ms = Some(last[at].begin_age_ms() - attempt.age_ms);
                last[at] = attempt;
            }
            None => last.push(attempt),
        }
    }
    last
}

fn draft(attempt: Attempt<'_>) -> Draft<'_> {
    let name = if attempt.went_well() { "network.success" } else { "network.error" };
    let mut attributes = Attributes::default();
    attributes.push("type", attempt.kind);
    attributes.push_known("phase", attempt.phase);
    attributes.push_known("status", attempt.status);
    attributes.push_known("url", attempt.url);
    Draft {
        name: Cow::Borrowed(name),
        stamp: Stamp::Ago(attempt.age_ms),
        value: attempt.elapsed_ms.map_or(Scalar::Null, Scalar::Whole),
        attributes,
    }
}

#[cfg(test)]
mod tests;
