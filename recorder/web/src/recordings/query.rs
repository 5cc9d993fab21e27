//! What may be asked for: the query string of a search.

use std::str::FromStr;

use base::limits::{
    LABEL_CHARACTERS_MAX, METADATA_KEY_BYTES_MAX, METADATA_VALUE_CHARACTERS_MAX, SEARCH_LABELS_MAX,
    SEARCH_PAGE_DEFAULT, SEARCH_PAGE_MAX, SEARCH_TEXT_CHARACTERS_MAX,
};
use base::recording::Direction;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use store::catalog::Cursor;
use store::{Filter, Order};
use utoipa::{IntoParams, ToSchema};

use super::shape::Column;
use super::words;
use crate::problem::{Answer, Problem};

/// A query string with the keys that every search has, and some of its own. (Flattened structs would lose the
/// refusal of unknown keys.)
macro_rules! query {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$about])*
        #[derive(Clone, Debug, Default, Deserialize, Serialize, IntoParams)]
        #[serde(rename_all = "camelCase", deny_unknown_fields)]
        #[into_params(parameter_in = Query)]
        pub(super) struct $name {
            /// Started at this time or later.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[param(value_type = String, format = DateTime, required = false)]
            from: Option<String>,
            /// Started before this time.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[param(value_type = String, format = DateTime, required = false)]
            to: Option<String>,
            /// Number or address (`user@host`) of the caller or the callee; `*` stands for anything.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[param(value_type = String, required = false, min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
            party: Option<String>,
            /// The Call-ID of one of its legs.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[param(value_type = String, required = false, min_length = 1, max_length = 256, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
            call_id: Option<String>,
            /// Which way it went.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[param(value_type = Direction, inline, required = false)]
            direction: Option<Direction>,
            /// At least so long, milliseconds.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[param(value_type = u64, required = false)]
            duration_min: Option<String>,
            /// At most so long, milliseconds.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[param(value_type = u64, required = false)]
            duration_max: Option<String>,
            /// Its worst stream has this mean opinion score or a lower one.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[param(value_type = f64, required = false, minimum = 1.0, maximum = 5.0)]
            mos_max: Option<String>,
            /// True: only those that something is missing from.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[param(value_type = bool, required = false)]
            incomplete: Option<String>,
            /// True: only those that have gaps.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[param(value_type = bool, required = false)]
            gaps: Option<String>,
            /// True: only those under non-deletion; false: only the others.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            #[param(value_type = bool, required = false)]
            held: Option<String>,
            /// It has this label; given several times: all of them.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[param(inline, required = false, max_items = 16)]
            label: Vec<Label>,
            /// Its free metadata have this, as `key:value`; given several times: all of them.
            #[serde(default, skip_serializing_if = "Vec::is_empty")]
            #[param(inline, required = false, max_items = 16)]
            metadata: Vec<Pair>,
            $($own)*
        }

        impl $name {
            /// The catalog's filter.
            ///
            /// # Errors
            /// 400, with what is wrong.
            pub(super) fn filter(&self) -> Answer<Filter> {
                checked(Filter {
                    from: read("from", &self.from, A_TIME)?,
                    to: read("to", &self.to, A_TIME)?,
                    party: self.party.clone(),
                    call_id: self.call_id.clone(),
                    direction: self.direction,
                    duration_min: read("durationMin", &self.duration_min, MILLISECONDS)?,
                    duration_max: read("durationMax", &self.duration_max, MILLISECONDS)?,
                    mos_max: read("mosMax", &self.mos_max, A_MOS)?,
                    incomplete: read("incomplete", &self.incomplete, YES_OR_NO)?.unwrap_or_default(),
                    gaps: read("gaps", &self.gaps, YES_OR_NO)?.unwrap_or_default(),
                    held: read("held", &self.held, YES_OR_NO)?,
                    labels: self.label.iter().map(|label| label.0.clone()).collect(),
                    metadata: self.metadata.iter().map(Pair::split).collect::<Answer<_>>()?,
                })
            }

            /// What was asked for, for the audit log.
            pub(super) fn detail(&self) -> Value {
                json!(self)
            }
        }
    };
}

query! {
    /// Which recordings.
    CountQuery {}
}

query! {
    /// Which recordings, and which page of them.
    ListQuery {
        /// By start time.
        #[serde(default)]
        #[param(inline, required = false)]
        order: Sorting,
        /// Recordings on a page.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[param(value_type = u64, required = false, minimum = 1, maximum = 200, default = 50)]
        limit: Option<String>,
        /// Where the page before ended: its `next`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[param(value_type = String, required = false, pattern = r"^[1-9a-f][0-9a-f]{0,14}\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
        cursor: Option<String>,
    }
}

