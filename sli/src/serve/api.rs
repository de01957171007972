//! The endpoints: what was asked for, what was found, and what is said when it is not there.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, ResponseError, web};
use deploy::error::StackError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::agreed::Agreed;
use super::{exposition, openapi};
use crate::numbers::{Burn, Counts, Key, LATE, Numbers, Promise, Status, WINDOW_S_MAX};
use crate::policies::today;

/// Content type of the exposition.
const EXPOSITION: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The paths and who answers them.
pub(super) fn routes(config: &mut web::ServiceConfig) {
    config
        .route("/metrics", web::get().to(metrics))
        .route("/api/v1/slos", web::get().to(slos))
        .route("/api/v1/slos/{app}/{journey}/{objective}", web::get().to(slo))
        .route("/api/v1/slos/{app}/{journey}/{objective}/counts", web::get().to(counts))
        .route("/openapi.json", web::get().to(async || HttpResponse::Ok().json(openapi::description())))
        .route("/healthz", web::get().to(async || "ok\n"))
        .route("/readyz", web::get().to(ready))
        .app_data(
            web::QueryConfig::default()
                .error_handler(|error, _| ApiError::BadRequest(error.to_string()).into()),
        )
        .default_service(web::to(async || Err::<HttpResponse, _>(ApiError::NotFound("no such path".into()))));
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ApiError {
    /// What was asked for is not there.
    #[error("{0}")]
    NotFound(String),
    /// The request cannot be understood.
    #[error("{0}")]
    BadRequest(String),
    /// Answers would be old ones.
    #[error("{LATE}")]
    Late,
    /// ClickHouse does not answer.
    #[error(transparent)]
    Numbers(#[from] StackError),
}

/// A refusal.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Refused {
    /// Kind: `not_found`, `bad_request` or `unavailable`.
    error: &'static str,
    /// What to look at.
    detail: String,
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Late | Self::Numbers(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let (error, detail) = match self {
            Self::NotFound(detail) => ("not_found", detail.clone()),
            Self::BadRequest(detail) => ("bad_request", detail.clone()),
            Self::Late => ("unavailable", LATE.to_owned()),
            Self::Numbers(error) => {
                eprintln!("no numbers: {error}");
                ("unavailable", "ClickHouse does not answer; the log says why".to_owned())
            }
        };
        HttpResponse::build(self.status_code()).json(Refused { error, detail })
    }
}

/// What the list may be narrowed to.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Filter {
    app: Option<String>,
    journey: Option<String>,
    owner: Option<String>,
    product: Option<String>,
    state: Option<String>,
}

impl Filter {
    fn takes(&self, status: &Status) -> bool {
        [
            (&self.app, &status.app),
            (&self.journey, &status.journey),
            (&self.owner, &status.owner),
            (&self.product, &status.product),
            (&self.state, &status.state),
        ]
        .into_iter()
        .all(|(wanted, found)| wanted.as_ref().is_none_or(|wanted| wanted == found))
    }
}

/// The list of objectives.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Slos {
    /// One entry an objective, and one for each journey without any.
    slos: Vec<Status>,
}

/// One objective.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Slo {
    /// Over its window.
    status: Status,
    /// Where its threshold comes from: who published it, or that it was chosen; empty where its file does not say.
    source: String,
    /// The period of the calendar (UTC) that is its window: `week`, `month` or `quarter`; empty for a rolling one.
    calendar: String,
    /// What was agreed on for its budget; null without a file of its policy.
    policy: Option<Agreed>,
    /// Over the pairs of windows of burn alerts.
    burn: Vec<Burn>,
    /// By the hour, since the window began.
    hours: Vec<Counts>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Window {
    window_s: u64,
    until: Option<i64>,
}

async fn metrics(numbers: web::Data<Numbers>) -> Result<HttpResponse, ApiError> {
    // The totals are read after the objectives: one that has just been activated is there with what it has.
    let listed = numbers.listed().await?;
    let totals = numbers.totals().await?;
    Ok(HttpResponse::Ok()
        .insert_header(("content-type", EXPOSITION))
        .body(exposition::page(&listed, &totals)))
}

async fn slos(numbers: web::Data<Numbers>, filter: web::Query<Filter>) -> Result<HttpResponse, ApiError> {
    let slos = numbers.statuses().await?.into_iter().filter(|status| filter.takes(status)).collect();
    Ok(HttpResponse::Ok().json(Slos { slos }))
}

async fn slo(
    numbers: web::Data<Numbers>,
    path: web::Path<(String, String, String)>,
) -> Result<HttpResponse, ApiError> {
    let key = key(&path);
    let status = found(&numbers, key).await?;
    let Promise { source, calendar } = numbers.promise(key).await?;
    let policies = numbers.policies().await?;
    let policy = policies.iter().find(|policy| policy.name == status.policy);
    let policy = policy.map(|policy| Agreed::new(policy, today()));
    let burn = numbers.burn(key).await?;
    let hours = match &status.window_from {
        Some(since) => numbers.hours(key, &status.version, since).await?,
        None => Vec::new(),
    };
    Ok(HttpResponse::Ok().json(Slo { status, source, calendar, policy, burn, hours }))
}

async fn counts(
    numbers: web::Data<Numbers>,
    path: web::Path<(String, String, String)>,
    window: web::Query<Window>,
) -> Result<HttpResponse, ApiError> {
    let Window { window_s, until } = window.into_inner();
    if !(60..=WINDOW_S_MAX).contains(&window_s) {
        return Err(ApiError::BadRequest(format!(
            "window_s is {window_s}: it must be from 60 to {WINDOW_S_MAX}"
        )));
    }
    let key = key(&path);
    let status = found(&numbers, key).await?;
    let complete_s = status.complete_until.as_deref().and_then(|text| text.parse::<jiff::Timestamp>().ok());
    let Some(complete_s) = complete_s.map(jiff::Timestamp::as_second) else {
        return Err(ApiError::NotFound("nothing has been counted yet".into()));
    };
    // Never beyond what is complete: a share of the attempts would be missing, the slow ones first.
    let until_s = until.map_or(complete_s, |until| until.min(complete_s));
    let until_s = until_s - until_s.rem_euclid(60);
    Ok(HttpResponse::Ok().json(numbers.counts(key, &status.version, window_s, until_s).await?))
}

async fn ready(numbers: web::Data<Numbers>) -> Result<HttpResponse, ApiError> {
    if numbers.is_current().await? { Ok(HttpResponse::Ok().body("ok\n")) } else { Err(ApiError::Late) }
}

async fn found(numbers: &Numbers, key: Key<'_>) -> Result<Status, ApiError> {
    let Key { app, journey, objective } = key;
    numbers.status(key).await?.ok_or_else(|| {
        ApiError::NotFound(format!("no objective {objective} of {journey} in {app}; /api/v1/slos lists them"))
    })
}

fn key((app, journey, objective): &(String, String, String)) -> Key<'_> {
    Key { app, journey, objective }
}
