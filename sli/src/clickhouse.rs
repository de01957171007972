//! Where the numbers are, as flags, environment and a file for the password.

use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use deploy::clickhouse::ClickHouse;

/// The ClickHouse that has database `sli`, and a user who may read it.
#[derive(Debug, Clone, Args)]
pub(crate) struct ClickHouseArgs {
    /// Base URL of ClickHouse's HTTP interface.
    #[arg(long, env = "SLI_CLICKHOUSE_URL", default_value = "http://127.0.0.1:8123", value_name = "URL")]
    clickhouse_url: String,
    /// User; reading is enough.
    #[arg(long, env = "SLI_CLICKHOUSE_USER", default_value = "sli_reader", value_name = "NAME")]
    clickhouse_user: String,
    /// The user's password.
    #[arg(
        long,
        env = "SLI_CLICKHOUSE_PASSWORD",
        default_value = "local",
        value_name = "TEXT",
        hide_env_values = true
    )]
    clickhouse_password: String,
    /// A file with the password, instead.
    #[arg(long, env = "SLI_CLICKHOUSE_PASSWORD_FILE", value_name = "FILE")]
    clickhouse_password_file: Option<PathBuf>,
}

impl ClickHouseArgs {
    /// A client for it.
    pub(crate) fn client(&self) -> anyhow::Result<ClickHouse> {
        let password = match &self.clickhouse_password_file {
            Some(file) => std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?
                .trim_end_matches(['\r', '\n'])
                .to_owned(),
            None => self.clickhouse_password.clone(),
        };
        Ok(ClickHouse::new(&self.clickhouse_url, &self.clickhouse_user, &password)?)
    }
}
