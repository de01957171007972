//! Who visits: sessions of clients with scripts whose outcome is known, beacons without session, bots, damage.
//!
//! A session plays `acts` one after the other in its own time and sends what happened in beacons, which arrive
//! shuffled, doubled, late or, from a device that was offline, hours later all at once. The generator keeps to what
//! makes an outcome unambiguous: the beacons of an act arrive within less than the shortest grace of their events,
//! or after everything has settled, and after an act that ends in silence the session is silent.

use std::collections::BTreeMap;

use schema::beacon::{Beacon, Event, TimeMethod};
use schema::record::encode_beacon;
use schema::value::Value;

use crate::definitions::{HORIZON_MS, LATE_RETENTION_MS};
use crate::dice::Dice;
use crate::log::Origin;
use crate::scenario::{Scenario, T0};
use crate::truth::{Attempt, Tally, add};

mod acts;

/// A beacon arrives within this after each of its events: less than the shortest grace.
const SPREAD_MS: i64 = 1_900;

/// A record on its way to the log.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// When it is appended, ms since the epoch.
    pub at_ms: i64,
    /// Whose it is.
    pub visitor: usize,
    /// Key.
    pub key: String,
    /// The encoded record.
    pub payload: Vec<u8>,
    /// What it is, unless it repeats another.
    pub origin: Origin,
    /// Id of the beacon, and how long a repeat of it is known, ms.
    pub beacon: Option<(String, i64)>,
    /// What it is, for people.
    pub text: String,
}

/// Everything that comes to the log from outside, and what the tables must say of it.
#[derive(Debug, Default)]
pub struct Traffic {
    /// In the order of arrival.
    pub deliveries: Vec<Delivery>,
    /// Attempts, sessions and late marks.
    pub truth: Tally,
}

/// The visitors of a scenario.
pub fn traffic(scenario: &Scenario) -> Traffic {
    let mut traffic = Traffic::default();
    for number in (0..scenario.visitors).filter(|number| scenario.has_visitor(*number)) {
        let mut visitor = Visitor::new(scenario, number);
        match visitor.dice.below(10) {
            0 => visitor.damage(),
            1 => visitor.stranger(),
            2 => visitor.metric(),
            3 | 4 => visitor.offline(),
            _ => visitor.live(),
        }
        visitor.repeat();
        visitor.tell(&mut traffic);
    }
    traffic.deliveries.sort_by_key(|delivery| (delivery.at_ms, delivery.visitor));
    traffic
}

/// A visitor who is being written down.
struct Visitor {
    dice: Dice,
    number: usize,
    key: String,
    session: String,
    platform: &'static str,
    weight: u32,
    release: &'static str,
    /// Where its script is, ms since the epoch.
    clock_ms: i64,
    sequence: u64,
    offline: bool,
    deliveries: Vec<Delivery>,
    attempts: Vec<Attempt>,
    late_marks: u64,
}

/// An event of a script.
struct Happening {
    time_ms: i64,
    name: &'static str,
    attributes: Vec<(&'static str, String)>,
    value_ms: Option<u64>,
}

impl Visitor {
    fn new(scenario: &Scenario, number: usize) -> Self {
        let mut dice = Dice::new(scenario.seed, "visitor", number);
        let session = format!("s{number}");
        Self {
            number,
            key: session.clone(),
            session,
            platform: if dice.chance(60) { "web" } else { "ios" },
            weight: dice.pick(&[1, 1, 1, 3]),
            release: dice.pick(&["1.0", "1.1", "2.0"]),
            clock_ms: T0 + 1_000 + dice.within(0..=scenario.span_ms),
            sequence: 0,
            offline: false,
            deliveries: Vec::new(),
            attempts: Vec::new(),
            late_marks: 0,
            dice,
        }
    }

