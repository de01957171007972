//! A small client of ClickHouse's HTTP interface: statements and rows as JSON.
//!
//! It serves migrations, the demo's table and tests. Writing batches is `aggregator`'s, with a client of its
//! own.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::error::StackError;

/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Characters of a refusal that an error carries.
const MESSAGE_CHARS_MAX: usize = 1_000;

/// A ClickHouse server and the user who talks to it.
#[derive(Debug, Clone)]
pub struct ClickHouse {
    url: String,
    user: String,
    password: String,
    client: reqwest::Client,
}

impl ClickHouse {
    /// A client of the server at `url`, a base URL such as `http://127.0.0.1:8123`.
    ///
    /// # Errors
    /// When no HTTP client can be made on this machine.
    pub fn new(url: &str, user: &str, password: &str) -> Result<Self, StackError> {
        let client = reqwest::Client::builder()
            .timeout(TIMEOUT)
            // A kept connection belongs to the runtime that opened it, and tests have one runtime each.
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()
            .map_err(|error| StackError::Settings(format!("no HTTP client: {error}")))?;
        Ok(Self {
            url: url.trim_end_matches('/').into(),
            user: user.into(),
            password: password.into(),
            client,
        })
    }

    /// Base URL.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The same server as another user.
    pub fn as_user(&self, user: &str, password: &str) -> Self {
        Self { user: user.into(), password: password.into(), ..self.clone() }
    }

    /// Whether the server answers at all.
    ///
    /// # Errors
    /// When it does not, with the reason.
    pub async fn ping(&self) -> Result<(), StackError> {
        let answer =
            self.client.get(format!("{}/ping", self.url)).timeout(Duration::from_secs(2)).send().await;
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(self.unreachable(format!("status {}", answer.status()))),
            Err(error) => Err(self.unreachable(with_sources(&error))),
        }
    }

    /// Runs one statement.
    ///
    /// # Errors
    /// When the server does not answer or refuses.
    pub async fn execute(&self, sql: &str) -> Result<(), StackError> {
        self.send(sql, &[]).await.map(drop)
    }

    /// Rows of a query, one JSON object each; numbers are numbers.
    ///
    /// # Errors
    /// When the server does not answer, refuses, or answers anything but JSON.
    pub async fn query(&self, sql: &str) -> Result<Vec<Value>, StackError> {
        self.query_as(sql, &[]).await
    }

    /// Rows of a query as a type; `parameters` are the values of `{name:Type}` in it.
    ///
    /// # Errors
    /// When the server does not answer, refuses, or answers with rows of another form.
    pub async fn query_as<T: DeserializeOwned>(
        &self,
        sql: &str,
        parameters: &[(&str, String)],
    ) -> Result<Vec<T>, StackError> {
        let settings = [
            ("default_format", "JSONEachRow"),
            ("output_format_json_quote_64bit_integers", "0"),
            ("output_format_json_quote_denormals", "0"),
        ];
        let settings: Vec<_> = settings
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into_iter()
            .chain(parameters.iter().map(|(name, value)| (format!("param_{name}"), escaped(value))))
            .collect();
        let body = self.send(sql, &settings).await?;
        body.lines()
            .map(|line| {
                serde_json::from_str(line)
                    .map_err(|error| self.refused(200, &format!("not a row: {error}: {line}")))
            })
            .collect()
    }

    async fn send(&self, sql: &str, settings: &[(String, String)]) -> Result<String, StackError> {
        let answer = self
            .client
            .post(&self.url)
            .query(settings)
            // Errors that happen while rows are sent would come with status 200 otherwise.
            .query(&[("wait_end_of_query", "1")])
            .header("X-ClickHouse-User", &self.user)
            .header("X-ClickHouse-Key", &self.password)
            .body(sql.to_owned())
            .send()
            .await
            .map_err(|error| self.unreachable(with_sources(&error)))?;
        let status = answer.status();
        let body = answer.text().await.map_err(|error| self.unreachable(with_sources(&error)))?;
        if status.is_success() { Ok(body) } else { Err(self.refused(status.as_u16(), &body)) }
    }

    fn refused(&self, status: u16, message: &str) -> StackError {
        let message = message.trim().chars().take(MESSAGE_CHARS_MAX).collect();
        StackError::ClickHouse { url: self.url.clone(), status, message }
    }

    fn unreachable(&self, detail: String) -> StackError {
        StackError::Unreachable { what: "ClickHouse", address: self.url.clone(), detail }
    }
}

/// A parameter's text as ClickHouse reads it: in the escaping of its tab-separated format.
/// <https://clickhouse.com/docs/interfaces/http#cli-queries-with-parameters>
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n")
}

/// An error with its causes: the HTTP client's own text hides them.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
