//! What was seen at all, and how much of it could be counted: the rows that answer "why is my journey empty".

use std::collections::BTreeMap;

use schema::definition::EngineSettings;
use schema::rows::{Quality, SeenEvent};

use super::cells::{Cells, Seen};
use super::context::Pools;
use super::labels::{LabelCounts, OTHER, bound_map};

/// Rows of `seen_events`: the most frequent events of an app, and the rest as one.
pub(super) fn seen_rows(cells: &Cells, settings: &EngineSettings, pools: &Pools) -> Vec<SeenEvent> {
    let mut counts: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
    let names = |seen: &Seen| [seen.event, seen.name, seen.route].map(|text| pools.texts.get(text));
    let label = |seen: &Seen| names(seen).join("\0");
    for seen in cells.seen_events() {
        *counts.entry(&pools.contexts.get(seen.context).app).or_default().entry(label(seen)).or_default() +=
            seen.count;
    }
    for labels in counts.values_mut() {
        bound_map(labels, settings.seen_events_max);
    }
    let mut rows: BTreeMap<(&str, &str, [&str; 3], u32), SeenEvent> = BTreeMap::new();
    for seen in cells.seen_events() {
        let context = pools.contexts.get(seen.context);
        let kept = counts.get(&*context.app).is_some_and(|labels| labels.contains_key(&label(seen)));
        let names = if kept { names(seen) } else { [OTHER, "", ""] };
        let key = (&*context.app, &*context.platform, names, seen.hour);
        let row = rows.entry(key).or_insert_with(|| SeenEvent {
            app: key.0.to_owned(),
            platform: key.1.to_owned(),
            event: names[0].to_owned(),
            name: names[1].to_owned(),
            route: names[2].to_owned(),
            hour: seen.hour,
            seen: 0,
            matched: BTreeMap::new(),
        });
        row.seen += seen.count;
        for (journey, count) in &seen.matched {
            *row.matched.entry(pools.texts.get(*journey).to_owned()).or_default() += count;
        }
    }
    let bounded = |mut row: SeenEvent| {
        bound_map(&mut row.matched, settings.seen_events_max);
        row
    };
    rows.into_values().map(bounded).collect()
}

/// Rows of `quality`.
pub(super) fn quality_rows(cells: &Cells, settings: &EngineSettings, pools: &Pools) -> Vec<Quality> {
    let mut releases = LabelCounts::default();
    let qualities =
        || cells.qualities().map(|(context, hour, quality)| (pools.contexts.get(context), hour, quality));
    for (context, _, quality) in qualities() {
        releases.add((&context.app, ""), &context.release, quality.beacons + quality.duplicates);
    }
    let releases = releases.keep(settings.releases_max);
    let mut rows: BTreeMap<(&str, &str, &str, u32), Quality> = BTreeMap::new();
    for (context, hour, quality) in qualities() {
        let release = releases.bounded((&context.app, ""), &context.release);
        let row = rows.entry((&context.app, &context.platform, release, hour)).or_default();
        row.beacons += quality.beacons;
        row.events += quality.events;
        row.sessions += quality.sessions;
        row.sessions_measured += quality.sessions_measured;
        row.sequence_received += quality.sequence_received;
        row.sequence_expected += quality.sequence_expected;
        row.bots += quality.bots;
        row.environments += quality.environments;
        row.duplicates += quality.duplicates;
        row.late += quality.late;
        row.too_old += quality.too_old;
        row.clock_corrected += quality.clock_corrected;
        for (reason, count) in &quality.not_counted {
            *row.not_counted.entry(reason.clone()).or_default() += count;
        }
    }
    let finished = |((app, platform, release, hour), mut row): ((&str, &str, &str, u32), Quality)| {
        bound_map(&mut row.not_counted, settings.reasons_max);
        Quality {
            app: app.to_owned(),
            platform: platform.to_owned(),
            release: release.to_owned(),
            hour,
            ..row
        }
    };
    rows.into_iter().map(finished).collect()
}
