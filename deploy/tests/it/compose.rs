//! `compose.yaml` gives the same stack as `deploy up`. It can't be run where there is no container engine, so
//! its text is compared with what the local stack does.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::path::Path;

use deploy::port::PortChoice;
use deploy::stack::{AGGREGATOR, CLICKHOUSE, DEFINITIONS_TOKEN, INGEST, KAFKA, PASSWORD, Ports, WRITER};
use serde_yaml_ng::Value;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn compose() -> Value {
    let mut file: Value =
        serde_yaml_ng::from_str(&std::fs::read_to_string(root().join("compose.yaml")).unwrap()).unwrap();
    file.apply_merge().unwrap();
    file
}

fn published(service: &Value) -> BTreeSet<u16> {
    let ports = service["ports"].as_sequence().cloned().unwrap_or_default();
    ports
        .iter()
        .map(|port| {
            let parts: Vec<_> = port.as_str().unwrap().split(':').collect();
            assert_eq!(parts[0], "127.0.0.1", "published beyond this machine");
            assert_eq!(parts[1], parts[2]);
            parts[1].parse().unwrap()
        })
        .collect()
}

fn number(choice: PortChoice) -> u16 {
    match choice {
        PortChoice::Preferred(number) | PortChoice::Given(number) => number,
        PortChoice::Free => panic!("a default port has a number"),
    }
}

#[test]
fn the_same_parts_listen_on_the_same_ports() {
    let compose = compose();
    let check = |service: &str, ports: &[PortChoice]| {
        let expect: BTreeSet<_> = ports.iter().copied().map(number).collect();
        assert_eq!(published(&compose["services"][service]), expect, "{service}");
    };
    let ports = Ports::DEFAULT;
    check(KAFKA, &[ports.kafka]);
    check(CLICKHOUSE, &[ports.clickhouse, ports.clickhouse_native]);
    check(AGGREGATOR, &[ports.aggregator_admin]);
    check(INGEST, &[ports.ingest, ports.ingest_admin]);
}

#[test]
fn the_order_of_starting_is_the_same() {
    let compose = compose();
    let waits_for = |service: &str| -> BTreeSet<String> {
        let on = &compose["services"][service]["depends_on"];
        on.as_mapping().into_iter().flatten().map(|(name, _)| name.as_str().unwrap().to_owned()).collect()
    };
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(waits_for("prepare"), set(&[KAFKA, CLICKHOUSE]));
    assert_eq!(waits_for(AGGREGATOR), set(&["prepare"]));
    assert_eq!(waits_for("definitions"), set(&[AGGREGATOR]));
    assert_eq!(waits_for(INGEST), set(&["definitions"]));
}

#[test]
fn users_and_tokens_are_those_of_the_local_stack() {
    let compose = compose();
    let environment = &compose["services"][AGGREGATOR]["environment"];
    assert_eq!(environment["AGGREGATOR_CLICKHOUSE__USER"], WRITER);
    assert_eq!(environment["AGGREGATOR_CLICKHOUSE__PASSWORD"], PASSWORD);
    assert_eq!(environment["AGGREGATOR_DEFINITIONS_TOKEN"], DEFINITIONS_TOKEN);
    assert_eq!(compose["services"]["definitions"]["environment"]["SLI_DEFINITIONS_TOKEN"], DEFINITIONS_TOKEN);
    for volume in compose["services"][CLICKHOUSE]["volumes"].as_sequence().unwrap() {
        let source = volume.as_str().unwrap().split(':').next().unwrap();
        assert!(
            !source.starts_with('.') || root().join(source).is_file(),
            "{source} is mounted and not there"
        );
    }
}

#[test]
fn kafka_is_the_same_version_and_every_job_is_a_command() {
    let compose = compose();
    assert_eq!(compose["services"][KAFKA]["image"], "apache/kafka:4.1.0");
    assert!(deploy::cache::KAFKA.folder.ends_with("4.1.0"));
    for job in ["prepare", "definitions"] {
        let command: Vec<_> = compose["services"][job]["command"]
            .as_sequence()
            .unwrap()
            .iter()
            .map(|arg| arg.as_str().unwrap())
            .collect();
        let help = std::process::Command::new(env!("CARGO_BIN_EXE_deploy"))
            .args([command[1], "--help"])
            .output()
            .unwrap();
        let help = String::from_utf8(help.stdout).unwrap();
        for flag in command.iter().filter_map(|arg| arg.split('=').next()).filter(|arg| arg.starts_with("--"))
        {
            assert!(help.contains(flag), "{job} gives {flag}, which deploy {} does not know", command[1]);
        }
    }
}
