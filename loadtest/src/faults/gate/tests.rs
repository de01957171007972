use std::sync::{Arc, Mutex};

use super::*;

const TABLE: &str = "quality";
const OTHER_TABLE: &str = "journey_minutes";
const ROW: &str = "batches";

/// A gate whose blows are remembered.
struct Stand {
    gate: Arc<Gate>,
    blows: Arc<Mutex<Vec<(Blow, usize)>>>,
}

impl Stand {
    fn aimed(point: Point, blow: Blow) -> Self {
        let blows = Arc::new(Mutex::new(Vec::new()));
        let dealt = Arc::clone(&blows);
        let gate =
            Arc::new(Gate::new(Box::new(move |blow, member| dealt.lock().unwrap().push((blow, member)))));
        gate.aim(Aim { point, blow });
        Self { gate, blows }
    }

    fn blows(&self) -> Vec<(Blow, usize)> {
        self.blows.lock().unwrap().clone()
    }

    /// A whole request that ClickHouse answers with success: how far it and its answer come.
    async fn request(&self, member: usize, request: &Request) -> (Passage, Option<Passage>) {
        let life = self.gate.life(member);
        match self.gate.arrives(member, life, request).await {
            Passage::Go => (Passage::Go, Some(self.gate.answered(member, life, request, true))),
            Passage::Cut => (Passage::Cut, None),
        }
    }
}

fn insert(batch: &str, table: &str) -> Request {
    let query = format!("/?insert_deduplication_token=t/2/{batch}/{table}&query=INSERT");
    Request::read(&query, b"{}")
}

const WHOLE: (Passage, Option<Passage>) = (Passage::Go, Some(Passage::Go));
const NOT_FORWARDED: (Passage, Option<Passage>) = (Passage::Cut, None);
const NOT_ANSWERED: (Passage, Option<Passage>) = (Passage::Go, Some(Passage::Cut));

/// Plays the requests of two batches in order, and demands where the blow falls: at which of them, and how far that
/// one came.
async fn check(point: Point, expect: usize, came: (Passage, Option<Passage>)) {
    let stand = Stand::aimed(point, Blow::KillMember);
    let requests = [
        Request::Lookup,
        insert("0-5@9", TABLE),
        insert("0-5@9", OTHER_TABLE),
        insert("0-5@9", ROW),
        insert("5-9@12", ROW),
    ];
    for (number, request) in requests.iter().enumerate() {
        let passed = stand.request(0, request).await;
        if number < expect {
            assert_eq!((passed, stand.blows()), (WHOLE, Vec::new()), "{point}: request {number}");
        } else {
            assert_eq!((passed, stand.blows()), (came, vec![(Blow::KillMember, 0)]), "{point}");
            assert_eq!(stand.gate.hit().await.member, 0);
            return;
        }
    }
}

#[tokio::test]
async fn a_blow_falls_exactly_at_its_point() {
    check(Point::StartLookup, 0, NOT_ANSWERED).await;
    check(Point::BeforeFirstTable, 1, NOT_FORWARDED).await;
    check(Point::TableUnanswered, 1, NOT_ANSWERED).await;
    check(Point::BetweenTables, 2, NOT_FORWARDED).await;
    check(Point::BeforeBatchesRow, 3, NOT_FORWARDED).await;
    check(Point::BatchesRowUnanswered, 3, NOT_ANSWERED).await;
}

#[tokio::test]
async fn tables_that_come_at_once_are_kept_apart() {
    let stand = Stand::aimed(Point::BetweenTables, Blow::KillMember);
    let (first, second) = (insert("0-5@9", TABLE), insert("0-5@9", OTHER_TABLE));
    assert_eq!(stand.gate.arrives(0, 0, &first).await, Passage::Go);
    let held = tokio::spawn({
        let gate = Arc::clone(&stand.gate);
        async move { gate.arrives(0, 0, &second).await }
    });
    tokio::task::yield_now().await;
    assert!(!held.is_finished());
    assert_eq!(stand.gate.answered(0, 0, &first, true), Passage::Go);
    assert_eq!(held.await.unwrap(), Passage::Cut);
    assert_eq!(stand.blows(), [(Blow::KillMember, 0)]);
}

#[tokio::test]
async fn a_batch_of_one_table_has_nothing_between_two() {
    let stand = Stand::aimed(Point::BetweenTables, Blow::KillMember);
    for request in [insert("0-5@9", TABLE), insert("0-5@9", ROW), insert("5-9@12", TABLE)] {
        assert_eq!(stand.request(0, &request).await, WHOLE);
    }
    assert_eq!(stand.request(0, &insert("5-9@12", OTHER_TABLE)).await, NOT_FORWARDED);
}

#[tokio::test]
async fn what_a_killed_aggregator_had_sent_goes_no_further() {
    let stand = Stand::aimed(Point::Random, Blow::KillMember);
    let life = stand.gate.life(0);
    stand.gate.strike(Blow::KillMember, 0);
    assert_eq!(stand.gate.arrives(0, life, &insert("0-5@9", TABLE)).await, Passage::Cut);
    assert_eq!(stand.request(0, &insert("0-5@9", TABLE)).await, WHOLE);
}

#[tokio::test]
async fn what_a_stopped_aggregator_had_sent_waits_and_then_comes_late() {
    let stand = Stand::aimed(Point::BeforeBatchesRow, Blow::StopMember);
    assert_eq!(stand.request(0, &insert("0-5@9", TABLE)).await, WHOLE);
    let held = tokio::spawn({
        let gate = Arc::clone(&stand.gate);
        async move { gate.arrives(0, 0, &insert("0-5@9", ROW)).await }
    });
    assert_eq!(stand.gate.hit().await.member, 0);
    assert_eq!(stand.request(1, &insert("0-5@9", ROW)).await, WHOLE);
    assert!(!held.is_finished());
    stand.gate.release(0);
    assert_eq!(held.await.unwrap(), Passage::Go);
    assert_eq!(stand.gate.read(|written| written.repeated_by_another), 1);
    assert_eq!(stand.blows(), [(Blow::StopMember, 0)]);
}

#[tokio::test]
async fn clickhouse_is_struck_between_two_tables() {
    let stand = Stand::aimed(Point::ServerBetweenTables, Blow::KillServer);
    assert_eq!(stand.request(0, &insert("0-5@9", TABLE)).await, WHOLE);
    assert_eq!(stand.gate.arrives(0, 0, &insert("0-5@9", OTHER_TABLE)).await, Passage::Go);
    assert_eq!(stand.blows(), [(Blow::KillServer, 0)]);
}
