//! What is shown of a configuration: no secret.

use rdkafka::ClientConfig;
use settings::kafka::{self, Properties};
use settings::{Environment, Secret, read};

const SECRET: &str = "s3cret";

fn hidden(text: &str) {
    assert!(!text.contains(SECRET), "{text}");
}

#[test]
fn printing_shows_no_secret() {
    hidden(&format!("{:?}", Secret::from(SECRET)));
    let properties: Properties = [("sasl.password".to_owned(), SECRET.to_owned())].into_iter().collect();
    assert_eq!(format!("{properties:?}"), "{\"sasl.password\"}");
    let environment: Environment = [("APP_TOKEN".to_owned(), SECRET.to_owned())].into_iter().collect();
    assert_eq!(format!("{environment:?}"), "{\"APP_TOKEN\"}");
}

#[test]
fn a_line_that_is_no_toml_is_not_quoted() {
    #[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
    struct Config {
        token: Secret,
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("token = \"{SECRET}\n")).unwrap();
    let error = read::<Config>("APP_", Some(file.path()), &Environment::default()).unwrap_err();
    assert!(error.to_string().contains("line 1"), "{error}");
    hidden(&format!("{error} {error:?}"));
}

#[test]
fn a_refused_property_is_named_without_its_value() {
    let check = |name: &str, expect: &str| {
        let mut config = ClientConfig::new();
        config.set(name, SECRET);
        let error = kafka::check(&config).unwrap_err();
        hidden(&format!("{error} {error:?}"));
        assert_eq!(error.to_string(), expect);
    };
    check("sasl.pasword", "kafka.properties: sasl.pasword: No such configuration property: \"sasl.pasword\"");
    check(
        "enable.ssl.certificate.verification",
        "kafka.properties: enable.ssl.certificate.verification: Expected bool value for \
         \"enable.ssl.certificate.verification\": true or false",
    );
    check(
        "sasl.oauthbearer.assertion.claim.exp.seconds",
        "kafka.properties: sasl.oauthbearer.assertion.claim.exp.seconds: librdkafka does not take its value",
    );
}
