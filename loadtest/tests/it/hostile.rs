//! Every hostile request of the table against the real server.

use std::time::Duration;

use loadtest::hostile::table::cases;
use loadtest::hostile::{self, Settings};

#[tokio::test(flavor = "multi_thread")]
async fn every_hostile_request_has_its_answer() {
    assert!(cases().len() >= 60);
    let report = hostile::run(Settings { alone: Duration::ZERO }).await.unwrap();
    let failures = report.failures();
    assert!(failures.is_empty(), "{}\n{}", report.table(), failures.join("\n"));
}
