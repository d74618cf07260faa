//! Row D15, with its condition true and false.

use cavalcade_common::plan::OmittedWhy;
use serde_json::json;

use super::tests::{FLEET, RECIPE, plan_with};

#[test]
fn the_latest_user_store_comes_last_and_only_where_it_is_wanted() {
    let plan = |option: &str| {
        let fleet = FLEET.replacen("options:\n", &format!("options:\n{option}"), 1);
        plan_with(&fleet, RECIPE, |_, _| {}).unwrap_or_else(|f| panic!("{f}"))
    };
    let is_row = |row: Option<&String>| row.is_some_and(|r| r == "D15");
    let unasked = plan("");
    assert!(!unasked.steps().any(|(_, s)| is_row(s.row.as_ref())));
    let omitted: Vec<_> = unasked.omitted.iter().filter(|o| is_row(o.row.as_ref())).collect();
    assert!(!omitted.is_empty() && omitted.iter().all(|o| o.why == OmittedWhy::Condition));

    let wanted = plan("  latest_user_store: true\n");
    let steps: Vec<(u32, &str, &str)> = wanted
        .steps()
        .filter(|(_, s)| is_row(s.row.as_ref()))
        .map(|(stage, s)| (stage.number, s.key.node.as_str(), s.name.as_str()))
        .collect();
    let new = wanted.nodes.iter().filter(|n| n.new.is_some()).count();
    assert_eq!(steps.iter().filter(|(_, _, name)| *name == "user-store").count(), new, "on every new server");
    let first = steps.iter().map(|(stage, ..)| *stage).min().expect("has steps");
    let starts = wanted.steps().filter(|(_, s)| is_row_of(s.row.as_deref(), &["C14", "D14"])).map(|(stage, _)| stage.number);
    assert!(starts.into_iter().all(|stage| stage < first), "after everything else");
    // Each server is stopped, changed and started, in this order.
    let of_one: Vec<&str> = steps.iter().filter(|(_, node, _)| *node == "is-1").map(|(.., name)| *name).collect();
    assert_eq!(of_one, ["stop", "user-store", "start"]);
}

#[test]
fn users_of_a_directory_are_not_left_behind() {
    let fleet = FLEET.replacen("options:\n", "options:\n  latest_user_store: true\n", 1);
    let on = |node: &'static str, kind: serde_json::Value| {
        plan_with(&fleet, RECIPE, move |id, facts| {
            if id == node {
                facts["user_store"]["type"] = kind.clone();
            }
        })
    };
    for (node, kind) in [("is-2", json!("read_write_ldap_unique_id")), ("gw-1", json!("read_only_ldap")), ("is-1", json!(null))] {
        let refused = on(node, kind.clone()).expect_err("a directory").to_string();
        assert!(refused.contains("options.latest_user_store makes a JDBC store"), "{node} {kind}: {refused}");
    }
    assert!(on("gw-1", json!(null)).is_ok(), "an API Manager's own default is a JDBC store");
    let answered = FLEET.replacen("options:\n", "options:\n  is_user_store_type: database_unique_id\n", 1);
    let refused = plan_with(&answered, RECIPE, |_, _| {}).expect_err("nobody asked").to_string();
    assert!(refused.contains("options.is_user_store_type answers for"), "{refused}");
}

fn is_row_of(row: Option<&str>, rows: &[&str]) -> bool {
    row.is_some_and(|r| rows.contains(&r))
}
