//! What the study app runs on, as user agents say it.

/// A kind of device.
#[derive(Debug, PartialEq, Eq)]
pub struct Device {
    /// User agent of its requests.
    pub agent: &'static str,
    /// Whether no person sits there.
    pub bot: bool,
}

const fn device(agent: &'static str) -> Device {
    Device { agent, bot: false }
}

/// Browsers, and how usual each is.
pub(super) const BROWSERS: [(u32, &Device); 6] = [
    (
        34,
        &device(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36",
        ),
    ),
    (
        22,
        &device(
            "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Mobile Safari/537.36",
        ),
    ),
    (
        18,
        &device(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 Safari/604.1",
        ),
    ),
    (
        12,
        &device(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        ),
    ),
    (8, &device("Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0")),
    (
        6,
        &device(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36 Edg/142.0.0.0",
        ),
    ),
];

/// Phones and tablets with the app for iOS.
pub(super) const IOS: [(u32, &Device); 2] = [
    (8, &device("StudyApp/2026.11.3 (iPhone16,2; iOS 18.1)")),
    (2, &device("StudyApp/2026.11.3 (iPad14,5; iPadOS 18.1)")),
];

/// Phones and tablets with the app for Android.
pub(super) const ANDROID: [(u32, &Device); 2] = [
    (8, &device("StudyApp/2026.11.3 (Pixel 9; Android 15)")),
    (2, &device("StudyApp/2026.11.3 (SM-X210; Android 14)")),
];

/// Crawlers.
pub(super) const BOTS: [&Device; 2] = [
    &Device { agent: "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", bot: true },
    &Device { agent: "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)", bot: true },
];

/// A gateway that sends for many.
pub(super) const GATEWAY: &Device = &device("OpenTelemetry Collector Contrib/0.140.0 (linux/amd64)");
