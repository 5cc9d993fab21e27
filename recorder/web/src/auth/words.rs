//! How roles, rights and times are written in the tables.

use base::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Json;
use store::database::{DatabaseError, Row};

/// A list with commas, in the words of the API.
pub(super) fn list<T: Serialize>(items: &[T]) -> String {
    let word = |item: &T| match serde_json::to_value(item) {
        Ok(Json::String(word)) => Some(word),
        _ => None,
    };
    items.iter().filter_map(word).collect::<Vec<_>>().join(",")
}

/// The items of such a list. What this version does not know gives nobody anything.
pub(super) fn items<T: DeserializeOwned>(list: &str) -> Vec<T> {
    let item = |word: &str| serde_json::from_value(Json::String(word.to_owned())).ok();
    list.split(',').filter_map(item).collect()
}

/// A time as it is kept.
pub(crate) fn nanos(time: Timestamp) -> i64 {
    i64::try_from(time.as_nanos()).unwrap_or(i64::MAX)
}

/// A time that was kept.
pub(crate) fn time(row: &Row, column: &str) -> Result<Timestamp, DatabaseError> {
    row.integer(column).map(|nanos| Timestamp::from_nanos(nanos.max(0).unsigned_abs()))
}

/// The same, where there may be none.
pub(crate) fn optional_time(row: &Row, column: &str) -> Result<Option<Timestamp>, DatabaseError> {
    let nanos = row.optional_integer(column)?;
    Ok(nanos.map(|nanos| Timestamp::from_nanos(nanos.max(0).unsigned_abs())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Right, Role};

    #[test]
    fn lists_come_back_without_what_is_not_known() {
        let rights = [Right::SeeStatus, Right::ListenLive];
        assert_eq!(list(&rights), "seeStatus,listenLive");
        assert_eq!(items::<Right>("seeStatus,fly,listenLive"), rights);
        assert_eq!(items::<Role>(""), []);
        assert_eq!(items::<Role>(&list(&Role::ALL)), Role::ALL);
    }
}
