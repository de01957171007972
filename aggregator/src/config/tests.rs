use super::*;

fn load(toml: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), toml).unwrap();
    let environment = variables.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    Config::load(Some(file.path()), environment)
        .map_err(|error| error.to_string().replace(&file.path().display().to_string(), "FILE"))
}

#[test]
fn an_empty_file_means_the_defaults() {
    let config = load("", &[]).unwrap();
    assert_eq!(config, Config::default());
    assert_eq!(config.admin_listen.to_string(), "127.0.0.1:8082");
}

#[test]
fn the_environment_overrides_the_file_and_stays_text() {
    let toml = "[clickhouse]\npassword = 'file'\nuser = 'u'\n[kafka.properties]\nsession.timeout.ms = 6000\n";
    let config = load(
        toml,
        &[
            ("AGGREGATOR_CLICKHOUSE__PASSWORD", "007"),
            ("AGGREGATOR_ADMIN_LISTEN", "127.0.0.1:0"),
            ("AGGREGATOR_KAFKA__PROPERTIES__SECURITY_PROTOCOL", "ssl"),
            ("AGGREGATOR_KAFKA__SNAPSHOTS__INTERVAL_S", "60"),
            ("UNRELATED", "x"),
        ],
    )
    .unwrap();
    assert_eq!((config.clickhouse.password.expose(), config.clickhouse.user.as_str()), ("007", "u"));
    assert_eq!((config.admin_listen.port(), config.kafka.snapshots.interval_s), (0, 60));
    let properties: Vec<_> =
        config.kafka.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(properties, [("security.protocol", "ssl"), ("session.timeout.ms", "6000")]);
}

#[test]
fn secrets_come_from_files() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(secret.path(), "s3cret\n").unwrap();
    let toml = format!("definitions_token_file = '{}'", secret.path().display());
    assert_eq!(load(&toml, &[]).unwrap().definitions_token.expose(), "s3cret");
    let error = load("[clickhouse]\npassword_file = '/does/not/exist'", &[]).unwrap_err();
    assert!(error.starts_with("FILE: clickhouse.password_file: cannot read /does/not/exist: "), "{error}");
}

#[test]
fn a_bad_value_is_refused_with_file_and_key() {
    let check = |toml: &str, expect: &str| {
        let error = load(toml, &[]).unwrap_err();
        assert!(error.contains(expect), "{toml}\n  gives {error}\n  not   {expect}");
    };
    check("[kafka]\nbroker = 'x:1'", "FILE: kafka.broker: unknown field");
    check("admin_listen = 'nowhere'", "FILE: admin_listen: ");
    check("[kafka]\ntopic = 5", "FILE: kafka.topic: ");
    check("[kafka\n", "FILE: ");
    check("[kafka]\nbrokers = 'no-port'", "kafka.brokers = \"no-port\": want host:port");
    check("[kafka]\ntopic = 'a b'", "kafka.topic = \"a b\": want 1 to 249");
    check("[kafka]\nrejects_topic = 'rum.beacons'", "must not be the log itself");
    check("[kafka]\nsnapshots_topic = 'rum.rejects'", "must be a topic of its own");
    check("[kafka]\nsnapshots_topic = 'a b'", "kafka.snapshots_topic = \"a b\": want a name");
    check("[kafka.snapshots]\ninterval_s = 0", "kafka.snapshots.interval_s = \"0\": want 1 or more");
    check("[kafka.snapshots]\ninterval_records = -1", "kafka.snapshots.interval_records: invalid value");
    check("[kafka.properties]\n\"group.id\" = 'x'", "kafka.properties = \"group.id\": is set by");
    check("[clickhouse]\nurl = 'localhost'", "clickhouse.url = \"localhost\": want http://host:port");
    check("[clickhouse]\nurl = 'https://u:s3cret@h'", "clickhouse.url = \"…\": user and password have keys");
    check("[clickhouse]\ndatabase = 'a;b'", "clickhouse.database = \"a;b\"");
    let error = load("", &[("AGGREGATOR_KAFKA__TOPIK", "x")]).unwrap_err();
    assert!(error.starts_with("environment (AGGREGATOR_…): kafka.topik: unknown field"), "{error}");
}
