//! A case: beacons as they stand on the log, one a line, with times relative to the case's beginning.

use std::collections::BTreeMap;

use aggregator::engine::{Batch, Engine, LogRecord, Resume};
use schema::beacon::{Beacon, Event, TimeMethod};
use schema::definition::{EngineSettings, load};
use schema::record::{encode_beacon, encode_definitions, encode_tick};
use schema::value::Value;
use serde::Deserialize;

/// When every case begins: a whole hour.
pub(super) const BEGIN_MS: i64 = 1_795_402_800_000;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60_000;
/// How long ticks come every second after a beacon; afterwards they come every minute.
const BUSY_MS: i64 = 5 * MINUTE_MS;

/// What the log of one case holds.
pub(super) struct Case {
    settings: EngineSettings,
    /// Whether the row tells what was seen.
    pub(super) seen_events: bool,
    beacons: Vec<BeaconLine>,
}

/// A first line that begins none of the case's beacons.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Head {
    #[serde(default)]
    settings: EngineSettings,
    #[serde(default)]
    seen_events: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BeaconLine {
    id: Option<String>,
    #[serde(default = "shop_web")]
    app: String,
    #[serde(default = "session")]
    session: String,
    platform: Option<String>,
    #[serde(default)]
    release: String,
    sequence: Option<u64>,
    #[serde(default = "production")]
    environment: String,
    #[serde(default)]
    bot: bool,
    #[serde(default = "one")]
    weight: u32,
    /// When the log has it; by default with its last event.
    append: Option<String>,
    events: Vec<EventLine>,
}

#[derive(Deserialize)]
struct EventLine {
    at: String,
    event: String,
    value: Option<f64>,
    #[serde(flatten)]
    attributes: BTreeMap<String, serde_json::Value>,
}

fn shop_web() -> String {
    "shop-web".to_owned()
}

fn session() -> String {
    "s".to_owned()
}

fn production() -> String {
    "production".to_owned()
}

fn one() -> u32 {
    1
}

impl Case {
    pub(super) fn read(text: &str) -> Self {
        let mut lines = text.lines().peekable();
        let head = lines.next_if(|line| !line.contains("\"events\""));
        let head: Head = serde_json::from_str(head.unwrap_or("{}")).unwrap();
        let beacons =
            lines.map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")));
        Self { settings: head.settings, seen_events: head.seen_events, beacons: beacons.collect() }
    }

    /// Plays the case until everything has settled, and returns the batches.
    pub(super) fn play(&self, definitions: &[(String, String)]) -> Vec<Batch> {
        let set = load(definitions, self.settings.clone()).unwrap();
        let mut log = Log {
            engine: Engine::new("rum.beacons".to_owned(), 0, Resume::default()),
            offset: 0,
            batches: Vec::new(),
        };
        log.append(BEGIN_MS, "", &encode_definitions(&set));
        let mut now_ms = BEGIN_MS;
        for (number, line) in self.beacons.iter().enumerate() {
            let append_ms = line.append_ms();
            assert!(append_ms >= now_ms, "line {}: lines stand in the order of their appending", number + 1);
            log.tick_until(now_ms, append_ms);
            let beacon = line.beacon(number);
            let key = if beacon.session.is_empty() { &beacon.id } else { &beacon.session };
            log.append(append_ms, key, &encode_beacon(&beacon, Vec::new()));
            now_ms = append_ms;
        }
        log.tick_until(now_ms, now_ms + 30 * MINUTE_MS);
        log.batches
    }
}

struct Log {
    engine: Engine,
    offset: i64,
    batches: Vec<Batch>,
}

impl Log {
    fn append(&mut self, append_ms: i64, key: &str, payload: &[u8]) {
        let record = LogRecord { offset: self.offset, append_ms, key: key.as_bytes(), payload };
        self.batches.extend(self.engine.record(record).batch);
        self.offset += 1;
    }

    fn tick_until(&mut self, from_ms: i64, to_ms: i64) {
        let mut now_ms = from_ms;
        loop {
            now_ms += if now_ms < from_ms + BUSY_MS { SECOND_MS } else { MINUTE_MS };
            if now_ms >= to_ms {
                break;
            }
            self.append(now_ms, "", &encode_tick());
        }
    }
}

impl BeaconLine {
    fn append_ms(&self) -> i64 {
        let last = self.events.last().map(|event| event.at.as_str());
        BEGIN_MS + duration_ms(self.append.as_deref().or(last).unwrap())
    }

    fn beacon(&self, number: usize) -> Beacon<'_> {
        let of_app = match self.app.as_str() {
            "shop-ios" => "ios",
            "shop-android" => "android",
            _ => "web",
        };
        Beacon {
            id: self.id.clone().unwrap_or_else(|| format!("line {number}")).into(),
            app: self.app.as_str().into(),
            environment: self.environment.as_str().into(),
            session: self.session.as_str().into(),
            sequence: self.sequence,
            release: self.release.as_str().into(),
            platform: self.platform.as_deref().unwrap_or(of_app).into(),
            os: "".into(),
            browser: "".into(),
            device_class: "".into(),
            country: "".into(),
            connection: "".into(),
            segment: "".into(),
            received_at_ms: self.append_ms(),
            sent_at_ms: None,
            bot: self.bot,
            weight: self.weight,
            events: self.events.iter().map(EventLine::event).collect(),
            rejected: Vec::new(),
        }
    }
}

impl EventLine {
    fn event(&self) -> Event<'_> {
        let text =
            |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        Event {
            name: self.event.as_str().into(),
            time_ms: BEGIN_MS + duration_ms(&self.at),
            time_method: TimeMethod::AsSent,
            time_correction_ms: 0,
            value: self.value.map(|value| Value::from_f64(value).unwrap()),
            attributes: self
                .attributes
                .iter()
                .map(|(name, value)| (name.as_str().into(), text(value).into()))
                .collect(),
        }
    }
}

/// `-1d+400ms` in ms: numbers, each with its sign and unit, added up.
fn duration_ms(text: &str) -> i64 {
    let begins = text.match_indices(['+', '-']).map(|(at, _)| at);
    let ends = begins.clone().skip(1).chain([text.len()]);
    let terms: Vec<&str> = begins.zip(ends).map(|(begin, end)| &text[begin..end]).collect();
    assert_eq!(terms.concat(), text, "a time is such as +400ms or -1d+2h");
    let ms = |term: &str| {
        let (number, unit) = term.split_at(term.find(char::is_alphabetic).unwrap());
        let unit_ms = match unit {
            "ms" => 1,
            "s" => SECOND_MS,
            "m" => MINUTE_MS,
            "h" => 60 * MINUTE_MS,
            "d" => 24 * 60 * MINUTE_MS,
            _ => panic!("`{unit}` of `{text}` is no unit"),
        };
        number.parse::<i64>().unwrap() * unit_ms
    };
    terms.into_iter().map(ms).sum()
}
