//! Texts for people in definition files: they say something, and are not longer than what shows them can show.

/// Characters of a text for people, such as the source of a threshold or an action.
pub(super) const TEXT_CHARS_MAX: usize = 500;

/// Whether the text under `key` says something and is short enough.
pub(super) fn check_text(key: &str, text: &str) -> Result<(), String> {
    let chars = text.chars().count();
    if text.trim().is_empty() {
        return Err(format!("`{key}` is empty; say it in words"));
    }
    if chars > TEXT_CHARS_MAX {
        return Err(format!("`{key}` has {chars} characters; at most {TEXT_CHARS_MAX} are allowed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_says_something_and_is_bounded() {
        let check = |text: &str| check_text("source", text);
        assert_eq!(check(&"ä".repeat(TEXT_CHARS_MAX)), Ok(()));
        let long = "`source` has 501 characters; at most 500 are allowed".to_owned();
        assert_eq!(check(&"ä".repeat(TEXT_CHARS_MAX + 1)), Err(long));
        assert_eq!(check(" "), Err("`source` is empty; say it in words".to_owned()));
    }
}
