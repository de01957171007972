//! A definition set prepared for matching: per app and event name, what an event can mean to which journey.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use schema::beacon::Event;
use schema::definition::{App, DefinitionSet, Journey, Matcher, Restart, Step};

/// Deadline of attempts of journeys that an app declares and nobody has defined.
const DISCOVERED_TIMEOUT_MS: i64 = 30_000;

/// A definition set, indexed.
#[derive(Debug)]
pub(super) struct Plan {
    pub set: Arc<DefinitionSet>,
    apps: FxHashMap<String, AppPlan>,
    /// For apps that the set does not list: what is defined for every app.
    unlisted: AppPlan,
    timeout_max_ms: i64,
}

/// What is defined for one app.
#[derive(Debug)]
pub(super) struct AppPlan {
    app: App,
    by_event: FxHashMap<String, Vec<Binding>>,
    journeys: FxHashMap<String, usize>,
}

/// What an event means to a journey when `matcher` matches.
#[derive(Debug)]
pub(super) struct Binding {
    pub journey: usize,
    pub name: Arc<str>,
    pub meaning: Meaning,
    matcher: Matcher,
}

/// The part that an event plays in a journey.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Meaning {
    /// The event is a whole attempt, and a bad one.
    WholeFailure,
    /// The event is a whole attempt.
    WholeSuccess,
    /// It is one mark of an attempt.
    Mark(Role),
}

/// What a mark says of its attempt. The order decides between marks of one event.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Start,
    /// Reaches the named step.
    Step(Arc<str>),
    Success,
    Failure {
        recoverable: bool,
    },
    Cancel,
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
    pub(super) fn new(set: Arc<DefinitionSet>) -> Self {
        let unlisted =
            App { name: String::new(), environments: vec!["production".to_owned()], count_bots: false };
        let timeouts = set.journeys.iter().map(|journey| journey.timeout_ms as i64);
        Self {
            timeout_max_ms: timeouts.max().unwrap_or(0).max(DISCOVERED_TIMEOUT_MS),
            apps: set.apps.iter().map(|app| (app.name.clone(), AppPlan::new(app.clone(), &set))).collect(),
            unlisted: AppPlan::new(unlisted, &set),
            set,
        }
    }

    pub(super) fn app(&self, name: &str) -> &AppPlan {
        self.apps.get(name).unwrap_or(&self.unlisted)
    }

    pub(super) fn journey(&self, app: &str, name: &str) -> Option<&Journey> {
        self.app(app).journeys.get(name).map(|at| &self.set.journeys[*at])
    }

    /// How long a session without records is remembered: longer than a repeated beacon can come, and longer
    /// than any attempt of it can stay open.
    pub(super) fn session_horizon_ms(&self, is_web: bool) -> i64 {
        self.duplicate_horizon_ms(is_web).max(self.open_horizon_ms())
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
    fn new(app: App, set: &DefinitionSet) -> Self {
        let mut plan = Self { app, by_event: FxHashMap::default(), journeys: FxHashMap::default() };
        for (at, journey) in set.journeys.iter().enumerate() {
            if journey.applies_to(&plan.app.name) {
                plan.journeys.insert(journey.name.clone(), at);
                plan.bind(at, journey);
            }
        }
        for bindings in plan.by_event.values_mut() {
            bindings.sort_by(|a, b| (a.journey, &a.meaning).cmp(&(b.journey, &b.meaning)));
        }
        plan
    }

    fn bind(&mut self, at: usize, journey: &Journey) {
        let name: Arc<str> = Arc::from(journey.name.as_str());
        let single = journey.is_single_event();
        let mut bind = |meaning: Meaning, matcher: &Matcher| {
            self.by_event.entry(matcher.event.clone()).or_default().push(Binding {
                journey: at,
                name: Arc::clone(&name),
                meaning,
                matcher: matcher.clone(),
            });
        };
        for failure in &journey.failure {
            let role = Role::Failure { recoverable: failure.recoverable };
            bind(if single { Meaning::WholeFailure } else { Meaning::Mark(role) }, &failure.matcher);
        }
        for matcher in &journey.success {
            bind(if single { Meaning::WholeSuccess } else { Meaning::Mark(Role::Success) }, matcher);
        }
        if single {
            return;
        }
        for matcher in &journey.start {
            bind(Meaning::Mark(Role::Start), matcher);
        }
        for step in &journey.steps {
            let role = Role::Step(Arc::from(step.name.as_str()));
            for matcher in &step.done {
                bind(Meaning::Mark(role.clone()), matcher);
            }
        }
        for matcher in &journey.cancel {
            bind(Meaning::Mark(Role::Cancel), matcher);
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
    pub(super) fn journey(&self, name: &str) -> Option<usize> {
        self.journeys.get(name).copied()
    }

    /// What `event` means to which journeys: sorted by journey, and by meaning within one.
    pub(super) fn bindings<'p>(&'p self, event: &Event<'_>) -> impl Iterator<Item = &'p Binding> {
        let bindings = self.by_event.get(event.name.as_ref()).map_or(&[][..], Vec::as_slice);
        bindings.iter().filter(|binding| binding.matcher.conditions_hold(event))
    }
}
