//! What a user agent says: families of system and browser, class of device, and whether it is a bot. The text
//! itself is not kept beyond the cache.
//!
//! Parsing runs hundreds of patterns, so each worker has a bounded cache. The families are `uap-core`'s; the class
//! of device follows the words that browsers put there for this purpose
//! (<https://developer.mozilla.org/docs/Web/HTTP/Guides/Browser_detection_using_the_user_agent>).

use std::collections::HashMap;
use std::rc::Rc;

use schema::beacon::bounded;
use uaparser::{Parser, UserAgentParser};

/// Database of families, Apache-2.0, see `uap-core/README.md`.
const FAMILIES: &[u8] = include_bytes!("../uap-core/regexes.yaml");
/// Bytes of a user agent that are looked at.
const BYTES_MAX: usize = 512;
/// What `uap-core` answers when it does not know.
const UNKNOWN: &str = "Other";
/// Words of clients that no person sits at, beside `bot` and what `uap-core` knows as spiders. Libraries with which apps
/// send their beacons, such as okhttp, are not among them.
const BOT_WORDS: [&str; 43] = [
    "apachebench",
    "catchpoint",
    "checkly",
    "crawl",
    "curl/",
    "cypress",
    "externalhit",
    "google-inspectiontool",
    "googleother",
    "gtmetrix",
    "headless",
    "httpie/",
    "httpx/",
    "insomnia/",
    "jsdom",
    "k6/",
    "lighthouse",
    "mediapartners-google",
    "monitoring",
    "pagespeed",
    "phantomjs",
    "pingdom",
    "playwright",
    "postmanruntime",
    "prerender",
    "bingpreview",
    "ptst/",
    "puppeteer",
    "python-requests",
    "python-urllib",
    "scrapy",
    "selenium",
    "site24x7",
    "slurp",
    "spider",
    "splash version",
    "statuscake",
    "synthetic",
    "thousandeyes",
    "uptime",
    "validator",
    "webdriver",
    "wget/",
];
/// Words of devices that hang on a wall or stand beside one.
const TV_WORDS: [&str; 12] = [
    "smart-tv",
    "smarttv",
    "smart tv",
    "googletv",
    "android tv",
    "appletv",
    "hbbtv",
    "netcast",
    "web0s",
    "crkey",
    "bravia",
    "; aft",
];
/// Words of game consoles.
const CONSOLE_WORDS: [&str; 3] = ["playstation", "xbox", "nintendo"];

/// What is kept of a user agent.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// Family of the operating system, empty when not known.
    pub os: String,
    /// Family of the browser, empty when not known.
    pub browser: String,
    /// `desktop`, `mobile`, `tablet`, `tv`, `console`, or empty.
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
        let words = text.to_ascii_lowercase();
        let known = |family: &str| if family == UNKNOWN { String::new() } else { bounded(family).to_owned() };
        let bot = is_bot(&words) || self.0.parse_device(text).family == "Spider";
        Client {
            os: known(&self.0.parse_os(text).family),
            browser: known(&self.0.parse_user_agent(text).family),
            device_class: device_class(text, &words),
            bot,
        }
    }
}

fn has_any(words: &str, known: &[&str]) -> bool {
    known.iter().any(|word| words.contains(word))
}

fn is_bot(words: &str) -> bool {
    has_any(words, &BOT_WORDS) || says_bot(words)
}

/// `bot` at the end of a word, but not the phones called Cubot.
fn says_bot(words: &str) -> bool {
    words.match_indices("bot").any(|(at, word)| {
        let ends = !words[at + word.len()..].starts_with(|next: char| next.is_ascii_alphabetic());
        ends && !words[..at].ends_with("cu")
    })
}

fn device_class(text: &str, words: &str) -> &'static str {
    let is_tablet = text.contains("iPad")
        || text.contains("Tablet")
        || (text.contains("Android") && text.starts_with("Mozilla/") && !text.contains("Mobile"));
    if has_any(words, &TV_WORDS) {
        "tv"
    } else if has_any(words, &CONSOLE_WORDS) {
        "console"
    } else if is_tablet {
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

    /// What is expected of each of a list of real user agents: system, browser, class, `bot` or nothing, and the text.
    const EXPECTED: &str = include_str!("../tests/fixtures/user-agents.tsv");

    #[test]
    fn families_classes_and_bots_of_real_clients() {
        let mut wrong = Vec::new();
        let rows: Vec<Vec<&str>> = EXPECTED
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| line.split('\t').collect())
            .collect();
        for row in &rows {
            let [os, browser, class, bot, text] = row[..] else { panic!("{row:?} has not five columns") };
            let Client { os: found_os, browser: found_browser, device_class, bot: is_bot } =
                FAMILIES.parse(text);
            let found =
                [found_os.as_str(), found_browser.as_str(), device_class, if is_bot { "bot" } else { "" }];
            if found != [os, browser, class, bot] {
                wrong.push(format!("{}\t{text}", found.join("\t")));
            }
        }
        assert!(wrong.is_empty(), "found instead:\n{}", wrong.join("\n"));
        assert!(rows.len() > 80);
    }

    #[test]
    fn text_without_end_or_meaning_is_nothing() {
        assert_eq!(FAMILIES.parse(""), Client::default());
        assert_eq!(FAMILIES.parse(&"ü(".repeat(4_000)), Client::default());
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
