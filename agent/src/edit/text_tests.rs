use cavalcade_common::action::TextEdit;
use proptest::prelude::*;
use serde_json::json;

use super::super::error::EditError;
use super::text;

fn edit(fields: serde_json::Value) -> TextEdit {
    let mut all = json!({"file": "/f"});
    if let (Some(all), Some(fields)) = (all.as_object_mut(), fields.as_object()) {
        all.extend(fields.clone());
    }
    serde_json::from_value(all).expect("a text edit")
}

fn run(source: &[u8], fields: serde_json::Value) -> Vec<u8> {
    text(source, &edit(fields)).expect("edit")
}

const BATCH: &[u8] =
    b"\xef\xbb\xbfrem caf\xe9\r\nset CMD_LINE_ARGS=%CMD_LINE_ARGS% -Dmigrate -Dcomponent=identity -Dx=y\r\ngoto end\r\n";

#[test]
fn replacements_keep_every_other_byte() {
    let out = run(BATCH, json!({"replace": [{"find": " -Dmigrate -Dcomponent=identity", "with": ""}]}));
    let expected = b"\xef\xbb\xbfrem caf\xe9\r\nset CMD_LINE_ARGS=%CMD_LINE_ARGS% -Dx=y\r\ngoto end\r\n";
    assert_eq!(out, expected);
    let out = run(BATCH, json!({"replace": [{"find": "-Dx=y\ngoto end", "with": "\nexit"}]}));
    assert!(out.ends_with(b"identity \r\nexit\r\n"));
}

#[test]
fn the_number_of_matches_is_checked() {
    let error = |fields| text(b"a a a", &edit(fields)).expect_err("must be refused");
    assert!(matches!(error(json!({"replace": [{"find": "b", "with": "c"}]})), EditError::NotFound { .. }));
    let two = error(json!({"replace": [{"find": "a", "with": "hunter2", "count": 2}]}));
    assert!(matches!(two, EditError::Count { found: 3, wanted: 2, .. }));
    assert!(!format!("{two} {two:?}").contains("hunter2"));
    assert!(matches!(error(json!({"replace": [{"find": "", "with": "c"}]})), EditError::Operation { .. }));
    assert_eq!(run(b"a a a", json!({"replace": [{"find": "a", "with": "aa", "count": 0}]})), b"aa aa aa");
    assert_eq!(run(b"a", json!({"replace": [{"find": "b", "with": "c", "count": 0}]})), b"a");
}

#[test]
fn lines_come_and_go() {
    assert_eq!(run(b"a\r\nb", json!({"lines": ["b", "c"]})), b"a\r\nb\r\nc");
    assert_eq!(run(b"a\n", json!({"lines": ["b", "b"]})), b"a\nb\n");
    assert_eq!(run(b"", json!({"lines": ["b"]})), b"b\n");
    assert_eq!(run(b"\xef\xbb\xbfa\nb\na", json!({"remove_lines": ["a", "x"]})), b"\xef\xbb\xbfb\n");
    assert_eq!(run(b" a\n", json!({"remove_lines": ["a"]})), b" a\n");
    for fields in [json!({"lines": ["a\nb"]}), json!({"remove_lines": ["a\r"]}), json!({"lines": ["a"], "remove_lines": ["a"]})] {
        assert!(matches!(text(b"x", &edit(fields)), Err(EditError::Operation { .. })));
    }
}

#[test]
fn content_stands_alone() {
    assert_eq!(run(b"old", json!({"content": "new\r\n"})), b"new\r\n");
    let error = text(b"", &edit(json!({"content": "x", "lines": ["y"]}))).expect_err("must be refused");
    assert!(matches!(error, EditError::Operation { .. }));
    assert!(matches!(text(b"a\0", &edit(json!({"lines": ["y"]}))), Err(EditError::Nul { .. })));
}

proptest! {
    #[test]
    fn adding_lines_keeps_what_is_there(source in "([ab]{0,3}\r?\n){0,6}[ab]{0,3}", lines in prop::collection::vec("[abc]{1,3}", 0..4)) {
        let edit = TextEdit { lines, ..TextEdit::default() };
        let once = text(source.as_bytes(), &edit).expect("edit");
        prop_assert!(once.starts_with(source.as_bytes()));
        prop_assert_eq!(text(&once, &edit).expect("second run"), once);
    }
}
