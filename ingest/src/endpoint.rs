//! The public endpoints: a request comes in, is admitted, made durable and answered.
//!
//! The order matters: what can be refused without the body is refused first, and nothing is answered 202 before
//! every record of the request is acknowledged. What a body means is its adapter's.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};
use std::rc::Rc;
use std::sync::Arc;

use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::web::{self, Data, Payload, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, guard};
use serde::Deserialize;
use serde_json::json;

use crate::adapter::{self, Format};
use crate::address::{Network, Proxies};
use crate::admission::objection::Objections;
use crate::admission::{Admission, Notation, Request};
use crate::apps::Apps;
use crate::body::budget::Budget;
use crate::config::Config;
use crate::connection::Serving;
use crate::durable::make_durable;
use crate::hints::{Hints, country_of};
use crate::log::Log;
use crate::metrics::Metrics;
use crate::rate::Limiter;
use crate::refusal::Refusal;
use crate::spool::Spool;
use crate::user_agent::{Cache, Client, Families};
use crate::{body, clock, cors};

/// Answers about user agents that each half of a worker's cache holds.
const CLIENTS_HALF_MAX: usize = 4_096;
/// Bytes of a user agent that are looked at, and remembered.
const USER_AGENT_BYTES_MAX: usize = 512;

/// What every request needs.
pub struct Service {
    /// Configuration.
    pub config: Config,
    /// Who may send.
    pub apps: Apps,
    /// Who tells a client's address.
    pub proxies: Proxies,
    /// How many requests may come.
    pub limiter: Arc<Limiter>,
    /// What all bodies may hold.
    pub bodies: Arc<Budget>,
    /// User agents.
    pub families: Families,
    /// Where beacons go.
    pub log: Arc<Log>,
    /// Where they go while the log does not answer.
    pub spool: Option<Arc<Spool>>,
    /// Counters.
    pub metrics: Arc<Metrics>,
}

/// What one worker thread reuses between requests.
struct Worker {
    clients: RefCell<Cache>,
    buffer: RefCell<Vec<u8>>,
    arrivals: Arrivals,
}

/// Numbers of requests that no other worker of any process gives: the worker's own random number and a count.
struct Arrivals {
    worker: u64,
    count: Cell<u64>,
}

impl Arrivals {
    fn new() -> Self {
        Self { worker: RandomState::new().hash_one(std::process::id()), count: Cell::new(0) }
    }

    fn next(&self) -> u64 {
        self.count.set(self.count.get() + 1);
        self.worker.wrapping_add(self.count.get())
    }
}

/// Parameters of the query that clients without headers use.
#[derive(Debug, Default, Deserialize)]
struct Query {
    key: Option<String>,
    session: Option<String>,
}

/// Adds the endpoints.
pub fn configure(routes: &mut ServiceConfig, service: &Data<Service>) {
    routes.app_data(Data::clone(service));
    routes.app_data(Data::new(Rc::new(Worker {
        clients: RefCell::new(Cache::new(CLIENTS_HALF_MAX)),
        buffer: RefCell::new(Vec::new()),
        arrivals: Arrivals::new(),
    })));
    for format in Format::ALL {
        let receive =
            move |request, payload, service, worker| receive(format, request, payload, service, worker);
        let preflight = move |request, service| preflight(format, request, service);
        let mut resource = web::resource(service.config.paths.of(format)).route(web::post().to(receive));
        if format.comes_by_get() {
            resource = resource.route(web::get().to(receive));
        }
        routes.service(
            resource
                .route(web::route().guard(guard::Options()).to(preflight))
                .default_service(web::to(move |request, service| wrong_method(format, request, service))),
        );
    }
}

