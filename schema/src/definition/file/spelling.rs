//! The nearest right spelling of a word that is not known.

/// The candidate that is nearest to `wrong`, when it is near enough to be meant: at most a third of the
/// letters differ.
pub fn nearest<'c>(wrong: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    candidates
        .into_iter()
        .map(|candidate| (distance(wrong, candidate), candidate))
        .filter(|(distance, candidate)| *distance * 3 <= wrong.chars().count().max(candidate.chars().count()))
        .min()
        .map(|(_, candidate)| candidate)
}

/// Edit distance: insertions, deletions, replacements, and neighbours that changed places (optimal string alignment).
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 0..a.len() {
        let mut next = vec![i + 1];
        for j in 0..b.len() {
            let replaced = row[j] + usize::from(a[i] != b[j]);
            let mut nearest = replaced.min(next[j] + 1).min(row[j + 1] + 1);
            if i > 0 && j > 0 && a[i] == b[j - 1] && a[i - 1] == b[j] {
                nearest = nearest.min(before[j - 1] + 1);
            }
            next.push(nearest);
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("jorney", ["journey", "app"]), Some("journey"));
        assert_eq!(nearest("succes", ["success", "failure"]), Some("success"));
        assert_eq!(nearest("monht", ["week", "month"]), Some("month"));
        assert_eq!(nearest("banana", ["success", "failure"]), None);
    }

    #[test]
    fn distances_count_edits() {
        let distances =
            [("", ""), ("a", ""), ("", "ab"), ("owner", "onwer"), ("kitten", "sitting"), ("ca", "abc")]
                .map(|(a, b)| distance(a, b));
        assert_eq!(distances, [0, 1, 2, 1, 3, 3]);
    }
}
