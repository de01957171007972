//! What a test stands on: a stack that tests share while any of them runs, and topics and an app of its own.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Weak};
use std::time::Duration;

use aggregator::config::{ClickHouseConfig, Config, KafkaConfig};
use deploy::clickhouse::ClickHouse;
use deploy::stack::{ADMIN, PASSWORD, Parts, Stack, StackOptions, WRITER};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use schema::beacon::{Beacon, Event, TimeMethod};
use schema::definition::{
    App, AttemptKind, DefinitionSet, EngineSettings, Journey, Matcher, Objective, Restart, Rule, Unit,
};
use schema::record::{encode_beacon, encode_definitions};
use serde_json::Value;
use tokio::sync::Mutex;

pub(crate) const TOKEN: &str = "test-token";
pub(crate) const PARTITIONS: i32 = 2;
pub(crate) const JOURNEY: &str = "watch-lecture";

/// Every wait of a test ends at the latest after this.
const PATIENCE: Duration = Duration::from_secs(180);
const POLL: Duration = Duration::from_millis(50);

static STACK: Mutex<Weak<Stack>> = Mutex::const_new(Weak::new());

pub(crate) struct Stand {
    pub(crate) name: String,
    pub(crate) topic: String,
    pub(crate) rejects_topic: String,
    pub(crate) snapshots_topic: String,
    pub(crate) clickhouse: ClickHouse,
    pub(crate) producer: FutureProducer,
    pub(crate) stack: Arc<Stack>,
}

impl Stand {
    /// Topics and an app of this name; the definition set is on the log.
    pub(crate) async fn new(name: &str) -> Self {
        let stand = Self::without_definitions(name).await;
        for partition in 0..PARTITIONS {
            stand.produce(Some(partition), "", &encode_definitions(&stand.definitions())).await;
        }
        stand
    }

    pub(crate) async fn without_definitions(name: &str) -> Self {
        let stack = shared_stack().await;
        let (topic, rejects_topic) = (format!("{name}.beacons"), format!("{name}.rejects"));
        let snapshots_topic = format!("{name}.snapshots");
        create_topic(&stack, &topic, PARTITIONS, "LogAppendTime").await;
        create_topic(&stack, &rejects_topic, 1, "CreateTime").await;
        create_topic(&stack, &snapshots_topic, PARTITIONS, "CreateTime").await;
        Self {
            name: name.into(),
            topic,
            rejects_topic,
            snapshots_topic,
            clickhouse: ClickHouse::new(stack.clickhouse_url(), ADMIN, PASSWORD).unwrap(),
            producer: client(&stack).create().unwrap(),
            stack,
        }
    }

    /// A journey that the app declares itself, settled soon.
    pub(crate) fn definitions(&self) -> DefinitionSet {
        let settings = EngineSettings {
            flush_interval_ms: 500,
            idle_flush_intervals: 2,
            grace_ms: 500,
            ..EngineSettings::default()
        };
        let app = App { name: self.name.clone(), environments: vec!["production".into()], count_bots: false };
        let journey = Journey {
            name: JOURNEY.into(),
            title: "Watch a lecture".into(),
            product: "high-school".into(),
            owner: "learning-team".into(),
            promise: "A learner who opens a lecture sees it play.".into(),
            apps: vec![self.name.clone()],
            platforms: Vec::new(),
            standard: false,
            attempt: AttemptKind::Journey,
            start: vec![Matcher { event: "lecture.open".into(), conditions: Vec::new() }],
            steps: Vec::new(),
            success: Vec::new(),
            failure: Vec::new(),
            cancel: Vec::new(),
            timeout_ms: 30_000,
            patience_ms: 30_000,
            restart: Restart::New,
            unit: Unit::Ms,
            revised_by: None,
            objectives: vec![Objective::new("works".into(), Rule::Works, Some(995_000), 28)],
            policy: "default".into(),
        };
        DefinitionSet::new(settings, vec![app], vec![journey])
    }

