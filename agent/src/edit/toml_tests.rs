use cavalcade_common::action::TomlEdit;
use serde_json::json;

use super::super::error::EditError;
use super::toml;

/// An edit from the JSON form of its fields.
fn edit(fields: serde_json::Value) -> TomlEdit {
    let mut all = json!({"file": "/f"});
    if let (Some(all), Some(fields)) = (all.as_object_mut(), fields.as_object()) {
        all.extend(fields.clone());
    }
    serde_json::from_value(all).expect("a TOML edit")
}

/// Runs the edit, then once more, which must change nothing.
fn run(source: &str, fields: serde_json::Value) -> String {
    let edit = edit(fields);
    let once = toml(source.as_bytes(), &edit).unwrap_or_else(|e| panic!("{e}: {source}"));
    let twice = toml(&once, &edit).expect("second run");
    let once = String::from_utf8(once).expect("UTF-8");
    assert_eq!(String::from_utf8(twice).expect("UTF-8"), once, "the second run changed something");
    once
}

fn refused(source: &str, fields: serde_json::Value) -> EditError {
    toml(source.as_bytes(), &edit(fields)).expect_err("must be refused")
}

#[test]
fn a_replaced_value_keeps_its_line() {
    let source = "# top\n[a]\n  k   =  1   # why\nother = [ 1,2 ]\n";
    assert_eq!(run(source, json!({"set": {"a.k": "x\"\\\u{7}"}})), source.replace("1   #", "\"x\\\"\\\\\\u0007\"   #"));
    assert_eq!(run(source, json!({"set": {"a.k": 1, "a.other": [1, 2]}})), source);
    assert_eq!(
        run(source, json!({"merge": {"a": {"k": 2.0, "new": true}}})),
        source.replace("1   #", "2.0   #") + "new = true\n"
    );
}

#[test]
fn natural_forms_of_values() {
    let set = json!({"set": {"a.s": "C:\\x", "a.i": -5, "a.b": false, "a.l": ["x", {"k": 1}], "a.t": {"q.r": 1.5}, "a.e": {}}});
    let text = "[a]\ns = \"C:\\\\x\"\ni = -5\nb = false\nl = [\"x\", { k = 1 }]\nt = { 'q.r' = 1.5 }\ne = {}\n";
    assert_eq!(run("", set), text);
}

#[test]
fn new_keys_stand_behind_the_last_one() {
    let source = "[a]\n\tx = 1\n\n#y = 2\n[b]\n#c\n[c]";
    let out = run(source, json!({"set": {"a.z": 1, "b.k": 2, "c.k": 3, "top": 4}}));
    assert_eq!(out, "top = 4\n\n[a]\n\tx = 1\n\tz = 1\n\n#y = 2\n[b]\nk = 2\n#c\n[c]\nk = 3");
    assert_eq!(
        run("a = 1\nb = \"\"\"\nx\n\"\"\"\n[t]\n", json!({"set": {"c": 1}})),
        "a = 1\nb = \"\"\"\nx\n\"\"\"\nc = 1\n[t]\n"
    );
}

#[test]
fn new_tables_stand_behind_their_kin_or_at_the_end() {
    let source = "[database.one]\nx = 1\n#y = 2\n\n#[database.two]\n\n[z]\nk = 1";
    let out = run(source, json!({"merge": {"database.user": {"type": "mysql", "pool": {"max": 1}}, "new": {"deep": {"k": 1}}}}));
    let user = "\n[database.user]\ntype = \"mysql\"\n\n[database.user.pool]\nmax = 1\n";
    let expected = format!("[database.one]\nx = 1\n#y = 2\n{user}\n#[database.two]\n\n[z]\nk = 1\n\n[new.deep]\nk = 1");
    assert_eq!(out, expected);
    // Comments that lead to the next header stay with it.
    assert_eq!(run("[a.b]\nx = 1\n# of c\n[c]\n", json!({"set": {"a.d.k": 1}})), "[a.b]\nx = 1\n\n[a.d]\nk = 1\n\n# of c\n[c]\n");
    // A table that was only implied gets a header of its own.
    assert_eq!(run("[a.b]\nx = 1\n\n[c]\n", json!({"set": {"a.k": 1}})), "[a.b]\nx = 1\n\n[a]\nk = 1\n\n[c]\n");
}

