//! What a user agent says: families of system and browser, class of device, and whether it is a bot. The text
//! itself is not kept beyond the cache.
//!
//! Parsing runs hundreds of patterns, so each worker has a bounded cache. The families are `uap-core`'s; the class
//! of device follows the words that browsers put there for this purpose
//! (<https://developer.mozilla.org/docs/Web/HTTP/Guides/Browser_detection_using_the_user_agent>).

use std::collections::HashMap;
use std::rc::Rc;

use uaparser::{Parser, UserAgentParser};

/// Database of families, Apache-2.0, see `uap-core/README.md`.
const FAMILIES: &[u8] = include_bytes!("../uap-core/regexes.yaml");
/// Bytes of a user agent that are looked at.
const BYTES_MAX: usize = 512;
/// What `uap-core` answers when it does not know.
const UNKNOWN: &str = "Other";
/// Words of clients that no person sits at, beside `bot` and what `uap-core` knows as spiders.
const BOT_WORDS: [&str; 12] = [
    "headless",
    "crawl",
    "spider",
    "slurp",
    "lighthouse",
    "phantomjs",
    "puppeteer",
    "playwright",
    "selenium",
    "pingdom",
    "uptime",
    "monitoring",
];

/// What is kept of a user agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// Family of the operating system, empty when not known.
    pub os: String,
    /// Family of the browser, empty when not known.
    pub browser: String,
    /// `desktop`, `mobile`, `tablet`, or empty.
    pub device_class: &'static str,
    /// Whether no person sits there.
    pub bot: bool,
}

/// The database did not load.
#[derive(Debug, thiserror::Error)]
#[error("the database of user agents does not load: {0}")]
pub struct FamiliesError(String);

/// The database of families.
pub struct Families(UserAgentParser);

impl Families {
    /// Compiles the database; takes a noticeable part of a second.
    ///
    /// # Errors
    /// When the embedded file is damaged.
    pub fn load() -> Result<Self, FamiliesError> {
        UserAgentParser::builder()
            .with_unicode_support(false)
            .build_from_bytes(FAMILIES)
            .map(Self)
            .map_err(|error| FamiliesError(error.to_string()))
    }

    /// What a user agent says.
    pub fn parse(&self, user_agent: &str) -> Client {
        let text = &user_agent[..user_agent.floor_char_boundary(BYTES_MAX)];
        let known = |family: &str| if family == UNKNOWN { String::new() } else { family.to_owned() };
        let bot = is_bot(text) || self.0.parse_device(text).family == "Spider";
        Client {
            os: known(&self.0.parse_os(text).family),
            browser: known(&self.0.parse_user_agent(text).family),
            device_class: device_class(text),
            bot,
        }
    }
}

fn is_bot(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    BOT_WORDS.iter().any(|word| text.contains(word)) || says_bot(&text)
}

/// `bot` at the end of a word, but not the phones called Cubot.
fn says_bot(text: &str) -> bool {
    text.match_indices("bot").any(|(at, word)| {
        let ends = !text[at + word.len()..].starts_with(|next: char| next.is_ascii_alphabetic());
        ends && !text[..at].ends_with("cu")
    })
}

fn device_class(text: &str) -> &'static str {
    let is_tablet = text.contains("iPad")
        || text.contains("Tablet")
        || (text.contains("Android") && text.starts_with("Mozilla/") && !text.contains("Mobile"));
    if is_tablet {
        "tablet"
    } else if text.contains("Mobi") || text.contains("Android") || text.contains("iPhone") {
        "mobile"
    } else if text.starts_with("Mozilla/") || text.starts_with("Opera/") {
        "desktop"
    } else {
        ""
    }
}

/// The most recent answers, at most twice [`Cache::new`]'s bound: when the younger half is full it becomes the
/// older one, and what is asked for again moves to the younger.
#[derive(Debug)]
pub struct Cache {
    half_max: usize,
    young: HashMap<Box<str>, Rc<Client>>,
    old: HashMap<Box<str>, Rc<Client>>,
}

impl Cache {
    /// An empty cache whose halves hold `half_max` answers each.
    pub fn new(half_max: usize) -> Self {
        Self { half_max, young: HashMap::new(), old: HashMap::new() }
    }

    /// The answer for `user_agent`, made by `parse` when it is not known.
    pub fn get(&mut self, user_agent: &str, parse: impl FnOnce(&str) -> Client) -> Rc<Client> {
        if let Some(client) = self.young.get(user_agent) {
            return Rc::clone(client);
        }
        let client = self.old.remove(user_agent).unwrap_or_else(|| Rc::new(parse(user_agent)));
        if self.young.len() >= self.half_max {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(user_agent.into(), Rc::clone(&client));
        client
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::LazyLock;

    static FAMILIES: LazyLock<Families> = LazyLock::new(|| Families::load().unwrap());

    #[test]
    fn families_classes_and_bots() {
        let check = |text: &str, os: &str, browser: &str, class: &str, bot: bool| {
            let client = FAMILIES.parse(text);
            assert_eq!(
                (client.os.as_str(), client.browser.as_str(), client.device_class, client.bot),
                (os, browser, class, bot),
                "{text}"
            );
        };
        check(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
            "Windows",
            "Chrome",
            "desktop",
            false,
        );
        check(
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/156.0.0.0 Safari/537.36",
            "Linux",
            "HeadlessChrome",
            "desktop",
            true,
        );
        check(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
            "iOS",
            "Mobile Safari",
            "mobile",
            false,
        );
        check(
            "Mozilla/5.0 (Linux; Android 14; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
            "Android",
            "Chrome Mobile",
            "mobile",
            false,
        );
        check(
            "Mozilla/5.0 (Linux; Android 14; SM-X910) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
            "Android",
            "Chrome",
            "tablet",
            false,
        );
        check(
            "Mozilla/5.0 (Linux; Android 9; CUBOT NOTE 20) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
            "Android",
            "Chrome Mobile",
            "mobile",
            false,
        );
        check(
            "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
            "",
            "Googlebot",
            "desktop",
            true,
        );
        check("okhttp/4.12.0", "", "okhttp", "", false);
        check("", "", "", "", false);
        check(&"ü(".repeat(4_000), "", "", "", false);
    }

    #[test]
    fn the_cache_is_bounded_and_keeps_what_is_used() {
        let mut cache = Cache::new(10);
        let mut parsed = 0;
        for round in 0..1_000 {
            cache.get("often", |_| {
                parsed += 1;
                Client::default()
            });
            cache.get(&format!("once {round}"), |_| Client::default());
            assert!(cache.young.len() <= 10 && cache.old.len() <= 10);
        }
        assert_eq!(parsed, 1);
    }
}