    pub(crate) fn config(&self) -> Config {
        let mut properties = BTreeMap::new();
        // A killed owner is noticed soon.
        properties.insert("session.timeout.ms".into(), "6000".into());
        properties.insert("heartbeat.interval.ms".into(), "500".into());
        Config {
            admin_listen: ([127, 0, 0, 1], 0).into(),
            definitions_token: TOKEN.into(),
            kafka: KafkaConfig {
                brokers: self.stack.kafka_brokers().into(),
                topic: self.topic.clone(),
                rejects_topic: self.rejects_topic.clone(),
                snapshots_topic: self.snapshots_topic.clone(),
                group: format!("{}-aggregator", self.name),
                properties: properties.into(),
                ..KafkaConfig::default()
            },
            clickhouse: ClickHouseConfig {
                url: self.stack.clickhouse_url().into(),
                user: WRITER.into(),
                password: PASSWORD.into(),
                ..ClickHouseConfig::default()
            },
        }
    }

    pub(crate) async fn produce(&self, partition: Option<i32>, key: &str, payload: &[u8]) {
        let mut record = FutureRecord::to(&self.topic).key(key).payload(payload);
        record.partition = partition;
        self.producer.send(record, PATIENCE).await.map_err(|(error, _)| error).unwrap();
    }

    /// One beacon of each of these sessions: the journey begins and, but for every tenth session, succeeds.
    pub(crate) async fn produce_sessions(&self, sessions: std::ops::Range<u64>) {
        let now_ms = aggregator::clock::wall_ms();
        let sends = sessions.map(|session| async move {
            let key = format!("session-{session}");
            let ending = if session % 10 == 9 { "failure" } else { "success" };
            self.produce(None, &key, &self.beacon(&key, now_ms, 100 + session % 50, ending)).await;
        });
        futures::future::join_all(sends).await;
    }

    fn beacon(&self, session: &str, now_ms: i64, took_ms: u64, outcome: &'static str) -> Vec<u8> {
        let events = vec![started(now_ms - took_ms as i64), ended(now_ms, outcome)];
        self.beacon_of(&format!("beacon-{session}"), session, now_ms, events)
    }

    /// A beacon with these events.
    pub(crate) fn beacon_of(
        &self,
        id: &str,
        session: &str,
        now_ms: i64,
        events: Vec<Event<'static>>,
    ) -> Vec<u8> {
        let beacon = Beacon {
            id: id.into(),
            app: self.name.as_str().into(),
            environment: "production".into(),
            session: session.into(),
            sequence: None,
            release: "1".into(),
            platform: "web".into(),
            os: "".into(),
            browser: "".into(),
            device_class: "".into(),
            country: "".into(),
            connection: "".into(),
            segment: "".into(),
            received_at_ms: now_ms,
            sent_at_ms: None,
            bot: false,
            weight: 1,
            events,
            rejected: Vec::new(),
        };
        encode_beacon(&beacon, Vec::new())
    }

    /// A row of the query, in which `{app}` and `{topic}` stand for the test's own.
    pub(crate) async fn row(&self, query: &str) -> Value {
        let query = query.replace("{app}", &self.name).replace("{topic}", &self.topic);
        self.clickhouse.query(&query).await.unwrap().remove(0)
    }

    /// Waits until every table that counts attempts says that these many sessions were counted, and checks that
    /// nothing counted twice and no offset is missing.
    pub(crate) async fn wait_for_sessions(&self, sessions: u64) {
        wait_for("all sessions in journey_minutes", async || self.minutes().await["attempts"] == sessions)
            .await;
        self.check_sessions(sessions).await;
    }

