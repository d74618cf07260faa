//! Recipes as people write them.

use super::*;

const SMALL: &str = r#"
schema: cavalcade.recipe/1
recipe: small
title: A small one
options:
  apart: { default: 30s, doc: time }
needs:
  old-servers-down: { down: node.old.exists }
stages:
  - stage: first
    title: First
    nodes: node.role == "identity-server"
    steps:
      - step: one
        when: "facts.x == 'y'"
        toml: { file: "{{ node.new.home }}/a.toml", set: { a: "{{ options.apart }}" } }
  - stage: second
    title: Second
    on: databases.am_db.from
    after: [first]
    needs: [old-servers-down]
    approval: { by: dba, says: yes please }
    batch: { size: 25%, canary: 1, failure_budget: 2 }
    undo: backup
    steps:
      - step: two
        remove: [/opt/a/b]
"#;

/// The small recipe with one text replaced: its first fault as (code, line, column).
fn broken(find: &str, with: &str) -> (u16, u32, u32) {
    assert!(SMALL.contains(find), "{find}");
    let text = SMALL.replacen(find, with, 1);
    let fault = read(text.as_bytes(), "r.yaml").expect_err(&format!("{find} -> {with}")).0.remove(0);
    let place = fault.place.expect("has a place");
    (fault.code.0, place.line, place.column)
}

#[test]
fn the_built_in_recipes_are_sound() {
    for (name, text) in BUILT_IN {
        let recipe = read(text.as_bytes(), name).unwrap_or_else(|f| panic!("{f}"));
        assert_eq!(recipe.name, name);
        assert!(text.lines().all(|l| l.chars().count() <= 130));
    }
}

#[test]
fn every_row_of_the_first_release_has_a_step() {
    let recipe = load(BUILT_IN[0].0, Path::new("/")).unwrap_or_else(|f| panic!("{f}"));
    let rows: Vec<&str> = recipe.stages.iter().flat_map(|s| &s.steps).filter_map(|s| s.row.as_deref()).collect();
    for row in [
        "A1", "A2", "A3", "A4", "A5", "B1", "B2", "B4", "B5", "C1", "C2", "C8", "C9", "C10", "C11", "C12", "C13", "C14", "D1",
        "D2", "D3", "D4", "D6", "D9", "D10", "D13", "D14",
    ] {
        assert!(rows.contains(&row), "{row}");
    }
    let skipped = recipe.stages.iter().flat_map(|s| &s.steps).filter(|s| s.row.as_deref() == Some("D6"));
    assert_eq!(skipped.filter(|s| s.is_left_out()).count(), 2);
}

#[test]
fn a_recipe_is_read() {
    let recipe = read(SMALL.as_bytes(), "r.yaml").unwrap_or_else(|f| panic!("{f}"));
    let second = &recipe.stages[1];
    assert_eq!(second.batch, BatchWritten { size: Size::Percent(25), canary: 1, failure_budget: 2 });
    assert_eq!(second.undo, Undo::Backup);
    assert_eq!(second.approval.as_ref().map(|a| a.by.as_str()), Some("dba"));
    assert_eq!(recipe.sha256, Digest::of(SMALL.as_bytes()));
}

#[test]
fn faults_have_places() {
    assert_eq!(broken("cavalcade.recipe/1", "cavalcade.recipe/9"), (1117, 2, 9));
    assert_eq!(broken("title: A small one\n", ""), (1108, 2, 1));
    assert_eq!(broken("stage: second", "stage: first"), (1209, 17, 12));
    assert_eq!(broken("after: [first]", "after: [frist]"), (1210, 20, 13));
    assert_eq!(broken("needs: [old-servers-down]", "needs: [old-server-down]"), (1118, 21, 13));
    assert_eq!(broken("undo: backup", "undo: magic"), (1110, 24, 11));
    assert_eq!(broken("size: 25%", "size: 250%"), (1110, 23, 20));
    assert_eq!(broken("size: 25%", "size: 0"), (1110, 23, 20));
    assert_eq!(broken("title: Second", "tilte: Second"), (1108, 17, 5));
    assert_eq!(broken("    nodes: node.role == \"identity-server\"\n", ""), (1108, 10, 12));
    assert_eq!(broken("nodes: node.role ==", "nodes: node.role = ="), (1112, 12, 22));
    assert_eq!(broken("nodes: node.role", "nodes: nod.role"), (1107, 12, 12));
    assert_eq!(broken("when: \"facts.x == 'y'\"", "when: \"{{ facts.x == 'y' }}\""), (1111, 15, 15));
    assert_eq!(broken("options.apart }}", "options.apert }}"), (1107, 16, 67));
    assert_eq!(broken("set: { a:", "sett: { a:"), (1110, 16, 17));
    assert_eq!(broken("      - step: two\n        remove: [/opt/a/b]\n", "      []\n"), (1110, 26, 7));
    assert_eq!(broken("down: node.old.exists", "up: node.old.exists"), (1106, 8, 23));
}

#[test]
fn a_recipe_that_does_not_exist_is_named() {
    let fault = load("wso2-is-km-5.10.0-to-5.11.1", Path::new("/nowhere")).expect_err("does not exist").0.remove(0);
    assert_eq!(fault.code.0, 1205);
    assert_eq!(fault.help.as_deref(), Some("`wso2-is-km-5.10.0-to-5.11.0` is built in"));
}
