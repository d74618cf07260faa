//! Remarks of the recipe: each text with the nodes that it is true of.

use serde_json::json;

use super::tests::{FLEET, RECIPE, plan_with};

#[test]
fn each_text_of_a_remark_names_the_nodes_that_it_is_true_of() {
    let remarks = "remarks:\n  - nodes: node.role == \"api-manager\"\n    says: \"Look at {{ facts.note }}.\"\n";
    let text = RECIPE.replacen("remarks:\n", remarks, 1);
    assert_ne!(text, RECIPE);
    let plan = plan_with(FLEET, &text, |id, facts| facts["note"] = json!(if id.starts_with("gw") { "gateways" } else { id }));
    let plan = plan.unwrap_or_else(|f| panic!("{f}"));
    let said: Vec<&String> = plan.remarks.iter().filter(|r| r.starts_with("Look at")).collect();
    assert_eq!(said, ["Look at cp-1. (cp-1)", "Look at tm-1. (tm-1)", "Look at gateways. (gw-1, gw-2)"]);
}

#[test]
fn a_new_server_that_nothing_starts_at_boot_is_named() {
    let unit =
        |home: &str, enabled: bool| json!([{ "kind": "systemd", "file": format!("/etc/{home}.service"), "enabled": enabled }]);
    let said = |old: serde_json::Value, new: serde_json::Value| {
        let plan = plan_with(FLEET, RECIPE, |id, facts| {
            if id == "gw-1" {
                (facts["old"]["autostart"], facts["new"]["autostart"]) = (old.clone(), new.clone());
            }
        });
        let remarks = plan.unwrap_or_else(|f| panic!("{f}")).remarks;
        remarks.into_iter().filter(|r| r.contains("when the host boots")).collect::<Vec<_>>()
    };
    let found = said(unit("old", true), json!([]));
    assert!(found.len() == 1 && found[0].contains("/etc/old.service") && found[0].ends_with("(gw-1)"), "{found:?}");
    assert_eq!(said(unit("old", true), unit("new", false)), [""; 0], "what starts the new one is there, and off until the end");
    assert_eq!(said(unit("old", false), json!([])), [""; 0]);
    assert_eq!(said(json!([]), json!([])), [""; 0], "the old one was started by hand, too");
}
