//! Commands for people who write recipes: no controller, no fleet.

use serde_json::Value;

use super::fake::{Said, cavalcade};

const RECIPE: &str = "schema: cavalcade.recipe/1\nrecipe: small\ntitle: A small one\noptions:\n  idle: { doc: used by nobody }\n\
    stages:\n  - stage: first\n    title: First\n    nodes: node.new.exists\n    steps:\n      - step: remove\n        row: C13\n        \
    remove: [\"{{ node.new.home }}/x\"]\n";

fn alone(args: &[&str]) -> Said {
    Said::of(cavalcade(args).output().expect("runs"))
}

fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("small.yaml");
    std::fs::write(&path, text).expect("is written");
    let path = path.to_str().expect("UTF-8").to_owned();
    (folder, path)
}

#[test]
fn lint_shows_faults_and_warnings_and_ends_as_documented() {
    let (_folder, path) = file(RECIPE);
    let said = alone(&["recipe", "lint", &path]).ends(0);
    let said = said.out_has(&[
        "warning[CVL-1250]: nothing uses the option `idle`",
        "small.yaml:5:3",
        "The recipe can be used; 1 warning.",
    ]);
    assert!(said.out.lines().all(|line| line.chars().count() <= 80 || line.contains("small.yaml")), "{}", said.out);
    alone(&["recipe", "lint", &path, "--strict"]).ends(1);
    let document: Value = serde_json::from_str(&alone(&["recipe", "lint", &path, "-o", "json"]).ends(0).out).expect("JSON");
    assert_eq!((&document["schema"], &document["recipe"]), (&"cavalcade.lint/1".into(), &"small".into()));
    assert_eq!((document["faults"].as_array().map(Vec::len), document["warnings"].as_array().map(Vec::len)), (Some(0), Some(1)));

    let (_folder, path) = file(&RECIPE.replace("row: C13", "rwo: C13").replace("title: First", "titel: First"));
    let said = alone(&["recipe", "lint", &path]).ends(2);
    said.out_has(&["error[CVL-1106]", "`row` exists", "rwo: C13", "Nothing was changed."]);
    let document: Value = serde_json::from_str(&alone(&["recipe", "lint", &path, "-o", "json"]).ends(2).out).expect("JSON");
    assert!(document["faults"].as_array().is_some_and(|faults| faults.len() >= 3), "every fault at once: {document}");
    alone(&["recipe", "lint", "/nowhere.yaml"]).ends(2).err_has(&["/nowhere.yaml"]);
    alone(&["recipe", "lint", "wso2-is-km-5.10.0-to-5.11.0", "--strict"]).ends(0).out_has(&["The recipe is sound."]);
}

#[test]
fn graph_draws_stages_in_order() {
    let said = alone(&["recipe", "graph", "wso2-is-km-5.10.0-to-5.11.0"]).ends(0);
    let said = said.out_has(&[
        "  1 set-up-is",
        "after     set-up-am",
        "approval  dba",
        "point of no return",
        "needs     old-servers-down",
    ]);
    assert!(said.out.lines().all(|line| line.chars().count() < 80), "{}", said.out);
    let said = alone(&["recipe", "graph", "wso2-is-km-5.10.0-to-5.11.0", "--dot"]).ends(0);
    said.out_has(&["digraph \"wso2-is-km-5.10.0-to-5.11.0\" {", "\"set-up-is\" -> \"set-up-am\";"]);
    let said = alone(&["recipe", "graph", "wso2-is-km-5.10.0-to-5.11.0", "-o", "json"]).ends(0);
    let document: Value = serde_json::from_str(&said.out).expect("JSON");
    assert_eq!((&document["schema"], &document["recipe"]), (&"cavalcade.graph/1".into(), &"wso2-is-km-5.10.0-to-5.11.0".into()));
    let stages = document["stages"].as_array().expect("a list");
    let found = |id: &str| stages.iter().find(|s| s["stage"] == id).unwrap_or_else(|| panic!("{id} in {document}"));
    assert_eq!(found("set-up-am")["after"], serde_json::json!(["set-up-is"]));
    assert!(stages.iter().any(|s| s["approval"]["by"] == "dba") && stages.iter().any(|s| s["point_of_no_return"] == true));
    let circle = RECIPE.replace("    nodes: node.new", "    after: [first]\n    nodes: node.new");
    let (_folder, path) = file(&circle);
    alone(&["recipe", "graph", &path]).ends(2).err_has(&["wait for each other: first"]);
    let (_folder, path) = file("schema: cavalcade.recipe/1\n");
    alone(&["recipe", "graph", &path]).ends(2).err_has(&["CVL-1108"]);
}

#[test]
fn the_schemas_go_to_standard_output_or_a_file() {
    for what in ["recipe", "fleet"] {
        let schema: Value = serde_json::from_str(&alone(&[what, "schema"]).ends(0).out).expect("JSON");
        assert_eq!(schema["$schema"], "http://json-schema.org/draft-07/schema#");
        assert_eq!(schema["properties"]["schema"]["const"], format!("cavalcade.{what}/1"));
        let folder = tempfile::tempdir().expect("a folder");
        let out = folder.path().join("a.schema.json");
        assert_eq!(alone(&[what, "schema", "--out", out.to_str().expect("UTF-8")]).ends(0).out, "");
        let written: Value = serde_json::from_slice(&std::fs::read(&out).expect("is there")).expect("JSON");
        assert_eq!(written, schema);
    }
}
