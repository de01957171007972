//! Tables: what a migration leaves, that a token counts once, who may write, and that rows fit their columns.

use std::collections::{BTreeMap, BTreeSet};

use deploy::migration::migrate;
use schema::ddl::MIGRATIONS;
use schema::definition::{DefinitionSet, EngineSettings, PolicyException};
use schema::rows::{
    AttemptSample, BatchRow, Counters, DefinitionRow, JourneyHour, JourneyMinute, JourneyStep,
    ObjectiveTotal, ObjectiveWindow, PolicyDefinitionRow, Quality, SeenEvent,
};
use serde_json::{Value, json};

use super::{Database, equal, insert_statement, tables};

/// A row of every table, each with the columns that its struct has.
fn one_row_each(hour: u32) -> BTreeMap<&'static str, Value> {
    let text = || "x".to_owned();
    let (app, journey, route, platform, release) = (text(), text(), text(), text(), text());
    let counters = Counters {
        attempts: 3,
        valid: 2,
        success: 1,
        reasons: BTreeMap::from([("http 503".to_owned(), 2)]),
        latency: BTreeMap::from([(153, 1)]),
        latency_sum: 1_530_000,
        ..Counters::default()
    };
    let minute = JourneyMinute {
        app: app.clone(),
        journey: journey.clone(),
        route: route.clone(),
        platform: platform.clone(),
        release: release.clone(),
        window_start: hour,
        counters: counters.clone(),
    };
    let hours = JourneyHour {
        app,
        journey,
        route,
        platform,
        release,
        os: text(),
        browser: text(),
        device_class: text(),
        country: text(),
        connection: text(),
        segment: text(),
        window_start: hour,
        counters,
    };
    let objective = ObjectiveWindow {
        app: text(),
        journey: text(),
        objective: text(),
        version: text(),
        platform: text(),
        window_start: hour,
        valid: 2,
        bad: 1,
        observed: 2,
        observed_bad: 1,
        attempts: 2,
        unknown: 0,
        sessions_hurt: 1,
    };
    let total = ObjectiveTotal {
        app: text(),
        journey: text(),
        objective: text(),
        version: text(),
        platform: text(),
        valid: 2,
        bad: 1,
    };
    let quality = Quality { app: text(), hour, beacons: 1, ..Quality::default() };
    let set = DefinitionSet::new(EngineSettings::default(), Vec::new(), Vec::new());
    let mut rows = BTreeMap::from([
        ("journey_minutes", json!(minute)),
        ("journey_hours", json!(hours)),
        ("journey_steps", json!(step(hour))),
        ("objective_minutes", json!(objective)),
        ("objective_hours", json!(objective)),
        ("objective_totals", json!(total)),
        ("attempt_samples", json!(sample(hour))),
        ("seen_events", json!(seen_event(hour))),
        ("quality", json!(quality)),
        ("batches", json!(batch(hour))),
        ("definitions", json!(DefinitionRow::new(&set, i64::from(hour) * 1000))),
    ]);
    let definitions = super::Definitions::new("set", hour).journey("x", "x", "ms", 30_000).objective(
        "x",
        "x",
        Some(0.995),
        28,
    );
    rows.insert("journey_definitions", definitions.journeys[0].clone());
    rows.insert("objective_definitions", definitions.objectives[0].clone());
    let policy = PolicyDefinitionRow {
        set_id: text(),
        activated_at: format!("{hour}.000"),
        policy: text(),
        place: 1,
        budget_left: 0.25,
        action: text(),
        role: text(),
        burn: "page",
        capacity: text(),
        agreed_by: vec![text()],
        agreed_on: Some(jiff::civil::date(2026, 11, 2)),
        expires: None,
        exceptions: vec![PolicyException {
            exempt: text(),
            reason: text(),
            until: jiff::civil::date(2299, 12, 31),
        }],
    };
    rows.insert("policy_definitions", json!(policy));
    rows
}

fn step(hour: u32) -> JourneyStep {
    JourneyStep {
        app: "x".into(),
        journey: "x".into(),
        step: "video".into(),
        step_number: 2,
        platform: "web".into(),
        release: "r1".into(),
        window_start: hour,
        attempts: 2,
        success: 1,
        reasons: BTreeMap::from([("timeout".to_owned(), 1)]),
        latency: BTreeMap::from([(153, 1)]),
    }
}

