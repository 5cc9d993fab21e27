//! Every test that `docs/SPECIFICATION.md` names exists.

use std::path::Path;

/// A promise names `file.rs` and then, in the same cell, the function in it; or `file.js` and the test's title.
#[test]
fn every_test_that_holds_a_promise_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let page = std::fs::read_to_string(root.join("docs/SPECIFICATION.md")).unwrap();
    let words: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let mut named = 0;
    for pair in words.windows(2) {
        let [file, test] = pair else { unreachable!() };
        let is_name = test.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let wanted = match Path::new(file).extension().and_then(|it| it.to_str()) {
            Some("rs") if is_name => format!("fn {test}("),
            Some("js") => (*test).to_owned(),
            _ => continue,
        };
        let source = std::fs::read_to_string(root.join(file)).unwrap_or_default();
        assert!(source.contains(&wanted), "{file} has no {test}");
        named += 1;
    }
    assert!(named > 30, "only {named} tests are named");
}
