//! The dimensions of a beacon, shared by everything that a session remembers of it.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHasher};
use schema::beacon::Beacon;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

/// The dimensions of the beacons of one app, release and device; equal ones are one object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Context {
    /// Distinguishes contexts of one engine cheaply; its value never decides an order or a number.
    pub serial: u64,
    /// Hash of app and platform.
    pub app_platform: u64,
    pub app: Box<str>,
    pub platform: Box<str>,
    pub release: Box<str>,
    pub os: Box<str>,
    pub browser: Box<str>,
    pub device_class: Box<str>,
    pub country: Box<str>,
    pub connection: Box<str>,
    pub segment: Box<str>,
}

/// Every context that is in use.
#[derive(Debug, Default)]
pub(super) struct Contexts {
    by_hash: FxHashMap<u64, Vec<Arc<Context>>>,
    next_serial: u64,
}

/// The fields of a beacon that make its context, in [`Context`]'s order.
fn dimensions<'b>(beacon: &'b Beacon<'_>) -> [&'b str; 9] {
    [
        &beacon.app,
        &beacon.platform,
        &beacon.release,
        &beacon.os,
        &beacon.browser,
        &beacon.device_class,
        &beacon.country,
        &beacon.connection,
        &beacon.segment,
    ]
}

impl Context {
    fn has(&self, dimensions: &[&str; 9]) -> bool {
        let own = [
            &self.app,
            &self.platform,
            &self.release,
            &self.os,
            &self.browser,
            &self.device_class,
            &self.country,
            &self.connection,
            &self.segment,
        ];
        own.iter().zip(dimensions).all(|(own, other)| own.as_ref() == *other)
    }
}

impl Contexts {
    /// The context of `beacon`.
    pub(super) fn intern(&mut self, beacon: &Beacon<'_>) -> Arc<Context> {
        let dimensions = dimensions(beacon);
        let mut hasher = FxHasher::default();
        dimensions.hash(&mut hasher);
        let same_hash = self.by_hash.entry(hasher.finish()).or_default();
        if let Some(context) = same_hash.iter().find(|context| context.has(&dimensions)) {
            return Arc::clone(context);
        }
        self.next_serial += 1;
        let [app, platform, release, os, browser, device_class, country, connection, segment] =
            dimensions.map(Box::<str>::from);
        let context = Arc::new(Context {
            serial: self.next_serial,
            app_platform: xxh3_64_with_seed(app.as_bytes(), xxh3_64(platform.as_bytes())),
            app,
            platform,
            release,
            os,
            browser,
            device_class,
            country,
            connection,
            segment,
        });
        same_hash.push(Arc::clone(&context));
        context
    }

    /// Forgets the contexts that nothing refers to any more.
    pub(super) fn drop_unused(&mut self) {
        self.by_hash.retain(|_, same_hash| {
            same_hash.retain(|context| Arc::strong_count(context) > 1);
            !same_hash.is_empty()
        });
    }
}