async fn receive(
    format: Format,
    request: HttpRequest,
    payload: Payload,
    service: Data<Service>,
    worker: Data<Rc<Worker>>,
) -> HttpResponse {
    let _in_flight = service.metrics.begin();
    let serving = Serving::begin(&request);
    let notation = match *request.method() {
        Method::GET => Ok(Notation::Form),
        _ => body::notation(&request, format.content_types()),
    };
    let accepted = match notation {
        Ok(notation) => accept(format, notation, &serving, &request, payload, &service, &worker).await,
        Err(ref refusal) => Err(refusal.clone()),
    };
    let mut response = match accepted {
        Ok(response) => response,
        Err(refusal) => refuse(format, notation.unwrap_or_default(), &refusal, &service),
    };
    cors::expose(response.headers_mut(), request.headers().get(header::ORIGIN), &service.apps);
    response
}

async fn accept(
    format: Format,
    notation: Notation,
    serving: &Serving,
    request: &HttpRequest,
    payload: Payload,
    service: &Service,
    worker: &Worker,
) -> Result<HttpResponse, Refusal> {
    let headers = request.headers();
    let network = network_of(request, service);
    if let Some(network) = network {
        service.limiter.check_network(network, 1)?;
    }
    let query = query_of(request);
    let origin = cors::origin_of(request);
    let write_key = text_of(headers, "x-api-key").or(query.key.as_deref());
    let mut charged = None;
    if let Some(key) = write_key {
        let (app, slot) = service.apps.admit_at(key, origin)?;
        service.limiter.check_key(slot, 1)?;
        charged = Some((app.app.as_str(), slot));
    }
    let by_get = request.method() == Method::GET;
    let body = if by_get {
        None
    } else {
        let body = body::read(request, payload, &service.config.limits, &service.bodies, serving.share());
        Some(serving.receive(body).await?)
    };
    let client = client_of(headers, service, worker);
    let (hints, objections) = told_by(headers);
    let country = country_header(headers, &service.config.country_header);
    let parts = Request {
        body: body.as_ref().map_or(request.query_string().as_bytes(), |body| &body.bytes),
        write_key,
        origin,
        idempotency_key: text_of(headers, "idempotency-key"),
        session: text_of(headers, "x-faro-session-id").or(query.session.as_deref()),
        country: &country,
        client: &client,
        hints,
        objections,
        received_at_ms: clock::wall_ms(),
        arrival: worker.arrivals.next(),
        notation,
        apps: &service.apps,
    };
    let admission = format.adapt(&parts)?;
    if let Some(network) = network {
        service.limiter.check_network(network, admission.admitted.len().saturating_sub(1))?;
    }
    check_keys(&admission, charged, service)?;
    let started = clock::monotonic();
    let record_bytes =
        make_durable(&admission, &service.log, service.spool.as_deref(), &worker.buffer).await?;
    let seconds = clock::monotonic().duration_since(started).as_secs_f64();
    let events = admission.admitted.iter().map(|admitted| admitted.beacon.events.len()).sum();
    let response =
        if by_get { adapter::pixel() } else { format.answer(notation, events, &admission.rejected) };
    service.metrics.count_durable(format, response.status(), &admission, record_bytes, seconds);
    Ok(response)
}

/// The client's network, where it has a limit and is told.
fn network_of(request: &HttpRequest, service: &Service) -> Option<Network> {
    let limited = service.limiter.limits_networks();
    let peer = request.peer_addr().filter(|_| limited)?;
    service.proxies.client(peer.ip(), request.headers()).map(Network::of)
}

/// Each beacon counts, since one request may hold those of many sessions, and of several apps by the keys in its body.
/// The first one of the app whose key came in the head is `charged` already, to the slot of that key.
fn check_keys(
    admission: &Admission<'_>,
    charged: Option<(&str, usize)>,
    service: &Service,
) -> Result<(), Refusal> {
    for beacons in admission.admitted.chunk_by(|one, next| one.beacon.app == next.beacon.app) {
        let app = beacons.first().map_or("", |first| first.beacon.app.as_ref());
        let (slot, count) = match charged {
            Some((charged, slot)) if charged == app => (Some(slot), beacons.len().saturating_sub(1)),
            Some(_) | None => (service.apps.slot_of_app(app), beacons.len()),
        };
        if let Some(slot) = slot {
            service.limiter.check_key(slot, count)?;
        }
    }
    Ok(())
}

