//! The pipeline on a Kafka with SASL_SSL and a ClickHouse behind HTTPS, and what a wrong password or an unknown
//! authority is told.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use deploy::port::PortChoice;
use deploy::stack::{self, ADMIN, AGGREGATOR, INGEST, Ports, Secured, Stack, StackOptions};
use deploy::topic;

use super::until;
use crate::authority::Authority;

mod front;

const USER: &str = "sli";
const PASSWORD: &str = "right-s3cret";
const WRONG: &str = "wrong-s3cret";
/// How long a process may take to refuse: an attempt to reach the broker, on a busy machine.
const REFUSAL: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_beacon_is_counted_by_tls_and_login_and_what_is_wrong_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let authority = Authority::new();
    let (certificate, key) = authority.certificate_of_this_host();
    let secured = Secured {
        certificate,
        key,
        ca_file: write("ca.pem", &authority.certificate()),
        user: USER.into(),
        password_file: write("password", &format!("{PASSWORD}\n")),
    };
    let unknown_ca = write("other.pem", &Authority::new().certificate());
    // Where ClickHouse will listen must be known to the front before the stack starts.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let front = front::serve(&secured.certificate, &secured.key, port).await;
    let variables = [
        ("AGGREGATOR_CLICKHOUSE__URL", front.clone()),
        ("AGGREGATOR_CLICKHOUSE__CA_FILE", secured.ca_file.display().to_string()),
    ]
    .map(|(name, value)| (name.to_owned(), value));
    let options = StackOptions {
        ports: Ports { clickhouse: PortChoice::Given(port), ..Ports::FREE },
        aggregator_env: variables.clone().into(),
        grace_ms: 1_000,
        flush_interval_ms: 1_000,
        secured: Some(secured.clone()),
        ..StackOptions::default()
    };
    let stack = Stack::start(options).await.unwrap();

    send_an_attempt(&stack).await;
    let counted = "SELECT sum(attempts) AS n FROM sli.journey_minutes WHERE journey = 'watch-lecture'";
    until(&stack, counted, &["1"]).await;
    for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
        every_mechanism_is_built_in(&stack, &secured, mechanism).await;
    }

    servers_are_prepared(&stack, &secured, &front).await;

    let unknown = unknown_ca.to_str().unwrap();
    let (a, b, c, d) = tokio::join!(
        refusal(&stack, INGEST, &[], ("INGEST_KAFKA__PROPERTIES__SASL_PASSWORD", WRONG)),
        refusal(&stack, INGEST, &[], ("INGEST_KAFKA__PROPERTIES__SSL_CA_LOCATION", unknown)),
        refusal(&stack, AGGREGATOR, &variables, ("AGGREGATOR_KAFKA__PROPERTIES__SASL_PASSWORD", WRONG)),
        refusal(&stack, AGGREGATOR, &variables, ("AGGREGATOR_CLICKHOUSE__CA_FILE", unknown)),
    );
    let check = |told: &str, reason: &str, remedy: &str| {
        let sentence = told.lines().find(|line| line.starts_with("Error: ")).unwrap_or(told);
        assert!(sentence.contains(reason) && sentence.contains(remedy), "{sentence}");
        assert!(!told.contains(WRONG) && !told.contains(PASSWORD), "{told}");
    };
    check(&a, "Authentication failed", "check sasl.username, sasl.password");
    check(&b, "certificate verify failed", "ssl.ca.location in kafka.properties");
    check(&c, "Authentication failed", "check sasl.username, sasl.password");
    check(&d, "certificate verify failed", "clickhouse.ca_file");

    for part in [INGEST, AGGREGATOR] {
        let log = std::fs::read_to_string(stack.log_of(part)).unwrap();
        assert!(!log.contains(PASSWORD), "{part} logs the password");
    }
    for url in [stack.ingest_admin_url(), stack.aggregator_url()] {
        let metrics = reqwest::get(format!("{url}/metrics")).await.unwrap().text().await.unwrap();
        assert!(metrics.contains("# TYPE") && !metrics.contains(PASSWORD));
    }
    stack.stop().await;
}

async fn send_an_attempt(stack: &Stack) {
    let body = r#"{"session":"secured","release":"1","events":[
        {"name":"journey.start","attributes":{"journey":"watch-lecture"}},
        {"name":"journey.end","attributes":{"journey":"watch-lecture","outcome":"success"}}]}"#;
    let answer = reqwest::Client::new()
        .post(format!("{}/v1/beacons?key=studyapp-key", stack.ingest_url()))
        .header("content-type", "application/json")
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 202);
}

async fn every_mechanism_is_built_in(stack: &Stack, secured: &Secured, mechanism: &str) {
    let properties: BTreeMap<String, String> = [
        ("security.protocol", "sasl_ssl"),
        ("sasl.mechanism", mechanism),
        ("sasl.username", USER),
        ("sasl.password", PASSWORD),
        ("ssl.ca.location", secured.ca_file.to_str().unwrap()),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into();
    let brokers = stack.kafka_secured_brokers().to_owned();
    let asked =
        tokio::task::spawn_blocking(move || topic::ping(&brokers, &properties, REFUSAL)).await.unwrap();
    asked.unwrap_or_else(|error| panic!("{mechanism}: {error}"));
}

/// Topics and tables can be made the same way.
async fn servers_are_prepared(stack: &Stack, secured: &Secured, clickhouse_url: &str) {
    let mut prepare = tokio::process::Command::new(env!("CARGO_BIN_EXE_deploy"));
    prepare.args(["prepare", "--kafka-brokers", stack.kafka_secured_brokers()]);
    prepare.args(["--clickhouse-url", clickhouse_url, "--clickhouse-user", ADMIN]);
    let (ca_file, password_file) = (secured.ca_file.display(), secured.password_file.display());
    for property in [
        "security.protocol=sasl_ssl".to_owned(),
        "sasl.mechanism=SCRAM-SHA-512".to_owned(),
        format!("sasl.username={USER}"),
        format!("sasl.password_file={password_file}"),
        format!("ssl.ca.location={ca_file}"),
    ] {
        prepare.args(["--kafka-property", &property]);
    }
    prepare.env("SLI_CLICKHOUSE_PASSWORD", stack::PASSWORD).env("SSL_CERT_FILE", &secured.ca_file);
    let output = prepare.kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What the process says that is started as in the stack, but for one variable.
async fn refusal(
    stack: &Stack,
    part: &str,
    variables: &[(String, String)],
    (variable, value): (&str, &str),
) -> String {
    let executable = Path::new("/proc").join(stack.pid(part).unwrap().to_string()).join("exe");
    let mut process = tokio::process::Command::new(std::fs::read_link(executable).unwrap());
    process
        .arg("--config")
        .arg(stack.dir().join(format!("{part}.toml")))
        .envs([("INGEST_LISTEN", "127.0.0.1:0"), ("INGEST_ADMIN_LISTEN", "127.0.0.1:0")])
        .env("AGGREGATOR_ADMIN_LISTEN", "127.0.0.1:0")
        // The folder is that of the process which runs.
        .env("INGEST_SPOOL__DIR", "")
        .envs(variables.iter().cloned())
        .env(variable, value)
        .kill_on_drop(true);
    let ended = tokio::time::timeout(REFUSAL, process.output()).await;
    let output =
        ended.unwrap_or_else(|_| panic!("{part} does not refuse {variable}={value} in time")).unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}
