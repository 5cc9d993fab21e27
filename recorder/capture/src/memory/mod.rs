//! Memory that packets are copied into, cut into blocks; a part of it outlives the process.
//!
//! A [`Region`] is one mapping: anonymous, or a file on tmpfs that stays when the process is killed. It is cut
//! once, into shared [`Cells`] (atomic words) and [`Slab`]s of equal [`Block`]s. A block has one owner at a time
//! and cannot be copied; who has it reads and writes its bytes through the slab. [`Shelf`] is where regions
//! with a name are, and where a successor reads what a killed process left in them ([`Kept`]).
//!
//! Pages come into being a few MiB at a time, before they are needed if [`Slab::prepare`] is called often
//! enough: a full tmpfs is then an error, and not the signal that a write to a page that cannot be had raises.

mod pages;
mod region;
mod ring;
mod shelf;

pub use pages::in_huge_pages;
pub use region::{Block, Cells, Fresh, Region, Slab};
pub use ring::ring;
pub use shelf::{Kept, Shelf};
