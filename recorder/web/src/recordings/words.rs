//! Words that people give: what may be in them.

use crate::problem::{Answer, Problem};

/// Whether `text` has 1 to `max` characters and no control character, as the API's description says of it.
///
/// # Errors
/// 400, with what is wrong with `what`.
pub(super) fn check(what: &str, text: &str, max: usize) -> Answer<()> {
    let wrong = |reason: &str| Err(Problem::bad_request(format!("{what}: {reason}")));
    if text.is_empty() {
        return wrong("it is empty");
    }
    if text.chars().count() > max {
        return wrong(&format!("it has more than {max} characters"));
    }
    if text.chars().any(char::is_control) {
        return wrong("it holds a control character");
    }
    Ok(())
}

/// Whether `text` can be a name that people choose by (a label, a saved search): as [`check`], without white space at
/// its ends, where nobody would see it.
///
/// # Errors
/// 400.
pub(super) fn check_name(what: &str, text: &str, max: usize) -> Answer<()> {
    check(what, text, max)?;
    if text.trim().len() != text.len() {
        return Err(Problem::bad_request(format!("{what}: it begins or ends with white space")));
    }
    Ok(())
}

/// Whether `key` can be a key of free metadata: letters, digits, `.`, `_`, `-`; a colon ends it in a search.
///
/// # Errors
/// 400.
pub(super) fn check_key(key: &str, max: usize) -> Answer<()> {
    check("metadata key", key, max)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match key.chars().all(plain) {
        true => Ok(()),
        false => Err(Problem::bad_request(format!(
            "metadata key {key:?}: letters, digits, '.', '_' and '-' can be in it"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_is_said() {
        let detail = |answer: Answer<()>| answer.unwrap_err().detail;
        assert!(check_name("label", "für später / 2", 20).is_ok());
        assert_eq!(detail(check("party", "", 20)), "party: it is empty");
        assert_eq!(detail(check("party", "äöü", 2)), "party: it has more than 2 characters");
        assert_eq!(detail(check("party", "a\0", 20)), "party: it holds a control character");
        assert_eq!(detail(check("party", "a\u{85}b", 20)), "party: it holds a control character");
        assert_eq!(
            detail(check_name("label", "x\u{a0}", 20)),
            "label: it begins or ends with white space"
        );
        assert!(check_key("case.no_1-A", 20).is_ok());
        assert_eq!(
            detail(check_key("case:no", 20)),
            "metadata key \"case:no\": letters, digits, '.', '_' and '-' can be in it"
        );
    }
}
