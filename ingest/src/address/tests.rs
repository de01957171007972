use actix_web::http::header::{HeaderName, HeaderValue};

use super::*;

fn client(header: &str, peer: &str, lines: &[(&'static str, &str)]) -> Option<String> {
    let proxies = Proxies::parse("10.0.0.0/8, fd00::/8,127.0.0.1", header).unwrap();
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(&bytes_of(value)).unwrap());
    }
    proxies.client(peer.parse().unwrap(), &headers).map(|address| address.to_string())
}

/// The text, with a byte that is no text for each `~`.
fn bytes_of(text: &str) -> Vec<u8> {
    text.bytes().map(|byte| if byte == b'~' { 0xff } else { byte }).collect()
}

#[test]
fn only_trusted_proxies_tell_the_client_s_address() {
    let check = |peer: &str, lines: &[&str], expect: Option<&str>| {
        let lines: Vec<_> = lines.iter().map(|value| (X_FORWARDED_FOR, *value)).collect();
        assert_eq!(client(X_FORWARDED_FOR, peer, &lines).as_deref(), expect, "{peer} {lines:?}");
    };
    // Who is no proxy speaks for himself.
    check("203.0.113.9", &[], Some("203.0.113.9"));
    check("203.0.113.9", &["198.51.100.1"], Some("203.0.113.9"));
    check("203.0.113.9", &["10.0.0.1"], Some("203.0.113.9"));
    // A proxy speaks for the one before it, and what that one claims does not count.
    check("10.0.0.1", &["198.51.100.1"], Some("198.51.100.1"));
    check("10.0.0.1", &["1.1.1.1, 198.51.100.1"], Some("198.51.100.1"));
    check("10.0.0.1", &["1.1.1.1, 198.51.100.1 , 10.9.9.9"], Some("198.51.100.1"));
    check("10.0.0.1", &["1.1.1.1", "198.51.100.1,10.2.2.2"], Some("198.51.100.1"));
    check("10.0.0.1", &["198.51.100.1:4711"], Some("198.51.100.1"));
    check("10.0.0.1", &["[2001:db8::1]:4711"], Some("2001:db8::1"));
    check("10.0.0.1", &["2001:db8::1, fd00::7"], Some("2001:db8::1"));
    check("::ffff:10.0.0.1", &["::ffff:198.51.100.1"], Some("198.51.100.1"));
    // Whatever a client writes before it, what the proxy appended is read.
    check("10.0.0.1", &["~, 198.51.100.1"], Some("198.51.100.1"));
    check("10.0.0.1", &["~", "~~,198.51.100.1, 10.2.2.2"], Some("198.51.100.1"));
    // Nothing that could be read: the proxy's own address rather than a wrong one, or none.
    check("10.0.0.1", &[], None);
    check("10.0.0.1", &["~"], Some("10.0.0.1"));
    check("10.0.0.1", &["10.3.3.3"], Some("10.3.3.3"));
    check("10.0.0.1", &["198.51.100.1, unknown"], Some("10.0.0.1"));
    check("10.0.0.1", &["198.51.100.1,"], Some("10.0.0.1"));
    check("10.0.0.1", &["1.2.3.4", "10.0.0.2,".repeat(200).as_str()], Some("10.0.0.1"));
    let long = format!("198.51.100.1{}", ", 10.0.0.2".repeat(HOPS_MAX));
    check("10.0.0.1", &[&long], Some("10.0.0.2"));
}

#[test]
fn one_header_is_read_and_the_other_is_not() {
    let both = [
        (X_FORWARDED_FOR, "198.51.100.1"),
        (FORWARDED, "for=192.0.2.60;proto=http, For=\"[2001:db8::1]:80\""),
    ];
    assert_eq!(client(X_FORWARDED_FOR, "10.0.0.1", &both).as_deref(), Some("198.51.100.1"));
    assert_eq!(client(FORWARDED, "10.0.0.1", &both).as_deref(), Some("2001:db8::1"));
    assert_eq!(client("", "10.0.0.1", &both), None);
    for value in ["for=_hidden", "by=10.0.0.1", "for=", "for=\"[2001:db8::1\""] {
        let found = client(FORWARDED, "10.0.0.1", &[(FORWARDED, value)]);
        assert_eq!(found.as_deref(), Some("10.0.0.1"), "{value}");
    }
}

#[test]
fn clients_share_a_network_of_24_or_48_bits() {
    let of = |text: &str| Network::of(text.parse().unwrap());
    assert_eq!(of("203.0.113.0"), of("203.0.113.255"));
    assert_eq!(of("203.0.113.7"), of("::ffff:203.0.113.9"));
    assert_ne!(of("203.0.113.255"), of("203.0.114.0"));
    assert_eq!(of("2001:db8:7::1"), of("2001:db8:7:ffff::"));
    assert_ne!(of("2001:db8:7::1"), of("2001:db8:8::1"));
    let hasher = RandomState::new();
    assert_eq!(of("203.0.113.1").slot(&hasher, 64), of("203.0.113.2").slot(&hasher, 64));
    assert!((0..100).all(|n| Network(n).slot(&hasher, 8) < 8));
}

#[test]
fn a_bad_list_is_refused_by_key() {
    let key = |networks: &str, header: &str| Proxies::parse(networks, header).map_err(|(key, _)| key);
    assert!(key("", "").is_ok());
    assert!(key("::1, 192.0.2.0/24", FORWARDED).is_ok());
    assert_eq!(key("192.0.2.0/33", ""), Err("trusted_proxies"));
    assert_eq!(key("proxy.example", ""), Err("trusted_proxies"));
    assert_eq!(key("", "x-real-ip"), Err("forwarded_header"));
}
