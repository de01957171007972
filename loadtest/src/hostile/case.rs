//! What a hostile case is: an attack as data, and the answers that it must get.

use std::time::Duration;

/// One row of the table.
#[derive(Debug, Clone)]
pub struct Case {
    /// What it is part of.
    pub group: &'static str,
    /// What is done.
    pub name: String,
    /// What each connection does.
    pub script: Vec<Step>,
    /// Connections that do it at the same time.
    pub connections: usize,
    /// Where they come from.
    pub source: Source,
    /// The answers that must come, each at least once, and no other: `STATUS error`, or [`CLOSED`].
    pub expect: &'static [&'static str],
}

/// The connection is closed without an answer.
pub const CLOSED: &str = "closed";
/// Nothing comes within [`PATIENCE`].
pub const SILENT: &str = "silent";
/// How long an answer is waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// What a connection does next.
#[derive(Debug, Clone)]
pub enum Step {
    /// Sends bytes, as fast as the server takes them.
    Send(Vec<u8>),
    /// Sends bytes one by one with a pause after each, until the server has enough.
    Drip(Vec<u8>, Duration),
    /// Sends so many requests, made by their number in the whole case, reading the answer to each.
    Repeat(usize, fn(usize) -> Vec<u8>),
    /// Sends so many requests without reading an answer, then reads.
    Pipeline(usize, Vec<u8>),
    /// Says that nothing more will be sent.
    Finish,
    /// Reads an answer and forgets it: it only prepares for the next step.
    Prepare,
}

/// Addresses that connections come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The one that the server trusts as a proxy.
    Proxy,
    /// One that is no proxy.
    Stranger,
}

impl Case {
    /// One connection through the proxy that sends `bytes`.
    pub fn send(
        group: &'static str,
        name: impl Into<String>,
        bytes: Vec<u8>,
        expect: &'static [&'static str],
    ) -> Self {
        Self::script(group, name, vec![Step::Send(bytes)], expect)
    }

    /// One connection through the proxy.
    pub fn script(
        group: &'static str,
        name: impl Into<String>,
        script: Vec<Step>,
        expect: &'static [&'static str],
    ) -> Self {
        Self { group, name: name.into(), script, connections: 1, source: Source::Proxy, expect }
    }

    /// Whether it gets one answer.
    pub fn is_single(&self) -> bool {
        self.connections == 1
            && !self.script.iter().any(|step| matches!(step, Step::Repeat(..) | Step::Pipeline(..)))
    }

    /// The same by many connections.
    pub fn by(mut self, connections: usize) -> Self {
        self.connections = connections;
        self
    }

    /// The same from another address.
    pub fn from(mut self, source: Source) -> Self {
        self.source = source;
        self
    }
}
