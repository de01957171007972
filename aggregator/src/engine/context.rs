//! The dimensions of a beacon, shared by everything that a session remembers of it.

use std::hash::{Hash, Hasher};

use rustc_hash::FxHasher;
use schema::beacon::Beacon;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::codec::{Put, Reader};
use super::pool::{Pool, Texts};

/// The dimensions of the beacons of one app, release and device; equal ones are one object.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Context {
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

/// Number of a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ContextId(pub u32);

/// Every context that is in use.
#[derive(Debug, Default)]
pub(super) struct Contexts(Pool<Context>);

/// What sessions and cells name by number.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pub texts: Texts,
    pub contexts: Contexts,
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
    fn new(dimensions: [&str; 9]) -> Self {
        let [app, platform, release, os, browser, device_class, country, connection, segment] =
            dimensions.map(Box::<str>::from);
        Self {
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
        }
    }

    fn dimensions(&self) -> [&str; 9] {
        [
            &self.app,
            &self.platform,
            &self.release,
            &self.os,
            &self.browser,
            &self.device_class,
            &self.country,
            &self.connection,
            &self.segment,
        ]
    }
}

impl Contexts {
    /// The context of `beacon`.
    pub(super) fn intern(&mut self, beacon: &Beacon<'_>) -> ContextId {
        let dimensions = dimensions(beacon);
        let mut hasher = FxHasher::default();
        dimensions.hash(&mut hasher);
        let is = |context: &Context| context.dimensions() == dimensions;
        ContextId(self.0.intern(hasher.finish(), is, || Context::new(dimensions)))
    }

    /// A hash of the context itself, the same in every process.
    pub(super) fn hash(&self, id: ContextId) -> u64 {
        self.0.hash(id.0)
    }

    pub(super) fn get(&self, id: ContextId) -> &Context {
        self.0.get(id.0)
    }

    #[inline]
    pub(super) fn keep(&mut self, id: ContextId, until_ms: i64) {
        self.0.keep(id.0, until_ms);
    }
}

impl Pools {
    pub(super) fn keep_used(&mut self, log_time_ms: i64, until_ms: i64) {
        self.texts.keep_used(log_time_ms, until_ms);
        self.contexts.0.keep_used(log_time_ms, until_ms);
    }

    pub(super) fn drop_unused(&mut self, log_time_ms: i64) {
        self.texts.drop_unused(log_time_ms);
        self.contexts.0.drop_unused(log_time_ms);
    }

    pub(super) fn write(&self, log_time_ms: i64, to: &mut Vec<u8>) {
        self.texts.write(log_time_ms, to);
        self.contexts.0.write(log_time_ms, to, |context, to| {
            context.dimensions().iter().for_each(|dimension| to.put_bytes(dimension.as_bytes()));
        });
    }

    pub(super) fn read(from: &mut Reader<'_>) -> Self {
        let texts = Texts::read(from);
        let contexts = Pool::read(from, |from| Context::new(std::array::from_fn(|_| from.text())));
        Self { texts, contexts: Contexts(contexts) }
    }
}
