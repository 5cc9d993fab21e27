//! Who calls, and what he may.

mod rights;

pub use rights::{Right, Role};

/// Who calls: a user who has logged in, or an API token. A handler takes it as an argument (extractor).
#[derive(Clone, Debug)]
pub struct Caller {
    /// The user's name, or `token:NAME`.
    pub name: String,
    /// What he may.
    pub rights: Vec<Right>,
    /// Where the request came from, for the audit log.
    pub address: std::net::IpAddr,
}

impl Caller {
    /// Whether he may.
    #[must_use]
    pub fn may(&self, right: Right) -> bool {
        self.rights.contains(&right)
    }
}
