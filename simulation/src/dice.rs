//! The only source of chance: a small generator, so that a seed replays exactly on every machine and version.
//!
//! Every part of a world throws dice of its own, named by the seed and the part. So leaving one part out, as
//! shrinking does, does not change the others.

use std::ops::RangeInclusive;

use xxhash_rust::xxh3::xxh3_64_with_seed;

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// The dice of one part of the world of `seed`.
    pub fn new(seed: u64, part: &str, number: usize) -> Self {
        let part = xxh3_64_with_seed(part.as_bytes(), seed);
        Self(part ^ (number as u64).wrapping_mul(0xD6E8_FEB8_6659_FD93))
    }

    /// A number of 64 bits.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `count`, which is not 0.
    pub fn below(&mut self, count: usize) -> usize {
        (self.number() % count as u64) as usize
    }

    /// A number of `range`.
    pub fn within(&mut self, range: RangeInclusive<i64>) -> i64 {
        let width = range.end().abs_diff(*range.start()) + 1;
        range.start() + (self.number() % width) as i64
    }

    /// True in `percent` of all cases.
    pub fn chance(&mut self, percent: u64) -> bool {
        self.number() % 100 < percent
    }

    /// One of `choices`, which are not empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len())]
    }

    /// Puts `items` in any order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for place in (1..items.len()).rev() {
            items.swap(place, self.below(place + 1));
        }
    }
}
