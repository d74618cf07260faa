//! What no file of steps can leave out: the start of an API Manager sees Identity Servers ready first, and what changes
//! databases sees old servers down, as far as this machine can see (promise 3; 10, rules 15 and 16).

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use cavalcade_common::action::{Action, ServerOp};
use cavalcade_common::codes::agent as codes;
use cavalcade_common::codes::plan::HIDDEN_LAUNCH;
use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::id::NodeId;
use cavalcade_common::plan::{Need, PlanStep, Role};
use serde_json::Value;

use super::input::Input;
use crate::executor::forbidden::root_unsaid;
use crate::facts;
use crate::host::Host;

/// A body that says something: an Identity Server whose health check is off answers 200 with an empty one.
const SOME_BODY: &str = r"\S";

/// Adds what the steps need by rule, and refuses what nothing here can prove.
///
/// # Errors
/// All steps that are refused.
pub(super) fn apply(input: &mut Input, host: &dyn Host) -> Result<(), Faults> {
    let known = Known::of(input);
    let mut faults = Faults::default();
    for step in &mut input.list.steps {
        for need in &mut step.needs {
            with_body(need);
        }
        if let Some(home) = launched(step).filter(|home| Some(*home) != known.old.as_deref())
            && known.is_api_manager(home, host)
            && let Err(fault) = known.identity_servers(step)
        {
            faults.push(fault.in_step(&step.name));
        }
        known.old_down(step);
        faults.0.extend(root_unsaid(&step.action, host.is_root()).map(|f| f.in_step(&step.name)));
        faults.0.extend(known.not_provable(step).into_iter().map(|f| f.in_step(&step.name)));
        faults.0.extend(known.hidden_launch(step).map(|f| f.in_step(&step.name)));
    }
    faults.into_result(())
}

/// The home in which a step starts a process.
fn launched(step: &PlanStep) -> Option<&str> {
    match &step.action {
        Action::Server(s) if s.op == ServerOp::Start => Some(&s.home),
        Action::Job(j) => Some(&j.home),
        _ => None,
    }
}

fn with_body(need: &mut Need) {
    if let Need::Ready { via, .. } = need {
        for check in via {
            check.body.get_or_insert_with(|| SOME_BODY.to_owned());
        }
    }
}

/// What is known of the node.
struct Known {
    node: NodeId,
    role: Option<String>,
    old: Option<String>,
    needs: BTreeMap<String, Need>,
    scripts: Vec<String>,
    databases: BTreeSet<String>,
}

impl Known {
    fn of(input: &Input) -> Self {
        let role = input.names.values.get("node").and_then(|n| n.get("role")).and_then(Value::as_str);
        let mut needs = input.names.needs.clone();
        needs.values_mut().for_each(with_body);
        let scripts = input.names.homes.iter().filter_map(|h| h.script.clone());
        let in_steps = input.list.steps.iter().filter_map(|s| match &s.action {
            Action::Server(s) if !s.script.is_empty() => Some(s.script.clone()),
            _ => None,
        });
        Self {
            node: input.names.node.clone(),
            role: role.map(str::to_owned),
            old: input.side("old").map(str::to_owned),
            needs,
            scripts: scripts.chain(in_steps).map(|s| file_name(&s).to_owned()).collect(),
            databases: input.names.databases.keys().cloned().collect(),
        }
    }

    /// By the node's role; where nothing was said, by what the home says of itself.
    fn is_api_manager(&self, home: &str, host: &dyn Host) -> bool {
        match &self.role {
            Some(role) => role == Role::ApiManager.as_str(),
            None => facts::product_at(host, Path::new(home)) == Some("wso2am"),
        }
    }

    /// The step sees every Identity Server ready that the names speak of.
    fn identity_servers(&self, step: &mut PlanStep) -> Result<(), Fault> {
        let ready = |need: &&Need| matches!(need, Need::Ready { .. });
        if step.needs.iter().any(|n| ready(&n)) {
            return Ok(());
        }
        let known: Vec<Need> = self.needs.values().filter(ready).cloned().collect();
        if known.is_empty() {
            return Err(Fault::new(
                codes::NOT_PROVABLE,
                format!("`{}` starts an API Manager, and nothing says where its Identity Servers answer", step.name),
            )
            .help("give a --node file whose `needs` hold `ready` with `via`"));
        }
        step.needs.extend(known);
        Ok(())
    }

    /// Scripts and migrations see at least this node's old server down.
    fn old_down(&self, step: &mut PlanStep) {
        let changes = matches!(step.action, Action::Sql(_) | Action::Job(_));
        let said = step.needs.iter().any(|n| matches!(n, Need::Down { .. }));
        if changes && !said && self.old.is_some() {
            step.needs.push(Need::Down { nodes: vec![self.node.clone()] });
        }
    }

    fn not_provable(&self, step: &PlanStep) -> Vec<Fault> {
        let mut faults = Vec::new();
        for need in &step.needs {
            match need {
                Need::Alone { databases, .. } => {
                    for name in databases.keys().filter(|name| !self.databases.contains(*name)) {
                        let text = format!("nothing says where {name} is, so nobody here sees who is in it");
                        faults.push(Fault::new(codes::NOT_PROVABLE, text).help("add it to `databases` in the --node file"));
                    }
                }
                Need::Ready { nodes, via } if via.is_empty() => {
                    let text =
                        format!("nothing says where {} answer; without a controller this machine must see it", list(nodes));
                    faults.push(Fault::new(codes::NOT_PROVABLE, text).help("add `via` to the need in the --node file"));
                }
                Need::Ready { .. } => {}
                Need::Down { nodes } => {
                    let others: Vec<NodeId> = nodes.iter().filter(|n| **n != self.node).cloned().collect();
                    if !others.is_empty() {
                        let text =
                            format!("that the old servers of {} are down cannot be seen from {}", list(&others), self.node);
                        faults.push(Fault::new(codes::NOT_PROVABLE, text));
                    } else if self.old.is_none() {
                        let text = format!("nothing says which is the old home of {}", self.node);
                        faults.push(Fault::new(codes::NOT_PROVABLE, text).help("give a --node file with `node.old.home`"));
                    }
                }
            }
        }
        faults
    }

    fn hidden_launch(&self, step: &PlanStep) -> Option<Fault> {
        let Action::Command(command) = &step.action else { return None };
        let words = command.command.iter().flat_map(|w| w.split_ascii_whitespace());
        let script = words.map(file_name).find(|w| self.scripts.iter().any(|s| s == w))?;
        Some(Fault::new(HIDDEN_LAUNCH, format!("`{}` runs the start script {script} as a command", step.name)))
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

fn list(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::as_str).collect::<Vec<_>>().join(", ")
}
