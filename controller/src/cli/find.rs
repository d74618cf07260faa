//! Steps, stages and nodes as operators name them.

use cavalcade_common::codes::run as codes;
use cavalcade_common::error::Fault;

use super::failure::Failure;
use crate::view::document::{RunStatus, StageStatus, StepStatus};
use crate::view::text::ranges;

/// A step by `3.2@is-1`, by `3.2` or by its name where only one node has it.
pub(super) fn step<'a>(run: &'a RunStatus, text: &str) -> Result<&'a StepStatus, Failure> {
    let (what, node) = match text.split_once('@') {
        Some((what, node)) => (what, Some(node)),
        None => (text, None),
    };
    let steps = run.extra.iter().chain(run.stages.iter().flat_map(|g| &g.steps));
    let fits = |s: &&StepStatus| {
        let number = s.step.split_once('@').map_or("", |(number, _)| number);
        (number == what || s.name == what) && node.is_none_or(|node| s.node == node)
    };
    let found: Vec<&StepStatus> = steps.filter(fits).collect();
    match &found[..] {
        [step] => Ok(step),
        [] => Err(Fault::new(codes::NO_STEP, format!("the run has no step `{text}`")).into()),
        [first, ..] => {
            let names: Vec<&str> = found.iter().map(|s| s.step.as_str()).collect();
            let message = format!("`{text}` is a step of several nodes: say which, for example {}", first.step);
            Err(Fault::new(codes::NO_STEP, message).help(names.join(" ")).into())
        }
    }
}

/// A stage by its number or its name.
pub(super) fn stage<'a>(run: &'a RunStatus, text: &str) -> Result<&'a StageStatus, Failure> {
    run.stages.iter().find(|g| g.id == text || g.number.to_string() == text).ok_or_else(|| no_stage(text, stages(run)))
}

fn stages(run: &RunStatus) -> Vec<(u32, &str)> {
    run.stages.iter().map(|g| (g.number, g.id.as_str())).collect()
}

/// The fault for a stage that is not there.
pub(super) fn no_stage(text: &str, stages: Vec<(u32, &str)>) -> Failure {
    let names: Vec<String> = stages.iter().map(|(number, id)| format!("{number} {id}")).collect();
    let message = format!("the plan has no stage `{text}`");
    Fault::new(codes::NO_STEP, message).help(format!("its stages are {}", names.join(", "))).into()
}

/// One step in a line, as verbs show it before they send what was read.
pub(super) fn shown(step: &StepStatus) -> String {
    let mut text = format!("{} {} is {} (position {})", step.step, step.name, step.state, step.position);
    if let Some(fault) = &step.fault {
        text.push_str(&format!(": {}: {}", fault.code, fault.message));
    }
    crate::view::text::clean(&text)
}

/// A run in a line, as verbs show it before they send what was read.
pub(super) fn shown_run(run: &RunStatus) -> String {
    let text = format!("{} of fleet {} is {} (position {})", run.run, run.fleet, run.mode, run.position);
    crate::view::text::clean(&text)
}

/// Names in one text.
pub(super) fn names(nodes: &[String]) -> String {
    ranges(nodes.iter().map(String::as_str))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example::{night, opened};

    #[test]
    fn a_step_needs_its_node_only_where_several_have_it() {
        let status = night(opened());
        let run = &status.runs[0];
        let found = |text: &str| step(run, text).map(|s| s.step.clone()).ok();
        assert_eq!(found("3.2").as_deref(), Some("3.2@is-1"));
        assert_eq!(found("upgrade-am-db").as_deref(), Some("3.2@is-1"));
        assert_eq!(found("5.1@is-2").as_deref(), Some("5.1@is-2"));
        assert_eq!(found("start@gw-1").as_deref(), Some("7.1@gw-1"));
        assert_eq!((found("5.1"), found("9.9"), found("3.2@gw-1"), found("")), (None, None, None, None));
        assert_eq!(stage(run, "4").map(|g| g.number).ok(), stage(run, "migrate-is").map(|g| g.number).ok());
        assert!(stage(run, "nine").is_err());
    }
}