async fn preflight(format: Format, request: HttpRequest, service: Data<Service>) -> HttpResponse {
    let _serving = Serving::begin(&request);
    let mut response = match cors::preflight(&request, &service.apps) {
        Ok(response) => {
            service.metrics.count_preflight(format);
            response
        }
        Err(refusal) => refuse(format, Notation::default(), &refusal, &service),
    };
    cors::expose(response.headers_mut(), request.headers().get(header::ORIGIN), &service.apps);
    response
}

fn refuse(format: Format, notation: Notation, refusal: &Refusal, service: &Service) -> HttpResponse {
    let status = refusal.status();
    service.metrics.count_refused(Some(format), status.as_u16(), refusal.error());
    let mut response = format.refuse(notation, status, refusal.error(), &refusal.to_string());
    let retry_after_s = match refusal {
        Refusal::TooManyRequests { retry_after_s, .. } => Some(*retry_after_s),
        _ if status == StatusCode::SERVICE_UNAVAILABLE => Some(service.config.retry_after_s),
        _ => None,
    };
    if let Some(seconds) = retry_after_s {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// The answer where no endpoint is, counted.
pub async fn no_endpoint(request: HttpRequest, service: Data<Service>) -> HttpResponse {
    service.metrics.count_refused(None, StatusCode::NOT_FOUND.as_u16(), "not_found");
    not_found(request).await
}

/// The answer where no endpoint is.
pub async fn not_found(request: HttpRequest) -> HttpResponse {
    let _serving = Serving::begin(&request);
    HttpResponse::NotFound().json(json!({ "error": "not_found", "detail": "no endpoint has this path" }))
}

async fn wrong_method(format: Format, request: HttpRequest, service: Data<Service>) -> HttpResponse {
    let _serving = Serving::begin(&request);
    let status = StatusCode::METHOD_NOT_ALLOWED;
    service.metrics.count_refused(Some(format), status.as_u16(), "method_not_allowed");
    let (allow, detail) = if format.comes_by_get() {
        ("GET, POST, OPTIONS", "want GET or POST")
    } else {
        ("POST, OPTIONS", "want POST")
    };
    let notation = body::notation(&request, format.content_types()).unwrap_or_default();
    let mut response = format.refuse(notation, status, "method_not_allowed", detail);
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    response
}

fn client_of(headers: &HeaderMap, service: &Service, worker: &Worker) -> Rc<Client> {
    let text = text_of(headers, "user-agent").unwrap_or_default();
    let text = &text[..text.floor_char_boundary(USER_AGENT_BYTES_MAX)];
    worker.clients.borrow_mut().get(text, |text| service.families.parse(text))
}

/// What headers tell of the client that the user agent does not.
fn told_by(headers: &HeaderMap) -> (Hints, Objections) {
    let (mut hints, mut objections) = (Hints::default(), Objections::default());
    for (name, value) in headers {
        hints.note(name.as_str(), value.as_bytes());
        objections.note(name.as_str(), value.as_bytes());
    }
    (hints.settled(), objections)
}

fn country_header<'a>(headers: &'a HeaderMap, name: &str) -> Cow<'a, str> {
    if name.is_empty() {
        return Cow::Borrowed("");
    }
    text_of(headers, name).map_or(Cow::Borrowed(""), country_of)
}

fn query_of(request: &HttpRequest) -> Query {
    let query = request.query_string();
    if query.is_empty() {
        return Query::default();
    }
    web::Query::<Query>::from_query(query).map(web::Query::into_inner).unwrap_or_default()
}

fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().filter(|text| !text.is_empty())
}