query! {
    /// Which recordings, and how they are written.
    ExportQuery {
        /// By start time.
        #[serde(default)]
        #[param(inline, required = false)]
        order: Sorting,
        /// How they are written.
        #[serde(default)]
        #[param(inline, required = false)]
        format: ExportFormat,
        /// The columns of a CSV file, in order; all if none is given.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        #[param(inline, required = false, max_items = 32)]
        columns: Vec<Column>,
    }
}

/// Latest or earliest start first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sorting {
    /// Latest first.
    #[default]
    Latest,
    /// Earliest first.
    Earliest,
}

impl From<Sorting> for Order {
    fn from(sorting: Sorting) -> Self {
        match sorting {
            Sorting::Latest => Self::Latest,
            Sorting::Earliest => Self::Earliest,
        }
    }
}

/// How a list is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExportFormat {
    /// RFC 4180.
    #[default]
    Csv,
    /// As the list is answered.
    Json,
}

/// A label: 1 to 64 characters, no control characters, no white space at the ends.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(
    min_length = 1,
    max_length = 64,
    pattern = r"^[^\s\x00-\x1f\x7f-\x9f]([^\x00-\x1f\x7f-\x9f]*[^\s\x00-\x1f\x7f-\x9f])?$"
)]
pub(super) struct Label(pub(super) String);

impl Label {
    /// # Errors
    /// 400 if it cannot be one.
    pub(super) fn check(&self) -> Answer<()> {
        words::check_name("label", &self.0, LABEL_CHARACTERS_MAX)
    }
}

/// A key of free metadata and what it must be, `key:value`.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[schema(pattern = r"^[A-Za-z0-9._-]{1,64}:[^\x00-\x1f\x7f-\x9f]{1,256}$")]
pub(super) struct Pair(String);

impl Pair {
    fn split(&self) -> Answer<(String, String)> {
        let wrong = || Problem::bad_request(format!("metadata {:?}: give key:value", self.0));
        let (key, value) = self.0.split_once(':').ok_or_else(wrong)?;
        words::check_key(key, METADATA_KEY_BYTES_MAX)?;
        words::check("metadata", value, METADATA_VALUE_CHARACTERS_MAX)?;
        Ok((key.to_owned(), value.to_owned()))
    }
}

const A_TIME: &str = "a time as in RFC 3339, like 2026-11-23T10:15:30Z";
const MILLISECONDS: &str = "a number of milliseconds";
const A_MOS: &str = "a number from 1 to 5";
const YES_OR_NO: &str = "true or false";

/// The value of a key. (Types that read themselves would not say which key it was.)
fn read<T: FromStr>(key: &str, text: &Option<String>, wanted: &str) -> Answer<Option<T>> {
    let wrong = |_| Problem::bad_request(format!("{key}: it must be {wanted}"));
    text.as_deref().map(|text| text.parse().map_err(wrong)).transpose()
}

/// What the types do not say already.
fn checked(filter: Filter) -> Answer<Filter> {
    if let Some(party) = &filter.party {
        words::check("party", party, SEARCH_TEXT_CHARACTERS_MAX)?;
    }
    if let Some(call_id) = &filter.call_id {
        words::check("callId", call_id, SEARCH_TEXT_CHARACTERS_MAX)?;
    }
    if filter.mos_max.is_some_and(|mos| !(1.0..=5.0).contains(&mos)) {
        return Err(Problem::bad_request(format!("mosMax: it must be {A_MOS}")));
    }
    for label in &filter.labels {
        words::check_name("label", label, LABEL_CHARACTERS_MAX)?;
    }
    if filter.labels.len() > SEARCH_LABELS_MAX || filter.metadata.len() > SEARCH_LABELS_MAX {
        let reason = format!("at most {SEARCH_LABELS_MAX} labels and {SEARCH_LABELS_MAX} metadata");
        return Err(Problem::bad_request(reason));
    }
    Ok(filter)
}

impl ListQuery {
    /// How many recordings a page has.
    ///
    /// # Errors
    /// 400 if that is none, or too many.
    pub(super) fn limit(&self) -> Answer<usize> {
        let wanted = format!("a number from 1 to {SEARCH_PAGE_MAX}");
        match read("limit", &self.limit, &wanted)?.unwrap_or(SEARCH_PAGE_DEFAULT) {
            limit @ 1..=SEARCH_PAGE_MAX => Ok(limit),
            _ => Err(Problem::bad_request(format!("limit: it must be {wanted}"))),
        }
    }

