//! Reading ClickHouse over HTTP.

use anyhow::{Context, bail};
use schema::definition::DefinitionSet;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// A connection as one user.
#[derive(Debug)]
pub struct ClickHouse {
    client: reqwest::Client,
    url: String,
    user: String,
    password: String,
}

#[derive(Debug, Deserialize)]
struct Content {
    content: String,
}

impl ClickHouse {
    /// A connection to `url`, the base of the HTTP interface.
    ///
    /// # Errors
    /// When the HTTP client cannot be made.
    pub fn new(url: &str, user: &str, password: &str) -> anyhow::Result<Self> {
        Ok(Self {
            client: reqwest::Client::builder().build()?,
            url: url.trim_end_matches('/').to_owned(),
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

    /// The rows of a SELECT without FORMAT.
    ///
    /// # Errors
    /// When ClickHouse cannot be reached, refuses the query, or answers another shape.
    pub async fn rows<T: DeserializeOwned>(&self, query: &str) -> anyhow::Result<Vec<T>> {
        let response = self
            .client
            .post(format!("{}/", self.url))
            .query(&[("default_format", "JSONEachRow"), ("output_format_json_quote_64bit_integers", "0")])
            .header("X-ClickHouse-User", &self.user)
            .header("X-ClickHouse-Key", &self.password)
            .body(query.to_owned())
            .send()
            .await
            .with_context(|| format!("asking ClickHouse at {}", self.url))?;
        let status = response.status();
        let text = response.text().await.context("reading ClickHouse's answer")?;
        if !status.is_success() {
            bail!("ClickHouse answered {status}: {}", text.trim());
        }
        text.lines()
            .map(|line| serde_json::from_str(line).with_context(|| format!("row of ClickHouse: {line}")))
            .collect()
    }

    /// The definition set that was activated last.
    ///
    /// # Errors
    /// When there is none, or it cannot be read.
    pub async fn active_definitions(&self) -> anyhow::Result<DefinitionSet> {
        let rows: Vec<Content> = self
            .rows("SELECT content FROM sli.definitions ORDER BY activated_at DESC, set_id DESC LIMIT 1")
            .await?;
        let row = rows.first().context("sli.definitions is empty: no definition set was ever active")?;
        serde_json::from_str(&row.content).context("reading the active definition set")
    }
}
