//! Reports of another session: a beacon's events that name one become a beacon of that session.
//!
//! An app that crashed tells of it at its next launch, which is a new session. The event names the session that
//! it happened in with its attribute `session`, and belongs on the log under that session's key. It keeps the
//! attribute, so that a reader knows that another session reported it. What it does to attempts is the
//! aggregator's.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schema::beacon::{Beacon, Event};

use super::content_id;

/// Attribute that names the session that an event happened in.
const SESSION: &str = "session";

/// Takes out of `beacon` the events that name another session, and gives a beacon for each such session, in the
/// order of their names: at most as many as a beacon holds events. The reporter's beacon keeps its sequence
/// number and what was rejected, so that it counts even when no event is left in it.
pub(super) fn split_off<'a>(beacon: &mut Beacon<'a>) -> Vec<Beacon<'a>> {
    if !beacon.events.iter().any(|event| named_session(event, &beacon.session).is_some()) {
        return Vec::new();
    }
    let mut own = Vec::with_capacity(beacon.events.len());
    let mut reported: BTreeMap<Cow<'a, str>, Vec<Event<'a>>> = BTreeMap::new();
    for event in std::mem::take(&mut beacon.events) {
        match named_session(&event, &beacon.session).cloned() {
            Some(session) => reported.entry(session).or_default().push(event),
            None => own.push(event),
        }
    }
    let reports = reported
        .into_iter()
        .map(|(session, events)| Beacon {
            // Of the reporter's id and the session, so that a retry of the request is a duplicate of both.
            id: Cow::Owned(content_id(&session, beacon.id.as_bytes())),
            session,
            sequence: None,
            events,
            rejected: Vec::new(),
            ..beacon.clone()
        })
        .collect();
    beacon.events = own;
    reports
}

fn named_session<'e, 'a>(event: &'e Event<'a>, own: &str) -> Option<&'e Cow<'a, str>> {
    let (_, session) = event.attributes.iter().find(|(name, _)| name == SESSION)?;
    (!session.is_empty() && session != own).then_some(session)
}
