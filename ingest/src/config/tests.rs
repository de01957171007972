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
    assert_eq!((config.listen.port(), config.admin_listen.port()), (8080, 8081));
    assert_eq!(config.limits.body_bytes_max, 262_144);
}

#[test]
fn the_environment_overrides_every_key() {
    let toml =
        "workers = 3\n[kafka]\ntopic = 'file'\n[kafka.properties]\nlinger.ms = 6\n\"sasl.password\" = 'x'\n";
    let config = load(
        toml,
        &[
            ("INGEST_LISTEN", "127.0.0.1:0"),
            ("INGEST_APPS_DIR", "apps"),
            ("INGEST_LIMITS__BODY_BYTES_MAX", "4096"),
            ("INGEST_PATHS__FARO", "/f"),
            ("INGEST_KAFKA__TOPIC", "t"),
            ("INGEST_KAFKA__PROPERTIES__SASL_PASSWORD", "007"),
            ("UNRELATED", "x"),
        ],
    )
    .unwrap();
    assert_eq!((config.listen.port(), config.workers, config.limits.body_bytes_max), (0, 3, 4096));
    assert_eq!((config.paths.faro.as_str(), config.kafka.topic.as_str()), ("/f", "t"));
    assert_eq!(config.apps_dir, Path::new("apps"));
    let properties: Vec<_> =
        config.kafka.properties.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(properties, [("linger.ms", "6"), ("sasl.password", "007")]);
}

#[test]
fn a_bad_value_is_refused_with_file_and_key() {
    let check = |toml: &str, expect: &str| {
        let error = load(toml, &[]).unwrap_err();
        assert!(error.contains(expect), "{toml}\n  gives {error}\n  not   {expect}");
    };
    check("listening = '127.0.0.1:1'", "FILE: listening: unknown field");
    check("listen = 'nowhere'", "FILE: listen: ");
    check("[kafka\n", "FILE: ");
    check("[kafka]\ntopic = 5", "FILE: kafka.topic: ");
    check("[kafka]\nbrokers = 'no-port'", "FILE: kafka.brokers = \"no-port\": want host:port");
    check("[kafka]\ntopic = 'a b'", "FILE: kafka.topic = \"a b\": want 1 to 249");
    check(
        "[kafka]\nacknowledge_timeout_ms = 99",
        "kafka.acknowledge_timeout_ms = \"99\": want 100 to 300000",
    );
    check("[kafka.properties]\nacks = 1", "FILE: kafka.properties = \"acks\": is set by ingest");
    check("[paths]\nfaro = 'collect'", "FILE: paths.faro = \"collect\": want `/`");
    check("[paths]\nfaro = '/v1/beacons'", "paths.faro = \"/v1/beacons\": is the path of another format");
    check("[limits]\nbody_bytes_max = 1023", "limits.body_bytes_max = \"1023\": want 1024 to 16777216");
    check("[limits]\nbody_timeout_s = 0", "limits.body_timeout_s = \"0\"");
    check("[limits]\nbodies_bytes_max = 1024", "limits.bodies_bytes_max = \"1024\": want 16777216 to");
    check("[rates]\nkey_burst = 0", "rates.key_burst = \"0\": want 1 to");
    check("[rates]\nkey_requests_per_s = -1", "FILE: rates.key_requests_per_s: ");
    check("trusted_proxies = '10.0.0.0/8, x'", "trusted_proxies = \"10.0.0.0/8, x\": `x`: want an address");
    check("forwarded_header = 'x-real-ip'", "forwarded_header = \"x-real-ip\": want `x-forwarded-for`");
    check("country_header = 'a b'", "country_header = \"a b\": want the name of a header");
    let error = load("", &[("INGEST_KAFKA__TOPIK", "x")]).unwrap_err();
    assert!(error.starts_with("environment (INGEST_…): kafka.topik: unknown field"), "{error}");
}

#[test]
fn bounds_are_inclusive() {
    assert!(load("[limits]\nbody_bytes_max = 1024", &[]).is_ok());
    assert!(load("[kafka]\nacknowledge_timeout_ms = 100", &[]).is_ok());
}
