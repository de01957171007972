//! What stands where, and what overrides what.

use serde::{Deserialize, Serialize};
use settings::kafka::Properties;
use settings::{Environment, SECRET_BYTES_MAX, Secret, read};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    name: String,
    workers: usize,
    ratio: f64,
    is_on: bool,
    list: Vec<String>,
    ca_file: String,
    token: Secret,
    kafka: Kafka,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Kafka {
    brokers: String,
    properties: Properties,
}

/// Reads `toml` and variables in which `FILE` stands for the path of a file with `secret`.
fn load(toml: &str, variables: &[(&str, &str)], secret: &str) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let (file, secret_file) = (dir.path().join("x.toml"), dir.path().join("secret"));
    let with_path = |text: &str| text.replace("FILE", &secret_file.display().to_string());
    std::fs::write(&file, with_path(toml)).unwrap();
    std::fs::write(&secret_file, secret).unwrap();
    let environment: Environment =
        variables.iter().map(|(name, value)| (name.to_string(), with_path(value))).collect();
    read("APP_", Some(&file), &environment)
        .map_err(|error| error.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

fn properties(config: &Config) -> Vec<(&str, &str)> {
    config.kafka.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[test]
fn the_environment_goes_over_the_file_and_takes_the_type_of_the_default() {
    let toml = "name = 'file'\nworkers = 3\n[kafka.properties]\nlinger.ms = 6\n\"sasl.username\" = 'x'\n";
    let variables = [
        ("APP_NAME", "007"),
        ("APP_WORKERS", "4"),
        ("APP_RATIO", "0.5"),
        ("APP_IS_ON", "true"),
        ("APP_LIST", "a, b"),
        ("APP_TOKEN", "123"),
        ("APP_KAFKA__BROKERS", "k:1"),
        ("APP_KAFKA__PROPERTIES__SASL_PASSWORD", "007"),
        ("UNRELATED", "x"),
    ];
    let config = load(toml, &variables, "").unwrap();
    assert_eq!((config.name.as_str(), config.workers, config.ratio, config.is_on), ("007", 4, 0.5, true));
    assert_eq!((config.list, config.token.expose()), (vec!["a".into(), "b".into()], "123"));
    let config = load(toml, &variables, "").unwrap();
    assert_eq!(config.kafka.brokers, "k:1");
    assert_eq!(properties(&config), [("linger.ms", "6"), ("sasl.password", "007"), ("sasl.username", "x")]);
}

#[test]
fn any_value_can_come_from_a_file() {
    let check = |toml: &str, variables: &[(&str, &str)]| load(toml, variables, "42\r\n").unwrap();
    assert_eq!(check("token_file = 'FILE'", &[]).token.expose(), "42");
    assert_eq!(check("", &[("APP_TOKEN_FILE", "FILE")]).token.expose(), "42");
    assert_eq!(check("workers_file = 'FILE'", &[]).workers, 42);
    let expect = [("sasl.password", "42")];
    assert_eq!(properties(&check("[kafka.properties]\nsasl.password_file = 'FILE'", &[])), expect);
    assert_eq!(properties(&check("[kafka.properties]\n\"sasl.password_file\" = 'FILE'", &[])), expect);
    let variable = [("APP_KAFKA__PROPERTIES__SASL_PASSWORD_FILE", "FILE")];
    assert_eq!(properties(&check("[kafka.properties]\n\"sasl.password\" = 'x'", &variable)), expect);
    // A key of its own is a name and stays one, and so does a property that names a file.
    assert_eq!(check("ca_file = 'a.pem'", &[]).ca_file, "a.pem");
    let variable = [("APP_KAFKA__PROPERTIES__SASL_OAUTHBEARER_ASSERTION_FILE", "a.jwt")];
    assert_eq!(properties(&check("", &variable)), [("sasl.oauthbearer.assertion.file", "a.jwt")]);
}

#[test]
fn what_cannot_be_read_is_named() {
    let check = |toml: &str, variables: &[(&str, &str)], secret: &str, expect: &str| {
        let error = load(toml, variables, secret).unwrap_err();
        assert!(error.starts_with(expect), "{toml}\n  gives {error}\n  not   {expect}");
    };
    check("nam = 'x'", &[], "", "x.toml: nam: unknown field");
    check("", &[("APP_KAFKA__BROKER", "x")], "", "environment (APP_…): kafka.broker: unknown field");
    check("", &[("APP_WORKERS", "many")], "", "environment (APP_…): workers: ");
    check("tokn_file = 'FILE'", &[], "s", "x.toml: tokn: unknown field");
    check("token_file = '/none'", &[], "", "x.toml: token_file: cannot read /none: No such file");
    check(
        "",
        &[("APP_KAFKA__PROPERTIES__SASL_PASSWORD_FILE", "/none")],
        "",
        "environment (APP_…): kafka.properties.sasl.password_file: cannot read /none: No such file",
    );
    check("token = 'x'\ntoken_file = 'FILE'", &[], "s", "x.toml: token_file: is given twice");
    let largest = "s".repeat(SECRET_BYTES_MAX as usize);
    assert!(load("token_file = 'FILE'", &[], &largest).is_ok());
    check(
        "token_file = 'FILE'",
        &[],
        &(largest + "s"),
        "x.toml: token_file: secret has more than 65536 bytes",
    );
    check("[kafka]\nproperties = 's3cret'", &[], "", "x.toml: kafka.properties: want a table");
}
