//! The report before a run, for the change board: what would be done, what cannot be undone, what must be waived. Made of the
//! plan and of the agents' previews of it. Pure.

use cavalcade_common::finding::{Finding, Severity};
use cavalcade_common::plan::{Plan, PlanStage, Undo};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::diff::Tally;
use super::plan_table::waits;
use super::text::ranges;
use super::way_back::from_backup;
use crate::operate::request::PreviewItem;

/// Schema word of the JSON form.
pub const BEFORE_SCHEMA: &str = "cavalcade.report-before/1";

/// What is told before a run.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Its digest.
    pub sha256: &'a str,
    /// What the agents would do.
    pub items: &'a [PreviewItem],
    /// Their counts.
    pub tally: Tally,
    /// The ticket, where one was named.
    pub change: Option<&'a str>,
    /// When it is made.
    pub made_at: Timestamp,
}

impl Before<'_> {
    /// One sentence over all.
    #[must_use]
    pub fn summary(&self) -> String {
        let Tally { change, same, maybe, opaque, faults, unanswered } = self.tally;
        let mut text = format!(
            "{} steps on {} nodes: {change} change, {same} no change, {maybe} maybe, {opaque} opaque",
            self.plan.steps().count(),
            self.plan.nodes.len()
        );
        if faults + unanswered > 0 {
            text.push_str(&format!("; of {} nobody could tell", faults + unanswered));
        }
        text
    }

    /// The stages: number, title, nodes, steps, what they wait for, how they are undone.
    #[must_use]
    pub fn stages(&self) -> Vec<Vec<String>> {
        let row = |stage: &PlanStage| {
            vec![
                stage.number.to_string(),
                stage.title.clone(),
                ranges(stage.nodes.iter().map(|n| n.as_str())),
                stage.steps.len().to_string(),
                waits(stage),
                undone(stage.undo).to_owned(),
            ]
        };
        self.plan.stages.iter().map(row).collect()
    }

    /// Who approves what.
    #[must_use]
    pub fn approvals(&self) -> Vec<Vec<String>> {
        let of = |stage: &PlanStage| {
            let approval = stage.approval.as_ref()?;
            let who =
                if approval.second_person { format!("{}, not who began the run", approval.by) } else { approval.by.clone() };
            Some(vec![format!("{} {}", stage.number, stage.title), who, approval.says.clone()])
        };
        self.plan.stages.iter().filter_map(of).collect()
    }

    /// What cannot be undone, or not without a loss.
    #[must_use]
    pub fn irreversible(&self) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        for stage in &self.plan.stages {
            let name = || format!("{} {}", stage.number, stage.title);
            if stage.point_of_no_return {
                all.push(vec![name(), "from here on new traffic is lost by a restore".to_owned()]);
            }
            let mut acting: Vec<&str> = Vec::new();
            for step in stage.steps.iter().filter(|s| !s.action.only_looks()) {
                if !acting.contains(&step.name.as_str()) {
                    acting.push(step.name.as_str());
                }
            }
            if stage.undo == Undo::Nothing && !acting.is_empty() {
                all.push(vec![name(), format!("nothing undoes its steps: {}", acting.join(", "))]);
            }
        }
        all
    }

    /// How long the way back takes, as far as it is known.
    #[must_use]
    pub fn way_back(&self) -> String {
        from_backup(self.plan)
    }

    /// Findings of this severity: check, nodes, what was found, what to do.
    #[must_use]
    pub fn findings(&self, severity: Severity) -> Vec<Vec<String>> {
        let row =
            |f: &Finding| vec![f.check.clone(), ranges(f.nodes.iter().map(String::as_str)), f.found.clone(), f.remedy.clone()];
        self.plan.findings.iter().filter(|f| f.severity == severity).map(row).collect()
    }

    /// What is left out.
    #[must_use]
    pub fn omitted(&self) -> Vec<Vec<String>> {
        let row = |o: &cavalcade_common::plan::Omitted| {
            let nodes = ranges(o.nodes.iter().map(|n| n.as_str()));
            vec![format!("{}/{}", o.stage, o.step), o.row.clone().unwrap_or_default(), nodes, o.reason.clone()]
        };
        self.plan.omitted.iter().map(row).collect()
    }

    /// Digests.
    #[must_use]
    pub fn hashes(&self) -> Vec<Vec<String>> {
        let mut rows = vec![
            vec!["plan".to_owned(), self.sha256.to_owned()],
            vec![format!("recipe {}", self.plan.recipe.name), self.plan.recipe.sha256.to_string()],
        ];
        let artifacts = self.plan.artifacts.iter();
        rows.extend(artifacts.map(|a| vec![format!("artifact {} ({})", a.name, a.file), a.sha256.to_string()]));
        rows
    }

    /// The document.
    #[must_use]
    pub fn document(&self) -> Value {
        json!({
            "schema": BEFORE_SCHEMA,
            "made_at": self.made_at,
            "change": self.change,
            "sha256": self.sha256,
            "plan": self.plan,
            "items": self.items,
            "counts": self.tally,
            "irreversible": self.irreversible().into_iter().map(|row| json!({ "stage": row[0], "why": row[1] })).collect::<Vec<_>>(),
            "way_back": self.way_back(),
        })
    }
}

