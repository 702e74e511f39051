//! Numbers that are the same for the same seed.

use std::sync::atomic::{AtomicU64, Ordering};

/// A source of numbers by SplitMix64.
pub(crate) struct Random(AtomicU64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// Keeps some of the cases, drawn evenly.
    pub(crate) fn chosen<T>(&self, mut cases: Vec<T>, count: usize) -> Vec<T> {
        let keep = count.min(cases.len());
        for index in 0..keep {
            let left = (cases.len() - index) as u64;
            let other = index + usize::try_from(self.next() % left).expect("a place in a list");
            cases.swap(index, other);
        }
        cases.truncate(keep);
        cases
    }

    fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut mixed = self.0.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