    /// Records that do not decode.
    fn damage(&mut self) {
        for number in 0..1 + self.dice.below(3) {
            let payload =
                self.dice.pick(&[&[][..], &[1], &[9, 9, 9], &[1, 7, 0], &[1, 1, 255], &[1, 3, b'{']]);
            let at_ms = self.clock_ms + number as i64 * self.dice.within(0..=2_000);
            let text = format!("damage {payload:?}");
            self.deliveries.push(Delivery {
                at_ms,
                visitor: self.number,
                key: self.key.clone(),
                payload: payload.to_vec(),
                origin: Origin::Undecodable,
                beacon: None,
                text,
            });
        }
    }

    /// A bot, a test environment, a client with very old events, or one that comes before the definitions.
    fn stranger(&mut self) {
        let open = |time_ms| happening(time_ms, "user.action", &[("name", "open")]);
        let now_ms = self.clock_ms;
        match self.dice.below(4) {
            0 => {
                let beacon = Beacon { bot: true, ..self.beacon(&[open(now_ms)]) };
                self.deliver(now_ms + 50, beacon, Origin::Bot);
            }
            1 => {
                let beacon = Beacon { environment: "staging".into(), ..self.beacon(&[open(now_ms)]) };
                self.deliver(now_ms + 50, beacon, Origin::Environment);
            }
            2 => {
                let old = |age_ms| happening(now_ms - LATE_RETENTION_MS - age_ms, "ping", &[]);
                let beacon = self.beacon(&[old(1_000), happening(now_ms, "ping", &[]), old(5)]);
                self.deliver(now_ms + 50, beacon, Origin::Counted { events: 3, too_old: 2 });
            }
            _ => {
                let beacon = self.beacon(&[open(T0 - 900)]);
                self.deliver(T0 - 500, beacon, Origin::TooEarly);
            }
        }
    }

    /// A metric that belongs to no session and is revised.
    fn metric(&mut self) {
        self.session = String::new();
        self.key = format!("v{}", self.number);
        self.paint();
    }

    fn live(&mut self) {
        for _ in 0..1 + self.dice.below(5) {
            self.act();
            self.clock_ms += self.dice.within(50..=3_000);
        }
    }

    /// A device that was away: everything happened hours ago, and arrives within a moment.
    fn offline(&mut self) {
        self.offline = true;
        let upload_ms = self.clock_ms;
        self.clock_ms -= self.dice.pick(&[3, 30, 100]) * 3_600_000;
        for _ in 0..1 + self.dice.below(4) {
            self.act();
            self.clock_ms += self.dice.within(50..=100_000);
        }
        for delivery in &mut self.deliveries {
            delivery.at_ms = upload_ms + self.dice.within(0..=SPREAD_MS);
        }
        for attempt in &mut self.attempts {
            attempt.arrived_late = true;
        }
    }

    /// Sends some beacons again, within the duplicate horizon.
    fn repeat(&mut self) {
        for delivery in self.deliveries.clone() {
            let Some((_, horizon_ms)) = &delivery.beacon else { continue };
            let mut at_ms = delivery.at_ms;
            while at_ms > T0 && self.dice.chance(20) {
                at_ms += self
                    .dice
                    .clone()
                    .pick(&[100, 2_000, horizon_ms - 500])
                    .min(self.dice.within(1..=horizon_ms - 500));
                self.deliveries.push(Delivery { at_ms, ..delivery.clone() });
            }
        }
    }

    /// Sends the events of an act in one beacon or several.
    fn send(&mut self, mut events: Vec<Happening>) {
        events.sort_by_key(|event| event.time_ms);
        let one_beacon = self.dice.chance(40);
        let mut beacons: Vec<Vec<Happening>> = Vec::new();
        for event in events {
            let begins = match beacons.last().and_then(|beacon| beacon.first()) {
                None => true,
                Some(first) => {
                    let is_far = event.time_ms - first.time_ms > SPREAD_MS / 2 && !self.offline;
                    !one_beacon && (is_far || self.dice.chance(50))
                }
            };
            if begins {
                beacons.push(Vec::new());
            }
            beacons.last_mut().into_iter().for_each(|beacon| beacon.push(happening_from(&event)));
        }
        for events in beacons {
            let (first_ms, last_ms) = (events[0].time_ms, events[events.len() - 1].time_ms);
            let latest_ms = (first_ms + SPREAD_MS).max(last_ms + 30);
            let at_ms = self.dice.within(last_ms + 20..=latest_ms);
            let beacon = self.beacon(&events);
            let origin = Origin::Counted { events: events.len() as u64, too_old: 0 };
            self.deliver(at_ms, beacon, origin);
        }
    }

