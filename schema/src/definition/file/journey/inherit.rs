//! What a journey's file takes from its product's file and the folder's, and the names in it that no file has.

use super::JourneyFile;
use crate::definition::Journey;
use crate::definition::file::Names;
use crate::definition::file::defaults::{Defaults, Inherited};
use crate::definition::file::matching::Found;

impl JourneyFile {
    /// Names in it that no file has.
    pub(in crate::definition::file) fn references(&self, names: &Names<'_>) -> Vec<Found> {
        let apps = self.apps.iter().flatten().filter_map(|app| names.app(app).err());
        let policy = self.policy.iter().filter_map(|policy| names.policy(policy).err());
        let product = self.product.iter().filter_map(|product| names.product(product).err());
        apps.chain(policy).chain(product).collect()
    }

    /// Takes what it does not say from its product's file, else from the folder's, and says what that was. A standard
    /// journey keeps what belongs to what it is; deadlines are for attempts from a start to an end.
    pub(in crate::definition::file) fn inherit(
        &mut self,
        defaults: &Defaults<'_>,
        adopted: Option<&Journey>,
    ) -> Vec<Inherited> {
        let product = self.product.clone();
        let product = product.as_deref();
        let has_deadline = adopted.is_none() && self.start.as_ref().is_some_and(|start| !start.is_session());
        let taken = &mut self.inherited;
        fill(&mut self.owner, defaults.inherit(product, "owner", |file| &file.owner), taken);
        fill(&mut self.policy, defaults.inherit(product, "policy", |file| &file.policy), taken);
        fill(&mut self.apps, defaults.inherit(product, "apps", |file| &file.apps), taken);
        if adopted.is_none_or(|journey| journey.platforms.is_empty()) {
            fill(&mut self.platforms, defaults.inherit(product, "platforms", |file| &file.platforms), taken);
        }
        if has_deadline {
            fill(&mut self.timeout, defaults.inherit(product, "timeout", |file| &file.timeout), taken);
            fill(&mut self.patience, defaults.inherit(product, "patience", |file| &file.patience), taken);
        }
        for objective in &mut self.objectives {
            fill(&mut objective.window, defaults.inherit(product, "window", |file| &file.window), taken);
        }
        taken.dedup();
        taken.clone()
    }

    /// Where the value of `key` comes from, when not from this file.
    pub(super) fn from(&self, key: &str) -> String {
        let inherited = self.inherited.iter().find(|inherited| inherited.key == key);
        inherited.map_or_else(String::new, |from| format!(" (from {}:{})", from.path, from.line))
    }
}

fn fill<T>(own: &mut Option<T>, default: Option<(T, Inherited)>, taken: &mut Vec<Inherited>) {
    if let (None, Some((value, place))) = (&own, default) {
        *own = Some(value);
        taken.push(place);
    }
}