#[test]
fn dotted_keys_stay_dotted() {
    let source = "[t]\n  pool.max = 1 # m\nz = 2\n";
    assert_eq!(run(source, json!({"set": {"t.pool.min": 1}})), "[t]\n  pool.max = 1 # m\n  pool.min = 1\nz = 2\n");
    assert_eq!(
        run(source, json!({"merge": {"t": {"pool": {"a": {"b": 1, "c": [2]}}}}})),
        "[t]\n  pool.max = 1 # m\n  pool.a.b = 1\n  pool.a.c = [2]\nz = 2\n"
    );
    assert_eq!(run(source, json!({"remove": ["t.pool"]})), "[t]\nz = 2\n");
    assert_eq!(run(source, json!({"comment_out": ["t.pool"]})), "[t]\n#  pool.max = 1 # m\nz = 2\n");
}

#[test]
fn inline_tables_are_changed_in_place() {
    let source = "[t]\na = { x = 1, y = { z = 'q' } } # keep\n";
    assert_eq!(run(source, json!({"set": {"t.a.x": 2}})), source.replace("x = 1", "x = 2"));
    assert_eq!(run(source, json!({"merge": {"t": {"a": {"y": {"z": "r"}}}}})), source.replace("'q'", "\"r\""));
    let added = run(source, json!({"set": {"t.a.n.m": 1}}));
    assert!(added.ends_with("} # keep\n") && added.contains("n = { m = 1 }"), "{added}");
    assert!(run(source, json!({"remove": ["t.a.y"]})).starts_with("[t]\na = { x = 1"));
    let list = "l = [\r\n  {name = 'A', v = 1}, # one\r\n  {name = 'B', v = 2},\r\n]\r\n";
    assert_eq!(run(list, json!({"set": {"l[name=B].v": 3}})), list.replace("v = 2", "v = 3"));
}

#[test]
fn comment_out_takes_the_table_with_its_sub_tables() {
    let source = "#[above]\n#k = 1\n\n[u]\na = 1 # x\n#b = 2\n\nc = \"\"\"\n[not]\n\n# a table\n\"\"\"\n#tail\n[u.sub]\nd = 1\n\n[v]\n[u.late]\ne = 1\n";
    let out = run(source, json!({"comment_out": ["u"]}));
    let expected = "#[above]\n#k = 1\n\n#[u]\n#a = 1 # x\n#b = 2\n\n#c = \"\"\"\n#[not]\n\n# a table\n#\"\"\"\n#tail\n#[u.sub]\n#d = 1\n\n[v]\n#[u.late]\n#e = 1\n";
    assert_eq!(out, expected);
}

#[test]
fn comment_out_and_set_again() {
    let source = "[a]\nx = 1\n\n[user_store]\ntype = \"ldap\"\nbase = \"dc\"   # c\n\n[b]\n";
    let fields = json!({"comment_out": ["user_store"], "set": {"user_store.type": "database"}});
    let out = run(source, fields.clone());
    let new = "#[user_store]\n#type = \"ldap\"\n#base = \"dc\"   # c\n\n[user_store]\ntype = \"database\"\n\n[b]\n";
    assert_eq!(out, format!("[a]\nx = 1\n\n{new}"));
    // What holds more than the edit sets is not what it sets.
    let more = out.replace("\"database\"\n", "\"database\"\nextra = 1\n");
    let again = run(&more, fields.clone());
    assert!(again.contains("#[user_store]\n#type = \"database\"\n#extra = 1\n\n[user_store]\ntype = \"database\"\n"), "{again}");
    // At the end of a file without a last line end.
    let out = run("[user_store]\ntype = \"ldap\"", fields);
    assert_eq!(out, "#[user_store]\n#type = \"ldap\"\n\n[user_store]\ntype = \"database\"");
}

#[test]
fn remove_leaves_what_stands_around() {
    let source = "#[old]\n#k = 1\n\n[t]\na = 1\n#inside\nb = 2\n#after\n\n# of u\n[u]\nc = 1\n";
    assert_eq!(run(source, json!({"remove": ["t", "absent.key"]})), "#[old]\n#k = 1\n\n#after\n\n# of u\n[u]\nc = 1\n");
    assert_eq!(run(source, json!({"remove": ["t.a", "u.c"]})), source.replace("a = 1\n", "").replace("c = 1\n", ""));
    assert_eq!(run("[a]\nx = 1\n\n[b]\ny = 1\n\n[c]\n", json!({"remove": ["b"]})), "[a]\nx = 1\n\n[c]\n");
    assert_eq!(run("[[l]]\nn = 1\n[l.s]\nm = 1\n[[l]]\nn = 2\n", json!({"remove": ["l[n=1]"]})), "[[l]]\nn = 2\n");
}

