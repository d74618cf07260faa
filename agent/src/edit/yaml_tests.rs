use cavalcade_common::action::YamlEdit;
use serde_json::json;

use super::super::error::EditError;
use super::yaml;

fn edit(fields: serde_json::Value) -> YamlEdit {
    let mut all = json!({"file": "/f"});
    if let (Some(all), Some(fields)) = (all.as_object_mut(), fields.as_object()) {
        all.extend(fields.clone());
    }
    serde_json::from_value(all).expect("a YAML edit")
}

fn run(source: &str, fields: serde_json::Value) -> String {
    let out = yaml(source.as_bytes(), &edit(fields)).unwrap_or_else(|e| panic!("{e}: {source}"));
    String::from_utf8(out).expect("UTF-8")
}

fn set(source: &str, path: &str, value: serde_json::Value) -> String {
    let out = run(source, json!({"set": {path: value.clone()}}));
    assert_eq!(run(&out, json!({"set": {path: value}})), out, "the second run changed something");
    out
}

fn remove(source: &str, list: &str, contains: serde_json::Value) -> String {
    run(source, json!({"remove_items": [{"list": list, "contains": contains}]}))
}

fn refused(source: &str, fields: serde_json::Value) -> EditError {
    yaml(source.as_bytes(), &edit(fields)).expect_err("must be refused")
}

#[test]
fn scalars_keep_style_and_comment() {
    let source = "a: \"x\"   # c\nb: 'x'\nc: x # d\nd: 5\ne:   \"multi\n  line\" # e\n";
    assert_eq!(set(source, "a", json!("y \"q\"")), source.replace("\"x\"", "\"y \\\"q\\\"\""));
    assert_eq!(set(source, "b", json!("it's")), source.replace("'x'", "'it''s'"));
    assert_eq!(set(source, "c", json!("yy")), source.replace("c: x", "c: yy"));
    assert_eq!(set(source, "c", json!("true")), source.replace("c: x", "c: \"true\""));
    assert_eq!(set(source, "a", json!(true)), source.replace("\"x\"", "true"));
    assert_eq!(set(source, "d", json!(6)), source.replace("d: 5", "d: 6"));
    assert_eq!(set(source, "e", json!("z")), source.replace("\"multi\n  line\"", "\"z\""));
    assert_eq!(set(source, "d", json!(5)), source);
}

#[test]
fn empty_values_are_filled() {
    assert_eq!(set("a: # c\nb:\n", "a", json!("x")), "a: \"x\" # c\nb:\n".replace("\"x\"", "x"));
    assert_eq!(set("a: # c\nb:", "b", json!(1)), "a: # c\nb: 1");
    assert_eq!(set("a: ~\n", "a", json!(1)), "a: 1\n");
}

#[test]
fn selectors_walk_lists() {
    let source = "v:\n -\n  version: 5.10\n  m:\n   - name: \"A\"\n     p: {k: \"1\"}\n   - {name: B, p: {k: 2}}\n - version: 5.1\n   m: []\n";
    assert_eq!(set(source, "v[version=5.10].m[name=A].p.k", json!("9")), source.replace("\"1\"", "\"9\""));
    assert_eq!(set(source, "v[version=5.10].m[name=B].p.k", json!(9)), source.replace("k: 2", "k: 9"));
    let error = |path: &str| refused(source, json!({"set": {path: 1}}));
    assert!(matches!(error("v[version=5.10].m[name=A][p=x].p.k"), EditError::NotFound { .. }));
    assert!(matches!(error("v[version=5.11].m"), EditError::NotFound { .. }));
    assert!(matches!(error("v.version"), EditError::Kind { .. }));
    assert_eq!(set(source, "v[version=5.1].version", json!("5.2")), source.replace("5.1\n", "\"5.2\"\n"));
}

