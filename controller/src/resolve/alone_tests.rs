//! Nobody else in the databases, before each script and each migration (10, rule 16).

use cavalcade_common::action::Action;
use cavalcade_common::codes::plan as codes;
use cavalcade_common::plan::{Need, Plan};

use super::tests::{FLEET, RECIPE, plan_with};

/// The databases, and who may be in them, that a step's launch is behind.
fn alone(plan: &Plan, name: &str) -> (Vec<String>, Vec<String>) {
    let (_, step) = plan.steps().find(|(_, s)| s.name.as_str() == name && !s.needs.is_empty()).expect("is a step");
    let found = step.needs.iter().find_map(|need| match need {
        Need::Alone { databases, but_from } => Some((databases.keys().cloned().collect(), but_from.clone())),
        Need::Ready { .. } | Need::Down { .. } => None,
    });
    found.expect("has the need")
}

#[test]
fn scripts_and_migrations_are_alone_in_every_database_and_the_last_one_with_the_new_identity_servers() {
    let plan = plan_with(FLEET, RECIPE, |_, _| {}).unwrap_or_else(|f| panic!("{f}"));
    let all: Vec<String> = plan.databases.keys().cloned().collect();
    assert!(all.len() > 1, "{all:?}");
    assert_eq!(alone(&plan, "am-db-script"), (all.clone(), Vec::new()));
    let migrates = |stage: &str| {
        let mut of_stage = plan.steps().filter(|(group, _)| group.id.as_str() == stage);
        let (_, job) = of_stage.find(|(_, s)| matches!(s.action, Action::Job(_))).expect("has a job");
        job.needs.iter().find_map(|need| match need {
            Need::Alone { databases, but_from } => Some((databases.len(), but_from.len())),
            Need::Ready { .. } | Need::Down { .. } => None,
        })
    };
    let servers = plan.nodes.iter().filter(|n| n.role == cavalcade_common::plan::Role::IdentityServer && n.new.is_some()).count();
    assert_eq!(migrates("migrate-is"), Some((all.len(), 0)));
    assert_eq!(migrates("migrate-am"), Some((all.len(), servers)));
}

#[test]
fn no_recipe_can_leave_it_out() {
    let with = "    needs: [old-servers-down, nobody-in-databases]\n    approval:";
    assert!(RECIPE.contains(with));
    let without = RECIPE.replacen(with, "    needs: [old-servers-down]\n    approval:", 1);
    let faults = plan_with(FLEET, &without, |_, _| {}).expect_err("is refused");
    let codes: Vec<_> = faults.0.iter().map(|f| f.code).collect();
    assert!(codes.contains(&codes::NO_ALONE_BEFORE) && codes.iter().all(|c| *c == codes::NO_ALONE_BEFORE), "{faults}");
}
