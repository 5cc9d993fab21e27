//! What every request needs.
