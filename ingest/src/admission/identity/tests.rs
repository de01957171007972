use proptest::prelude::*;

use super::*;

fn clean(text: &str) -> String {
    cleaned(Cow::Borrowed(text), &[Template::try_from("/lectures/:lecture".to_owned()).unwrap()]).into_owned()
}

#[test]
fn names_are_sorted_so_that_each_is_found() {
    assert!(NAMES.is_sorted_by(|a, b| a < b));
    assert!(NAMES.iter().all(|name| name.len() <= NAME_BYTES_MAX && NAME_BYTES_MAX < 32));
    for name in NAMES {
        assert!(names_identity(name) && names_identity(&name.to_uppercase()), "{name}");
        assert!(!names_identity(&format!("{name}~")), "{name}");
    }
    for name in [
        "user.anything",
        "Enduser.id",
        "user-agent",
        "User Name",
        "http.request.header.cookie",
        "x-forwarded-for",
        "client_ip",
    ] {
        assert!(names_identity(name), "{name}");
    }
    for name in [
        "",
        "grade",
        "journey",
        "userAction",
        "user_plan",
        "type",
        "id",
        "name",
        "status",
        "üser",
        &"u".repeat(300),
    ] {
        assert!(!names_identity(name), "{name}");
    }
}

#[test]
fn what_identifies_nobody_stays_as_it_is() {
    for text in [
        "",
        "watch-lecture",
        "lecture.open",
        "v6-1795405625553-2466434463563",
        "2026.11.3",
        "Open the lecture",
        "button#submit.primary",
        "a: b = c",
        "TypeError: x is not a function",
        "Cannot read properties of undefined (reading 'x')",
        "50% of 3:4",
        "std::vec::Vec",
        "ad::fab",
        "12:30:45",
        "really?",
        "3 @ x.y",
        "react@18.2.0",
        "@scope",
        "50%40",
        ":mail",
        "a :address b",
        "token=:hidden",
        ":user_agent",
        "/lectures/:lecture",
        "and/or",
        "x ? y : z",
        "1.2.3",
        "300.1.2.3",
        "items[0]=1",
        "No cookie found: try again",
        "100%25=1",
    ] {
        assert_eq!(clean(text), text);
    }
}

#[test]
fn what_identifies_a_user_is_replaced() {
    let check = |text: &str, expect: &str| assert_eq!(clean(text), expect, "{text}");
    check("me@school.example", ":mail");
    check("mail me+x@b.school.example, please", "mail :mail, please");
    check("<me@school.example>", "<:mail>");
    check("me%40school.example", ":mail");
    check("mailto:me@school.example", "mailto::mail");
    check("203.0.113.7", ":address");
    check("from 203.0.113.7:443.", "from :address");
    check("[2001:db8::17]:443 (::1)", "[:address]:443 (:address)");
    check("fe80::1%eth0", ":address");
    check("eyJhbGciOi.eyJzdWIiOi.c2ln", ":token");
    check("Bearer abc.def", "Bearer :hidden");
    check("got Authorization: Basic dTpw", "got Authorization: :hidden");
    check("https://h/cb #access_token=ya29.x&state=1", "/cb #access_token=:hidden&state=1");
    check("callback#access_token=ya29", "callback#access_token=:hidden");
    check("user[password]=hunter2&n=1", "user[password]=:hidden&n=1");
    check("form[user][0]=me", "form[user][0]=:hidden");
    check("password=\"\" token=\"abc\"", "password=\"\" token=\":hidden\"");
    check("to=https%3A%2F%2Fh%3Ftoken%3Dabc%26a%3D1&b=2", "to=https%3A%2F%2Fh%3Ftoken%3D:hidden&b=2");
    check("password[]=hunter2", "password[]=:hidden");
    check("form%5Bpassword%5D=hunter2", "form%5Bpassword%5D=:hidden");
    check("{user[password]:hunter2}", "{user[password]::hidden}");
    check("user[password]: hunter2", "user[password]: :hidden");
    check("a=1&password=\"hunter2\"", "a=1&password=\":hidden\"");
    check("password: \"correct horse\", n: 1", "password: \":hidden\", n: 1");
    check("Authorization: Token 0123 n", "Authorization: :hidden");
    check("{\"authorization\":\"ApiKey 0123\"}", "{\"authorization\":\":hidden");
    check("authorization=Token 0123", "authorization=:hidden");
    check("Cookie: a=1; session=xyz", "Cookie: :hidden");
    check("cookie:a=1; session=xyz", "cookie::hidden");
    check("document.cookie = \"a=1; session=xyz\"", "document.cookie = \":hidden");
    check("req.headers[set-cookie]=a=1;session=xyz", "req.headers[set-cookie]=:hidden");
    check("X-Api-Key: 0123", "X-Api-Key: :hidden");
    check("Bearer\tabc", "Bearer\t:hidden");
    check("#eyJhbGciOi.eyJzdWIiOi.c2ln", "#:token");
    check("password=hunter2&next=1;x", "password=:hidden&next=1;x");
    check("failed {\"userId\":\"u-17\",\"n\":1}", "failed {\"userId\":\":hidden\",\"n\":1}");
    check("email: me", "email: :hidden");
    check("email:me", "email::hidden");
    check("{\"userId\":17}", "{\"userId\"::hidden");
    check("user_id = 17", "user_id = :hidden");
    check("sent Mozilla/5.0 (X11; Linux)", "sent :user_agent");
}

#[test]
fn of_a_url_only_the_route_is_left() {
    let check = |text: &str, expect: &str| assert_eq!(clean(text), expect, "{text}");
    check("https://me:pass@h.example/lectures/intro?user=1#t", "/lectures/:lecture");
    check("GET https://h/u/12345678?a=b, then", "GET /u/:id then");
    check("(https://h/a)", "(/a");
    check("to=https://h/a?secret", "to=/a");
    check("token=https://h/a", "token=:hidden");
    check("/search/x?q=me", "/search/x");
    check("search?q=me&p=2", "search");
    check("a \"/u/12345678#me\" b", "a \"/u/:id\" b");
    check("wss://h?x=(y)z", "/");
    check("http ://", "http /");
    check("a:/://h/b", "a:/b");
}

#[test]
fn whole_ids_are_known() {
    for (text, expect) in [
        ("me@school.example", true),
        ("me%40school.example", true),
        ("203.0.113.7", true),
        ("2001:db8::17", true),
        ("eyJhbGciOi.eyJzdWIiOi.c2ln", true),
        ("id-eyJhbGciOi.eyJzdWIiOi.c2ln", true),
        ("Bearer abc", true),
        ("Basically", false),
        ("s-81f0c2d4", false),
        ("69e87eb6-cb01-4380-bfc2-65af9be09929", false),
        ("b353fcee-2846-4d67-a613-f85485c4777a-toxrv6", false),
        ("a:b:c", false),
    ] {
        assert_eq!(is_identity(text), expect, "{text}");
    }
}

proptest! {
    #[test]
    fn a_secret_is_found_among_anything(
        before in "[ -~é]{0,20}",
        secret in prop::sample::select(vec![
            "zq7xw@school.example", "203.0.113.77", "https://zq7xw:zq7xw@h/?zq7xw#zq7xw", "eyJzq7xw.zq7xw.zq7xw", "Mozilla/5.0 zq7xw",
        ]),
        after in "[ -~é]{0,20}",
    ) {
        let clean = clean(&format!("{before} {secret} {after}"));
        prop_assert!(!clean.contains("zq7xw") && !clean.contains("113.77"), "{}", clean);
    }
}