#[test]
fn removing_what_was_added_gives_the_file_back() {
    for source in ["[a]\nx = 1\n\n[c]\ny = 1\n", "[a]\nx = 1\n", "# only\n\n[a.b]\n"] {
        let added = run(source, json!({"merge": {"a.n": {"k": 1}}}));
        assert_eq!(run(&added, json!({"remove": ["a.n"]})), source);
    }
}

#[test]
fn append_and_update_elements() {
    let source = "[[l]]\nid = \"a\"\n[l.properties]\nk = 1\n\n[z]\n";
    let element = |id: &str, order: i64| {
        json!({"append": [{"table": "l", "identity": ["id"],
            "values": {"id": id, "properties": {"'header.X'": "v", "n": {"m": 1}}, "order": order}}]})
    };
    let new = "\n[[l]]\nid = \"b\"\norder = 1\n\n[l.properties]\n'header.X' = \"v\"\n\n[l.properties.n]\nm = 1\n";
    assert_eq!(run(source, element("b", 1)), format!("[[l]]\nid = \"a\"\n[l.properties]\nk = 1\n{new}\n[z]\n"));
    let updated = "[[l]]\nid = \"a\"\norder = 2\n[l.properties]\nk = 1\n'header.X' = \"v\"\n\n[l.properties.n]\nm = 1\n\n[z]\n";
    assert_eq!(run(source, element("a", 2)), updated);
    let two = format!("[[l]]\nid = \"c\"\n\n{source}");
    assert!(run(&two, element("c", 3)).starts_with("[[l]]\nid = \"c\"\norder = 3\n\n[l.properties]\n'header.X'"));
}

#[test]
fn an_equal_element_is_not_added_again() {
    let source = "[[l]]\nid = \"a\"\nmore = 1\n";
    assert_eq!(run(source, json!({"append": [{"table": "l", "values": {"id": "a"}}]})), source);
    let out = run(source, json!({"append": [{"table": "l", "values": {"id": "b"}}, {"table": "x.y", "values": {"k": 1}}]}));
    assert_eq!(out, format!("{source}\n[[l]]\nid = \"b\"\n\n[[x.y]]\nk = 1\n"));
    let inline = "l = [{id = 1}] # c\n";
    assert_eq!(run(inline, json!({"append": [{"table": "l", "values": {"id": 2}}]})), "l = [{id = 1}, { id = 2 }] # c\n");
}

#[test]
fn selectors_choose_one_element() {
    let source = "[[g.env]]\nname = \"A\"\nn = 1\n[[g.env]]\nname = \"B\" # b\nn = 1\n";
    assert_eq!(run(source, json!({"set": {"g.env[name=B].url": "u"}})), format!("{source}url = \"u\"\n"));
    assert_eq!(
        run(source, json!({"merge": {"g.env[name=A][n=1].sub": {"k": 1}}})),
        "[[g.env]]\nname = \"A\"\nn = 1\n\n[g.env.sub]\nk = 1\n\n[[g.env]]\nname = \"B\" # b\nn = 1\n"
    );
    assert!(matches!(refused(source, json!({"set": {"g.env[name=C].url": "u"}})), EditError::NotFound { .. }));
    assert!(matches!(refused(source, json!({"set": {"g.env[n=1].url": "u"}})), EditError::Count { found: 2, wanted: 1, .. }));
    assert!(matches!(refused(source, json!({"set": {"g.env.url": "u"}})), EditError::Kind { .. }));
}

#[test]
fn line_ends_and_mark_are_kept() {
    let source = "\u{feff}[a]\r\nx = 1 # c\r\n\r\n[b]\r\ny = 1";
    let fields = json!({"set": {"a.x": 2, "a.z": 3}, "merge": {"c": {"k": 1}}, "comment_out": ["b"]});
    let out = run(source, fields);
    assert_eq!(out, "\u{feff}[a]\r\nx = 2 # c\r\nz = 3\r\n\r\n#[b]\r\n#y = 1\r\n\r\n[c]\r\nk = 1");
    assert_eq!(run("\u{feff}", json!({"set": {"a.k": 1}})), "\u{feff}[a]\nk = 1\n");
}