fn sample(hour: u32) -> AttemptSample {
    AttemptSample {
        app: "x".into(),
        journey: "x".into(),
        start_ms: i64::from(hour) * 1000 + 634,
        session: "s-1".into(),
        outcome: "success".into(),
        valid: true,
        reason: String::new(),
        route: String::new(),
        latency: Some("83.5".into()),
        steps: BTreeMap::from([("page".to_owned(), 40)]),
        weight: 7,
        platform: "web".into(),
        release: "r1".into(),
        os: "Linux".into(),
        browser: "Chrome 140".into(),
        device_class: "desktop".into(),
        country: String::new(),
        connection: "4g".into(),
        segment: "7".into(),
    }
}

fn seen_event(hour: u32) -> SeenEvent {
    SeenEvent {
        app: "x".into(),
        platform: "web".into(),
        event: "user.action".into(),
        name: "lecture.open".into(),
        route: String::new(),
        hour,
        seen: 2,
        matched: BTreeMap::from([("watch-lecture".to_owned(), 1)]),
    }
}

fn batch(hour: u32) -> BatchRow {
    BatchRow {
        topic: "rum.beacons".into(),
        partition: 0,
        generation: 0,
        first_offset: 0,
        next_offset: 3,
        replay_from: 1,
        replay_log_time_ms: i64::from(hour) * 1000 - 5,
        replay_definition_set: String::new(),
        log_time_ms: i64::from(hour) * 1000,
        definition_set: "set".into(),
        engine_version: 1,
        records: 3,
        counted: 2,
        reasons: BTreeMap::from([("control".to_owned(), 1)]),
        events: 9,
        event_reasons: BTreeMap::new(),
        rows: BTreeMap::from([("journey_minutes".to_owned(), 1)]),
        missing_offsets: 0,
    }
}

#[tokio::test]
async fn tables_take_their_rows_once_a_token() {
    let database = Database::start().await;
    let hour = database.recent_hour().await;
    let rows = one_row_each(hour);
    assert_eq!(rows.keys().copied().collect::<BTreeSet<_>>(), tables().collect::<BTreeSet<_>>());
    database.admin.execute("SYSTEM STOP MERGES").await.expect("merges stop");

    for (table, row) in &rows {
        // The struct's fields are the table's columns.
        let columns = database
            .read(&format!(
                "SELECT name, comment FROM system.columns \
                 WHERE database = 'sli' AND table = '{table}' AND default_kind != 'ALIAS'"
            ))
            .await;
        let names: BTreeSet<_> = columns.iter().map(|column| column["name"].as_str().unwrap()).collect();
        let fields: BTreeSet<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, fields, "{table}");
        assert!(columns.iter().all(|column| column["comment"] != ""), "{table}");

        // Rows of parts, since a replacing table would not show a second one in its answers.
        let written = || async {
            let sql = format!(
                "SELECT sum(rows) AS rows FROM system.parts WHERE database = 'sli' AND table = '{table}' AND active"
            );
            database.admin.query(&sql).await.expect("system.parts")[0]["rows"].as_u64()
        };
        for (token, expect) in [("first", 1), ("first", 1), ("second", 2), ("first", 2), ("second", 2)] {
            database.insert_as(token, table, std::slice::from_ref(row)).await;
            assert_eq!(written().await, Some(expect), "{table} after {token}");
        }
    }
    database.admin.execute("SYSTEM START MERGES").await.expect("merges start");
    values_come_back(&database, hour).await;
    database.stop().await;
}

