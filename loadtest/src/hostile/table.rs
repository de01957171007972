//! The table of hostile requests: each with the answers that it must get.

use super::case::Case;

mod body;
mod encoding;
mod flood;
mod framing;
mod head;
mod slow;

/// Every case, those of one connection first.
pub fn cases() -> Vec<Case> {
    [encoding::cases(), body::cases(), head::cases(), framing::cases(), slow::cases(), flood::cases()]
        .concat()
}
