//! What happened in each session, in its order, in the words that definitions can use.

use std::collections::{BTreeMap, HashSet};

use schema::beacon::{Beacon, Event};
use schema::definition::DefinitionSet;

use crate::recording::Recording;

/// An event by its name and its attribute `name`, as `sli.seen_events` lists them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct What {
    pub(super) event: String,
    /// Empty where it has none.
    pub(super) name: String,
}

/// What an event may be in a journey.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Something that the user does, or that the app says of itself: may begin a journey or end it.
    Sign(What),
    /// A page or a screen, by route or name: may be a step.
    Place { event: String, attribute: &'static str, text: String },
    /// A call that failed, by route.
    FailedCall(String),
    /// An exception that nobody caught.
    Fatal,
    /// A start that the app declares, by journey.
    Declared(String),
    /// A step that the app declares, by journey and step.
    DeclaredStep(String, String),
}

/// A session in the order of its events' times.
#[derive(Debug, Default)]
pub(super) struct Session {
    pub(super) app: String,
    pub(super) platform: String,
    /// Times in ms.
    pub(super) moments: Vec<(i64, Kind)>,
}

/// Every session of the recording that production would count; each beacon once.
pub(super) fn sessions(recording: &Recording, set: &DefinitionSet) -> Vec<Session> {
    let mut sessions: BTreeMap<(String, String), Session> = BTreeMap::new();
    let mut taken = HashSet::new();
    for beacon in recording.beacons() {
        let is_new = taken.insert((beacon.app.to_string(), beacon.id.to_string()));
        if !is_new || beacon.session.is_empty() || !counts(&beacon, set) {
            continue;
        }
        let key = (beacon.app.to_string(), beacon.session.to_string());
        let session = sessions.entry(key).or_insert_with(|| Session {
            app: beacon.app.to_string(),
            platform: beacon.platform.to_string(),
            moments: Vec::new(),
        });
        session.moments.extend(beacon.events.iter().filter_map(|event| Some((event.time_ms, kind(event)?))));
    }
    let mut sessions: Vec<Session> = sessions.into_values().collect();
    sessions.iter_mut().for_each(|session| session.moments.sort_by_key(|(time_ms, _)| *time_ms));
    sessions
}

fn counts(beacon: &Beacon<'_>, set: &DefinitionSet) -> bool {
    set.app(&beacon.app).is_some_and(|app| app.counts(&beacon.environment, beacon.bot))
}

fn kind(event: &Event<'_>) -> Option<Kind> {
    let text = |attribute: &str| event.attribute(attribute).map(str::to_owned);
    match event.name.as_ref() {
        "user.action" => Some(Kind::Sign(What { event: event.name.to_string(), name: text("name")? })),
        "browser.navigation" => place(event, "route"),
        "app.screen" => place(event, "name"),
        "http.client" => {
            let status: u16 = event.attribute("status")?.parse().ok()?;
            if status == 0 || status >= 500 { text("route").map(Kind::FailedCall) } else { None }
        }
        "exception" => (event.attribute("fatal") == Some("true")).then_some(Kind::Fatal),
        "journey.start" => text("journey").map(Kind::Declared),
        "journey.step" => Some(Kind::DeclaredStep(text("journey")?, text("step")?)),
        // The glossary's other events tell how the app is doing, not what the user does.
        name if ["journey.", "browser.", "app.", "session.", "page.", "network."]
            .iter()
            .any(|kind| name.starts_with(kind)) =>
        {
            None
        }
        name => Some(Kind::Sign(What { event: name.to_owned(), name: text("name").unwrap_or_default() })),
    }
}

fn place(event: &Event<'_>, attribute: &'static str) -> Option<Kind> {
    let text = event.attribute(attribute)?.to_owned();
    Some(Kind::Place { event: event.name.to_string(), attribute, text })
}
