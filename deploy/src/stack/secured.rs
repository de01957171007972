//! A listener of Kafka with TLS and a login beside the plain one, as brokers outside of a laptop have it.
//!
//! The stack's own questions go to the plain port; `ingest` and `aggregator` take the secured one. The library that
//! serves ClickHouse here has no HTTPS.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// How the secured listener presents itself and who may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Secured {
    /// Certificate of the broker for 127.0.0.1 (PEM).
    pub certificate: String,
    /// Its private key (PEM, PKCS#8).
    pub key: String,
    /// File (PEM) of the authority that signed the certificate.
    pub ca_file: PathBuf,
    /// User of Kafka, by PLAIN and SCRAM.
    pub user: String,
    /// File with the user's password.
    pub password_file: PathBuf,
}

impl Secured {
    /// What a client of Kafka needs, as properties of a configuration file.
    pub(super) fn kafka_properties(&self) -> BTreeMap<String, String> {
        [
            ("security.protocol", "sasl_ssl".into()),
            ("sasl.mechanism", "SCRAM-SHA-512".into()),
            ("sasl.username", self.user.clone()),
            ("sasl.password_file", self.password_file.display().to_string()),
            ("ssl.ca.location", self.ca_file.display().to_string()),
        ]
        .map(|(name, value): (&str, String)| (name.into(), value))
        .into()
    }
}
