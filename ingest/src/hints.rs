//! What the headers of client hints say, beside the user agent, and a proxy's header with the country.
//!
//! Browsers based on Chromium tell brand, system and kind of device in headers of their own
//! (<https://wicg.github.io/ua-client-hints/>), and their user agents say less from year to year; those on the network
//! (<https://wicg.github.io/netinfo/#networkinformation-interface>) come where a page lets them. Only words of the lists
//! here are kept, so that nothing of a header reaches a record as it was sent.

use std::borrow::Cow;

use crate::user_agent::Client;

/// Brands and their families as user agents name them.
const BRANDS: [(&str, &str); 12] = [
    ("Android WebView", "Chrome Mobile WebView"),
    ("Avast Secure Browser", "Avast Secure Browser"),
    ("Brave", "Brave"),
    ("Chromium", CHROMIUM),
    ("DuckDuckGo", "DuckDuckGo"),
    ("Google Chrome", CHROME),
    ("Microsoft Edge", "Edge"),
    ("Opera", "Opera"),
    ("Opera GX", "Opera"),
    ("Samsung Internet", "Samsung Internet"),
    ("Vivaldi", "Vivaldi"),
    ("YaBrowser", "Yandex Browser"),
];
/// Brand of a browser without a window.
const HEADLESS: &str = "HeadlessChrome";
/// What others are built on says less than what they are.
const CHROMIUM: &str = "Chromium";
const CHROME: &str = "Chrome";
/// Systems and their families as user agents name them.
const SYSTEMS: [(&str, &str); 7] = [
    ("Android", "Android"),
    ("Chrome OS", "Chrome OS"),
    ("Chromium OS", "Chrome OS"),
    ("Linux", LINUX),
    ("Windows", "Windows"),
    ("iOS", "iOS"),
    ("macOS", "Mac OS X"),
];
const LINUX: &str = "Linux";
/// Effective connection types.
const CONNECTIONS: [&str; 4] = ["slow-2g", "2g", "3g", "4g"];
/// Least round trip in ms, and largest bandwidth in Mbit/s, of the connection types but the fastest.
const THRESHOLDS: [(f64, f64, &str); 3] =
    [(2_000.0, 0.05, "slow-2g"), (1_400.0, 0.07, "2g"), (270.0, 0.7, "3g")];
/// Country codes of proxies that know none.
const NO_COUNTRY: [&str; 2] = ["XX", "ZZ"];

/// What headers say; empty where they say nothing.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Hints {
    os: &'static str,
    browser: &'static str,
    device_class: &'static str,
    is_mobile: Option<bool>,
    /// Effective connection type, or `save-data` where only the wish to save data is known.
    pub connection: &'static str,
    /// Whether the brand is that of a browser without a window.
    pub headless: bool,
    /// What the connection's type follows from where it is not told.
    round_trip_ms: Option<f64>,
    downlink_mbps: Option<f64>,
    saves_data: bool,
}

impl Hints {
    /// Takes note of a header; `name` is in lower case.
    pub fn note(&mut self, name: &str, value: &[u8]) {
        let known = matches!(
            name,
            "sec-ch-ua"
                | "sec-ch-ua-platform"
                | "sec-ch-ua-mobile"
                | "sec-ch-ua-form-factors"
                | "ect"
                | "rtt"
                | "downlink"
                | "save-data"
        );
        let Some(value) = known.then(|| std::str::from_utf8(value).ok()).flatten() else { return };
        let number = || value.trim().parse::<f64>().ok().filter(|number| *number >= 0.0);
        match name {
            "sec-ch-ua" => self.note_brands(value),
            "sec-ch-ua-platform" => {
                self.os = of(&SYSTEMS, value.trim().trim_matches('"')).unwrap_or_default()
            }
            "sec-ch-ua-mobile" => {
                self.is_mobile =
                    ["?0", "?1"].iter().position(|known| *known == value.trim()).map(|place| place == 1)
            }
            "sec-ch-ua-form-factors" => {
                let factors = [("Tablet", "tablet"), ("Mobile", "mobile"), ("Desktop", "desktop")];
                self.device_class =
                    value.split('"').find_map(|factor| of(&factors, factor)).unwrap_or_default();
            }
            "ect" => {
                self.connection =
                    CONNECTIONS.iter().find(|known| **known == value.trim()).copied().unwrap_or_default()
            }
            "rtt" => self.round_trip_ms = number(),
            "downlink" => self.downlink_mbps = number(),
            _ => self.saves_data = value.trim().eq_ignore_ascii_case("on"),
        }
    }

