//! How much memory all bodies may hold together: what the bounds of one body cannot say.
//!
//! Thousands of clients that each send their body slowly hold as many buffers. What does not fit is refused at once, so
//! that those who are served go on; and one network may hold a part of it only, so that there is room for the others.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::refusal::Refusal;

/// A network may hold one of so many parts of the budget.
const PARTS: usize = 4;

/// Bytes that bodies hold, and may hold.
#[derive(Debug)]
pub struct Budget {
    held_bytes: AtomicUsize,
    bytes_max: usize,
}

/// Bytes that the bodies of one network hold.
#[derive(Debug, Default)]
pub struct Share(AtomicUsize);

/// Bytes of the budget, given back when this is dropped.
#[derive(Debug)]
pub struct Held<'a> {
    budget: &'a Budget,
    share: Option<&'a Share>,
    bytes: usize,
}

impl Budget {
    /// A budget of this many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { held_bytes: AtomicUsize::new(0), bytes_max }
    }

    /// Takes bytes for the network of `share`, or for no network in particular; they give themselves back.
    ///
    /// # Errors
    /// When the budget is spent, or the network's part of it.
    pub fn hold<'a>(&'a self, share: Option<&'a Share>, bytes: usize) -> Result<Held<'a>, Refusal> {
        let mut held = Held { budget: self, share, bytes: 0 };
        held.grow(bytes)?;
        Ok(held)
    }

    /// Takes bytes that the caller gives back.
    ///
    /// # Errors
    /// When the budget is spent.
    pub fn take(&self, bytes: usize) -> Result<(), Refusal> {
        take(&self.held_bytes, bytes, self.bytes_max)
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
    /// When the budget is spent, or the network's part of it; what is held stays as it was.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Refusal> {
        self.budget.take(bytes)?;
        if let Some(Share(held_bytes)) = self.share
            && let Err(refusal) = take(held_bytes, bytes, self.budget.bytes_max / PARTS)
        {
            self.budget.give_back(bytes);
            return Err(refusal);
        }
        self.bytes += bytes;
        Ok(())
    }
}

fn take(held_bytes: &AtomicUsize, bytes: usize, bytes_max: usize) -> Result<(), Refusal> {
    let before = held_bytes.fetch_add(bytes, Ordering::Relaxed);
    if before.saturating_add(bytes) > bytes_max {
        held_bytes.fetch_sub(bytes, Ordering::Relaxed);
        return Err(Refusal::TooManyBodies(bytes_max));
    }
    Ok(())
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
        if let Some(Share(held_bytes)) = self.share {
            held_bytes.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_full_at_its_bound_and_free_again_when_shares_go() {
        let budget = Budget::new(100);
        let mut first = budget.hold(None, 60).unwrap();
        let second = budget.hold(None, 40).unwrap();
        assert_eq!(budget.hold(None, 1).map(|_| ()).map_err(|refusal| refusal.error()), Err("overloaded"));
        assert_eq!(first.grow(1).map_err(|refusal| refusal.error()), Err("overloaded"));
        assert_eq!(budget.held_bytes(), 100);
        drop(second);
        assert!(first.grow(40).is_ok());
        drop(first);
        assert_eq!(budget.held_bytes(), 0);
    }

    #[test]
    fn a_network_leaves_room_for_the_others() {
        let budget = Budget::new(100);
        let (greedy, other) = (Share::default(), Share::default());
        let mut first = budget.hold(Some(&greedy), 20).unwrap();
        assert!(first.grow(6).is_err());
        assert!(first.grow(5).is_ok());
        assert_eq!(
            budget.hold(Some(&greedy), 1).map(|_| ()).map_err(|refusal| refusal.error()),
            Err("overloaded")
        );
        let second = budget.hold(Some(&other), 25).unwrap();
        assert_eq!(budget.held_bytes(), 50);
        drop(first);
        assert!(budget.hold(Some(&greedy), 25).is_ok());
        drop(second);
        assert_eq!(budget.held_bytes(), 0);
    }
}
