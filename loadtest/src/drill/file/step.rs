//! One step of a drill's file: one key says what is done, the others when, how long and how much.

use serde::Deserialize;

use super::time::Time;
use super::{Wrong, wrong};
use crate::drill::step::{Action, ClockName, DiskName, LinkName, PartName, Redefined, Step, Toxic};

/// What one step may do, as its key.
pub(super) const ACTIONS: [&str; 15] = [
    "kill",
    "restart",
    "stop",
    "pause",
    "slow",
    "narrow",
    "slice",
    "hang",
    "reset",
    "cut",
    "fill",
    "shift",
    "read_only",
    "partitions",
    "define",
];
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum StoreName {
    Clickhouse,
}

/// See the module.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StepFile {
    at: Time,
    r#for: Option<Time>,
    kill: Option<PartName>,
    restart: Option<PartName>,
    stop: Option<PartName>,
    pause: Option<PartName>,
    slow: Option<LinkName>,
    narrow: Option<LinkName>,
    slice: Option<LinkName>,
    hang: Option<LinkName>,
    reset: Option<LinkName>,
    cut: Option<LinkName>,
    fill: Option<DiskName>,
    shift: Option<ClockName>,
    read_only: Option<StoreName>,
    partitions: Option<u32>,
    define: Option<Redefined>,
    latency: Option<Time>,
    jitter: Option<Time>,
    kb_per_s: Option<u64>,
    bytes: Option<u64>,
    delay: Option<Time>,
    by: Option<Time>,
}

impl StepFile {
    /// What it says.
    pub(super) fn resolve(&self) -> Result<Step, Wrong> {
        let asked = self.asked();
        let key = match asked[..] {
            [key] => key,
            [] => {
                let allowed = ACTIONS.map(|key| format!("`{key}`")).join(", ");
                return wrong(
                    "at",
                    format!("the step at {:#} does nothing: give it one of {allowed}", self.at),
                );
            }
            [first, second, ..] => {
                return wrong(second, format!("`{first}` and `{second}` in one step: a step does one thing"));
            }
        };
        let action = self.action(key)?;
        self.check_keys(key)?;
        let undone = match action {
            Action::Kill(_) | Action::Restart(_) | Action::Partitions(_) | Action::Define(_) => false,
            Action::Stop(_)
            | Action::Pause(_)
            | Action::Spoil(..)
            | Action::Fill(_)
            | Action::Shift(..)
            | Action::ReadOnly => true,
        };
        let lasts = match (self.r#for, undone) {
            (Some(lasts), true) => Some(lasts.forward("for")?),
            (None, false) => None,
            (None, true) => return wrong(key, format!("`{key}` needs `for`: how long until it is undone")),
            (Some(_), false) => {
                return wrong("for", format!("`{key}` takes no `for`: nothing of it is undone"));
            }
        };
        Ok(Step { at: self.at.forward("at")?, lasts, action })
    }

    /// The keys of actions that are there.
    fn asked(&self) -> Vec<&'static str> {
        let there = [
            self.kill.is_some(),
            self.restart.is_some(),
            self.stop.is_some(),
            self.pause.is_some(),
            self.slow.is_some(),
            self.narrow.is_some(),
            self.slice.is_some(),
            self.hang.is_some(),
            self.reset.is_some(),
            self.cut.is_some(),
            self.fill.is_some(),
            self.shift.is_some(),
            self.read_only.is_some(),
            self.partitions.is_some(),
            self.define.is_some(),
        ];
        ACTIONS.into_iter().zip(there).filter(|(_, there)| *there).map(|(key, _)| key).collect()
    }

    fn action(&self, key: &'static str) -> Result<Action, Wrong> {
        let needs = |what: &str| (key.to_owned(), format!("`{key}` needs `{what}`"));
        let parts = [
            (self.kill, Action::Kill as fn(_) -> _),
            (self.restart, Action::Restart),
            (self.stop, Action::Stop),
        ];
        for (part, action) in parts.into_iter().chain([(self.pause, Action::Pause as fn(_) -> _)]) {
            if let Some(part) = part {
                return Ok(action(part));
            }
        }
        if let Some(link) = self.slow {
            let latency_ms = self.latency.ok_or_else(|| needs("latency"))?.forward_ms("latency")?;
            let jitter_ms = self.jitter.map_or(Ok(0), |jitter| jitter.forward_ms("jitter"))?;
            return Ok(Action::Spoil(link, Toxic::Slow { latency_ms, jitter_ms }));
        }
        if let Some(link) = self.narrow {
            let kb_per_s = self.kb_per_s.ok_or_else(|| needs("kb_per_s"))?;
            return Ok(Action::Spoil(link, Toxic::Narrow { kb_per_s }));
        }
        if let Some(link) = self.slice {
            let bytes = self.bytes.ok_or_else(|| needs("bytes"))?;
            let delay = self.delay.ok_or_else(|| needs("delay"))?.forward("delay")?;
            return Ok(Action::Spoil(link, Toxic::Slice { bytes, delay_us: delay.as_micros() as u64 }));
        }
        let spoilt = [(self.hang, Toxic::Hang), (self.reset, Toxic::Reset), (self.cut, Toxic::Cut)];
        if let Some((Some(link), toxic)) = spoilt.into_iter().find(|(link, _)| link.is_some()) {
            return Ok(Action::Spoil(link, toxic));
        }
        if let Some(disk) = self.fill {
            return Ok(Action::Fill(disk));
        }
        if let Some(clock) = self.shift {
            let by_ms = self.by.ok_or_else(|| needs("by"))?.signed_ms();
            return Ok(Action::Shift(clock, by_ms));
        }
        match (self.partitions, self.define) {
            (Some(partitions @ 1..=64), _) => Ok(Action::Partitions(partitions)),
            (Some(partitions), _) => {
                wrong("partitions", format!("`partitions` is {partitions}, it must be 1 to 64"))
            }
            (None, Some(redefined)) => Ok(Action::Define(redefined)),
            (None, None) => Ok(Action::ReadOnly),
        }
    }

    /// That nothing stands there which belongs to another action.
    fn check_keys(&self, key: &str) -> Result<(), Wrong> {
        let keys = [
            ("latency", self.latency.is_some(), "slow"),
            ("jitter", self.jitter.is_some(), "slow"),
            ("kb_per_s", self.kb_per_s.is_some(), "narrow"),
            ("bytes", self.bytes.is_some(), "slice"),
            ("delay", self.delay.is_some(), "slice"),
            ("by", self.by.is_some(), "shift"),
        ];
        match keys.into_iter().find(|(_, there, of)| *there && *of != key) {
            Some((name, _, of)) => wrong(name, format!("`{name}` belongs to `{of}`, not to `{key}`")),
            None => Ok(()),
        }
    }
}
