//! Burn alerts to webhooks, in the format of Alertmanager's own, so that whatever takes those takes these.
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>
//!
//! What burns is read again at every interval. A receiver is told of a journey when an alert of it begins or ends, and again
//! after a while as long as one burns; what could not be delivered is sent at the next interval.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deploy::error::StackError;
use jiff::Timestamp;
use reqwest::Url;

use crate::numbers::{LATE, Numbers};
use crate::policies::today;

mod content;
mod notification;

use content::alert;
use notification::{Alert, Group, Sent, notification};

/// Longest wait for a receiver.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How often things happen.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Between two looks.
    pub(super) interval: Duration,
    /// Until an alert that still burns is sent again.
    pub(super) repeat: Duration,
}

/// What receivers know, by receiver and journey.
type Told = BTreeMap<(Url, Group), Sent>;

/// Looks and tells until the process ends.
pub(super) async fn run(numbers: Numbers, receivers: Vec<Url>, pace: Pace) {
    let client = match reqwest::Client::builder().timeout(TIMEOUT).build() {
        Ok(client) => client,
        Err(error) => return eprintln!("no alerts are sent: no HTTP client: {error}"),
    };
    let mut interval = tokio::time::interval(pace.interval);
    interval.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut told = Told::new();
    loop {
        interval.tick().await;
        // Without numbers nothing has begun and nothing has ended.
        match burning(&numbers).await {
            Ok(None) => eprintln!("cannot look for alerts: {LATE}"),
            Ok(Some(burning)) => tell(&client, &receivers, &burning, &mut told, pace.repeat).await,
            Err(error) => eprintln!("cannot look for alerts: {error}"),
        }
    }
}

/// What burns too fast, by journey; `None` when that was not computed for a while.
async fn burning(numbers: &Numbers) -> Result<Option<BTreeMap<Group, Vec<Alert>>>, StackError> {
    if !numbers.is_current().await? {
        return Ok(None);
    }
    let burns = numbers.alerts().await?;
    let mut groups: BTreeMap<Group, Vec<Alert>> = BTreeMap::new();
    if burns.is_empty() {
        return Ok(Some(groups));
    }
    let (statuses, policies) = (numbers.statuses().await?, numbers.policies().await?);
    for burn in &burns {
        let of = |status: &&crate::numbers::Status| {
            (&status.app, &status.journey, &status.objective) == (&burn.app, &burn.journey, &burn.objective)
        };
        let Some(status) = statuses.iter().find(of) else { continue };
        let group = Group { app: burn.app.clone(), journey: burn.journey.clone() };
        let alerts = groups.entry(group).or_default();
        // The pairs come strongest first: a page says all that a ticket would.
        if alerts.iter().any(|alert| alert.label("objective") == burn.objective) {
            continue;
        }
        let until = status.complete_until.as_deref().unwrap_or_default();
        let hours = content::hours(&burn.long_window);
        let reasons = numbers.reasons(&burn.app, &burn.journey, hours, until).await?;
        let policy = policies.iter().find(|policy| policy.name == status.policy);
        alerts.push(alert(burn, status, &reasons, policy.map(|policy| (policy, today()))));
    }
    Ok(Some(groups))
}

async fn tell(
    client: &reqwest::Client,
    receivers: &[Url],
    burning: &BTreeMap<Group, Vec<Alert>>,
    told: &mut Told,
    repeat: Duration,
) {
    let now = Timestamp::now();
    for receiver in receivers {
        let of_receiver = told.keys().filter(|(url, _)| url == receiver).map(|(_, group)| group);
        let groups: BTreeSet<Group> = burning.keys().chain(of_receiver).cloned().collect();
        for group in groups {
            let key = (receiver.clone(), group.clone());
            let alerts = burning.get(&group).map_or(&[][..], Vec::as_slice);
            let Some((body, sent)) = notification(&group, told.get(&key), alerts, now, repeat) else {
                continue;
            };
            match client.post(receiver.clone()).json(&body).send().await.and_then(|a| a.error_for_status()) {
                Ok(_) if sent.is_over() => drop(told.remove(&key)),
                Ok(_) => drop(told.insert(key, sent)),
                // A receiver's URL may hold a secret.
                Err(error) => eprintln!("alert not delivered, trying again: {}", error.without_url()),
            }
        }
    }
}