#[test]
fn block_items_go_with_their_own_comments() {
    let source = "l:\n  # all\n\n  # of a\n  - n: a # x\n    # in a\n    o: 1\n\n    # below a\n  # of b\n  - # on the dash\n    n: b\n    # below b\n\n  # of c\n  -\n    n: c\n # end\nz: 1\n";
    let cut = |from: &str, to: &str| {
        let (start, end) = (source.find(from).expect(from), source.find(to).expect(to));
        format!("{}{}", &source[..start], &source[end..])
    };
    assert_eq!(remove(source, "l", json!({"n": "a"})), cut("  # of a", "  # of b"));
    assert_eq!(remove(source, "l", json!({"n": "b"})), cut("  # of b", "\n  # of c"));
    assert_eq!(remove(source, "l", json!({"n": "c"})), cut("  # of c", " # end"));
}

#[test]
fn items_are_found_by_nested_content_as_text() {
    let source = "l:\n- n: a\n  o: \"2\"\n  p: {s: x, t: [1, 2]}\n- n: a\n  o: 3\n";
    let rest = "l:\n- n: a\n  o: 3\n";
    assert_eq!(remove(source, "l", json!({"n": "a", "o": 2})), rest);
    assert_eq!(remove(source, "l", json!({"p": {"s": "x"}})), rest);
    assert_eq!(remove(source, "l", json!({"p": {"t": [1, "2"]}})), rest);
    let both = json!({"remove_items": [{"list": "l", "contains": {"n": "a"}, "count": 2}]});
    assert_eq!(run(source, both), "l: []\n");
    let one = json!({"remove_items": [{"list": "l", "contains": {"n": "a"}}]});
    assert!(matches!(refused(source, one), EditError::Count { found: 2, wanted: 1, .. }));
    let none = json!({"remove_items": [{"list": "l", "contains": {"n": "b"}}]});
    assert!(matches!(refused(source, none), EditError::NotFound { .. }));
}

#[test]
fn flow_lists() {
    let source = "l: [ {n: a}, {n: b} , {n: c} ] # x\n";
    assert_eq!(remove(source, "l", json!({"n": "a"})), "l: [ {n: b} , {n: c} ] # x\n");
    assert_eq!(remove(source, "l", json!({"n": "c"})), "l: [ {n: a}, {n: b} ] # x\n");
    assert_eq!(remove("l: [{n: a}]\n", "l", json!({"n": "a"})), "l: []\n");
    let commented = "l: [{n: a}, # a\n  {n: b}]\n";
    let fields = json!({"remove_items": [{"list": "l", "contains": {"n": "a"}}]});
    assert!(matches!(refused(commented, fields), EditError::Unsupported { .. }));
}

#[test]
fn anchors() {
    let source = "a: &x\n  k: 1\nb: *x\nl:\n  - &y\n    n: 1\n  - n: 2\n  - n: 3\n    r: *x\nc: *y\nd: &z 5 # d\n";
    let item = |n: i64| json!({"remove_items": [{"list": "l", "contains": {"n": n}}]});
    assert!(matches!(refused(source, item(1)), EditError::AnchorUsed { .. }));
    assert_eq!(run(source, item(2)), source.replace("  - n: 2\n", ""));
    assert_eq!(run(source, item(3)), source.replace("  - n: 3\n    r: *x\n", ""));
    assert_eq!(set(source, "d", json!(6)), source.replace("&z 5", "&z 6"));
    assert!(matches!(refused(source, json!({"set": {"b.k": 2}})), EditError::Unsupported { .. }));
    assert!(matches!(refused(source, json!({"set": {"b": 2}})), EditError::Unsupported { .. }));
    // The anchored table is edited where it stands only if that changes nothing else.
    assert!(matches!(refused(source, json!({"set": {"a.k": 2}})), EditError::AnchorUsed { .. }));
}

