//! The page for people who did not make the run: the verdict first, then what it rests on.
//!
//! It is one file without scripts and without anything that is loaded from elsewhere, so it opens from a disk, in an
//! archive and in a mail. Styles are in `page.css`, plots in [`super::chart`].

use std::fmt::Write;

use jiff::Timestamp;

use super::axis::{number, time};
use super::chart::{Chart, LINES_MAX, Screen, escaped};
use super::plots::charts;
use super::{Claim, RunReport};

const STYLE: &str = include_str!("page.css");
/// Faults that are listed openly; more are folded.
const FAULTS_OPEN_MAX: usize = 20;

/// The page.
pub fn html(report: &RunReport) -> String {
    let charts = charts(report);
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <link rel=\"icon\" href=\"data:,\"><title>{} · loadtest</title><style>{STYLE}</style></head><body><main>",
        escaped(&report.title)
    );
    head(&mut page, report);
    contents(&mut page, report, &charts);
    claims(&mut page, &report.claims);
    differences(&mut page, report);
    faults(&mut page, report);
    charts.iter().for_each(|chart| section(&mut page, chart));
    answers(&mut page, report);
    run(&mut page, report);
    page.push_str(
        "<footer>In a long run a point stands for several seconds: for the largest of them, or for the mean of throughput and \
         CPU. Made by <code>loadtest</code> from a JSON file that has every number of this page, and more; \
         <code>loadtest report --json FILE --out PAGE</code> makes the page again.</footer></main></body></html>\n",
    );
    page
}

fn head(page: &mut String, report: &RunReport) {
    let sent = &report.sent;
    let begun = Timestamp::from_millisecond(report.timeline.started_ms).unwrap_or_default();
    let (class, word) = match (
        report.claims.is_empty(),
        report.holds(),
        report.claims.iter().any(|claim| claim.holds == Some(true)),
    ) {
        (true, _, _) | (false, true, false) => ("", "Not judged"),
        (false, true, true) => ("good", "Passed"),
        (false, false, _) => ("bad", "Failed"),
    };
    push(page, format_args!("<h1>{}</h1>", escaped(&report.title)));
    let (beacons, sessions) = (number(sent.beacons as f64), number(sent.sessions as f64));
    push(
        page,
        format_args!(
            "<p class=\"soft\">{beacons} beacons of {sessions} sessions in {}, begun {}</p>",
            time_words(sent.seconds),
            begun.strftime("%-d %B %Y at %H:%M:%S UTC")
        ),
    );
    push(
        page,
        format_args!("<div class=\"verdict {class}\"><p>{word}. {}.</p></div>", escaped(&report.sentence())),
    );
    page.push_str("<ul class=\"facts\">");
    let rate = sent.accepted as f64 / sent.seconds.max(1.0);
    fact(page, &number(rate), "beacons a second accepted, on average");
    fact(page, &format!("{} ms", number(sent.latency_ms.p50)), "half were answered within");
    fact(page, &format!("{} ms", number(sent.latency_ms.p99)), "99 of 100 were answered within");
    let observation = crate::observe::Observation { samples: report.samples.clone() };
    if let Some(p99_ms) = observation.freshness_ms(0.99) {
        fact(
            page,
            &format!("{} s", number(p99_ms as f64 / 1_000.0)),
            "the tables were behind at most, 99 % of the time",
        );
    }
    page.push_str("</ul>");
}

fn fact(page: &mut String, value: &str, what: &str) {
    push(page, format_args!("<li><b>{}</b><span>{}</span></li>", escaped(value), escaped(what)));
}

fn contents(page: &mut String, report: &RunReport, charts: &[Chart]) {
    page.push_str("<nav aria-label=\"Contents\"><ul>");
    let mut link = |id: &str, title: &str| {
        push(page, format_args!("<li><a href=\"#{id}\">{}</a></li>", escaped(title)));
    };
    if !report.claims.is_empty() {
        link("claims", "What was to be shown");
    }
    if !report.marks.is_empty() {
        link("faults", "Faults");
    }
    charts.iter().for_each(|chart| link(chart.id, chart.title));
    link("answers", "Answers");
    link("run", "The run");
    page.push_str("</ul></nav>");
}

fn claims(page: &mut String, claims: &[Claim]) {
    if claims.is_empty() {
        return;
    }
    page.push_str("<section id=\"claims\"><h2>What was to be shown</h2><table class=\"claims\"><thead><tr><th>Claim</th><th>Right is</th><th>Found</th><th>Holds</th></tr></thead><tbody>");
    for Claim { what, limit, found, holds } in claims {
        let (class, word) = match holds {
            Some(true) => ("good", "✓ yes"),
            Some(false) => ("bad", "✗ no"),
            None => ("unknown", "? not judged"),
        };
        push(
            page,
            format_args!(
                "<tr><td>{}</td><td class=\"soft\">{}</td><td>{}</td><td class=\"holds {class}\">{word}</td></tr>",
                escaped(what),
                escaped(limit),
                escaped(found)
            ),
        );
    }
    page.push_str("</tbody></table></section>");
}

fn differences(page: &mut String, report: &RunReport) {
    let Some(verified) = report.verified.as_ref().filter(|verified| !verified.differences.is_empty()) else {
        return;
    };
    push(
        page,
        format_args!(
            "<section id=\"differences\"><h2>What differs</h2><p>{}.</p><ul>",
            escaped(&verified.sentence)
        ),
    );
    for difference in &verified.differences {
        push(page, format_args!("<li><code>{}</code></li>", escaped(difference)));
    }
    page.push_str("</ul></section>");
}

