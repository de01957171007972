//! A definition set prepared for matching: per app and event name, what an event can mean to which journey.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use schema::beacon::Event;
use schema::definition::{App, AttemptKind, DefinitionSet, Journey, Matcher, Restart, Step};

use super::pool::{TextId, Texts};

/// Deadline of attempts of journeys that an app declares and nobody has defined.
const DISCOVERED_TIMEOUT_MS: i64 = 30_000;

/// A definition set, indexed.
#[derive(Debug)]
pub(super) struct Plan {
    pub set: Arc<DefinitionSet>,
    /// The set's id, for sessions that begin under it.
    pub set_id: Arc<str>,
    apps: FxHashMap<String, AppPlan>,
    /// For apps that the set does not list: what is defined for every app.
    unlisted: AppPlan,
    timeout_max_ms: i64,
}

/// What is defined for one app.
#[derive(Debug)]
pub(super) struct AppPlan {
    app: App,
    by_event: FxHashMap<TextId, Vec<Binding>>,
    journeys: FxHashMap<TextId, usize>,
    /// Those whose attempts are sessions.
    of_sessions: Vec<(TextId, usize)>,
}

/// What an event means to a journey when `matcher` matches.
#[derive(Debug)]
pub(super) struct Binding {
    pub journey: usize,
    pub name: TextId,
    pub meaning: Meaning,
    matcher: Matcher,
}

/// The part that an event plays in a journey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The event is a whole attempt, and a bad one.
    WholeFailure,
    /// The event is a whole attempt.
    WholeSuccess,
    /// The session is the attempt, and the event makes it bad.
    BadSession,
    /// It is one mark of an attempt.
    Mark(Role),
}

/// What a mark says of its attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Start,
    /// Reaches the named step.
    Step(TextId),
    Success,
    Failure {
        recoverable: bool,
    },
    Cancel,
    /// The app broke; a recoverable one is an app that did not answer and may have gone on.
    Interruption {
        recoverable: bool,
    },
}

impl Role {
    /// Decides between marks of one event.
    pub(super) fn rank(self) -> u8 {
        match self {
            Self::Start => 0,
            Self::Step(_) => 1,
            Self::Success => 2,
            Self::Failure { recoverable: false } => 3,
            Self::Failure { recoverable: true } => 4,
            Self::Cancel => 5,
            Self::Interruption { .. } => 6,
        }
    }
}

impl Meaning {
    /// Failure is looked at before success.
    fn rank(self) -> u8 {
        match self {
            Self::WholeFailure => 0,
            Self::WholeSuccess => 1,
            Self::BadSession => 2,
            Self::Mark(role) => 3 + role.rank(),
        }
    }
}

/// The rules by which marks become attempts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules<'p> {
    pub timeout_ms: i64,
    pub patience_ms: i64,
    pub grace_ms: i64,
    pub restart: Restart,
    pub steps: &'p [Step],
}

impl Plan {
    pub(super) fn new(set: Arc<DefinitionSet>, texts: &mut Texts) -> Self {
        let unlisted =
            App { name: String::new(), environments: vec!["production".to_owned()], count_bots: false };
        let timeouts = set.journeys.iter().map(|journey| journey.timeout_ms as i64);
        Self {
            set_id: Arc::from(set.id.as_str()),
            timeout_max_ms: timeouts.max().unwrap_or(0).max(DISCOVERED_TIMEOUT_MS),
            apps: set
                .apps
                .iter()
                .map(|app| (app.name.clone(), AppPlan::new(app.clone(), &set, texts)))
                .collect(),
            unlisted: AppPlan::new(unlisted, &set, texts),
            set,
        }
    }

    pub(super) fn app(&self, name: &str) -> &AppPlan {
        self.apps.get(name).unwrap_or(&self.unlisted)
    }

    /// The definition of a journey for an app.
    pub(super) fn journey(&self, app: &str, name: TextId) -> Option<&Journey> {
        self.app(app).journey(name).map(|at| &self.set.journeys[at])
    }

    /// How long a session without records is remembered: longer than a repeated beacon can come and any attempt of
    /// it can stay open, so that what is as late as a repeat may be still finds its session.
    pub(super) fn session_horizon_ms(&self, is_web: bool) -> i64 {
        self.duplicate_horizon_ms(is_web) + self.open_horizon_ms()
    }