    /// Where the page begins.
    ///
    /// # Errors
    /// 400 if that is no `next` of ours.
    pub(super) fn after(&self) -> Answer<Option<Cursor>> {
        let wrong = |_| Problem::bad_request("cursor: give the `next` of the page before");
        self.cursor.as_deref().map(|cursor| cursor.parse().map_err(wrong)).transpose()
    }

    /// In which order.
    pub(super) fn order(&self) -> Order {
        self.order.into()
    }
}

impl ExportQuery {
    /// In which order.
    pub(super) fn order(&self) -> Order {
        self.order.into()
    }

    /// How.
    pub(super) const fn format(&self) -> ExportFormat {
        self.format
    }

    /// The columns that are wanted.
    pub(super) fn columns(&self) -> &[Column] {
        if self.columns.is_empty() { &Column::ALL } else { &self.columns }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Uri;

    use super::*;

    fn parsed(query: &str) -> Result<ListQuery, String> {
        let uri: Uri = format!("/?{query}").parse().unwrap();
        let parsed = axum_extra::extract::Query::try_from_uri(&uri);
        parsed.map(|query| query.0).map_err(|error| error.body_text())
    }

    fn filter(query: &str) -> Filter {
        parsed(query).unwrap().filter().unwrap()
    }

    fn refusal(query: &str) -> String {
        match parsed(query) {
            Ok(query) => match query.filter().and(query.limit()).and(query.after()) {
                Ok(_) => panic!("{query:?}"),
                Err(problem) => {
                    assert_eq!(problem.status, 400);
                    problem.detail
                }
            },
            Err(reason) => reason,
        }
    }

    #[test]
    fn every_key_is_in_the_filter() {
        assert_eq!(filter(""), Filter::default());
        let all = "from=2026-11-23T10:00:00Z&to=2026-11-23T12:00:00%2B01:00&party=%2B49*&callId=a@b\
                   &direction=inbound&durationMin=1000&durationMax=2000&mosMax=3.5&incomplete=true\
                   &gaps=true&held=false&label=complaint&label=f%C3%BCr+sp%C3%A4ter&metadata=case:4711:b";
        assert_eq!(
            filter(all),
            Filter {
                from: Some("2026-11-23T10:00:00Z".parse().unwrap()),
                to: Some("2026-11-23T11:00:00Z".parse().unwrap()),
                party: Some("+49*".into()),
                call_id: Some("a@b".into()),
                direction: Some(Direction::Inbound),
                duration_min: Some(1_000),
                duration_max: Some(2_000),
                mos_max: Some(3.5),
                incomplete: true,
                gaps: true,
                held: Some(false),
                labels: vec!["complaint".into(), "für später".into()],
                metadata: vec![("case".into(), "4711:b".into())],
            }
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, expected) in [
            ("from=yesterday", "from: it must be a time as in RFC 3339"),
            ("to=2026-13-01T00:00:00Z", "to:"),
            ("part=1", "unknown field `part`"),
            ("party=a%00b", "party: it holds a control character"),
            ("direction=sideways", "unknown variant `sideways`"),
            ("durationMin=-1", "durationMin: it must be a number of milliseconds"),
            ("mosMax=6", "mosMax: it must be a number from 1 to 5"),
            ("mosMax=NaN", "mosMax: it must be a number from 1 to 5"),
            ("incomplete=maybe", "incomplete: it must be true or false"),
            ("label=", "label: it is empty"),
            ("metadata=case", "metadata \"case\": give key:value"),
            ("metadata=a/b:c", "metadata key \"a/b\""),
            ("limit=0", "limit: it must be a number from 1 to 200"),
            ("limit=201", "limit: it must be a number from 1 to 200"),
            ("cursor=5", "cursor: give the `next` of the page before"),
            ("order=random", "unknown variant `random`"),
        ] {
            let refusal = refusal(query);
            assert!(refusal.contains(expected), "{query}: {refusal}");
        }
        let long = format!("party={}", "9".repeat(257));
        assert_eq!(refusal(&long), "party: it has more than 256 characters");
        let many = ["label=x"; 17].join("&");
        assert_eq!(refusal(&many), "at most 16 labels and 16 metadata");
    }

    #[test]
    fn the_audit_log_gets_what_was_asked_for() {
        let detail = parsed("party=5*&label=x&limit=7").unwrap().detail();
        let expected = json!({ "party": "5*", "label": ["x"], "limit": "7", "order": "latest" });
        assert_eq!(detail, expected);
    }
}
