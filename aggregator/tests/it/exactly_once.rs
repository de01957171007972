//! Whatever breaks between the parts, each session counts once.

use std::process::{Child, Command, Stdio};

use aggregator::config::Config;
use aggregator::startup::Aggregator;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::proxy::Proxy;
use crate::stand::{Stand, get, wait_for};

#[tokio::test(flavor = "multi_thread")]
async fn an_insert_whose_answer_is_lost_counts_once() {
    let stand = Stand::new("lost-answer").await;
    let proxy = Proxy::start(stand.stack.clickhouse_url(), true).await;
    let mut config = stand.config();
    config.clickhouse.url = proxy.url();
    let aggregator = Aggregator::start(config).await.unwrap();
    stand.produce_sessions(0..500).await;
    stand.wait_for_sessions(500).await;
    aggregator.stop().await.unwrap();
    stand.check_sessions(500).await;
    let swallowed = proxy.swallowed();
    for table in ["journey_minutes", "objective_hours", "quality", "batches", "definitions"] {
        assert!(swallowed.iter().any(|token| token.ends_with(table)), "{table} not in {swallowed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_clickhouse_is_away_reading_pauses_and_nothing_is_lost() {
    let stand = Stand::new("clickhouse-away").await;
    let proxy = Proxy::start(stand.stack.clickhouse_url(), false).await;
    let mut config = stand.config();
    config.clickhouse.url = proxy.url();
    let aggregator = Aggregator::start(config).await.unwrap();
    let admin = aggregator.admin_address();
    stand.produce_sessions(0..100).await;
    stand.wait_for_sessions(100).await;

    proxy.refuse(true);
    stand.produce_sessions(100..400).await;
    wait_for("not ready", async || get(admin, "/readyz").await.0 == 503).await;
    let (_, reason) = get(admin, "/readyz").await;
    assert!(reason.contains("clickhouse has failed for"), "{reason}");
    assert_eq!(get(admin, "/healthz").await.0, 200);
    wait_for("blocked partitions", async || {
        get(admin, "/metrics").await.1.contains("aggregator_blocked{partition=\"0\"} 1")
    })
    .await;

    proxy.refuse(false);
    stand.wait_for_sessions(400).await;
    wait_for("ready again", async || get(admin, "/readyz").await.0 == 200).await;
    aggregator.stop().await.unwrap();
    stand.check_sessions(400).await;
}

/// The program itself, so that it can be killed.
pub(crate) struct Process(Child);

impl Process {
    pub(crate) fn start(config: &Config) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_aggregator"));
        command
            .env("AGGREGATOR_ADMIN_LISTEN", "127.0.0.1:0")
            .env("AGGREGATOR_KAFKA__BROKERS", &config.kafka.brokers)
            .env("AGGREGATOR_KAFKA__TOPIC", &config.kafka.topic)
            .env("AGGREGATOR_KAFKA__REJECTS_TOPIC", &config.kafka.rejects_topic)
            .env("AGGREGATOR_KAFKA__SNAPSHOTS_TOPIC", &config.kafka.snapshots_topic)
            .env("AGGREGATOR_KAFKA__GROUP", &config.kafka.group)
            .env("AGGREGATOR_KAFKA__INSTANCE_ID", &config.kafka.instance_id)
            .env("AGGREGATOR_KAFKA__ASSIGNMENT", config.kafka.assignment.name())
            .env("AGGREGATOR_CLICKHOUSE__URL", &config.clickhouse.url)
            .env("AGGREGATOR_CLICKHOUSE__PASSWORD", config.clickhouse.password.expose())
            .stdin(Stdio::null());
        let snapshots = config.kafka.snapshots;
        for (name, value) in [
            ("INTERVAL_RECORDS", snapshots.interval_records),
            ("INTERVAL_S", snapshots.interval_s),
            ("REPLAY_RECORDS_MIN", snapshots.replay_records_min),
        ] {
            command.env(format!("AGGREGATOR_KAFKA__SNAPSHOTS__{name}"), value.to_string());
        }
        for (name, value) in &config.kafka.properties {
            command.env(format!("AGGREGATOR_KAFKA__PROPERTIES__{}", name.replace('.', "_")), value);
        }
        Self(command.spawn().unwrap())
    }

    pub(crate) fn signal(&mut self, signal: Signal) -> std::process::ExitStatus {
        kill(Pid::from_raw(self.0.id() as i32), signal).unwrap();
        self.0.wait().unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_that_is_killed_is_followed_without_loss_or_double_count() {
    let stand = Stand::new("killed").await;
    let counted = async || {
        let row = stand.row("SELECT sum(counted) AS counted FROM sli.batches WHERE topic = '{topic}'").await;
        row["counted"].as_u64().unwrap()
    };
    let mut produced = 0;
    for _ in 0..2 {
        let mut process = Process::start(&stand.config());
        stand.produce_sessions(produced..produced + 300).await;
        produced += 300;
        // Some of them are written, some are on their way.
        wait_for("progress", async || counted().await > produced - 300).await;
        process.signal(Signal::SIGKILL);
    }
    let mut process = Process::start(&stand.config());
    stand.produce_sessions(produced..1_000).await;
    stand.wait_for_sessions(1_000).await;
    assert!(process.signal(Signal::SIGTERM).success());
    stand.check_sessions(1_000).await;
}