    /// How long after its last record a session can have anything open: an attempt settles at its deadline and
    /// the grace period, and the session's first one counts another grace period later.
    pub(super) fn open_horizon_ms(&self) -> i64 {
        self.timeout_max_ms + 2 * self.set.settings.grace_ms
    }

    pub(super) fn duplicate_horizon_ms(&self, is_web: bool) -> i64 {
        let settings = &self.set.settings;
        if is_web { settings.duplicate_horizon_web_ms } else { settings.duplicate_horizon_native_ms }
    }

    /// The rules of a journey; those of a discovered one where it is not defined.
    pub(super) fn rules<'p>(&self, journey: Option<&'p Journey>) -> Rules<'p> {
        let grace_ms = self.set.settings.grace_ms;
        match journey {
            Some(journey) => Rules {
                timeout_ms: journey.timeout_ms as i64,
                patience_ms: journey.patience_ms as i64,
                grace_ms,
                restart: journey.restart,
                steps: &journey.steps,
            },
            None => Rules {
                timeout_ms: DISCOVERED_TIMEOUT_MS,
                patience_ms: DISCOVERED_TIMEOUT_MS,
                grace_ms,
                restart: Restart::New,
                steps: &[],
            },
        }
    }
}

impl AppPlan {
    fn new(app: App, set: &DefinitionSet, texts: &mut Texts) -> Self {
        let mut plan = Self {
            app,
            by_event: FxHashMap::default(),
            journeys: FxHashMap::default(),
            of_sessions: Vec::new(),
        };
        for (at, journey) in set.journeys.iter().enumerate() {
            if journey.applies_to(&plan.app.name) {
                let name = texts.intern_for_good(&journey.name);
                plan.journeys.insert(name, at);
                plan.bind(at, name, journey, texts);
            }
        }
        for bindings in plan.by_event.values_mut() {
            bindings.sort_by_key(|binding| (binding.journey, binding.meaning.rank()));
        }
        plan
    }

    fn bind(&mut self, at: usize, name: TextId, journey: &Journey, texts: &mut Texts) {
        let mut bind = |meaning: Meaning, matcher: &Matcher, texts: &mut Texts| {
            let event = texts.intern_for_good(&matcher.event);
            let binding = Binding { journey: at, name, meaning, matcher: matcher.clone() };
            self.by_event.entry(event).or_default().push(binding);
        };
        for failure in &journey.failure {
            let meaning = match journey.attempt {
                AttemptKind::Event => Meaning::WholeFailure,
                AttemptKind::Session => Meaning::BadSession,
                AttemptKind::Journey => Meaning::Mark(Role::Failure { recoverable: failure.recoverable }),
            };
            bind(meaning, &failure.matcher, texts);
        }
        match journey.attempt {
            AttemptKind::Session => self.of_sessions.push((name, at)),
            AttemptKind::Event => {
                journey.success.iter().for_each(|matcher| bind(Meaning::WholeSuccess, matcher, texts));
            }
            AttemptKind::Journey => {
                let mut mark = |role: Role, matchers: &[Matcher], texts: &mut Texts| {
                    matchers.iter().for_each(|matcher| bind(Meaning::Mark(role), matcher, texts));
                };
                mark(Role::Start, &journey.start, texts);
                for step in &journey.steps {
                    let role = Role::Step(texts.intern_for_good(&step.name));
                    mark(role, &step.done, texts);
                }
                mark(Role::Success, &journey.success, texts);
                mark(Role::Cancel, &journey.cancel, texts);
            }
        }
    }

    /// Whether beacons of `environment` enter journeys.
    pub(super) fn counts_environment(&self, environment: &str) -> bool {
        self.app.environments.iter().any(|listed| listed == environment)
    }

    pub(super) fn counts_bots(&self) -> bool {
        self.app.count_bots
    }

    /// The position of a journey in the set.
    pub(super) fn journey(&self, name: TextId) -> Option<usize> {
        self.journeys.get(&name).copied()
    }

    /// The journeys whose attempts are sessions.
    pub(super) fn of_sessions(&self) -> &[(TextId, usize)] {
        &self.of_sessions
    }

    /// What `event` of this name means to which journeys: sorted by journey, and by meaning within one.
    pub(super) fn bindings<'p>(
        &'p self,
        name: TextId,
        event: &Event<'_>,
    ) -> impl Iterator<Item = &'p Binding> {
        let bindings = self.by_event.get(&name).map_or(&[][..], Vec::as_slice);
        bindings.iter().filter(|binding| binding.matcher.conditions_hold(event))
    }
}
