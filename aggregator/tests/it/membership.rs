//! Members of the group come, go and are killed, whichever way it assigns partitions: each session counts once.

use std::net::SocketAddr;

use aggregator::clock;
use aggregator::config::{Assignment, Config};
use aggregator::consumer::ConsumerError;
use aggregator::startup::Aggregator;
use nix::sys::signal::Signal;

use crate::exactly_once::Process;
use crate::stand::{PARTITIONS, Stand, get, wait_for};

fn config(stand: &Stand, assignment: Assignment) -> Config {
    let mut config = stand.config();
    config.kafka.assignment = assignment;
    if assignment == Assignment::Consumer {
        // The broker's own hold.
        config.kafka.properties.clear();
    }
    config
}

/// How often partitions of this member began.
async fn starts(admin: SocketAddr) -> u64 {
    let metrics = get(admin, "/metrics").await.1;
    let lines = metrics.lines().filter(|line| line.starts_with("aggregator_partition_starts_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}

/// How many partitions this member reads.
async fn read_by(admin: SocketAddr) -> usize {
    let metrics = get(admin, "/metrics").await.1;
    metrics.lines().filter(|line| line.starts_with("aggregator_lag_records{")).count()
}

/// One member, a second one that joins, leaves, joins and is killed. Gives how often partitions of the first began.
async fn come_and_go(name: &str, assignment: Assignment) -> u64 {
    let stand = Stand::new(name).await;
    let config = config(&stand, assignment);
    let first = Aggregator::start(config.clone()).await.unwrap();
    let admin = first.admin_address();
    stand.produce_sessions(0..200).await;
    stand.wait_for_sessions(200).await;

    let second = Aggregator::start(config.clone()).await.unwrap();
    wait_for("shared partitions", async || {
        (read_by(admin).await, read_by(second.admin_address()).await) == (1, 1)
    })
    .await;
    stand.produce_sessions(200..400).await;
    stand.wait_for_sessions(400).await;
    let starts_when_shared = starts(admin).await;
    second.stop().await.unwrap();

    let mut killed = Process::start(&config);
    wait_for("all partitions, or half of them again", async || read_by(admin).await >= 1).await;
    stand.produce_sessions(400..600).await;
    stand.wait_for_sessions(600).await;
    killed.signal(Signal::SIGKILL);
    stand.produce_sessions(600..800).await;
    stand.wait_for_sessions(800).await;
    first.stop().await.unwrap();
    stand.check_sessions(800).await;
    starts_when_shared
}

#[tokio::test(flavor = "multi_thread")]
async fn range_gives_all_partitions_anew() {
    let starts = come_and_go("assigned-range", Assignment::Range).await;
    assert_eq!(starts, PARTITIONS as u64 + 1, "the one that stayed began again");
}

#[tokio::test(flavor = "multi_thread")]
async fn cooperative_leaves_a_partition_that_stays_alone() {
    let starts = come_and_go("assigned-cooperative", Assignment::CooperativeSticky).await;
    assert_eq!(starts, PARTITIONS as u64, "the one that stayed went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_leaves_a_partition_that_stays_alone() {
    let starts = come_and_go("assigned-consumer", Assignment::Consumer).await;
    assert_eq!(starts, PARTITIONS as u64, "the one that stayed went on");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_an_id_comes_back_to_its_partitions_at_once() {
    let stand = Stand::new("instance").await;
    let mut config = stand.config();
    config.kafka.instance_id = "aggregator-1".into();
    let session_timeout_s = 45;
    config.kafka.properties.insert("session.timeout.ms".into(), (session_timeout_s * 1_000).to_string());
    let mut process = Process::start(&config);
    stand.produce_sessions(0..200).await;
    stand.wait_for_sessions(200).await;
    process.signal(Signal::SIGKILL);
    let killed_at = clock::monotonic();
    let mut process = Process::start(&config);
    stand.produce_sessions(200..400).await;
    stand.wait_for_sessions(400).await;
    // Without its id it would have waited until the group removed the one that was killed.
    assert!(clock::monotonic().duration_since(killed_at).as_secs() < session_timeout_s);
    assert!(process.signal(Signal::SIGTERM).success());
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_members_with_one_id_the_first_ends_and_says_why() {
    for assignment in [Assignment::CooperativeSticky, Assignment::Consumer] {
        let stand = Stand::new(&format!("fenced-{assignment:?}").to_lowercase()).await;
        let mut config = config(&stand, assignment);
        config.kafka.instance_id = "aggregator-1".into();
        let first = Aggregator::start(config.clone()).await.unwrap();
        stand.produce_sessions(0..200).await;
        stand.wait_for_sessions(200).await;
        let second = Aggregator::start(config).await.unwrap();
        let ended = if assignment == Assignment::Consumer {
            // The broker keeps the first and refuses the second.
            second.ended().await;
            let ended = second.stop().await;
            stand.produce_sessions(200..400).await;
            stand.wait_for_sessions(400).await;
            first.stop().await.unwrap();
            ended
        } else {
            first.ended().await;
            stand.produce_sessions(200..400).await;
            stand.wait_for_sessions(400).await;
            second.stop().await.unwrap();
            first.stop().await
        };
        assert!(
            matches!(&ended, Err(ConsumerError::Fenced(id) | ConsumerError::Unreleased(id)) if id == "aggregator-1"),
            "{ended:?}"
        );
        stand.check_sessions(400).await;
    }
}