fn faults(page: &mut String, report: &RunReport) {
    if report.marks.is_empty() {
        return;
    }
    page.push_str("<section id=\"faults\"><h2>Faults</h2><p class=\"reading\">Each is a band in the plots, from the moment when it struck until everything worked again.</p>");
    let folded = report.marks.len() > FAULTS_OPEN_MAX;
    if folded {
        push(page, format_args!("<details><summary>All {} faults</summary>", report.marks.len()));
    }
    page.push_str("<div class=\"scroll\"><table><thead><tr><th>No.</th><th>At</th><th>For</th><th>What</th></tr></thead><tbody>");
    for (mark, place) in report.marks.iter().zip(1..) {
        let at_s = (mark.at_ms - report.timeline.started_ms) as f64 / 1_000.0;
        let for_s = (mark.until_ms - mark.at_ms).max(0) as f64 / 1_000.0;
        push(
            page,
            format_args!(
                "<tr><td>{place}</td><td>{}</td><td>{} s</td><td>{}</td></tr>",
                time(at_s.max(0.0)),
                number(for_s),
                escaped(&mark.what)
            ),
        );
    }
    page.push_str("</tbody></table></div>");
    if folded {
        page.push_str("</details>");
    }
    page.push_str("</section>");
}

fn section(page: &mut String, chart: &Chart) {
    push(
        page,
        format_args!(
            "<section id=\"{}\"><h2>{}</h2><p class=\"reading\">{}</p>",
            chart.id,
            escaped(chart.title),
            escaped(&chart.reading)
        ),
    );
    if chart.lines.len() > 1 {
        page.push_str("<ul class=\"legend\">");
        for (place, line) in chart.lines.iter().enumerate() {
            push(
                page,
                format_args!(
                    "<li><svg viewBox=\"0 0 30 10\" aria-hidden=\"true\"><path class=\"line l{}\" d=\"M1 5H29\"/></svg>{}</li>",
                    place % LINES_MAX,
                    escaped(&line.name)
                ),
            );
        }
        page.push_str("</ul>");
    }
    page.push_str(&chart.svg(Screen::Wide));
    page.push_str(&chart.svg(Screen::Narrow));
    let (heads, rows) = chart.table();
    page.push_str(
        "<details><summary>The numbers</summary><div class=\"scroll\"><table class=\"numbers\"><thead><tr>",
    );
    heads.iter().for_each(|head| push(page, format_args!("<th scope=\"col\">{}</th>", escaped(head))));
    page.push_str("</tr></thead><tbody>");
    for row in rows {
        page.push_str("<tr>");
        row.iter().for_each(|cell| push(page, format_args!("<td>{}</td>", escaped(cell))));
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table></div></details></section>");
}

fn answers(page: &mut String, report: &RunReport) {
    let sent = &report.sent;
    page.push_str("<section id=\"answers\"><h2>Answers</h2><p class=\"reading\">A beacon that is not taken is tried again with the same id, as an SDK does; each try is counted here.</p><dl>");
    for (answer, count) in &sent.answers {
        term(page, answer, &format!("{} tries", number(*count as f64)));
    }
    let quantiles = |of: &crate::summary::Quantiles| {
        format!(
            "p50 {}, p90 {}, p99 {}, p99.9 {}, longest {} ms",
            number(of.p50),
            number(of.p90),
            number(of.p99),
            number(of.p999),
            number(of.max)
        )
    };
    term(page, "latency, from the intended time", &quantiles(&sent.latency_ms));
    term(page, "service time of the last try", &quantiles(&sent.service_ms));
    term(page, "the generator's own delay", &quantiles(&sent.slip_ms));
    term(page, "the generator's CPU", &format!("{} cores", number(sent.cpu_cores)));
    page.push_str("</dl></section>");
}

fn run(page: &mut String, report: &RunReport) {
    page.push_str("<section id=\"run\"><h2>The run</h2><p class=\"reading\">Equal seeds and settings send equal bytes, apart from the time: the fingerprint says whether two runs did.</p><dl>");
    term(page, "command", &report.command);
    for (name, value) in &report.traffic {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        term(page, name, &value);
    }
    term(page, "fingerprint", &report.sent.fingerprint);
    let machine = &report.machine;
    let gib = machine.memory_bytes as f64 / f64::from(1 << 30);
    term(page, "processor", &format!("{}, {} cores", machine.processor, machine.cores));
    term(page, "memory", &format!("{} GiB", number(gib)));
    term(page, "system", &machine.system);
    term(page, "load before the run", &format!("{} of {} cores", number(machine.load_1m), machine.cores));
    for (part, version) in &report.versions {
        term(page, part, version);
    }
    if let Some(verified) = &report.verified {
        term(page, "compared with ClickHouse", &verified.sentence);
    }
    let silent: std::collections::BTreeMap<&String, usize> = report
        .samples
        .iter()
        .flat_map(|sample| &sample.silent)
        .fold(std::collections::BTreeMap::new(), |mut all, name| {
            *all.entry(name).or_default() += 1;
            all
        });
    for (name, times) in silent {
        term(
            page,
            "did not answer when observed",
            &format!("{name}: {times} of {} times", report.samples.len()),
        );
    }
    page.push_str("</dl></section>");
}

fn term(page: &mut String, name: &str, value: &str) {
    push(page, format_args!("<dt>{}</dt><dd>{}</dd>", escaped(name), escaped(value)));
}

/// A length of time for a sentence.
fn time_words(seconds: f64) -> String {
    if seconds < 120.0 {
        return format!("{seconds:.0} s");
    }
    if seconds < 7_200.0 {
        return format!("{:.0} min", seconds / 60.0);
    }
    format!("{} h", number(seconds / 3_600.0))
}

/// Writing to a text cannot fail.
fn push(page: &mut String, arguments: std::fmt::Arguments<'_>) {
    let _ = page.write_fmt(arguments);
}