#[test]
fn another_kind_is_refused() {
    let source = "[t]\nk = 1\nl = [1]\n[[a]]\n";
    for fields in [
        json!({"set": {"t": 1}}),
        json!({"set": {"t.k.x": 1}}),
        json!({"set": {"a": [1]}}),
        json!({"merge": {"t": {"k": {"x": 1}}}}),
        json!({"merge": {"a": {"x": 1}}}),
        json!({"append": [{"table": "t", "values": {"x": 1}}]}),
        json!({"append": [{"table": "t.l", "values": {"x": 1}}]}),
    ] {
        assert!(matches!(refused(source, fields.clone()), EditError::Kind { .. }), "{fields}");
    }
    for fields in [
        json!({"set": {"t.k": null}}),
        json!({"set": {"t..k": 1}}),
        json!({"merge": {"t": 1}}),
        json!({"set": {"t.k": 18_446_744_073_709_551_615_u64}}),
        json!({"append": [{"table": "a", "identity": ["id"], "values": {"x": 1}}]}),
    ] {
        assert!(matches!(refused(source, fields.clone()), EditError::Operation { .. }), "{fields}");
    }
}

#[test]
fn bad_input_is_refused_with_a_place() {
    let fields = || edit(json!({"set": {"a.k": 1}}));
    let at = |source: &[u8]| {
        let error = toml(source, &fields()).expect_err("must be refused");
        let fault = error.fault("f.toml");
        let place = fault.place.expect("place");
        (fault.code.0, place.line, place.column)
    };
    assert_eq!(at(b"a = 1\n\0"), (3101, 2, 1));
    assert_eq!(at(b"a = 1\nb = \"\xff\""), (3101, 2, 6));
    assert_eq!(at(b"[a]\nk = 1\nk = 2"), (3101, 3, 1));
    assert_eq!(at(b"[a]\n\n[a]\n").0, 3101);
    assert_eq!(at(b"[a\n").0, 3101);
    assert_eq!(at(&vec![b'#'; (4 << 20) + 1]).0, 3102);
    for deep in [
        format!("a = {}", "[".repeat(10_000)),
        format!("a = {}", "{a = ".repeat(10_000)),
        format!("{} = 1", vec!["a"; 10_000].join(".")),
        format!("[{}]", vec!["a"; 10_000].join(".")),
    ] {
        assert_eq!(at(deep.as_bytes()).0, 3102);
    }
    let secret = b"password = \"hunter2\nx = 1\n";
    let error = toml(secret, &fields()).expect_err("must be refused");
    assert!(!format!("{error} {error:?} {:?}", error.fault("f")).contains("hunter2"));
}

#[test]
fn what_a_selector_compares_can_be_renamed() {
    let source = "[[env]]\nname = \"Default\"\nn = 1\n[[env]]\nname = \"Other\"\n";
    let expected = source.replace("Default", "Production and Sandbox");
    assert_eq!(run(source, json!({"set": {"env[name=Default].name": "Production and Sandbox"}})), expected);
    let merged = json!({"merge": {"env[name=Default]": {"name": "Production and Sandbox", "n": 2}}});
    assert_eq!(run(source, merged), expected.replace("n = 1", "n = 2"));
    assert!(matches!(refused(source, json!({"set": {"env[name=Absent].name": "X"}})), EditError::NotFound { .. }));
}

#[test]
fn an_edit_that_cannot_be_repeated_is_refused() {
    let source = "[[l]]\nx = 1\n";
    for fields in [
        json!({"set": {"a": {"x": 1}, "a.x": 2}}),
        json!({"set": {"l[x=1].y": 1}, "append": [{"table": "l", "values": {"x": 1, "z": 1}}]}),
        json!({"set": {"l[x=1].y": 1, "l[y=1].x": 2}}),
    ] {
        assert!(matches!(refused(source, fields.clone()), EditError::Operation { .. }), "{fields}");
    }
}

#[test]
fn large_files_are_edited() {
    let section = |i: usize| format!("[s{i}]\nkey = \"value of some length {i}\"\n\n");
    let source: String = (0..60_000).map(section).collect();
    let out = run(&source, json!({"set": {"s59999.key": 1, "s0.new": 2}, "remove": ["s30000"]}));
    let expected = source.replace(&section(30_000), "").replace("\"value of some length 59999\"", "1");
    assert_eq!(out, expected.replacen("length 0\"\n", "length 0\"\nnew = 2\n", 1));
}
