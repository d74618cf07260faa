//! A list of steps in a file of its own, for `step run`: no stages, one node.

use std::collections::BTreeSet;

use super::{Names, ReadStep, WrittenStep};
use crate::codes::written as codes;
use crate::error::{Fault, Faults};
use crate::id::{StepKey, StepName};
use crate::plan::{OmittedWhy, PlanStep};
use crate::written::{Content, Node, Reader, read};

/// Keys that belong to a recipe's stages.
const STAGE_KEYS: [&str; 12] = [
    "verify",
    "stage",
    "stages",
    "nodes",
    "on",
    "once",
    "batch",
    "approval",
    "after",
    "undo",
    "point_of_no_return",
    "may_be_empty",
];

/// Steps of a file, resolved for one node.
#[derive(Debug, Clone, PartialEq)]
pub struct StepList {
    /// Those that run, as steps of stage 1.
    pub steps: Vec<PlanStep>,
    /// Those that are left out: name, row, kind of reason, reason.
    pub left_out: Vec<LeftOut>,
}

/// A step of a list that does not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeftOut {
    /// Its name.
    pub name: StepName,
    /// The guide's row.
    pub row: Option<String>,
    /// Which kind of reason.
    pub why: OmittedWhy,
    /// The reason.
    pub reason: String,
}

/// Reads a file of steps: a list, or a mapping with the one key `steps`.
///
/// # Errors
/// All faults of the file.
pub fn read_steps(bytes: &[u8], file: &str, names: &Names) -> Result<StepList, Faults> {
    let document = read(bytes, file)?;
    let mut r = Reader::new(file);
    r.node = Some(names.node.to_string());
    let items = items(&document.root, &mut r);
    let scope = names.scope();
    let mut list = StepList { steps: Vec::new(), left_out: Vec::new() };
    let mut seen = BTreeSet::new();
    for item in items {
        if let Some(key) = item.entries().and_then(|e| e.iter().find(|e| STAGE_KEYS.contains(&e.key.as_str()))) {
            r.fault(codes::STAGE_KEY, key.mark, format!("`{}` is a key of a stage; this file holds steps only", key.key));
            continue;
        }
        let Some(step) = WrittenStep::read(item, &mut r) else { continue };
        step.check(&scope, &["item"], &mut r);
        for turn in step.resolve(names, &scope, &mut r).unwrap_or_default() {
            add(turn, &step, names, &mut list, &mut seen, &mut r);
        }
    }
    r.finish(Some(list))
}

fn add(turn: ReadStep, step: &WrittenStep, names: &Names, list: &mut StepList, seen: &mut BTreeSet<StepName>, r: &mut Reader) {
    let row = step.row.clone();
    match turn {
        ReadStep::Run(body) => {
            if !seen.insert(body.name.clone()) {
                r.fault(codes::BAD_VALUE, step.mark, format!("two steps are called `{}`", body.name));
            }
            let number = u32::try_from(list.steps.len() + 1).unwrap_or(u32::MAX);
            let key = StepKey { stage: 1, step: number, node: names.node.clone() };
            list.steps.push(body.at(key, names.host.clone()));
        }
        ReadStep::OnPurpose { name, reason } => {
            list.left_out.push(LeftOut { name, row, why: OmittedWhy::OnPurpose, reason });
        }
        ReadStep::Condition { name, reason, .. } => {
            list.left_out.push(LeftOut { name, row, why: OmittedWhy::Condition, reason });
        }
    }
}

fn items<'n>(root: &'n Node, r: &mut Reader) -> &'n [Node] {
    let steps = match &root.content {
        Content::Map(entries) => {
            for entry in entries.iter().filter(|e| e.key != "steps") {
                let fault = if STAGE_KEYS.contains(&entry.key.as_str()) {
                    let message = format!("`{}` belongs to a recipe; this file holds steps only", entry.key);
                    Fault::new(codes::STAGE_KEY, message)
                } else {
                    let message = format!("a file of steps has no key `{}`", entry.key.chars().take(60).collect::<String>());
                    Fault::new(codes::UNKNOWN_KEY, message).help("it has: steps")
                };
                r.note(fault.at(entry.mark.in_file(&r.file)));
            }
            root.get("steps")
        }
        _ => Some(root),
    };
    match steps.map(|n| &n.content) {
        Some(Content::List(items)) => items,
        _ => {
            r.fault(codes::WRONG_KIND, root.mark, "a list of steps is needed here");
            &[]
        }
    }
}
