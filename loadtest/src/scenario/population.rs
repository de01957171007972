//! Who the users are: their apps, releases and devices, the formats that their apps report in, how their clocks are
//! wrong, and when what they did reaches the server.

use super::device::{self, Device};
use super::timeline::Voice;
use super::{App, DAY_MS, Format, HOUR_MS, OFFLINE_MS_MAX, Profile};
use crate::sample::Sampler;

const RELEASES: [(u32, &str); 3] = [(6, "2026.11.3"), (3, "2026.11.2"), (1, "2026.10.9")];
/// The release that comes out in the middle of a run, and makes everything slow.
pub(super) const SLOW_RELEASE: &str = "2026.11.4";
/// Of how many sessions it is then, per mille.
const SLOW_RELEASE_PER_MILLE: u32 = 500;
/// How many times longer than usual everything takes with it.
const SLOWNESS: u64 = 3;
/// An environment that the study app does not list.
const UNLISTED: &str = "staging";
/// A clock is wrong by at least this, which no transit explains.
const CLOCK_ERROR_MS_MIN: u64 = 10 * 60_000;
const CLOCK_ERROR_MS_MAX: u64 = 14 * HOUR_MS;

/// One user's client.
#[derive(Debug, Clone)]
pub(super) struct Client {
    pub(super) app: App,
    pub(super) release: &'static str,
    /// How many times longer than usual everything takes.
    pub(super) slowness: u64,
    pub(super) device: &'static Device,
    /// Empty where it is not said.
    pub(super) environment: &'static str,
    pub(super) weight: u32,
    pub(super) clock_error_ms: i64,
    pub(super) formats: Formats,
    pub(super) gzip: bool,
    pub(super) pace: Pace,
    /// Whether its requests repeat and overtake each other.
    pub(super) irregular: bool,
    /// Whether it sends several requests at once when its page is left.
    pub(super) bursts: bool,
}

/// How a session's events and its web vitals are sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Formats {
    pub(super) events: Format,
    /// Format of HTTP calls, screens and starts.
    pub(super) spans: Format,
    pub(super) vitals: Format,
    pub(super) voice: Voice,
}

/// When what a user does reaches the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// A short session as it happens, a longer one when it is over.
    Prompt,
    /// As it happens, however long the user thinks.
    Thinking,
    /// When the phone has a network again.
    Offline {
        /// Between the end of the session and its sending.
        age_ms: u64,
    },
    /// When it is too late.
    TooOld {
        /// Between the end of the session and its sending.
        age_ms: u64,
    },
}

impl Formats {
    const fn one(format: Format, voice: Voice) -> Self {
        Self { events: format, spans: format, vitals: format, voice }
    }

    const fn otlp(logs: Format, spans: Format, voice: Voice) -> Self {
        Self { events: logs, spans, vitals: logs, voice }
    }

    fn is_native(self) -> bool {
        self.events == Format::Native && self.vitals == Format::Native
    }
}

const NATIVE: Formats = Formats::one(Format::Native, Voice::Native);
const FARO: Formats = Formats::one(Format::Faro, Voice::Faro);
/// The native API, and the library for web vitals beside it.
const WITH_LIBRARY: Formats = Formats { vitals: Format::WebVitals, ..NATIVE };
pub(super) const PAGE_JSON: Formats =
    Formats::otlp(Format::OtlpLogsJson, Format::OtlpTracesJson, Voice::OtlpPage);
pub(super) const PAGE_PROTOBUF: Formats =
    Formats::otlp(Format::OtlpLogsProtobuf, Format::OtlpTracesProtobuf, Voice::OtlpPage);
pub(super) const APP_JSON: Formats =
    Formats::otlp(Format::OtlpLogsJson, Format::OtlpTracesJson, Voice::OtlpApp);
pub(super) const APP_PROTOBUF: Formats =
    Formats::otlp(Format::OtlpLogsProtobuf, Format::OtlpTracesProtobuf, Voice::OtlpApp);

/// Draws the app that a user has.
pub(super) fn draw_app(sampler: &mut Sampler, profile: Profile) -> App {
    match profile {
        Profile::Full | Profile::Mixed | Profile::Tidy | Profile::Otlp => {
            sampler.weighted(&[(60, App::Web), (22, App::Ios), (18, App::Android)])
        }
        Profile::Web => App::Web,
        Profile::Native => sampler.one_of(&[App::Ios, App::Android]),
    }
}

