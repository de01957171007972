//! A real Prometheus that scrapes `sli serve`, with rules that Sloth made of our export.

use std::path::Path;
use std::process::{Command, Stdio};

use deploy::port::{Port, PortChoice};
use serde_json::Value;

use crate::evaluators::{export, programs, succeed};
use crate::stand::{Attempts, Process, Stand, get, wait_for};

const WORKS: Attempts =
    Attempts { journey: "watch-lecture", objective: "works", minute: 5, valid: 0, bad: 0 };
const SELECTOR: &str = "journey=\"watch-lecture\",objective=\"works\"";

struct Prometheus {
    #[expect(dead_code, reason = "ends with this value")]
    process: Process,
    #[expect(dead_code, reason = "is taken as long as this value lives")]
    port: Port,
    url: String,
}

impl Prometheus {
    fn start(dir: &Path, target: &str) -> Self {
        let port = Port::choose(PortChoice::Free, "prometheus", "").unwrap();
        let listen = format!("127.0.0.1:{}", port.number());
        let config = format!(
            "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\n\
             rule_files: [rules.yaml]\n\
             scrape_configs:\n- job_name: sli\n  static_configs: [{{targets: ['{}']}}]\n",
            target.trim_start_matches("http://")
        );
        std::fs::write(dir.join("prometheus.yaml"), config).unwrap();
        let child = Command::new("prometheus")
            .args(["--config.file=prometheus.yaml", "--storage.tsdb.path=data", "--log.level=warn"])
            .arg(format!("--web.listen-address={listen}"))
            .current_dir(dir)
            .stderr(Stdio::null())
            .spawn()
            .expect("prometheus is installed");
        Self { process: Process(child), port, url: format!("http://{listen}") }
    }

    /// The value of a query that gives one, or nothing.
    async fn value(&self, query: &str) -> Option<f64> {
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let asked = client.get(format!("{}/api/v1/query", self.url)).query(&[("query", query)]).send().await;
        let answer: Value = asked.ok()?.json().await.ok()?;
        let results = answer["data"]["result"].as_array()?;
        assert!(results.len() <= 1, "{query}: {results:?}");
        results.first()?["value"][1].as_str()?.parse().ok()
    }

    /// Names of the alerts of this severity that fire.
    async fn firing(&self, severity: &str) -> Vec<String> {
        let (_, body) = get(&format!("{}/api/v1/alerts", self.url)).await;
        let answer: Value = serde_json::from_str(&body).unwrap();
        let alerts = answer["data"]["alerts"].as_array().unwrap();
        alerts
            .iter()
            .filter(|alert| alert["labels"]["severity"] == severity && alert["state"] == "firing")
            .map(|alert| {
                ["journey", "objective"]
                    .map(|name| alert["labels"][name].as_str().unwrap_or_default())
                    .join("/")
            })
            .collect()
    }
}

#[tokio::test]
async fn sloth_s_rules_page_on_an_incident_and_not_on_one_error_at_night() {
    let stand = Stand::start().await;
    let serve = stand.serve(&[]);
    let dir = tempfile::tempdir().unwrap();
    export("sloth", dir.path(), &[]);
    let mut sloth = Command::new(programs().join("sloth"));
    sloth
        .args(["--no-log", "generate", "--default-slo-period", "28d", "-i"])
        .arg(dir.path().join("studyapp-web-28d.yaml"))
        .arg("-o")
        .arg(dir.path().join("rules.yaml"));
    succeed(&mut sloth);
    let checked =
        succeed(Command::new("promtool").args(["check", "rules"]).arg(dir.path().join("rules.yaml")));
    assert!(checked.contains("SUCCESS"), "{checked}");

    let prometheus = Prometheus::start(dir.path(), &serve.url);
    let valid = format!("sli_valid_total{{{SELECTOR}}}");
    wait_for("the first sample", async || prometheus.value(&valid).await.filter(|value| *value == 0.0)).await;

    // A quiet night: one of three attempts fails, which burns far above any factor.
    stand.count(Attempts { valid: 3, bad: 1, ..WORKS }).await;
    let hour = "slo:sli_error:ratio_rate1h{sloth_slo=\"watch-lecture-works\"}";
    wait_for("the burning hour", async || prometheus.value(hour).await.filter(|ratio| *ratio > 0.3)).await;
    let short = "slo:sli_error:ratio_rate5m{sloth_slo=\"watch-lecture-works\"}";
    wait_for("the short window", async || prometheus.value(short).await.filter(|ratio| *ratio == 0.0)).await;
    let none: [String; 0] = [];
    assert_eq!(prometheus.firing("page").await, none);
    assert_eq!(prometheus.firing("ticket").await, none);

    stand.count(Attempts { valid: 497, bad: 120, minute: 6, ..WORKS }).await;
    let page = ["watch-lecture/works".to_owned()];
    wait_for("the page", async || (prometheus.firing("page").await == page).then_some(())).await;

    // The last minute is late: it is in Prometheus, and not in what is complete.
    stand.count(Attempts { valid: 20, bad: 2, minute: 40, ..WORKS }).await;
    stand.complete_until(30).await;
    wait_for("everything", async || prometheus.value(&valid).await.filter(|value| *value == 520.0)).await;
    let ratio = format!("1 - sum(sli_bad_total{{{SELECTOR}}}) / sum({valid})");
    let of_prometheus = prometheus.value(&ratio).await.unwrap();
    let status = &stand
        .rows(
            "SELECT valid, ratio FROM sli.slo_status WHERE objective = 'works' AND journey = 'watch-lecture'",
        )
        .await[0];
    let (of_status, complete) = (status["ratio"].as_f64().unwrap(), status["valid"].as_f64().unwrap());
    let late_share = (520.0 - complete) / 520.0;
    println!("Prometheus {of_prometheus:.5}, slo_status {of_status:.5}, late {late_share:.5}");
    assert_eq!(complete, 500.0);
    assert!((of_prometheus - of_status).abs() <= late_share, "{of_prometheus} {of_status} {late_share}");
    stand.stop().await;
}
