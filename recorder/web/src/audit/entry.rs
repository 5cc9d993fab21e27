//! One entry of the audit log.

use std::borrow::Cow;
use std::net::IpAddr;

use base::Timestamp;
use base::limits::{AUDIT_DETAIL_BYTES_MAX, AUDIT_SUBJECT_BYTES_MAX};
use seal::{Sha256Hash, sha256};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::log::Head;

/// What was done, or tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub enum Act {
    /// The first user was made, with the link that the first start printed.
    SetUp,
    /// Logged in.
    LogIn,
    /// Tried to, with a wrong name or password, or too often.
    LogInRefused,
    /// Logged out.
    LogOut,
    /// Sent a request that another site made the browser send, or without its token.
    Forged,
    /// Looked at a recording, or at what is known of calls.
    See,
    /// Searched.
    Search,
    /// Saved a search, or threw one away.
    SaveSearch,
    /// Heard a recording.
    Play,
    /// Heard a call that was up.
    ListenLive,
    /// Took audio, packets or sealed files away.
    Download,
    /// Exported a list.
    Export,
    /// Set or took off a label.
    Label,
    /// Changed free metadata.
    Metadata,
    /// Set non-deletion.
    Hold,
    /// Lifted it.
    Release,
    /// Had the evidence of a recording checked.
    Verify,
    /// Made a link to a recording.
    Share,
    /// Opened such a link.
    OpenShare,
    /// Took it back.
    RevokeShare,
    /// Looked at this log.
    SeeAudit,
    /// Looked at users, made, changed or removed one.
    ManageUser,
    /// Changed the own password.
    ChangePassword,
    /// Looked at API tokens, made or revoked one.
    ManageToken,
    /// The server started.
    Start,
    /// The server found the end of a line in this log that a crash had cut off.
    Torn,
    /// The server found this log altered.
    Altered,
}

/// What goes into an entry; number, hashes and the rest come from the log.
#[derive(Clone, Debug)]
pub struct What<'a> {
    /// Who: a user's name, `token:NAME`, `share:ID`; empty: nobody who is known.
    pub who: &'a str,
    /// From where; `None`: it was the server itself.
    pub address: Option<IpAddr>,
    /// What.
    pub act: Act,
    /// With what: a recording's id, a user's name, a search.
    pub subject: &'a str,
    /// More of it.
    pub detail: Value,
    /// Whether he might.
    pub allowed: bool,
}

/// An entry. The order of its fields is that of the line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number; the first is 1.
    pub number: u64,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub time: Timestamp,
    /// Who: a user's name, `token:NAME`, `share:ID`; empty: nobody who is known.
    pub who: String,
    /// From which IP address; empty: it was the server itself.
    pub address: String,
    /// What.
    pub act: Act,
    /// With what.
    pub subject: String,
    /// More of it.
    #[schema(value_type = Object)]
    pub detail: Value,
    /// Whether he might.
    pub allowed: bool,
    /// The hash of the entry before.
    #[schema(value_type = String)]
    pub previous: Sha256Hash,
    /// The hash of this one.
    #[schema(value_type = String)]
    pub hash: Sha256Hash,
}

impl Entry {
    pub(super) const fn head(&self) -> Head {
        Head { number: self.number, hash: self.hash }
    }

    /// The entry that it says it follows.
    pub(super) const fn before(&self) -> Head {
        Head { number: self.number.saturating_sub(1), hash: self.previous }
    }
}

impl<'a> What<'a> {
    /// Something that the server did by itself.
    pub(crate) const fn server(act: Act, subject: &'a str, detail: Value) -> Self {
        Self { who: "", address: None, act, subject, detail, allowed: true }
    }
}

/// What is under the hash.
#[derive(Serialize)]
struct Hashed<'a> {
    number: u64,
    time: Timestamp,
    who: &'a str,
    address: String,
    act: Act,
    subject: &'a str,
    detail: &'a Value,
    allowed: bool,
    previous: Sha256Hash,
}

/// Where a line's hash stands.
const HASH: &str = ",\"hash\":\"";

/// The line of an entry, with its line feed, and its hash.
pub(super) fn line(
    number: u64,
    time: Timestamp,
    previous: Sha256Hash,
    what: &What<'_>,
) -> (String, Sha256Hash) {
    let hashed = Hashed {
        number,
        time,
        who: cut(what.who, AUDIT_SUBJECT_BYTES_MAX),
        address: what.address.map_or_else(String::new, |address| address.to_string()),
        act: what.act,
        subject: cut(what.subject, AUDIT_SUBJECT_BYTES_MAX),
        detail: &bounded(&what.detail),
        allowed: what.allowed,
        previous,
    };
    // Strings, numbers and maps with string keys: there is nothing in it that JSON could not say.
    let mut line = serde_json::to_string(&hashed).unwrap_or_default();
    line.pop();
    let hash = sha256(line.as_bytes());
    line += &format!("{HASH}{hash}\"}}\n");
    (line, hash)
}

/// The entry in a line without its line feed; `None`: no line of this log has these bytes.
#[must_use]
pub(super) fn read(line: &[u8]) -> Option<Entry> {
    let line = std::str::from_utf8(line).ok()?;
    let (hashed, hash) = line.rsplit_once(HASH)?;
    let hash: Sha256Hash = hash.strip_suffix("\"}")?.parse().ok()?;
    let entry: Entry = serde_json::from_str(line).ok()?;
    (entry.hash == hash && sha256(hashed.as_bytes()) == hash).then_some(entry)
}

fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or(text)
}

/// Details come from people too; what is too long is named by its beginning.
fn bounded(detail: &Value) -> Cow<'_, Value> {
    let text = detail.to_string();
    if text.len() <= AUDIT_DETAIL_BYTES_MAX {
        return Cow::Borrowed(detail);
    }
    Cow::Owned(serde_json::json!({ "cut": cut(&text, AUDIT_DETAIL_BYTES_MAX / 2) }))
}
