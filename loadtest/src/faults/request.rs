//! What an aggregator asks of ClickHouse, as far as faults are concerned.

use reqwest::Url;
use xxhash_rust::xxh3::Xxh3;

/// The table whose row ends a batch.
const BATCHES: &str = "batches";
const TOKEN: &str = "insert_deduplication_token";
const QUERY: &str = "query";

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Rows of one table of one batch.
    Insert(Insert),
    /// The question where a partition goes on.
    Lookup,
    /// Anything else.
    Other,
}

/// Rows of one table of one batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Insert {
    /// Deduplication token: `topic/partition/from-to@log time/table`.
    pub token: String,
    /// The token without its table.
    pub batch: String,
    /// Partition of the log.
    pub partition: i32,
    /// Whether it is the batch's own row.
    pub ends_batch: bool,
    /// Hash of what is inserted: the same for the same token, or an aggregator is no function of the log.
    pub content: u64,
}

impl Request {
    /// Reads a request by its target, such as `/?query=…`, and body.
    pub fn read(target: &str, body: &[u8]) -> Self {
        let Ok(url) = Url::parse(&format!("http://clickhouse{target}")) else { return Self::Other };
        let value = |name: &str| url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value);
        let query = value(QUERY);
        if let Some(token) = value(TOKEN) {
            return Insert::new(&token, query.as_deref().unwrap_or_default(), body)
                .map_or(Self::Other, Self::Insert);
        }
        let text = String::from_utf8_lossy(body);
        let asks = |text: &str| text.contains("batches") && text.contains("next_offset");
        if asks(&text) || query.is_some_and(|query| asks(&query)) { Self::Lookup } else { Self::Other }
    }
}

impl Insert {
    fn new(token: &str, query: &str, body: &[u8]) -> Option<Self> {
        let (batch, table) = token.rsplit_once('/')?;
        let partition = batch.split('/').nth(1)?.parse().ok()?;
        let mut content = Xxh3::new();
        content.update(query.as_bytes());
        content.update(body);
        Some(Self {
            token: token.to_owned(),
            batch: batch.to_owned(),
            partition,
            ends_batch: table == BATCHES,
            content: content.digest(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_says_its_batch() {
        let target = "/?async_insert=0&insert_deduplication_token=rum.beacons%2F3%2F10-20%401700%2Fquality\
                      &query=INSERT+INTO+quality";
        let Request::Insert(insert) = Request::read(target, b"{}") else { panic!("an insert") };
        assert_eq!((insert.batch.as_str(), insert.partition), ("rum.beacons/3/10-20@1700", 3));
        assert!(!insert.ends_batch);
        let Request::Insert(other) = Request::read(target, b"{ }") else { panic!("an insert") };
        assert_ne!(insert.content, other.content);
        let row = target.replace("quality", "batches");
        assert!(matches!(Request::read(&row, b"{}"), Request::Insert(Insert { ends_batch: true, .. })));
    }

    #[test]
    fn the_question_where_a_partition_goes_on_is_known() {
        let lookup = b"SELECT next_offset, replay_from FROM `sli`.batches WHERE topic = {topic:String}";
        assert_eq!(Request::read("/?param_topic=t", lookup), Request::Lookup);
        assert_eq!(Request::read("/", b"SELECT 1"), Request::Other);
    }
}
