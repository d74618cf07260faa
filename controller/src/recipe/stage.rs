//! Stages of a recipe, read.

use std::collections::BTreeMap;

use cavalcade_common::codes::{plan as plan_codes, written as codes};
use cavalcade_common::expression::Condition;
use cavalcade_common::id::StageId;
use cavalcade_common::plan::Undo;
use cavalcade_common::step::WrittenStep;
use cavalcade_common::template::is_template;
use cavalcade_common::written::{Content, Fields, FromNode, Mark, Node, Reader, nearest};

use super::{ApprovalWritten, BatchWritten, Size, Stage};

/// All stages in the order of the file.
pub(super) fn stages(node: &Node, r: &mut Reader) -> Vec<Stage> {
    let Content::List(items) = &node.content else {
        r.fault(codes::WRONG_KIND, node.mark, format!("`stages` is a list, this is {}", node.kind()));
        return Vec::new();
    };
    let stages: Vec<Stage> = items.iter().filter_map(|n| stage(n, r)).collect();
    let mut seen: BTreeMap<&StageId, Mark> = BTreeMap::new();
    for stage in &stages {
        if let Some(first) = seen.insert(&stage.id, stage.mark) {
            let message = format!("the stage `{}` is given twice, first in line {}", stage.id, first.line);
            r.fault(plan_codes::DUPLICATE_ID, stage.mark, message);
        }
    }
    for (id, mark) in stages.iter().flat_map(|s| s.after.iter().flatten()) {
        if !seen.contains_key(id) {
            let near = nearest(id.as_str(), seen.keys().map(|k| k.as_str()));
            let help = near.map(|n| format!("`{n}` exists"));
            r.fault_with(plan_codes::UNKNOWN_STAGE, *mark, format!("no stage is called `{id}`"), help);
        }
    }
    stages
}

fn stage(node: &Node, r: &mut Reader) -> Option<Stage> {
    let mut f = Fields::of(node, "a stage", r)?;
    let mark = f.entry("stage").map_or(f.mark(), |e| e.value.mark);
    let id: Option<StageId> = f.req("stage", r);
    let title = f.req("title", r);
    let nodes = f.node("nodes").and_then(|n| Condition::of(n, r));
    let on = f.node("on").cloned();
    let after = f.node("after").map(|n| marked::<StageId>(n, r));
    let approval = f.node("approval").and_then(|n| approval(n, r));
    let batch = f.node("batch").and_then(|n| batch(n, r));
    let undo = f.node("undo").and_then(|n| undo(n, r)).unwrap_or(Undo::Files);
    let needs = f.node("needs").map(|n| marked::<String>(n, r)).unwrap_or_default();
    let (once, point_of_no_return) = (f.or("once", false, r), f.or("point_of_no_return", false, r));
    let (may_be_empty, verify) = (f.or("may_be_empty", false, r), f.or("verify", false, r));
    let steps = f.req_node("steps", r).map(|n| steps(n, r));
    let selects = f.node("nodes").is_some() || on.is_some();
    f.finish(r);
    if !selects {
        r.fault(codes::MISSING_KEY, mark, "a stage needs `nodes` (an expression over nodes) or `on` (the name of one)");
    }
    let batch = batch.unwrap_or(BatchWritten { size: Size::All, canary: 0, failure_budget: 0 });
    Some(Stage {
        id: id?,
        title: title?,
        mark,
        nodes,
        on,
        once,
        after,
        approval,
        batch,
        undo,
        point_of_no_return,
        verify,
        may_be_empty,
        needs,
        steps: steps?,
    })
}

fn steps(node: &Node, r: &mut Reader) -> Vec<WrittenStep> {
    let Content::List(items) = &node.content else {
        r.fault(codes::WRONG_KIND, node.mark, format!("`steps` is a list, this is {}", node.kind()));
        return Vec::new();
    };
    if items.is_empty() {
        r.fault(codes::BAD_VALUE, node.mark, "a stage needs at least one step");
    }
    let steps: Vec<WrittenStep> = items.iter().filter_map(|n| WrittenStep::read(n, r)).collect();
    let mut seen = BTreeMap::new();
    for step in &steps {
        if let Some(first) = seen.insert(step.name.clone(), step.mark) {
            let message = format!("the step `{}` is given twice in this stage, first in line {}", step.name, first.line);
            r.fault(plan_codes::DUPLICATE_ID, step.mark, message);
        }
    }
    steps
}

/// A list with the place of each element.
fn marked<T: FromNode>(node: &Node, r: &mut Reader) -> Vec<(T, Mark)> {
    let Content::List(items) = &node.content else {
        r.fault(codes::WRONG_KIND, node.mark, format!("a list is needed here, this is {}", node.kind()));
        return Vec::new();
    };
    items.iter().filter_map(|n| Some((T::from_node(n, r)?, n.mark))).collect()
}

fn approval(node: &Node, r: &mut Reader) -> Option<ApprovalWritten> {
    let mut f = Fields::of(node, "`approval`", r)?;
    let (by, says) = (f.req("by", r), f.req("says", r));
    let second_person = f.node("second_person").cloned();
    f.finish(r);
    if let Some(node) = second_person.as_ref().filter(|n| !n.text().is_some_and(is_template)) {
        bool::from_node(node, r)?;
    }
    Some(ApprovalWritten { by: by?, says: says?, second_person })
}

fn undo(node: &Node, r: &mut Reader) -> Option<Undo> {
    match String::from_node(node, r)?.as_str() {
        "nothing" => Some(Undo::Nothing),
        "start-again" => Some(Undo::StartAgain),
        "files" => Some(Undo::Files),
        "backup" => Some(Undo::Backup),
        _ => {
            r.fault(codes::BAD_VALUE, node.mark, "`undo` is `nothing`, `start-again`, `files` or `backup`");
            None
        }
    }
}

fn batch(node: &Node, r: &mut Reader) -> Option<BatchWritten> {
    let mut f = Fields::of(node, "`batch`", r)?;
    let size = f.node("size").map_or(Some(Size::All), |n| size(n, r));
    let (canary, failure_budget) = (f.or("canary", 0, r), f.or("failure_budget", 0, r));
    f.finish(r);
    Some(BatchWritten { size: size?, canary, failure_budget })
}

fn size(node: &Node, r: &mut Reader) -> Option<Size> {
    let percent = node.text().and_then(|t| t.strip_suffix('%')).map(|t| t.trim().parse::<u32>());
    let size = match percent {
        Some(Ok(n)) if (1..=100).contains(&n) => Some(Size::Percent(n)),
        Some(_) => None,
        None => match u32::from_node(node, r) {
            Some(n) if n > 0 => Some(Size::Count(n)),
            _ => None,
        },
    };
    if size.is_none() {
        r.fault(codes::BAD_VALUE, node.mark, "`size` is a number of nodes from 1, or a part from 1% to 100%");
    }
    size
}
