//! A client of ClickHouse's HTTP interface: one query or one insert a request. Trying again is the caller's.

use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::config::ClickHouseConfig;

/// A query or insert that takes longer than this is taken for lost, and tried again by whoever wants it.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// Shorter than any server's keep-alive, so that a request does not meet a connection that is being closed.
const IDLE_CONNECTION_TIMEOUT: Duration = Duration::from_secs(2);
/// Characters of a server's message that are kept.
const MESSAGE_CHARS_MAX: usize = 500;

/// Why a request to ClickHouse had no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClickHouseError {
    /// The client could not be made.
    #[error("http client: {0}")]
    Client(#[from] reqwest::Error),
    /// The file of authorities cannot be read, or holds none.
    #[error("clickhouse.ca_file = {path:?}: {detail}")]
    Authorities {
        /// The file.
        path: String,
        /// What is wrong.
        detail: String,
    },
    /// The server's certificate is not trusted; waiting does not mend that.
    #[error(
        "clickhouse at {url}: {detail}: name the file of the authority that signed its certificate as \
         clickhouse.ca_file, and the server by a name that the certificate holds"
    )]
    Untrusted {
        /// Base URL.
        url: String,
        /// The chain of causes.
        detail: String,
    },
    /// No connection, no answer or a broken one: it may have been done or not.
    #[error("clickhouse at {url} gave no answer: {detail}")]
    NoAnswer {
        /// Base URL.
        url: String,
        /// The chain of causes.
        detail: String,
    },
    /// ClickHouse answered with an error.
    #[error("clickhouse answered {status}: {message}")]
    Refused {
        /// HTTP status.
        status: u16,
        /// ClickHouse's code and message.
        message: String,
    },
    /// The answer was not what the query asks for.
    #[error("clickhouse gave an unexpected answer: {0}")]
    Answer(#[from] serde_json::Error),
}

/// A client; clones share connections.
#[derive(Debug, Clone)]
pub struct ClickHouse {
    http: reqwest::Client,
    config: ClickHouseConfig,
}

/// The rows of one table as one request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insert {
    /// Table without its database.
    pub table: &'static str,
    /// Column names in the order of the row's fields.
    pub columns: Vec<String>,
    /// `insert_deduplication_token`.
    pub token: String,
    /// Rows as JSON lines.
    pub body: Bytes,
    /// How many.
    pub rows: u64,
}

/// What makes an insert one block, written and answered for as a whole, and repeatable.
///
/// Sources: <https://clickhouse.com/docs/operations/settings/settings> and
/// <https://clickhouse.com/docs/guides/developer/deduplicating-inserts-on-retries>.
const INSERT_SETTINGS: [(&str, &str); 10] = [
    ("async_insert", "0"),
    ("insert_deduplicate", "1"),
    ("deduplicate_blocks_in_dependent_materialized_views", "1"),
    ("wait_end_of_query", "1"),
    ("input_format_parallel_parsing", "0"),
    ("max_insert_block_size", "10000000"),
    ("min_insert_block_size_rows", "10000000"),
    ("min_insert_block_size_bytes", "10000000000"),
    ("max_insert_threads", "1"),
    // Offline uploads reach back over many partitions of a table.
    ("max_partitions_per_insert_block", "1000"),
];

impl ClickHouse {
    /// A client of the server that `config` names; connects with the first request.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up, or the file of authorities cannot be read.
    pub fn new(config: &ClickHouseConfig) -> Result<Self, ClickHouseError> {
        let mut http = reqwest::Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .pool_idle_timeout(IDLE_CONNECTION_TIMEOUT)
            .no_proxy();
        for authority in authorities(&config.ca_file)? {
            http = http.add_root_certificate(authority);
        }
        Ok(Self { http: http.build()?, config: config.clone() })
    }

    /// The database of the tables.
    pub fn database(&self) -> &str {
        &self.config.database
    }

    /// Whether the server answers at all.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), ClickHouseError> {
        self.query("SELECT 1", &[]).await.map(drop)
    }

    /// Runs a query that gives JSON lines; `{name:Type}` in it takes the parameter `name`.
    ///
    /// # Errors
    /// When there is no answer, an error, or rows of another shape.
    pub async fn rows<T: DeserializeOwned>(
        &self,
        query: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Vec<T>, ClickHouseError> {
        let answer = self.query(&format!("{query} FORMAT JSONEachRow"), parameters).await?;
        let mut rows = Vec::new();
        for line in answer.lines().filter(|line| !line.is_empty()) {
            rows.push(serde_json::from_str(line)?);
        }
        Ok(rows)
    }

    /// Sends an insert and waits until it is written whole.
    ///
    /// # Errors
    /// When that was not confirmed: it may have been written or not.
    pub async fn insert(&self, insert: &Insert) -> Result<(), ClickHouseError> {
        let query = insert_query(self.database(), insert);
        let request = self
            .request()
            .query(&INSERT_SETTINGS)
            .query(&[("insert_deduplication_token", insert.token.as_str()), ("query", query.as_str())])
            .body(insert.body.clone());
        self.send(request).await.map(drop)
    }

    async fn query(&self, query: &str, parameters: &[(&str, &str)]) -> Result<String, ClickHouseError> {
        let parameters: Vec<_> =
            parameters.iter().map(|(name, value)| (format!("param_{name}"), *value)).collect();
        let request = self
            .request()
            .query(&[("output_format_json_quote_64bit_integers", "0")])
            .query(&parameters)
            .body(query.to_owned());
        self.send(request).await
    }

    fn request(&self) -> reqwest::RequestBuilder {
        self.http
            .post(&self.config.url)
            .header("X-ClickHouse-User", &self.config.user)
            .header("X-ClickHouse-Key", self.config.password.expose())
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<String, ClickHouseError> {
        let no_answer = |error: reqwest::Error| {
            let (url, detail) = (self.config.url.clone(), causes(&error.without_url()));
            if detail.contains("certificate verify failed") {
                ClickHouseError::Untrusted { url, detail }
            } else {
                ClickHouseError::NoAnswer { url, detail }
            }
        };
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let text = response.text().await.map_err(no_answer)?;
        if status.is_success() {
            return Ok(text);
        }
        let message = text.trim().chars().take(MESSAGE_CHARS_MAX).collect();
        Err(ClickHouseError::Refused { status: status.as_u16(), message })
    }
}

/// The statement of an insert; its rows travel in the body.
fn insert_query(database: &str, insert: &Insert) -> String {
    let columns: Vec<_> = insert.columns.iter().map(|column| format!("`{column}`")).collect();
    format!("INSERT INTO `{database}`.`{}` ({}) FORMAT JSONEachRow", insert.table, columns.join(", "))
}

/// The certificates that a PEM file holds; none without a file.
fn authorities(path: &str) -> Result<Vec<reqwest::Certificate>, ClickHouseError> {
    if path.is_empty() {
        return Ok(Vec::new());
    }
    let refused = |detail: String| ClickHouseError::Authorities { path: path.into(), detail };
    let pem = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| refused(causes(&error)))?;
    if found.is_empty() {
        return Err(refused("holds no certificate".into()));
    }
    Ok(found)
}

fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_names_its_columns() {
        let insert = Insert {
            table: "quality",
            columns: vec!["app".into(), "hour".into()],
            token: "t".into(),
            body: Bytes::new(),
            rows: 0,
        };
        assert_eq!(
            insert_query("sli", &insert),
            "INSERT INTO `sli`.`quality` (`app`, `hour`) FORMAT JSONEachRow"
        );
    }
}
