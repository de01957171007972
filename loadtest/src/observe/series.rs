//! Samples of a run of any length in bounded memory.

/// Samples that are kept at most: a day of one a second.
pub const SAMPLES_MAX: usize = 86_400;

/// Keeps every item until there are `limit`, then every second one, then every fourth.
#[derive(Debug)]
pub struct Series<T> {
    items: Vec<T>,
    limit: usize,
    every: u64,
    pushed: u64,
}

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Series<T> {
    /// An empty one of [`SAMPLES_MAX`] items at most.
    pub fn new() -> Self {
        Self::with_limit(SAMPLES_MAX)
    }

    fn with_limit(limit: usize) -> Self {
        Self { items: Vec::new(), limit, every: 1, pushed: 0 }
    }

    /// Adds an item, unless it falls between those that are kept.
    pub fn push(&mut self, item: T) {
        let place = self.pushed;
        self.pushed += 1;
        if !place.is_multiple_of(self.every) {
            return;
        }
        if self.items.len() == self.limit {
            let mut place = 0;
            self.items.retain(|_| {
                place += 1;
                place % 2 == 1
            });
            self.every *= 2;
            if !(self.pushed - 1).is_multiple_of(self.every) {
                return;
            }
        }
        self.items.push(item);
    }

    /// What is kept, in its order.
    pub fn items(&self) -> &[T] {
        &self.items
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pushed: u64, expect: &[u64]) {
        let mut series = Series::with_limit(4);
        (0..pushed).for_each(|item| series.push(item));
        assert_eq!(series.items(), expect, "{pushed}");
    }

    #[test]
    fn everything_is_kept_up_to_the_limit_and_evenly_less_past_it() {
        check(0, &[]);
        check(4, &[0, 1, 2, 3]);
        check(5, &[0, 2, 4]);
        check(7, &[0, 2, 4, 6]);
        check(8, &[0, 2, 4, 6]);
        check(9, &[0, 4, 8]);
        check(1_000, &[0, 256, 512, 768]);
    }
}
