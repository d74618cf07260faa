//! A recipe's stages in their order, as text of 80 columns and for Graphviz. Pure.

use std::collections::BTreeSet;

use cavalcade_common::id::StageId;
use cavalcade_common::plan::Undo;
use serde_json::{Value, json};

use super::text::{Line, Style, clean, wrap};
use crate::recipe::{Recipe, Size, Stage};

/// Columns of the text.
const WIDTH: usize = 79;

/// Stages with those before them, in an order that respects every `after`.
pub type Ordered<'r> = [(&'r Stage, Vec<&'r StageId>)];

/// The stages as text.
#[must_use]
pub fn text(recipe: &Recipe, order: &Ordered<'_>, colour: bool) -> String {
    let mut out = wrap(&format!("{}: {}", recipe.name, recipe.title), WIDTH, "", "  ");
    for (at, (stage, before)) in order.iter().enumerate() {
        out.push('\n');
        if stage.point_of_no_return {
            let words = " point of no return: a way back from here loses new data ";
            out.push_str(&format!("------{words:-<73}\n"));
        }
        let head = Line::of(format!("{:>3} ", at + 1)).add(Style::Bold, stage.id.as_str()).text(format!("  {}", stage.title));
        out.push_str(&head.render(WIDTH, colour));
        out.push('\n');
        for (word, says) in lines(stage, before) {
            out.push_str(&wrap(&says, WIDTH, &format!("      {word:<9} "), "                "));
        }
    }
    out
}

/// What is said of a stage.
fn lines(stage: &Stage, before: &[&StageId]) -> Vec<(&'static str, String)> {
    let mut lines = vec![("on", nodes(stage)), ("after", names(before.iter().map(|id| id.as_str())))];
    let needs = needs(stage);
    if !needs.is_empty() {
        lines.push(("needs", names(needs.into_iter())));
    }
    if let Some(approval) = &stage.approval {
        lines.push(("approval", format!("{}: {}", approval.by, approval.says)));
    }
    let left_out = stage.steps.iter().filter(|s| s.is_left_out()).count();
    let mut steps = format!("{}", stage.steps.len() - left_out);
    if left_out > 0 {
        steps.push_str(&format!(", {left_out} left out on purpose"));
    }
    let rows: BTreeSet<&str> = stage.steps.iter().filter_map(|s| s.row.as_deref()).collect();
    if !rows.is_empty() {
        steps.push_str(&format!("; rows {}", names(rows.into_iter())));
    }
    lines.push(("steps", steps));
    lines.extend(batch(stage).map(|says| ("batch", says)));
    let undo = match stage.undo {
        Undo::Nothing => "nothing to undo",
        Undo::StartAgain => "start the old servers again",
        Undo::Files => "files come back from their kept copies",
        Undo::Backup => "databases come back from their backup",
    };
    lines.push(("undo", undo.to_owned()));
    if stage.verify {
        lines.push(("verify", "its steps only look; `cavalcade verify` runs them alone".to_owned()));
    }
    lines
}

fn names<'n>(all: impl Iterator<Item = &'n str>) -> String {
    let all: Vec<&str> = all.collect();
    if all.is_empty() { "-".to_owned() } else { all.join(", ") }
}

/// The expression that selects its nodes, as it was written.
fn selector(stage: &Stage) -> String {
    let source = stage.on.as_ref().and_then(|on| on.text().map(ToOwned::to_owned));
    source.or_else(|| stage.nodes.as_ref().map(|n| n.written())).unwrap_or_default()
}

fn nodes(stage: &Stage) -> String {
    let mut says = selector(stage);
    if stage.once {
        says.push_str("  (the first such node)");
    }
    if stage.may_be_empty {
        says.push_str("  (there may be none)");
    }
    says
}

/// The needs of the stage and of its steps.
fn needs(stage: &Stage) -> BTreeSet<&str> {
    let own = stage.needs.iter().map(|(word, _)| word.as_str());
    own.chain(stage.steps.iter().flat_map(|s| s.needs())).collect()
}

fn batch(stage: &Stage) -> Option<String> {
    let batch = stage.batch;
    let size = match batch.size {
        Size::All if batch.canary == 0 && batch.failure_budget == 0 => return None,
        Size::All => "all at once".to_owned(),
        Size::Count(n) => format!("{n} at a time"),
        Size::Percent(p) => format!("{p}% at a time"),
    };
    let mut says = size;
    if batch.canary > 0 {
        says.push_str(&format!(", {} alone first", batch.canary));
    }
    if batch.failure_budget > 0 {
        says.push_str(&format!(", {} may fail", batch.failure_budget));
    }
    Some(says)
}

