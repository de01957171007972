//! The admin server: metrics, health and readiness. Not for clients' traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::web::{self, Data, ServiceConfig};
use serde_json::json;

use crate::body::budget::Budget;
use crate::endpoint::not_found;
use crate::log::{Log, LogState};
use crate::metrics::Metrics;
use crate::spool::Spool;

/// Ready while the log has confirmed something within this: a tick is written each second.
pub const LIVE_WITHIN: Duration = Duration::from_secs(5);

/// What the admin server tells.
pub struct Admin {
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// The log.
    pub log: Arc<Log>,
    /// What bodies hold.
    pub bodies: Arc<Budget>,
    /// Where beacons go while it does not answer.
    pub spool: Option<Arc<Spool>>,
    /// Description of the public endpoints.
    pub openapi: String,
    /// Whether the process was told to stop.
    pub stopping: Arc<AtomicBool>,
}

/// Adds the endpoints.
pub fn configure(routes: &mut ServiceConfig, admin: &Data<Admin>) {
    routes
        .app_data(Data::clone(admin))
        .route("/metrics", web::get().to(metrics))
        .route("/healthz", web::get().to(health))
        .route("/readyz", web::get().to(readiness))
        .route("/openapi.json", web::get().to(openapi))
        .default_service(web::to(not_found));
}

async fn metrics(admin: Data<Admin>) -> HttpResponse {
    if let Some(spool) = &admin.spool {
        spool.refresh(!admin.log.takes() || spool.is_behind());
    }
    match admin.metrics.render(&admin.log, &admin.bodies) {
        Ok(text) => HttpResponse::Ok().content_type(prometheus::TEXT_FORMAT).body(text),
        Err(error) => {
            let detail = error.to_string();
            HttpResponse::InternalServerError().json(json!({ "error": "metrics", "detail": detail }))
        }
    }
}

async fn openapi(admin: Data<Admin>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(admin.openapi.clone())
}

async fn health() -> &'static str {
    "ok\n"
}

async fn readiness(admin: Data<Admin>) -> HttpResponse {
    let detail = if admin.stopping.load(Ordering::Relaxed) {
        "stopping".to_owned()
    } else if let LogState::Wrong(reason) = admin.log.state() {
        reason
    } else if admin.log.is_live(LIVE_WITHIN) && admin.log.state() == LogState::Answers {
        return HttpResponse::Ok().body("ready\n");
    } else {
        let away = format!("the log has confirmed nothing for {} s", LIVE_WITHIN.as_secs());
        match admin.spool.as_ref().map(|spool| (spool, spool.refusal())) {
            None if admin.log.is_live(LIVE_WITHIN) => return HttpResponse::Ok().body("ready\n"),
            None => away,
            Some((_, Some(refusal))) => format!("{away}, and {refusal}"),
            Some((spool, None)) => {
                let records = spool.records();
                let text = format!("ready: the log does not answer, {records} beacons are in the spool\n");
                return HttpResponse::Ok().body(text);
            }
        }
    };
    HttpResponse::ServiceUnavailable().json(json!({ "error": "not_ready", "detail": detail }))
}
