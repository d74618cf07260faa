//! Row D15, with its condition true and false.

use cavalcade_common::plan::OmittedWhy;

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

fn is_row_of(row: Option<&str>, rows: &[&str]) -> bool {
    row.is_some_and(|r| rows.contains(&r))
}