/// The stages as a document.
#[must_use]
pub fn document(recipe: &Recipe, order: &Ordered<'_>) -> Value {
    let stages = order.iter().map(|(stage, before)| {
        let left_out = stage.steps.iter().filter(|s| s.is_left_out()).count();
        let rows: BTreeSet<&str> = stage.steps.iter().filter_map(|s| s.row.as_deref()).collect();
        json!({
            "stage": stage.id,
            "title": stage.title,
            "nodes": selector(stage),
            "once": stage.once,
            "may_be_empty": stage.may_be_empty,
            "after": before,
            "needs": needs(stage),
            "approval": stage.approval.as_ref().map(|a| json!({ "by": a.by, "says": a.says })),
            "steps": stage.steps.len() - left_out,
            "left_out": left_out,
            "rows": rows,
            "batch": {
                "size": match stage.batch.size {
                    Size::All => json!("all"),
                    Size::Count(n) => json!(n),
                    Size::Percent(p) => json!(format!("{p}%")),
                },
                "canary": stage.batch.canary,
                "failure_budget": stage.batch.failure_budget,
            },
            "undo": stage.undo,
            "point_of_no_return": stage.point_of_no_return,
            "verify": stage.verify,
        })
    });
    let stages: Vec<Value> = stages.collect();
    json!({ "schema": "cavalcade.graph/1", "recipe": recipe.name, "title": recipe.title, "stages": stages })
}

/// The stages for Graphviz: an arrow leads from a stage to those that wait for it.
#[must_use]
pub fn dot(recipe: &Recipe, order: &Ordered<'_>) -> String {
    let mut out = format!("digraph {} {{\n", quoted(&recipe.name));
    out.push_str("  rankdir=TB;\n  node [shape=box, fontname=\"sans-serif\"];\n");
    for (stage, _) in order {
        let mut label = format!("{}\n{}\n{}", stage.id, stage.title, nodes(stage));
        let needs = needs(stage);
        if !needs.is_empty() {
            label.push_str(&format!("\nneeds {}", names(needs.into_iter())));
        }
        let mut looks = String::new();
        if let Some(approval) = &stage.approval {
            label.push_str(&format!("\napproval: {}", approval.by));
            looks.push_str(", shape=octagon");
        }
        if stage.point_of_no_return {
            label.push_str("\npoint of no return");
            looks.push_str(", color=red, penwidth=2");
        }
        if stage.verify {
            looks.push_str(", style=rounded");
        }
        out.push_str(&format!("  {} [label={}{looks}];\n", quoted(stage.id.as_str()), quoted(&label)));
    }
    for (stage, before) in order {
        for id in before {
            out.push_str(&format!("  {} -> {};\n", quoted(id.as_str()), quoted(stage.id.as_str())));
        }
    }
    out + "}\n"
}

/// A text in Graphviz's quotes, its lines one below the other.
fn quoted(text: &str) -> String {
    let lines = text.lines().map(|line| clean(line).replace('\\', "\\\\").replace('"', "\\\""));
    format!("\"{}\"", lines.collect::<Vec<_>>().join("\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::{order, read};

    const RECIPE: &str = r#"
schema: cavalcade.recipe/1
recipe: small
title: A small one
needs: { old-servers-down: { down: node.old.exists } }
stages:
  - stage: last
    title: Look whether it works
    nodes: "'a' != \"b\""
    after: [migrate, beside]
    verify: true
    steps: [{ step: up, http: { url: "https://{{ node.address }}/" } }]
  - stage: migrate
    title: Change what cannot come back, at length, so that its title does not fit into the eighty columns of a screen
    on: databases.am_db.from
    after: []
    needs: [old-servers-down]
    approval: { by: dba, says: The backups are proved. }
    point_of_no_return: true
    undo: backup
    steps:
      - { step: one, row: B4, remove: [/opt/a/b] }
      - { step: two, row: D6, skip: done elsewhere }
  - stage: beside
    title: Beside it
    nodes: { user_store.type: [jdbc, database] }
    after: []
    may_be_empty: true
    batch: { size: 25%, canary: 1, failure_budget: 1 }
    undo: nothing
    steps: [{ step: one, needs: [old-servers-down], remove: [/opt/a/b] }]
"#;

    fn drawn(draw: impl Fn(&Recipe, &Ordered<'_>) -> String) -> String {
        let recipe = read(RECIPE.as_bytes(), "small.yaml").unwrap_or_else(|f| panic!("{f}"));
        let order = order(&recipe.stages).unwrap_or_else(|_| panic!("has an order"));
        draw(&recipe, &order)
    }

    #[test]
    fn it_looks_like_this() {
        let plain = drawn(|recipe, order| text(recipe, order, false));
        assert!(plain.lines().all(|line| line.chars().count() < 80), "{plain}");
        insta::assert_snapshot!(plain);
        assert_eq!(console::strip_ansi_codes(&drawn(|recipe, order| text(recipe, order, true))), plain);
    }

    #[test]
    fn graphviz_gets_every_stage_and_every_edge() {
        insta::assert_snapshot!(drawn(dot));
    }
}