#[test]
fn forms_that_are_not_edited() {
    let source = "a: !!str 5\nb: |\n  text\nl:\n - - n: 1\n   - n: 2\nm: {k: 1}\n";
    for fields in [json!({"set": {"a": "6"}}), json!({"set": {"b": "6"}})] {
        assert!(matches!(refused(source, fields.clone()), EditError::Unsupported { .. }), "{fields}");
    }
    for fields in [json!({"set": {"m": 1}}), json!({"set": {"l": 1}}), json!({"set": {"m.k.x": 1}})] {
        assert!(matches!(refused(source, fields.clone()), EditError::Kind { .. }), "{fields}");
    }
    assert!(matches!(refused(source, json!({"set": {"m.absent": 1}})), EditError::NotFound { .. }));
    assert!(matches!(refused(source, json!({"set": {"m.k": [1]}})), EditError::Operation { .. }));
}

#[test]
fn line_ends_and_mark_are_kept() {
    let source = "\u{feff}a: \"1\"\r\nl:\r\n  - n: 1\r\n  - n: 2";
    assert_eq!(set(source, "a", json!("2")), source.replace("\"1\"", "\"2\""));
    assert_eq!(remove(source, "l", json!({"n": 1})), source.replace("  - n: 1\r\n", ""));
    assert_eq!(remove(source, "l", json!({"n": 2})), source.replace("  - n: 2", ""));
}

#[test]
fn bad_input_is_refused_with_a_place() {
    let fields = edit(json!({"set": {"a": 1}}));
    let at = |source: &[u8]| {
        let fault = yaml(source, &fields).expect_err("must be refused").fault("f.yaml");
        let place = fault.place.expect("place");
        (fault.code.0, place.line, place.column)
    };
    assert_eq!(at(b"a: 1\nb: \0"), (3101, 2, 4));
    assert_eq!(at(b"a: \xff"), (3101, 1, 4));
    assert_eq!(at(b"a: 1\nb: 2\na: 3\n"), (3101, 3, 1));
    assert_eq!(at(b"a: 1\n---\na: 2\n").0, 3101);
    assert_eq!(at(b"a: [1\n").0, 3101);
    assert_eq!(at(b"a: *x\n"), (3101, 1, 4));
    assert_eq!(at(b"").0, 3103);
    assert_eq!(at(&vec![b'#'; (4 << 20) + 1]).0, 3102);
    for deep in [format!("a: {}", "[".repeat(10_000)), format!("a: {}", "{a: ".repeat(10_000)), "- ".repeat(10_000)] {
        assert_eq!(at(deep.as_bytes()).0, 3102);
    }
    let bomb = |levels: u32| {
        let lines = (1..levels).map(|i| format!("a{i}: &a{i} [*a{0}, *a{0}, *a{0}]\n", i - 1)).collect::<String>();
        format!("a0: &a0 [x, x]\n{lines}a: 0\n")
    };
    for levels in [10, 20, 40, 400] {
        assert_eq!(at(bomb(levels).as_bytes()).0, 3102, "{levels}");
    }
    // Aliases that repeat a little are what they are for, in a file of few or of many.
    let few = bomb(4);
    assert_eq!(set(&few, "a", json!(1)), few.replace("a: 0", "a: 1"));
    let many = format!("r: &r {{ t: 1 }}\na: 0\nl:\n{}", "  - *r\n".repeat(5_000));
    assert_eq!(set(&many, "a", json!(1)), many.replace("a: 0", "a: 1"));
    let error = yaml(b"a: !!int hunter2\n", &fields).expect_err("must be refused");
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn large_files_are_edited() {
    let item = |i: usize| format!("  - n: {i}\n    r: *x\n");
    let list: String = (0..50_000).map(item).collect();
    let source = format!("a: &x {{k: v}}\nl:\n{list}");
    assert_eq!(remove(&source, "l", json!({"n": 40_000, "r": {"k": "v"}})), source.replace(&item(40_000), ""));
    let all = json!({"remove_items": [{"list": "l", "contains": {"r": {"k": "v"}}, "count": 50_000}]});
    assert_eq!(run(&source, all), "a: &x {k: v}\nl: []\n");
}
