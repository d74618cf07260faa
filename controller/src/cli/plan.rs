//! `plan`, and how the other commands read a plan file.

use std::path::Path;

use cavalcade_common::codes::{plan as codes, run as run_codes};
use cavalcade_common::error::{Fault, Place};
use cavalcade_common::id::NodeId;
use cavalcade_common::plan::{HashedPlan, Plan, PlanError};

use super::failure::Failure;

/// Largest plan file, in bytes: what the operator's socket takes, less the rest of the request.
const MOST: u64 = 48 << 20;

/// Reads a plan file and checks its digest. Gives its text as well: that is what the controller gets.
pub(super) fn read(path: &Path) -> Result<(HashedPlan, String), Failure> {
    use std::io::Read;
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(MOST + 1).read_to_string(&mut text));
    read.map_err(|error| Failure::file(path, &error))?;
    if text.len() as u64 > MOST {
        return Err(Failure::usage(format!("{} is larger than 48 MiB: no plan", path.display())));
    }
    let file = path.display().to_string();
    match HashedPlan::from_text(&text) {
        Ok(plan) => Ok((plan, text)),
        Err(error) => {
            let (line, column, why) = match &error {
                PlanError::Form(json) => (json.line(), json.column(), format!("{error}: {json}")),
                PlanError::Schema(_) | PlanError::Digest { .. } => (0, 0, error.to_string()),
            };
            let number = |n: usize| u32::try_from(n).unwrap_or(0);
            let place = Place { file, line: number(line), column: number(column), length: 0 };
            Err(Fault::new(codes::PLAN_DAMAGED, why).at(place).into())
        }
    }
}

/// A node of the plan by its name.
pub(super) fn node(plan: &Plan, name: &str) -> Result<NodeId, Failure> {
    plan.nodes.iter().find(|n| n.id.as_str() == name).map(|n| n.id.clone()).ok_or_else(|| {
        let names: Vec<&str> = plan.nodes.iter().map(|n| n.id.as_str()).collect();
        let fault = Fault::new(run_codes::NO_STEP, format!("the plan has no node `{name}`"));
        fault.help(format!("its nodes are {}", crate::view::text::ranges(names))).into()
    })
}
