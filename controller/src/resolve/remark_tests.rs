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