async fn values_come_back(database: &Database, hour: u32) {
    let check = |sql: &'static str, expect: Value| async move {
        let found = database.read(sql).await;
        assert!(equal(&found[0], &expect), "{sql}: {}", found[0]);
    };
    check(
        "SELECT toUnixTimestamp(start) AS start_s, toFloat64(latency) AS latency, steps, weight, valid \
         FROM sli.attempt_samples",
        json!({"start_s": hour, "latency": 83.5, "steps": {"page": 40}, "weight": 7, "valid": true}),
    )
    .await;
    check(
        "SELECT toUnixTimestamp(log_time) AS log_time_s, reasons, rows FROM sli.batches",
        json!({"log_time_s": hour, "reasons": {"control": 1}, "rows": {"journey_minutes": 1}}),
    )
    .await;
    check(
        "SELECT toUnixTimestamp(activated_at) AS activated_at_s, JSONExtractInt(content, 'settings', 'grace_ms') \
         AS grace_ms FROM sli.definitions",
        json!({"activated_at_s": hour, "grace_ms": EngineSettings::default().grace_ms}),
    )
    .await;
    check(
        "SELECT agreed_by, agreed_on, expires, exceptions FROM sli.policy_definitions",
        json!({"agreed_by": ["x"], "agreed_on": "2026-11-02", "expires": null,
               "exceptions": [{"exempt": "x", "reason": "x", "until": "2299-12-31"}]}),
    )
    .await;
    // Two tokens have landed: cells are sums, whether ClickHouse has merged them or not.
    let cells = json!({"attempts": 6, "reasons": {"http 503": 4}, "latency": {"153": 2}});
    for _ in 0..2 {
        check(
            "SELECT sum(attempts) AS attempts, sumMap(reasons) AS reasons, sumMap(latency) AS latency \
             FROM sli.journey_hours",
            cells.clone(),
        )
        .await;
        database.merge().await;
    }
}

#[tokio::test]
async fn migrations_may_be_repeated_and_readers_only_read() {
    let database = Database::start().await;
    let hour = database.recent_hour().await;
    database.insert("batches", &[batch(hour)]).await;
    let schema =
        "SELECT name, uuid, create_table_query FROM system.tables WHERE database = 'sli' ORDER BY name";
    // One table is replaced as a whole every ten seconds.
    let tables_sql = format!(
        "SELECT * FROM ({schema}) WHERE create_table_query LIKE 'CREATE TABLE%' AND name != 'objective_counts' AND name NOT LIKE '.%'"
    );
    let before = database.admin.query(&tables_sql).await.expect("tables");
    assert!(before.len() > tables().count(), "{before:?}");

    // Applied already: nothing is due.
    assert_eq!(migrate(&database.admin).await.expect("migrations"), Vec::<u32>::new());
    // Cut short before it was recorded: every statement again.
    database.admin.execute("TRUNCATE TABLE sli.migrations").await.expect("truncate");
    let all: Vec<u32> = MIGRATIONS.iter().map(|migration| migration.version).collect();
    assert_eq!(migrate(&database.admin).await.expect("migrations"), all);

    assert_eq!(database.admin.query(&tables_sql).await.expect("tables"), before);
    let kept = database.read("SELECT count() AS batches FROM sli.batches").await;
    assert_eq!(kept[0]["batches"], 1);

    for sql in [
        insert_statement("t", "batches", &[batch(hour)]),
        "TRUNCATE TABLE sli.batches".to_owned(),
        "ALTER TABLE sli.batches DELETE WHERE 1".to_owned(),
        "DROP VIEW sli.journeys".to_owned(),
        "CREATE TABLE sli.mine (x UInt8) ENGINE = Memory".to_owned(),
    ] {
        let refusal = database.reader.execute(&sql).await.expect_err(&sql).to_string();
        assert!(refusal.contains("ACCESS_DENIED") || refusal.contains("READONLY"), "{sql}: {refusal}");
    }
    database.stop().await;
}

#[tokio::test]
async fn views_answer_on_empty_tables() {
    let database = Database::start().await;
    let views = database
        .admin
        .query("SELECT name FROM system.tables WHERE database = 'sli' AND engine = 'View' ORDER BY name")
        .await
        .expect("views");
    let names: BTreeSet<&str> = views.iter().map(|view| view["name"].as_str().unwrap()).collect();
    let contract = [
        "journeys",
        "journeys_by_hour",
        "journeys_by_day",
        "slo_events",
        "slo_status",
        "slo_burn",
        "freshness",
        "audit",
    ];
    assert!(contract.iter().all(|view| names.contains(view)), "{names:?}");
    for view in names {
        let found = database.read(&format!("SELECT * FROM sli.{view}")).await;
        // `progress` says in its one row that there is none.
        assert_eq!(found.len(), usize::from(view == "progress"), "{view}: {found:?}");
    }
    database.stop().await;
}
