//! The description of the endpoints against the server: schemathesis makes requests of it, right ones and wrong ones,
//! and holds each answer to it.

use std::path::Path;
use std::process::Command;

use deploy::cache::Cache;
use serde_json::Value;

use crate::stand::Stand;

/// Pinned packages of PyPI.
const REQUIREMENTS: &str = "tests/it/openapi/requirements.txt";
/// What is expected of each answer.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method,allow_header_conformance";
/// Generated requests of an operation, beside those that cover its description.
const REQUESTS_MAX: &str = "15";

#[tokio::test(flavor = "multi_thread")]
async fn the_server_keeps_its_description() {
    let stand = Stand::start().await;
    let description = Command::new(env!("CARGO_BIN_EXE_ingest")).arg("--openapi").output().unwrap();
    assert!(description.status.success(), "{description:?}");
    let (status, served) = stand.admin("/openapi.json").await;
    assert_eq!(status, 200);
    let printed: Value = serde_json::from_slice(&description.stdout).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&served).unwrap(), printed);

    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("openapi.json");
    std::fs::write(&file, &description.stdout).unwrap();
    let requirements = Path::new(env!("CARGO_MANIFEST_DIR")).join(REQUIREMENTS);
    let packages = Cache::of_user().unwrap().python_packages(&requirements).unwrap();
    let mut schemathesis = Command::new("python3");
    schemathesis
        .args(["-m", "schemathesis.cli", "run"])
        .arg(&file)
        .args(["--url", &format!("http://{}", stand.ingest.address())])
        .args(["--header", "x-api-key: web-key", "--checks", CHECKS, "--max-examples", REQUESTS_MAX])
        .args(["--phases", "coverage,fuzzing", "--seed", "7", "--no-color", "--continue-on-failure"])
        .args(["--generation-database", "none", "--warnings", "off", "--suppress-health-check", "all"])
        .env("PYTHONPATH", packages)
        .current_dir(dir.path());
    let run = tokio::task::spawn_blocking(move || schemathesis.output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success(), "{said}\n{}", String::from_utf8_lossy(&run.stderr));
    assert!(said.contains("No issues found"), "{said}");
    stand.ingest.stop().await;
}
