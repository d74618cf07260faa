//! What can be said of a recipe without a fleet: every fault of the reader, and warnings.

use cavalcade_common::codes::plan as codes;
use cavalcade_common::error::{Code, Fault, Faults};
use cavalcade_common::written::{Mark, read as read_yaml};

use super::known_facts::is_delivered;
use super::uses::{Place, Uses};
use super::{Recipe, Stage, order, read};

/// What was found.
#[derive(Debug)]
pub struct Linted {
    /// The recipe, where it has no fault.
    pub recipe: Option<Recipe>,
    /// Why it cannot be used.
    pub faults: Faults,
    /// What is odd. Only a recipe without faults is looked at so closely.
    pub warnings: Vec<Fault>,
}

/// Reads a recipe and looks at it closely.
#[must_use]
pub fn lint(bytes: &[u8], file: &str) -> Linted {
    let failed = |faults| Linted { recipe: None, faults, warnings: Vec::new() };
    let recipe = match read(bytes, file) {
        Ok(recipe) => recipe,
        Err(faults) => return failed(faults),
    };
    let root = match read_yaml(bytes, file) {
        Ok(document) => document.root,
        Err(faults) => return failed(faults),
    };
    let uses = Uses::of(&root);
    let mut at = Warnings { file, found: Vec::new() };
    at.unused(&recipe, &uses);
    at.facts(&recipe, &uses);
    at.effects(&uses);
    at.stages(&recipe);
    at.jobs(&root);
    let line = |fault: &Fault| fault.place.as_ref().map(|p| (p.line, p.column));
    at.found.sort_by_key(line);
    Linted { recipe: Some(recipe), faults: Faults::default(), warnings: at.found }
}

struct Warnings<'f> {
    file: &'f str,
    found: Vec<Fault>,
}

impl Warnings<'_> {
    fn add(&mut self, code: Code, mark: Mark, message: impl Into<String>) -> &mut Fault {
        self.found.push(Fault::new(code, message).at(mark.in_file(self.file)));
        let last = self.found.len() - 1;
        &mut self.found[last]
    }

    fn unused(&mut self, recipe: &Recipe, uses: &Uses) {
        for (name, option) in &recipe.options {
            if !uses.reads(&format!("options.{name}")) {
                self.add(codes::UNUSED, option.mark, format!("nothing uses the option `{name}`"));
            }
        }
        for (name, artifact) in &recipe.artifacts {
            if !uses.artifacts.contains_key(name) && !uses.reads(&format!("artifacts.{name}")) {
                self.add(codes::UNUSED, artifact.mark, format!("nothing uses the artifact `{name}`"));
            }
        }
        // `for: node.databases` goes through all of them.
        let all = uses.names.contains_key("node.databases");
        for (name, database) in &recipe.databases {
            if !all && !uses.databases.contains_key(name) && !uses.reads(&format!("databases.{name}")) {
                self.add(codes::UNUSED, database.mark, format!("nothing uses the database `{name}`"));
            }
        }
        for (name, value) in &recipe.values {
            if !uses.reads(&format!("values.{name}")) {
                self.add(codes::UNUSED, value.mark, format!("nothing uses the value `{name}`"));
            }
        }
        for (name, list) in recipe.across.iter().filter(|(name, _)| !uses.reads(&format!("across.{name}"))) {
            self.add(codes::UNUSED, list.mark, format!("nothing uses the list `{name}`"));
        }
        for (name, need) in recipe.needs.iter().filter(|(name, _)| !uses.needs.contains_key(*name)) {
            self.add(codes::UNUSED, need.mark, format!("nothing needs `{name}`"));
        }
    }

    fn facts(&mut self, recipe: &Recipe, uses: &Uses) {
        for (name, Place { mark, step }) in &uses.names {
            let Some(path) = name.strip_prefix("facts.") else { continue };
            if !is_delivered(path, recipe) {
                let warning = self.add(codes::UNDELIVERED_FACT, *mark, format!("no agent delivers `{name}`"));
                warning.step.clone_from(step);
                warning.help = Some("only an answer of the fleet file could give it".to_owned());
            }
        }
    }

    fn effects(&mut self, uses: &Uses) {
        for (effect, places) in &uses.effects {
            let [first, others @ ..] = places.as_slice() else { continue };
            for other in others {
                let text = format!("the effect `{effect}` is that of another step too, in line {}", first.mark.line);
                self.add(codes::EFFECT_TWICE, other.mark, text).step.clone_from(&other.step);
            }
        }
    }

    fn stages(&mut self, recipe: &Recipe) {
        for stage in &recipe.stages {
            if stage.steps.iter().all(|step| step.row.is_none()) {
                self.add(codes::NO_ROW, stage.mark, format!("no step of the stage `{}` names a row of the guide", stage.id));
            }
            if never(stage) {
                let text = format!("no node ever matches the stage `{}`", stage.id);
                self.add(codes::UNREACHABLE_STAGE, stage.mark, text);
            }
        }
        for stage in order(&recipe.stages).err().into_iter().flatten() {
            let text = format!("the stage `{}` waits for stages that wait for it", stage.id);
            self.add(codes::UNREACHABLE_STAGE, stage.mark, text);
        }
    }

    fn jobs(&mut self, root: &cavalcade_common::written::Node) {
        use cavalcade_common::written::Content;
        let list = |node: Option<&cavalcade_common::written::Node>| match node.map(|n| n.content.clone()) {
            Some(Content::List(items)) => items,
            _ => Vec::new(),
        };
        for step in list(root.get("stages")).iter().flat_map(|stage| list(stage.get("steps"))) {
            let Some(job) = step.get("job").filter(|job| job.get("ends").is_none()) else { continue };
            let name = step.get("step").and_then(|n| n.text()).map(ToOwned::to_owned);
            let mark = job.entries().and_then(<[_]>::first).map_or(job.mark, |e| e.mark);
            self.add(codes::NO_ENDS, mark, "only the end of its process ends this job").step = name;
        }
    }
}

/// Whether a stage's condition is false whatever the fleet is.
fn never(stage: &Stage) -> bool {
    stage.nodes.as_ref().is_some_and(|nodes| nodes.written().trim() == "false")
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