impl Client {
    /// Draws a user of `app`.
    pub(super) fn draw(sampler: &mut Sampler, app: App, profile: Profile, release_is_out: bool) -> Self {
        let full = profile == Profile::Full;
        let irregular = !matches!(profile, Profile::Tidy | Profile::Otlp);
        let formats = match profile {
            Profile::Otlp => draw_otlp_formats(sampler, app),
            Profile::Full | Profile::Mixed | Profile::Web | Profile::Native | Profile::Tidy => {
                draw_formats(sampler, app, full)
            }
        };
        let bot = irregular && app == App::Web && sampler.chance(10);
        let device = match app {
            App::Web if bot => sampler.one_of(&device::BOTS),
            App::Web => sampler.weighted(&device::BROWSERS),
            App::Ios => sampler.weighted(&device::IOS),
            App::Android => sampler.weighted(&device::ANDROID),
        };
        let is_slow = full && release_is_out && sampler.chance(SLOW_RELEASE_PER_MILLE);
        let release = if is_slow { SLOW_RELEASE } else { sampler.weighted(&RELEASES) };
        // The web-vitals library does not say that a session is sampled.
        let may_be_sampled = irregular && (formats.is_native() || full && formats.vitals == formats.events);
        let weight = if may_be_sampled && sampler.chance(40) { sampler.one_of(&[2, 5, 10]) } else { 1 };
        let mut client = Self {
            app,
            release,
            slowness: if is_slow { SLOWNESS } else { 1 },
            device,
            environment: "",
            weight,
            clock_error_ms: 0,
            formats,
            gzip: false,
            pace: Pace::Prompt,
            irregular,
            bursts: full,
        };
        if full {
            client.draw_oddities(sampler);
        }
        client
    }

    fn draw_oddities(&mut self, sampler: &mut Sampler) {
        let compresses = match self.formats.events {
            Format::OtlpLogsProtobuf | Format::OtlpLogsJson | Format::Faro => true,
            Format::Native => self.app != App::Web,
            Format::OtlpTracesJson
            | Format::OtlpTracesProtobuf
            | Format::Boomerang
            | Format::BoomerangGet
            | Format::WebVitals
            | Format::NetworkErrors => false,
        };
        self.gzip = compresses && sampler.chance(500);
        // The library knows no environment.
        if self.formats.vitals == self.formats.events && sampler.chance(12) {
            self.environment = UNLISTED;
        }
        let may_be_offline = self.app != App::Web;
        self.pace = match sampler.between(0, 999) {
            0..150 => Pace::Thinking,
            150..250 if may_be_offline => {
                Pace::Offline { age_ms: sampler.between(2 * HOUR_MS, OFFLINE_MS_MAX) }
            }
            250..258 if may_be_offline => {
                Pace::TooOld { age_ms: sampler.between(7 * DAY_MS + HOUR_MS, 9 * DAY_MS) }
            }
            _ => Pace::Prompt,
        };
        // Only the native API says when it was sent, by which a clock is corrected.
        if self.pace == Pace::Prompt && self.formats.is_native() && sampler.chance(60) {
            let error_ms = sampler.between(CLOCK_ERROR_MS_MIN, CLOCK_ERROR_MS_MAX) as i64;
            self.clock_error_ms = if sampler.chance(500) { error_ms } else { -error_ms };
        }
    }
}

fn draw_otlp_formats(sampler: &mut Sampler, app: App) -> Formats {
    match app {
        App::Web => sampler.one_of(&[PAGE_JSON, PAGE_PROTOBUF]),
        App::Ios | App::Android => sampler.one_of(&[APP_JSON, APP_PROTOBUF]),
    }
}

fn draw_formats(sampler: &mut Sampler, app: App, full: bool) -> Formats {
    match app {
        App::Web if full => sampler.weighted(&[
            (40, NATIVE),
            (26, FARO),
            (12, PAGE_JSON),
            (10, PAGE_PROTOBUF),
            (12, WITH_LIBRARY),
        ]),
        App::Web => sampler.weighted(&[(65, NATIVE), (20, FARO), (15, WITH_LIBRARY)]),
        App::Ios | App::Android if full => {
            sampler.weighted(&[(60, NATIVE), (15, APP_JSON), (25, APP_PROTOBUF)])
        }
        App::Ios | App::Android => NATIVE,
    }
}
