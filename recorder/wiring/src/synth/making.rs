//! The calls while their frames are made, stretch after stretch, for a file.

use std::ops::Range;

use super::slice::{self, Running, Slice};
use super::{Options, Studio, Truth};

/// Calls, and how far their frames are made.
pub(crate) struct Making {
    studio: Studio,
    calls: Vec<Running>,
    span: Range<u64>,
    parts: slice::Parts,
}

impl Making {
    /// Nothing of them is made yet.
    pub(crate) fn new(options: &Options) -> Self {
        let studio = Studio::new(options);
        let calls: Vec<Running> =
            (0..options.calls).map(|index| Running::new(studio.plan.call(index))).collect();
        let span = studio.plan.origin()..calls.iter().map(Running::end).max().unwrap_or(0) + 1;
        let parts = slice::parts(&span, options.calls);
        Self { studio, calls, span, parts }
    }

    /// The time from the first frame's earliest to the last one's, nanoseconds since the epoch.
    pub(crate) fn span(&self) -> Range<u64> {
        self.span.clone()
    }

    /// Makes the frames of the next stretch. False if there is none; the slice is then as it was.
    pub(crate) fn next(&mut self, slice: &mut Slice) -> bool {
        let part = self.parts.next();
        part.iter().for_each(|part| slice.fill(&self.studio, &mut self.calls, part));
        part.is_some()
    }

    /// What a recorder should have found, once all frames are made; and what makes any payload again.
    pub(crate) fn finish(self) -> (Vec<Truth>, Studio) {
        let Self { studio, calls, .. } = self;
        (calls.into_iter().map(|call| call.truth(&studio)).collect(), studio)
    }
}