    /// Says what follows from all headers together.
    pub fn settled(mut self) -> Self {
        let is_measured = self.round_trip_ms.is_some() || self.downlink_mbps.is_some();
        if self.connection.is_empty() && is_measured {
            let slow = THRESHOLDS.iter().find(|(round_trip_ms, downlink_mbps, _)| {
                self.round_trip_ms.is_some_and(|ms| ms >= *round_trip_ms)
                    || self.downlink_mbps.is_some_and(|mbps| mbps <= *downlink_mbps)
            });
            self.connection = slow.map_or("4g", |(_, _, connection)| connection);
        } else if self.connection.is_empty() && self.saves_data {
            self.connection = "save-data";
        }
        self
    }

    fn note_brands(&mut self, value: &str) {
        for brand in value.split('"') {
            self.headless |= brand == HEADLESS;
            let Some(family) = of(&BRANDS, brand) else { continue };
            let says_more =
                |than: &str| matches!(than, "" | CHROMIUM) || (than == CHROME && family != CHROMIUM);
            if says_more(self.browser) {
                self.browser = family;
            }
        }
    }

    /// Family of the system. That it is some Linux says less than a user agent that knows which.
    pub fn os<'c>(&self, client: &'c Client) -> &'c str
    where
        'static: 'c,
    {
        let says_less = self.os.is_empty() || (self.os == LINUX && !client.os.is_empty());
        if says_less { &client.os } else { self.os }
    }

    /// Family of the browser: the brand, where the user agent does not say it already, such as `Edge Mobile`.
    pub fn browser<'c>(&self, client: &'c Client) -> &'c str
    where
        'static: 'c,
    {
        let says_less = matches!(self.browser, "" | CHROME | CHROMIUM) && !client.browser.is_empty();
        if says_less || client.browser.starts_with(self.browser) && !client.browser.is_empty() {
            &client.browser
        } else {
            self.browser
        }
    }

    /// Class of the device: the form factor, else what the user agent says, unless the browser says that it is mobile.
    pub fn device_class(&self, client: &Client) -> &'static str {
        match (self.device_class, self.is_mobile, client.device_class) {
            ("", Some(true), "" | "desktop") => "mobile",
            ("", Some(false), "") => "desktop",
            ("", _, class) => class,
            (class, ..) => class,
        }
    }
}

