//! The admin server: metrics, health, and the activation of definition sets. Not for clients' traffic.

use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::dev::{Server, ServerHandle};
use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::web::{self, Bytes, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use schema::definition::DefinitionSet;
use serde_json::json;

use crate::checks::window::Inserting;
use crate::checks::{self, CheckError};
use crate::clickhouse::{ClickHouse, ClickHouseError};
use crate::clock;
use crate::control::Control;
use crate::kafka::GroupTimeouts;
use crate::metrics::Metrics;
use crate::status::Status;

/// Bytes of a definition set at most.
pub const DEFINITIONS_BYTES_MAX: usize = 4 << 20;

/// What the server tells and does.
pub struct Admin {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// State of the process.
    pub status: Arc<Status>,
    /// Writes definition sets to the log.
    pub control: Control,
    /// Its tables must bear the inserts that a set brings.
    pub clickhouse: ClickHouse,
    /// As long as an insert may come twice.
    pub timeouts: GroupTimeouts,
    /// Token of `POST /definitions`; empty: nobody may.
    pub definitions_token: String,
}

/// A bound server that is not yet running.
pub struct BoundAdmin {
    /// To be run.
    pub server: Server,
    /// Stops it.
    pub handle: ServerHandle,
    /// Where it listens.
    pub address: SocketAddr,
}

/// Binds the server to `listen`; port 0 takes a free one.
///
/// # Errors
/// When the address is in use or not ours.
pub fn bind(admin: Admin, listen: SocketAddr) -> std::io::Result<BoundAdmin> {
    let admin = Data::new(admin);
    let app = move || {
        App::new()
            .app_data(Data::clone(&admin))
            .app_data(web::PayloadConfig::new(DEFINITIONS_BYTES_MAX))
            .route("/metrics", web::get().to(metrics))
            .route("/healthz", web::get().to(health))
            .route("/readyz", web::get().to(readiness))
            .route("/definitions", web::post().to(definitions))
            .default_service(web::to(|| async {
                refusal(StatusCode::NOT_FOUND, "not_found", "no such path")
            }))
    };
    let server = HttpServer::new(app).workers(1).disable_signals().bind(listen)?;
    let address = server.addrs().first().copied().unwrap_or(listen);
    let server = server.run();
    Ok(BoundAdmin { handle: server.handle(), server, address })
}

async fn metrics(admin: Data<Admin>) -> HttpResponse {
    match admin.metrics.render(&admin.status, clock::wall_ms()) {
        Ok(text) => HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(text),
        Err(error) => refusal(StatusCode::INTERNAL_SERVER_ERROR, "metrics", &error.to_string()),
    }
}

async fn health() -> &'static str {
    "ok\n"
}

async fn readiness(admin: Data<Admin>) -> HttpResponse {
    match admin.status.readiness() {
        Ok(()) => HttpResponse::Ok().body("ready\n"),
        Err(reason) => refusal(StatusCode::SERVICE_UNAVAILABLE, "not_ready", &reason),
    }
}

async fn definitions(admin: Data<Admin>, request: HttpRequest, body: web::Payload) -> HttpResponse {
    let token = request
        .headers()
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "));
    if !may_define(&admin.definitions_token, token) {
        let detail = "want 'authorization: Bearer TOKEN' with the configured definitions_token";
        return refusal(StatusCode::UNAUTHORIZED, "unauthorized", detail);
    }
    // Nothing of the body is read for those who may not.
    let body = match body.to_bytes_limited(DEFINITIONS_BYTES_MAX).await {
        Ok(Ok(body)) => body,
        Ok(Err(error)) => return refusal(StatusCode::BAD_REQUEST, "unreadable_body", &error.to_string()),
        Err(_) => return too_large(),
    };
    let set = match parse(&body) {
        Ok(set) => set,
        Err(detail) => return refusal(StatusCode::BAD_REQUEST, "invalid_definitions", &detail),
    };
    if let Err(refused) = check(&admin, &set).await {
        return refused;
    }
    match admin.control.activate(&set).await {
        Ok(partitions) => {
            tracing::info!(definition_set = set.id, partitions, "definition set written to the log");
            HttpResponse::Accepted().json(json!({ "id": set.id, "partitions": partitions }))
        }
        Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)) => too_large(),
        Err(error) => {
            tracing::warn!(definition_set = set.id, %error, "definition set was not written to every partition");
            refusal(StatusCode::SERVICE_UNAVAILABLE, "kafka", &error.to_string())
        }
    }
}

/// Whether the tables remember the inserts of the set's flush interval for long enough.
async fn check(admin: &Admin, set: &DefinitionSet) -> Result<(), HttpResponse> {
    let away = |part, detail: String| refusal(StatusCode::SERVICE_UNAVAILABLE, part, &detail);
    let partitions = admin.control.partitions().await.map_err(|error| away("kafka", error.to_string()))?;
    let inserting = Inserting { partitions, timeouts: admin.timeouts, settings: &set.settings };
    match checks::check_windows(&admin.clickhouse, &inserting).await {
        Ok(()) => Ok(()),
        Err(CheckError::ClickHouse(error @ ClickHouseError::NoAnswer { .. })) => {
            Err(away("clickhouse", error.to_string()))
        }
        Err(error) => Err(refusal(StatusCode::CONFLICT, "tables", &error.to_string())),
    }
}

fn too_large() -> HttpResponse {
    let detail = format!(
        "a definition set may have {DEFINITIONS_BYTES_MAX} bytes, and no more than the topic's max.message.bytes"
    );
    refusal(StatusCode::PAYLOAD_TOO_LARGE, "too_large", &detail)
}

/// A set whose id fits its content, and whose numbers can be.
fn parse(body: &Bytes) -> Result<DefinitionSet, String> {
    let sent: DefinitionSet = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let id = sent.id;
    let set = DefinitionSet::new(sent.settings, sent.apps, sent.journeys).with_policies(sent.policies);
    if set.id != id {
        return Err(format!("id is {id:?}, but the content's is {:?}", set.id));
    }
    set.check_bounds().map_err(|error| error.to_string())?;
    Ok(set)
}

/// Takes the same time wherever the tokens differ.
fn may_define(configured: &str, given: Option<&str>) -> bool {
    let Some(given) = given else { return false };
    let same_bytes = configured.bytes().zip(given.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0;
    !configured.is_empty() && configured.len() == given.len() && same_bytes
}

fn refusal(status: StatusCode, error: &str, detail: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": error, "detail": detail }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use schema::definition::EngineSettings;

    #[test]
    fn only_the_configured_token_may_define() {
        assert!(may_define("secret", Some("secret")));
        for (configured, given) in [
            ("secret", None),
            ("secret", Some("")),
            ("secret", Some("secre")),
            ("secret", Some("secrets")),
            ("secret", Some("Secret")),
            ("", Some("")),
        ] {
            assert!(!may_define(configured, given), "{configured:?} {given:?}");
        }
    }

    #[test]
    fn the_id_must_fit_the_content() {
        let mut set = DefinitionSet::new(EngineSettings::default(), Vec::new(), Vec::new());
        let parse = |set: &DefinitionSet| parse(&Bytes::from(serde_json::to_vec(set).unwrap()));
        assert_eq!(parse(&set).unwrap(), set);
        set.settings.grace_ms += 1;
        assert!(parse(&set).unwrap_err().starts_with("id is "));
        let settings = EngineSettings { grace_ms: -1, ..EngineSettings::default() };
        let set = DefinitionSet::new(settings, Vec::new(), Vec::new());
        assert_eq!(parse(&set).unwrap_err(), "settings.grace_ms is -1, want 0 to 86400000");
    }
}
