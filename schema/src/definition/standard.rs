//! The journeys that every app gets without configuration: shipped files of the same format as a team's own.
//! They have thresholds with a source, and no target until a file adopts them.

use super::Journey;
use super::file::parse_standard;

/// Every shipped file.
const FILES: [(&str, &str); 17] = [
    ("anr-free-sessions.yaml", include_str!("standard/anr-free-sessions.yaml")),
    ("app-start-cold.yaml", include_str!("standard/app-start-cold.yaml")),
    ("app-start-hot.yaml", include_str!("standard/app-start-hot.yaml")),
    ("app-start-warm.yaml", include_str!("standard/app-start-warm.yaml")),
    ("crash-free-sessions.yaml", include_str!("standard/crash-free-sessions.yaml")),
    ("error-free-sessions.yaml", include_str!("standard/error-free-sessions.yaml")),
    ("exceptions.yaml", include_str!("standard/exceptions.yaml")),
    ("hang-free-sessions.yaml", include_str!("standard/hang-free-sessions.yaml")),
    ("http-calls.yaml", include_str!("standard/http-calls.yaml")),
    ("interaction.yaml", include_str!("standard/interaction.yaml")),
    ("page-load.yaml", include_str!("standard/page-load.yaml")),
    ("screen-load.yaml", include_str!("standard/screen-load.yaml")),
    ("web-vital-cls.yaml", include_str!("standard/web-vital-cls.yaml")),
    ("web-vital-fcp.yaml", include_str!("standard/web-vital-fcp.yaml")),
    ("web-vital-inp.yaml", include_str!("standard/web-vital-inp.yaml")),
    ("web-vital-lcp.yaml", include_str!("standard/web-vital-lcp.yaml")),
    ("web-vital-ttfb.yaml", include_str!("standard/web-vital-ttfb.yaml")),
];

/// The standard journeys, in the order of their names.
pub fn journeys() -> Vec<Journey> {
    FILES
        .iter()
        .map(|(path, text)| match parse_standard(path, text) {
            Ok(journey) => journey,
            Err(error) => unreachable!("a shipped file is not valid: {error}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::AttemptKind;

    #[test]
    fn every_shipped_file_is_measured_without_a_start_and_has_a_promise() {
        for journey in journeys() {
            assert!(journey.standard && journey.attempt != AttemptKind::Journey, "{}", journey.name);
            assert!(!journey.promise.is_empty() && !journey.objectives.is_empty(), "{}", journey.name);
            assert!(
                journey.objectives.iter().all(|objective| objective.target_ppm.is_none()),
                "{}",
                journey.name
            );
        }
    }

    /// What was published can be looked up; what was not says so.
    #[test]
    fn every_threshold_has_a_source() {
        for journey in journeys() {
            for objective in &journey.objectives {
                let source = &objective.source;
                let is_published = source.starts_with("Published ") && source.contains(" https://");
                assert!(is_published || source.starts_with("Chosen: "), "{}: {source}", journey.name);
            }
        }
    }
}
