//! Who did what: a hash-chained log.
