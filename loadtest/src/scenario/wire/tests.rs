use super::super::{Profile, play};
use super::*;

const RUN_MS: i64 = 1_795_405_626_000;

fn first_of(format: Format) -> (Session, usize) {
    (0..2_000)
        .map(|number| play(1, number, Profile::Full, false))
        .find_map(|session| {
            let place = session.beacons.iter().position(|beacon| beacon.format == format)?;
            Some((session, place))
        })
        .unwrap()
}

fn rendered(format: Format) -> (Session, Request) {
    let (session, place) = first_of(format);
    let request = request(&session, &session.beacons[place], RUN_MS, RUN_MS + 5, false);
    (session, request)
}

fn json(format: Format) -> (Session, Json) {
    let (session, request) = rendered(format);
    (session, serde_json::from_slice(&request.plain_body_at(RUN_MS)).unwrap())
}

#[test]
fn only_the_time_of_sending_differs_between_two_sendings() {
    let (_, request) = rendered(Format::Native);
    let parse = |now_ms| -> Json { serde_json::from_slice(&request.plain_body_at(now_ms)).unwrap() };
    let (mut first, mut second) = (parse(RUN_MS + 10), parse(RUN_MS + 9_000));
    assert_eq!(first["sent_at"], RUN_MS + 10);
    assert_eq!(second["sent_at"], RUN_MS + 9_000);
    first["sent_at"] = Json::Null;
    second["sent_at"] = Json::Null;
    assert_eq!(first, second);
}

#[test]
fn a_wrong_clock_is_wrong_in_every_stamp() {
    let session = (0..2_000)
        .map(|number| play(1, number, Profile::Full, false))
        .find(|it| it.clock_error_ms != 0)
        .unwrap();
    let request = request(&session, &session.beacons[0], RUN_MS, RUN_MS, false);
    let body: Json = serde_json::from_slice(&request.plain_body_at(RUN_MS)).unwrap();
    assert_eq!(body["sent_at"], RUN_MS + session.clock_error_ms);
    let first = &session.beacons[0].events[0];
    assert_eq!(body["events"][0]["time"], RUN_MS + session.clock_error_ms + first.at_ms);
}

#[test]
fn every_format_is_sent_again_with_the_same_bytes_but_a_load_of_boomerang() {
    for format in Format::ALL {
        let (session, place) = first_of(format);
        let beacon = &session.beacons[place];
        let body = |again| {
            let request = request(&session, beacon, RUN_MS, RUN_MS, again);
            (request.target.clone(), request.plain_body_at(RUN_MS))
        };
        let is_load = matches!(format, Format::Boomerang | Format::BoomerangGet)
            && beacon.events[0].name == "browser.navigation";
        assert_eq!(body(false) == body(true), !is_load, "{format:?}");
    }
}

#[test]
fn faro_is_shaped_as_its_sdk_shapes_it() {
    let (session, body) = json(Format::Faro);
    assert_eq!(body["meta"]["session"]["id"], session_id(RUN_MS, session.number, 0));
    assert!(body["events"].as_array().unwrap().iter().all(|event| {
        event["timestamp"].as_str().is_some_and(|time| time.len() == 24 && time.ends_with('Z'))
    }));
}

#[test]
fn web_vitals_are_an_array_of_metrics() {
    let (_, body) = json(Format::WebVitals);
    assert!(body.as_array().unwrap().iter().all(|metric| metric["value"].is_number()));
}

#[test]
fn a_report_has_its_age_and_its_share() {
    let (_, body) = json(Format::NetworkErrors);
    for report in body.as_array().unwrap() {
        assert_eq!(report["type"], "network-error");
        assert!(report["age"].is_u64() && report["body"]["sampling_fraction"].is_f64(), "{report}");
    }
}

#[test]
fn otlp_is_the_same_in_both_notations() {
    use prost::Message as _;
    let (session, place) = first_of(Format::OtlpLogsProtobuf);
    let beacon = &session.beacons[place];
    let protobuf = request(&session, beacon, RUN_MS, RUN_MS, false);
    let json =
        request(&session, &Beacon { format: Format::OtlpLogsJson, ..beacon.clone() }, RUN_MS, RUN_MS, false);
    let json: Json = serde_json::from_slice(&json.plain_body_at(RUN_MS)).unwrap();
    let message = otlp::message::Logs::decode(protobuf.plain_body_at(RUN_MS).as_slice()).unwrap();
    let records = |scope: &Json| scope["logRecords"].as_array().unwrap().len();
    let scopes = json["resourceLogs"][0]["scopeLogs"].as_array().unwrap();
    assert_eq!(scopes.iter().map(records).sum::<usize>(), beacon.events.len());
    let decoded: usize =
        message.resource_logs[0].scope_logs.iter().map(|scope| scope.log_records.len()).sum();
    assert_eq!(decoded, beacon.events.len());
}

#[test]
fn a_gateway_names_the_key_of_each_resource() {
    let session = (0..2_000)
        .map(|number| play(1, number, Profile::Full, false))
        .find(|it| !it.others.is_empty())
        .unwrap();
    let beacon = Beacon { format: Format::OtlpLogsJson, ..session.beacons[0].clone() };
    let mut others = session.others.clone();
    others.iter_mut().for_each(|other| other.beacons[0].format = Format::OtlpLogsJson);
    let session = Session { others, ..session };
    let request = request(&session, &beacon, RUN_MS, RUN_MS, false);
    assert!(request.headers.iter().all(|(name, _)| *name != "x-api-key" && *name != "origin"));
    let body: Json = serde_json::from_slice(&request.plain_body_at(RUN_MS)).unwrap();
    let resources = body["resourceLogs"].as_array().unwrap();
    assert_eq!(resources.len(), 1 + session.others.len());
    for resource in resources {
        let attributes = resource["resource"]["attributes"].as_array().unwrap();
        assert!(attributes.iter().any(|attribute| attribute["key"] == "sli.write_key"), "{resource}");
    }
}

#[test]
fn a_compressed_body_is_what_it_was() {
    use std::io::Read as _;
    let request = Request { gzip: true, ..rendered(Format::OtlpLogsJson).1 };
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(request.body_at(RUN_MS).as_slice()).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, request.plain_body_at(RUN_MS));
}