fn of(list: &[(&str, &'static str)], name: &str) -> Option<&'static str> {
    list.iter().find(|(known, _)| *known == name).map(|(_, family)| *family)
}

/// A country of a proxy's header: two letters, in upper case; empty where there are none, or the proxy knows none.
pub fn country_of(text: &str) -> Cow<'_, str> {
    let code = text.trim();
    if code.len() != 2 || !code.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Cow::Borrowed("");
    }
    let code = if code.bytes().all(|byte| byte.is_ascii_uppercase()) {
        Cow::Borrowed(code)
    } else {
        Cow::Owned(code.to_ascii_uppercase())
    };
    if NO_COUNTRY.contains(&code.as_ref()) { Cow::Borrowed("") } else { code }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints(headers: &[(&str, &str)]) -> Hints {
        let mut hints = Hints::default();
        for (name, value) in headers {
            hints.note(name, value.as_bytes());
        }
        hints.settled()
    }

    const CHROME_BRANDS: &str = r#""Google Chrome";v="131", "Chromium";v="131", "Not_A Brand";v="24""#;

    #[test]
    fn hints_say_more_than_the_user_agent() {
        let chrome = |os: &str, class| Client {
            os: os.into(),
            browser: "Chrome".into(),
            device_class: class,
            bot: false,
        };
        let check = |client: &Client, headers: &[(&str, &str)], expect: (&str, &str, &str)| {
            let hints = hints(headers);
            let found = (hints.os(client), hints.browser(client), hints.device_class(client));
            assert_eq!(found, expect, "{headers:?}");
        };
        let desktop = chrome("Windows", "desktop");
        check(&desktop, &[], ("Windows", "Chrome", "desktop"));
        check(
            &desktop,
            &[
                ("sec-ch-ua", CHROME_BRANDS),
                ("sec-ch-ua-mobile", "?0"),
                ("sec-ch-ua-platform", "\"Windows\""),
            ],
            ("Windows", "Chrome", "desktop"),
        );
        let brave = r#""Chromium";v="131", "Brave";v="131", "Not_A Brand";v="24""#;
        check(
            &desktop,
            &[("sec-ch-ua", brave), ("sec-ch-ua-platform", "\"macOS\"")],
            ("Mac OS X", "Brave", "desktop"),
        );
        let edge = r#""Microsoft Edge";v="131", "Chromium";v="131", "\"Not;A Brand";v="24""#;
        let mobile = Client { browser: "Edge Mobile".into(), ..chrome("Android", "mobile") };
        check(
            &mobile,
            &[("sec-ch-ua", edge), ("sec-ch-ua-mobile", "?1")],
            ("Android", "Edge Mobile", "mobile"),
        );
        check(
            &chrome("Ubuntu", "desktop"),
            &[("sec-ch-ua-platform", "\"Linux\"")],
            ("Ubuntu", "Chrome", "desktop"),
        );
        // A phone that asks for the desktop's page, and one whose user agent says nothing.
        check(
            &chrome("Linux", "desktop"),
            &[("sec-ch-ua-mobile", "?1"), ("sec-ch-ua-platform", "\"Android\"")],
            ("Android", "Chrome", "mobile"),
        );
        check(
            &Client::default(),
            &[("sec-ch-ua", CHROME_BRANDS), ("sec-ch-ua-mobile", "?0")],
            ("", "Chrome", "desktop"),
        );
        check(
            &chrome("Android", "mobile"),
            &[("sec-ch-ua-form-factors", "\"Tablet\", \"XR\"")],
            ("Android", "Chrome", "tablet"),
        );
        check(&chrome("Android", "tablet"), &[("sec-ch-ua-mobile", "?1")], ("Android", "Chrome", "tablet"));
    }

    #[test]
    fn nothing_of_a_header_is_kept_as_it_was_sent() {
        let secret = hints(&[
            ("sec-ch-ua", "\"s3cret\";v=\"1\""),
            ("sec-ch-ua-platform", "\"s3cret\""),
            ("sec-ch-ua-mobile", "s3cret"),
            ("sec-ch-ua-form-factors", "s3cret"),
            ("ect", "s3cret"),
            ("rtt", "NaN"),
            ("downlink", "-1"),
            ("save-data", "s3cret"),
            ("sec-ch-ua-model", "\"s3cret\""),
        ]);
        assert_eq!(secret, Hints::default());
    }

    #[test]
    fn a_browser_without_window_says_so_in_its_brand() {
        assert!(hints(&[("sec-ch-ua", "\"HeadlessChrome\";v=\"131\", \"Chromium\";v=\"131\"")]).headless);
        assert!(!hints(&[("sec-ch-ua", CHROME_BRANDS)]).headless);
    }

    #[test]
    fn the_connection_is_told_or_follows_from_what_was_measured() {
        let check = |headers: &[(&str, &str)], expect: &str| {
            assert_eq!(hints(headers).connection, expect, "{headers:?}")
        };
        check(&[], "");
        check(&[("ect", "3g"), ("downlink", "10"), ("save-data", "on")], "3g");
        check(&[("downlink", "10")], "4g");
        check(&[("downlink", "0.7")], "3g");
        check(&[("rtt", "50"), ("downlink", "0.05")], "slow-2g");
        check(&[("rtt", "1400")], "2g");
        check(&[("rtt", "269")], "4g");
        check(&[("save-data", "on")], "save-data");
        check(&[("save-data", "off")], "");
        check(&[("ect", "5g")], "");
    }

    #[test]
    fn a_country_has_two_letters() {
        for (text, expect) in [
            ("GH", "GH"),
            (" gh ", "GH"),
            ("XX", ""),
            ("zz", ""),
            ("T1", ""),
            ("GHA", ""),
            ("G", ""),
            ("", ""),
            ("GÜ", ""),
            ("é", ""),
        ] {
            assert_eq!(country_of(text), expect, "{text}");
        }
    }
}
