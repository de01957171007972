//! OTLP/HTTP: `POST /v1/logs` and `POST /v1/traces`, in JSON and protocol buffers, from SDKs and from gateways.
//!
//! <https://opentelemetry.io/docs/specs/otlp/#otlphttp>. A request may tell of several apps and sessions, and becomes a
//! beacon for each session of each resource; further ones where a session has more events than a beacon holds. The
//! app is that of the request's write key; a gateway names each resource's own in its attribute `sli.write_key`. OTLP has no
//! time of sending, so a client's clock is only corrected where it runs ahead. `wire` is what is read of a request,
//! `logs` and `spans` say what becomes of it, `answer` what the client is told.

use std::borrow::Cow;
use std::collections::HashMap;

use schema::beacon::{Beacon, EVENTS_MAX};
use schema::definition::{AppFile, Source};

use crate::admission::attributes::Attributes;
use crate::admission::scalar::{NotATime, Scalar};
use crate::admission::{
    Admission, BeaconBuilder, Draft, Notation, Request, SampleRate, content_id, cut, identifier,
};
use crate::refusal::Refusal;

pub(super) mod answer;
mod logs;
mod protobuf;
mod spans;
mod wire;

pub(super) use spans::map_span;
use wire::{LogRecord, Record, from_json};
pub(super) use wire::{Resource, Span, tree};

/// Where HTTP calls come from when an app that sends OTLP names no source.
const HTTP_SOURCE: Source = Source::Spans;
/// Attribute of a resource with the write key of its app.
const WRITE_KEY: &str = "sli.write_key";
/// Names of attributes that have the address of the page or the call.
const URLS: [&str; 4] = ["url.full", "http.url", "page.url", "browser.page.url"];

/// What a record becomes.
pub(super) enum Mapped<'a> {
    /// An event.
    Event(Draft<'a>),
    /// Nothing, since something is wrong with it: the client is told.
    Invalid(&'static str),
    /// Nothing, since it is not wanted.
    Left(&'static str),
}

/// Turns log records into beacons.
///
/// # Errors
/// When it is no request of OTLP, has too many records, or nothing in it has a valid key.
pub fn adapt_logs<'a>(request: &Request<'a>) -> Result<Admission<'a>, Refusal> {
    adapt(request, |record: LogRecord<'a>, scope, app| logs::map_log(record, scope, app))
}

/// Turns spans into beacons.
///
/// # Errors
/// As [`adapt_logs`].
pub fn adapt_traces<'a>(request: &Request<'a>) -> Result<Admission<'a>, Refusal> {
    adapt(request, |span: Span<'a>, _, app| map_span(span, app, HTTP_SOURCE))
}

fn adapt<'a, T: Record<'a> + Sessioned<'a>>(
    request: &Request<'a>,
    map: impl Fn(T, &str, &'a AppFile) -> Mapped<'a>,
) -> Result<Admission<'a>, Refusal> {
    let resources: Vec<Resource<'a, T>> = match request.notation {
        Notation::Protobuf => wire::from_protobuf(request.body)?,
        Notation::Json | Notation::Form => from_json(request.body)?,
    };
    if resources.is_empty() {
        request.app(None)?;
    }
    let mut admission = Admission::default();
    let mut refused = None;
    let mut index = 0;
    for mut resource in resources {
        match Sessions::begin(request, &mut resource.attributes, &mut admission) {
            Ok(mut sessions) => {
                for scope in resource.scopes {
                    for record in scope.records {
                        sessions.add(
                            record,
                            index,
                            |record, app| map(record, &scope.name, app),
                            &mut admission,
                        );
                        index += 1;
                    }
                }
                sessions.admit(&mut admission);
            }
            Err(refusal) => {
                let records: usize = resource.scopes.iter().map(|scope| scope.records.len()).sum();
                let reason = refusal.error();
                admission.rejected.extend((index..index + records).map(|index| (index, reason)));
                admission.without_app.push((reason, u32::try_from(records).unwrap_or(u32::MAX)));
                index += records;
                refused = Some(refusal);
            }
        }
    }
    // Where nothing was admitted the whole request is refused, by its status.
    match refused {
        Some(refusal) if admission.admitted.is_empty() => Err(refusal),
        Some(_) | None => Ok(admission),
    }
}

/// The sessions of one resource.
struct Sessions<'r, 'a> {
    request: &'r Request<'a>,
    app: &'a AppFile,
    /// What the beacons of this resource share; its session is the resource's.
    context: Beacon<'a>,
    rate: SampleRate,
    builders: Vec<(BeaconBuilder<'a>, usize)>,
    by_session: HashMap<Cow<'a, str>, usize>,
    /// The one that was added to last.
    last: usize,
}

impl<'r, 'a> Sessions<'r, 'a> {
    fn begin(
        request: &'r Request<'a>,
        resource: &mut Attributes<'a>,
        admission: &mut Admission<'a>,
    ) -> Result<Self, Refusal> {
        let key = resource.take(WRITE_KEY);
        let app = match key.as_deref() {
            Some(key) => request.apps.admit(key, request.origin)?,
            None => request.app(None)?,
        };
        let rate = SampleRate::read(&resource.take("sample_rate").map_or(Scalar::Null, Scalar::Text))?;
        let context = context(request, app, resource, admission);
        Ok(Self { request, app, context, rate, builders: Vec::new(), by_session: HashMap::new(), last: 0 })
    }

