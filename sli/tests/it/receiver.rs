//! An HTTP server that keeps what it is sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use actix_web::{App, HttpResponse, HttpServer, web};
use serde_json::Value;

/// What was sent and nobody has taken yet.
pub(crate) type Told = Arc<Mutex<VecDeque<Value>>>;

/// Takes JSON at `path`; gives its base URL.
pub(crate) fn receiver(path: &'static str) -> (String, Told) {
    let told = Told::default();
    let state = web::Data::new(Arc::clone(&told));
    let server = HttpServer::new(move || {
        App::new().app_data(state.clone()).app_data(web::JsonConfig::default().limit(1 << 20)).route(
            path,
            web::post().to(async |told: web::Data<Told>, body: web::Json<Value>| {
                told.lock().unwrap().push_back(body.into_inner());
                HttpResponse::Ok().finish()
            }),
        )
    })
    .workers(1)
    .bind("127.0.0.1:0")
    .unwrap();
    let address = server.addrs()[0];
    tokio::spawn(server.run());
    (format!("http://{address}"), told)
}
