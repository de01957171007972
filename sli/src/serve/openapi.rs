//! The description of the API, its types from the structs that are sent.

use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

use super::api::{Refused, Slo, Slos};
use crate::numbers::Counts;

/// The description as an object of OpenAPI 3.1: <https://spec.openapis.org/oas/v3.1.0>.
pub(super) fn description() -> Value {
    let settings = SchemaSettings::draft2020_12()
        .with(|settings| settings.definitions_path = "/components/schemas".into());
    let mut generator = settings.into_generator();
    let slos = generator.subschema_for::<Slos>();
    let slo = generator.subschema_for::<Slo>();
    let counts = generator.subschema_for::<Counts>();
    let refused = generator.subschema_for::<Refused>();
    let schemas = generator.take_definitions(true);
    let text = json!({"type": "string"});
    let in_path = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": text});
    let in_query = |name: &str, required: bool, schema: Value| json!({"name": name, "in": "query", "required": required, "schema": schema});
    let key = vec![in_path("app"), in_path("journey"), in_path("objective")];
    let answer = |what: &str, schema: &schemars::Schema| json!({"description": what, "content": {"application/json": {"schema": schema}}});
    let operation = |id: &str, summary: &str, parameters: Vec<Value>, schema: &schemars::Schema| {
        json!({"get": {
            "operationId": id,
            "summary": summary,
            "parameters": parameters,
            "responses": {
                "200": answer("Read from ClickHouse now.", schema),
                "400": answer("A parameter is not right.", &refused),
                "404": answer("No such objective.", &refused),
                "503": answer("ClickHouse does not answer.", &refused),
            },
        }})
    };
    let filters =
        ["app", "journey", "owner", "product", "state"].map(|name| in_query(name, false, text.clone()));
    let window = [
        in_query("window_s", true, json!({"type": "integer", "minimum": 60, "description": "s"})),
        in_query(
            "until",
            false,
            json!({"type": "integer", "description": "s since the epoch; not beyond what is complete"}),
        ),
    ];
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "sli",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Service levels measured where the user is: objectives, how they stand, and how fast they burn.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/api/v1/slos": operation("list_slos", "Every objective over its window", filters.to_vec(), &slos),
            "/api/v1/slos/{app}/{journey}/{objective}":
                operation("get_slo", "One objective, with burn and hours", key.clone(), &slo),
            "/api/v1/slos/{app}/{journey}/{objective}/counts":
                operation("get_counts", "Good and valid attempts of a window", [key, window.to_vec()].concat(), &counts),
        },
        "components": {"schemas": schemas},
    })
}