    fn beacon(&mut self, events: &[Happening]) -> Beacon<'static> {
        self.sequence += 1;
        Beacon {
            id: format!("b{}-{}", self.number, self.sequence).into(),
            app: "shop".into(),
            environment: "production".into(),
            session: self.session.clone().into(),
            sequence: (!self.session.is_empty()).then_some(self.sequence),
            release: self.release.into(),
            platform: self.platform.into(),
            os: "".into(),
            browser: "".into(),
            device_class: if self.number.is_multiple_of(2) { "mobile" } else { "desktop" }.into(),
            country: "".into(),
            connection: "".into(),
            segment: "".into(),
            received_at_ms: self.clock_ms,
            sent_at_ms: None,
            bot: false,
            weight: self.weight,
            events: events.iter().map(event).collect(),
            rejected: Vec::new(),
        }
    }

    fn deliver(&mut self, at_ms: i64, beacon: Beacon<'static>, origin: Origin) {
        let events: Vec<String> = beacon
            .events
            .iter()
            .map(|event| {
                let what: Vec<&str> = event
                    .attributes
                    .iter()
                    .filter(|(name, _)| name != "id")
                    .map(|(_, value)| value.as_ref())
                    .collect();
                format!("{} {}@{:.3}", event.name, what.join(" "), (event.time_ms - T0) as f64 / 1000.0)
            })
            .collect();
        self.deliveries.push(Delivery {
            at_ms,
            visitor: self.number,
            key: self.key.clone(),
            text: format!("beacon {} {} [{}]", beacon.id, beacon.platform, events.join(", ")),
            beacon: Some((beacon.id.to_string(), HORIZON_MS[usize::from(!beacon.is_web())])),
            payload: encode_beacon(&beacon, Vec::new()),
            origin,
        });
    }

    /// Notes an attempt that the act before made.
    fn attempted(&mut self, attempt: Attempt) {
        self.attempts.push(Attempt { platform: self.platform, weight: u64::from(self.weight), ..attempt });
    }

    fn tell(self, traffic: &mut Traffic) {
        let mut journeys: BTreeMap<&str, bool> = BTreeMap::new();
        for attempt in &self.attempts {
            attempt.tell(&mut traffic.truth);
            *journeys.entry(attempt.journey).or_default() |= attempt.is_bad();
        }
        if !self.session.is_empty() {
            for (journey, hurt) in journeys {
                let weight = u64::from(self.weight);
                add(&mut traffic.truth, format!("sessions {journey}"), weight);
                add(&mut traffic.truth, format!("sessions hurt {journey}"), weight * u64::from(hurt));
            }
        }
        add(&mut traffic.truth, "late".to_owned(), self.late_marks);
        traffic.deliveries.extend(self.deliveries);
    }
}

fn happening(time_ms: i64, name: &'static str, attributes: &[(&'static str, &str)]) -> Happening {
    let attributes = attributes.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
    Happening { time_ms, name, attributes, value_ms: None }
}

fn happening_from(event: &Happening) -> Happening {
    Happening { attributes: event.attributes.clone(), ..*event }
}

fn event(happening: &Happening) -> Event<'static> {
    let mut attributes: Vec<_> =
        happening.attributes.iter().map(|(name, value)| ((*name).into(), value.clone().into())).collect();
    attributes.sort();
    Event {
        name: happening.name.into(),
        time_ms: happening.time_ms,
        time_method: TimeMethod::AsSent,
        time_correction_ms: 0,
        value: happening.value_ms.and_then(|value_ms| Value::from_units(value_ms).ok()),
        attributes,
    }
}