    fn add<T: Sessioned<'a>>(
        &mut self,
        mut record: T,
        index: usize,
        map: impl Fn(T, &'a AppFile) -> Mapped<'a>,
        admission: &mut Admission<'a>,
    ) {
        let session = match record.take_session() {
            Some(session) if !session.is_empty() => identifier(session),
            Some(_) | None => self.context.session.clone(),
        };
        let mapped = map(record, self.app);
        let builder = self.builder_of(session, matches!(mapped, Mapped::Event(_)));
        match mapped {
            Mapped::Event(draft) => {
                if let Err(reason) = builder.add(draft, admission) {
                    admission.rejected.push((index, reason));
                }
            }
            Mapped::Invalid(reason) => admission.rejected.push((index, builder.reject(reason, 1))),
            Mapped::Left(reason) => drop(builder.reject(reason, 1)),
        }
    }

    /// The beacon of a session that is open; a new one where it is full.
    fn builder_of(&mut self, session: Cow<'a, str>, for_event: bool) -> &mut BeaconBuilder<'a> {
        let known = match self.builders.get(self.last) {
            Some((builder, _)) if builder.session() == session => Some(self.last),
            Some(_) | None => self.by_session.get(&session).copied(),
        };
        let at = match known {
            Some(at) if !for_event || self.builders[at].1 < EVENTS_MAX => at,
            Some(_) | None => {
                let context = Beacon { session: session.clone(), ..self.context.clone() };
                self.builders.push((BeaconBuilder::new(context, self.app, self.rate), 0));
                self.by_session.insert(session, self.builders.len() - 1);
                self.builders.len() - 1
            }
        };
        self.last = at;
        let (builder, events) = &mut self.builders[at];
        *events += usize::from(for_event);
        builder
    }

    fn admit(self, admission: &mut Admission<'a>) {
        for (mut builder, _) in self.builders {
            let id = self.request.beacon_id(None, builder.session());
            // Beacons of one request have ids of their own, the same when it is sent again.
            let place = admission.admitted.len();
            let id = if place == 0 { id } else { Cow::Owned(content_id(&place.to_string(), id.as_bytes())) };
            builder.set_id(id);
            builder.admit(admission);
        }
    }
}

fn context<'a>(
    request: &Request<'a>,
    app: &'a AppFile,
    resource: &mut Attributes<'a>,
    admission: &mut Admission<'a>,
) -> Beacon<'a> {
    let mut beacon = request.beacon(app);
    let session = resource.take("session.id").or(request.session.map(Cow::Borrowed));
    beacon.session = identifier(session.unwrap_or_default());
    let is_page = resource.get("telemetry.sdk.language") == Some("webjs");
    let mut replace = |field: &mut Cow<'a, str>, names: &[&str]| {
        let sent = names.iter().find_map(|name| resource.take(name)).unwrap_or_default();
        if !sent.is_empty() {
            *field = cut(sent, admission);
        }
    };
    replace(&mut beacon.environment, &["deployment.environment.name", "deployment.environment"]);
    replace(&mut beacon.release, &["service.version", "app.version"]);
    replace(&mut beacon.connection, &["network.connection.subtype", "network.connection.type"]);
    // A page's user agent names a system too: only an app's own resource tells of a native platform.
    let mut resource_os = Cow::Borrowed("");
    replace(&mut resource_os, &["os.name"]);
    match resource_os.as_ref() {
        "Android" if !is_page => beacon.platform = Cow::Borrowed("android"),
        "iOS" | "iPadOS" if !is_page => beacon.platform = Cow::Borrowed("ios"),
        _ => {}
    }
    if !resource_os.is_empty() {
        beacon.os = resource_os;
    }
    if let Some(declared) = &app.segment {
        replace(&mut beacon.segment, &[declared]);
    }
    beacon
}

/// A record that may name its session itself.
pub(super) trait Sessioned<'a> {
    /// Takes the session's name out of the attributes.
    fn take_session(&mut self) -> Option<Cow<'a, str>>;
}

impl<'a> Sessioned<'a> for LogRecord<'a> {
    fn take_session(&mut self) -> Option<Cow<'a, str>> {
        self.attributes.take("session.id")
    }
}

impl<'a> Sessioned<'a> for Span<'a> {
    fn take_session(&mut self) -> Option<Cow<'a, str>> {
        self.attributes.take("session.id")
    }
}

/// A time in ns since the epoch: a number or its text; none where it is 0.
fn nanoseconds(scalar: &Scalar<'_>) -> Result<Option<u64>, NotATime> {
    match scalar {
        Scalar::Null => Ok(None),
        Scalar::Whole(_) | Scalar::Text(_) => scalar.count().map(|ns| (ns > 0).then_some(ns)).ok_or(NotATime),
        Scalar::Number(number) if *number >= 0.0 => Ok(Some(*number as u64)),
        Scalar::Number(_) | Scalar::Flag(_) | Scalar::Nested => Err(NotATime),
    }
}

fn milliseconds(nanoseconds: u64) -> i64 {
    (nanoseconds / 1_000_000) as i64
}

/// Whether an attribute has the address of the page or the call.
fn is_url(name: &str) -> bool {
    URLS.contains(&name)
}

/// The address among the attributes.
fn take_url<'a>(attributes: &mut Attributes<'a>) -> Cow<'a, str> {
    URLS.iter().find_map(|name| attributes.take(name)).unwrap_or_default()
}

#[cfg(test)]
mod tests;