/// How a stage is undone, in the words of the plan.
#[must_use]
pub fn undone(undo: Undo) -> &'static str {
    match undo {
        Undo::Nothing => "-",
        Undo::StartAgain => "start again",
        Undo::Files => "files",
        Undo::Backup => "from backup",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use cavalcade_common::error::Fault;
    use cavalcade_common::report::{FileDiff, Preview, Verdict};

    use super::*;
    use crate::view::example_plan::plan;

    /// Previews of the example plan: equal ones on two nodes, one opaque, one without an answer.
    pub(crate) fn items() -> Vec<PreviewItem> {
        let item = |step: &str, verdict, diff: &str| {
            let file = FileDiff { path: "/opt/wso2/is/deployment.toml".to_owned(), diff: diff.to_owned(), note: String::new() };
            let diffs = if diff.is_empty() { Vec::new() } else { vec![file] };
            PreviewItem { step: step.parse().unwrap(), preview: Ok(Preview { verdict, says: "as <planned>".to_owned(), diffs }) }
        };
        let diff = "@@ -1 +1 @@\n-a = \"<b>\"\n+a = 1\n";
        let fault = Fault::new(cavalcade_common::codes::run::HOST_UNREACHABLE, "gw-1 is not connected");
        vec![
            item("1.1@is-1", Verdict::Same, ""),
            item("2.1@is-1", Verdict::Change, diff),
            item("2.1@is-2", Verdict::Change, diff),
            item("3.1@is-1", Verdict::Opaque, ""),
            PreviewItem { step: "4.1@gw-1".parse().unwrap(), preview: Err(fault) },
        ]
    }

    /// Of these previews.
    pub(crate) fn before<'a>(plan: &'a Plan, items: &'a [PreviewItem]) -> Before<'a> {
        let tally = Tally::of(items, plan.steps().count());
        Before { plan, sha256: "7f3a91c2", items, tally, change: Some("CHG0012345"), made_at: plan.made_at }
    }

    #[test]
    fn what_cannot_be_undone_is_named() {
        let (mut plan, items) = (plan(), items());
        let first = before(&plan, &items).irreversible();
        assert_eq!(first.len(), 1, "{first:?}");
        assert!(first[0][0].starts_with("4 ") && first[0][1].contains("new traffic"), "{first:?}");
        plan.stages[1].undo = Undo::Nothing;
        let also = before(&plan, &items).irreversible();
        assert_eq!(also[0][0], "2 set up IS");
        assert_eq!(also[0][1], "nothing undoes its steps: user-store-jdbc, log4j");
    }
}
