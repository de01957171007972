//! How much memory all bodies may hold together: what the bounds of one body cannot say.
//!
//! Thousands of clients that each send their body slowly hold as many buffers. What does not fit is refused at once, so
//! that those who are served go on.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::refusal::Refusal;

/// Bytes that bodies hold, and may hold.
#[derive(Debug)]
pub struct Budget {
    held_bytes: AtomicUsize,
    bytes_max: usize,
}

/// A share of the budget, given back when it is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Budget {
    /// A budget of this many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { held_bytes: AtomicUsize::new(0), bytes_max }
    }

    /// Takes a share, which gives itself back.
    ///
    /// # Errors
    /// When the budget is spent.
    pub fn hold(&self, bytes: usize) -> Result<Held<'_>, Refusal> {
        self.take(bytes)?;
        Ok(Held { budget: self, bytes })
    }

    /// Takes bytes that the caller gives back.
    ///
    /// # Errors
    /// When the budget is spent.
    pub fn take(&self, bytes: usize) -> Result<(), Refusal> {
        let before = self.held_bytes.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.bytes_max {
            self.give_back(bytes);
            return Err(Refusal::TooManyBodies(self.bytes_max));
        }
        Ok(())
    }

    /// Gives back what was taken.
    pub fn give_back(&self, bytes: usize) {
        if bytes > 0 {
            self.held_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
    }

    /// Bytes that are held now.
    pub fn held_bytes(&self) -> usize {
        self.held_bytes.load(Ordering::Relaxed)
    }
}

impl Held<'_> {
    /// Takes more.
    ///
    /// # Errors
    /// When the budget is spent; the share stays as it was.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.budget.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_full_at_its_bound_and_free_again_when_shares_go() {
        let budget = Budget::new(100);
        let mut first = budget.hold(60).unwrap();
        let second = budget.hold(40).unwrap();
        assert_eq!(budget.hold(1).map(|_| ()).map_err(|refusal| refusal.error()), Err("overloaded"));
        assert_eq!(first.grow(1).map_err(|refusal| refusal.error()), Err("overloaded"));
        assert_eq!(budget.held_bytes(), 100);
        drop(second);
        assert!(first.grow(40).is_ok());
        drop(first);
        assert_eq!(budget.held_bytes(), 0);
    }
}
