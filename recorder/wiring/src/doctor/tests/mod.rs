//! The analysis on counts, one finding at a time, and on whole captures that lack something.

mod captures;
mod counts;
mod whole;