    pub(crate) async fn check_sessions(&self, sessions: u64) {
        let failures = sessions / 10;
        let expect = |row: &Value, keys: &[(&str, u64)]| {
            for (key, value) in keys {
                assert_eq!(row[*key], *value, "{key} of {row}");
            }
        };
        expect(
            &self.minutes().await,
            &[
                ("attempts", sessions),
                ("success", sessions - failures),
                ("failure", failures),
                ("latencies", sessions - failures),
            ],
        );
        wait_for("the other tables", async || {
            let row = self
                .row(
                    "SELECT (SELECT sum(attempts) FROM sli.journey_hours WHERE app = '{app}') AS hours, \
                     (SELECT sum(valid) FROM sli.objective_minutes WHERE app = '{app}') AS minutes_valid, \
                     (SELECT sum(bad) FROM sli.objective_hours WHERE app = '{app}') AS hours_bad, \
                     (SELECT [sum(valid), sum(bad)] FROM sli.objective_totals WHERE app = '{app}') AS totals, \
                     (SELECT sum(beacons) FROM sli.quality WHERE app = '{app}') AS beacons, \
                     (SELECT sum(counted) FROM sli.batches WHERE topic = '{topic}') AS counted",
                )
                .await;
            let expected =
                serde_json::json!({"hours": sessions, "minutes_valid": sessions, "hours_bad": failures,
                                   "totals": [sessions, failures], "beacons": sessions, "counted": sessions});
            row == expected
        })
        .await;
        let gaps = self
            .row(
                "SELECT count() AS gaps FROM (SELECT first_offset, lagInFrame(next_offset) OVER \
                 (PARTITION BY partition ORDER BY first_offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS before \
                 FROM sli.batches WHERE topic = '{topic}') WHERE first_offset != before",
            )
            .await;
        assert_eq!(gaps["gaps"], 0, "ranges of batches must follow one another");
    }

    async fn minutes(&self) -> Value {
        self.row(
            "SELECT sum(attempts) AS attempts, sum(success) AS success, sum(failure) AS failure, \
             arraySum(mapValues(sumMap(latency))) AS latencies FROM sli.journey_minutes WHERE app = '{app}'",
        )
        .await
    }
}

/// The journey begins.
pub(crate) fn started(time_ms: i64) -> Event<'static> {
    event("journey.start", time_ms, vec![("journey", JOURNEY)])
}

/// The journey ends.
pub(crate) fn ended(time_ms: i64, outcome: &'static str) -> Event<'static> {
    event("journey.end", time_ms, vec![("journey", JOURNEY), ("outcome", outcome)])
}

fn event(name: &'static str, time_ms: i64, attributes: Vec<(&'static str, &'static str)>) -> Event<'static> {
    Event {
        name: name.into(),
        time_ms,
        time_method: TimeMethod::AsSent,
        time_correction_ms: 0,
        value: None,
        attributes: attributes.into_iter().map(|(key, value)| (key.into(), value.into())).collect(),
    }
}

/// Waits until `condition` holds.
pub(crate) async fn wait_for(what: impl Debug, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(POLL).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "waited in vain for {what:?}");
}

pub(crate) async fn create_topic(stack: &Stack, topic: &str, partitions: i32, timestamp_type: &str) {
    let admin: AdminClient<DefaultClientContext> = client(stack).create().unwrap();
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
        .set("message.timestamp.type", timestamp_type);
    let results = admin.create_topics([&topic], &AdminOptions::new()).await.unwrap();
    results.into_iter().for_each(|result| drop(result.unwrap()));
}

pub(crate) async fn shared_stack() -> Arc<Stack> {
    let mut shared = STACK.lock().await;
    if let Some(stack) = shared.upgrade() {
        return stack;
    }
    let stack = Arc::new(Stack::start(StackOptions::of(Parts::Stores)).await.unwrap());
    *shared = Arc::downgrade(&stack);
    stack
}

pub(crate) fn client(stack: &Stack) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", stack.kafka_brokers()).set("linger.ms", "5");
    config
}

/// A request to the admin server: status and body.
pub(crate) async fn get(address: std::net::SocketAddr, path: &str) -> (u16, String) {
    let answer = reqwest::get(format!("http://{address}{path}")).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}
