//! A preview as a person reads it: each step with its mark, equal diffs once with all their nodes, the four counts at the
//! end. Pure.

use cavalcade_common::error::Fault;
use cavalcade_common::plan::{Plan, PlanStage};
use cavalcade_common::report::{FileDiff, Preview, Verdict};
use serde::Serialize;

use super::homes;
use super::settings;
use super::text::{Line, Style, clean, ranges, wrap};
use crate::operate::request::PreviewItem;

/// Columns of everything but the lines of files.
const WIDTH: usize = 79;
/// Lines of context around a change that stay where hunks are folded.
const CONTEXT: usize = 1;

/// How to show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Show {
    /// All context of the diffs, and every step without a change.
    pub full: bool,
    /// With colours.
    pub colour: bool,
}

/// Steps by verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Would change something.
    pub change: usize,
    /// Would change nothing.
    pub same: usize,
    /// Depends on steps before it.
    pub maybe: usize,
    /// Nobody can tell beforehand.
    pub opaque: usize,
    /// Could not be previewed.
    pub faults: usize,
    /// Got no answer at all.
    pub unanswered: usize,
}

impl Tally {
    /// Counts. `expected` is the number of steps asked about.
    #[must_use]
    pub fn of(items: &[PreviewItem], expected: usize) -> Self {
        let mut tally = Self { unanswered: expected.saturating_sub(items.len()), ..Self::default() };
        for item in items {
            match &item.preview {
                Ok(preview) => match preview.verdict {
                    Verdict::Change => tally.change += 1,
                    Verdict::Same => tally.same += 1,
                    Verdict::Maybe => tally.maybe += 1,
                    Verdict::Opaque => tally.opaque += 1,
                },
                Err(_) => tally.faults += 1,
            }
        }
        tally
    }
}

/// What equal answers have in common.
pub(super) struct Group<'a> {
    pub(super) number: u32,
    /// The first of them as it came.
    answer: &'a Result<Preview, Fault>,
    /// The same with the homes of its node named by their role, where the nodes' own paths differ.
    shown: Option<Result<Preview, Fault>>,
    pub(super) nodes: Vec<&'a str>,
}

impl Group<'_> {
    pub(super) fn answer(&self) -> &Result<Preview, Fault> {
        self.shown.as_ref().unwrap_or(self.answer)
    }
}

/// The whole preview.
#[must_use]
pub fn preview(plan: &Plan, items: &[PreviewItem], tally: Tally, show: Show) -> String {
    let mut out = String::new();
    for stage in &plan.stages {
        let groups = groups(plan, stage, items);
        if groups.is_empty() {
            continue;
        }
        out.push_str(&Line::new().add(Style::Bold, format!("{} {}", stage.number, stage.title)).render(WIDTH, show.colour));
        out.push('\n');
        let mut same: Vec<&Group> = Vec::new();
        for group in &groups {
            match group.answer() {
                Ok(p) if p.verdict == Verdict::Same && !show.full => same.push(group),
                answer => out.push_str(&step(stage, group, answer, show)),
            }
        }
        out.push_str(&folded(&same));
        out.push('\n');
    }
    out + &settings::settings(plan) + &summary(tally)
}

fn summary(t: Tally) -> String {
    let mut text = format!("Preview: {} change, {} no change, {} maybe, {} opaque", t.change, t.same, t.maybe, t.opaque);
    if t.faults > 0 {
        text.push_str(&format!("; {} could not be previewed", t.faults));
    }
    if t.unanswered > 0 {
        text.push_str(&format!("; {} got no answer", t.unanswered));
    }
    wrap(&format!("{text}. Nothing was changed."), WIDTH, "", "  ")
}

/// Steps of a stage by number; equal answers of one step together, in the order of the stage's nodes. Answers are equal too
/// where nothing but the places of the nodes' homes tells them apart.
pub(super) fn groups<'a>(plan: &Plan, stage: &'a PlanStage, items: &'a [PreviewItem]) -> Vec<Group<'a>> {
    let place = |item: &PreviewItem| stage.nodes.iter().position(|n| *n == item.step.node);
    let mut of_stage: Vec<&PreviewItem> = items.iter().filter(|i| i.step.stage == stage.number).collect();
    of_stage.sort_by_key(|item| (item.step.step, place(item)));
    let mut groups: Vec<(Result<Preview, Fault>, Group)> = Vec::new();
    for item in of_stage {
        let node = item.step.node.as_str();
        let relative = homes::relative(plan.node(&item.step.node), &item.preview);
        match groups.iter_mut().find(|(other, g)| g.number == item.step.step && *other == relative) {
            Some((_, group)) => {
                group.nodes.push(node);
                if group.answer != &item.preview {
                    group.shown = Some(relative);
                }
            }
            None => {
                groups.push((relative, Group { number: item.step.step, answer: &item.preview, shown: None, nodes: vec![node] }))
            }
        }
    }
    groups.into_iter().map(|(_, group)| group).collect()
}

/// Steps without a change, in as few lines as possible.
fn folded(same: &[&Group]) -> String {
    if same.is_empty() {
        return String::new();
    }
    let mut numbers: Vec<(u32, Vec<&str>)> = Vec::new();
    for group in same {
        match numbers.iter_mut().find(|(number, _)| *number == group.number) {
            Some((_, nodes)) => nodes.extend(&group.nodes),
            None => numbers.push((group.number, group.nodes.clone())),
        }
    }
    let steps: usize = same.iter().map(|g| g.nodes.len()).sum();
    let list: Vec<String> =
        numbers.iter().map(|(number, nodes)| format!("{number} ({})", ranges(nodes.iter().copied()))).collect();
    wrap(&format!("{steps} without a change: {}", list.join(", ")), WIDTH, "  = ", "    ")
}

fn step(stage: &PlanStage, group: &Group, answer: &Result<Preview, Fault>, show: Show) -> String {
    let planned = stage.steps.iter().find(|s| s.key.step == group.number && group.nodes.contains(&s.key.node.as_str()));
    let (sign, ..) = mark(answer);
    let style = match answer {
        Ok(p) => match p.verdict {
            Verdict::Change => Style::Yellow,
            Verdict::Same => Style::Dim,
            Verdict::Maybe => Style::Blue,
            Verdict::Opaque => Style::Red,
        },
        Err(_) => Style::Red,
    };
    let name = planned.map_or("", |s| s.name.as_str());
    let row = planned.and_then(|s| s.row.as_ref()).map(|row| format!("   row {row}")).unwrap_or_default();
    let nodes = ranges(group.nodes.iter().copied());
    let line = Line::of("  ").add(style, sign).text(format!(" {}.{} ", stage.number, group.number)).add(Style::Bold, name);
    let mut out = line.text(format!("   {nodes}{row}")).render(WIDTH, show.colour) + "\n";
    match answer {
        Ok(preview) => {
            if !preview.says.is_empty() {
                out.push_str(&wrap(&preview.says, WIDTH, "      ", "      "));
            }
            for file in &preview.diffs {
                out.push_str(&file_diff(file, show));
            }
        }
        Err(fault) => out.push_str(&wrap(&format!("{}: {}", fault.code, fault.message), WIDTH, "      ", "      ")),
    }
    out
}

/// The sign of an answer, its word, and how a page shows it.
pub(super) fn mark(answer: &Result<Preview, Fault>) -> (&'static str, &'static str, &'static str) {
    match answer {
        Ok(p) => match p.verdict {
            Verdict::Change => ("~", "change", "warn"),
            Verdict::Same => ("=", "no change", "good"),
            Verdict::Maybe => ("?", "maybe", "warn"),
            Verdict::Opaque => ("!", "opaque", "bad"),
        },
        Err(_) => ("x", "could not be asked", "bad"),
    }
}

/// One file's diff, indented; its lines are not cut: a diff must be whole.
#[must_use]
pub fn file_diff(file: &FileDiff, show: Show) -> String {
    let mut out = format!("      {}\n", Style::Bold.paint(&clean(&file.path), show.colour));
    if !file.note.is_empty() {
        out.push_str(&wrap(&format!("({})", file.note), WIDTH, "        ", "        "));
    }
    let lines: Vec<&str> = file.diff.lines().filter(|l| !l.starts_with("--- ") && !l.starts_with("+++ ")).collect();
    let changed: Vec<bool> = lines.iter().map(|l| l.starts_with(['+', '-'])).collect();
    let near = |at: usize| {
        let from = at.saturating_sub(CONTEXT);
        changed[from..(at + CONTEXT + 1).min(changed.len())].iter().any(|c| *c)
    };
    let mut hidden = 0;
    for (at, line) in lines.iter().enumerate() {
        let style = match line.as_bytes().first() {
            Some(b'+') => Style::Green,
            Some(b'-') => Style::Red,
            Some(b'@') => Style::Blue,
            _ => Style::Plain,
        };
        if !show.full && style == Style::Plain && !near(at) {
            hidden += 1;
            continue;
        }
        if hidden > 0 && style != Style::Blue {
            out.push_str(&format!("        {}\n", Style::Dim.paint(&format!("({hidden} unchanged)"), show.colour)));
        }
        hidden = 0;
        out.push_str(&format!("        {}\n", style.paint(&clean(line), show.colour)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::example_plan::plan;

    fn item(step: &str, verdict: Verdict, says: &str, diff: &str) -> PreviewItem {
        let file = FileDiff {
            path: "/opt/wso2/is/repository/conf/deployment.toml".to_owned(),
            diff: diff.to_owned(),
            note: String::new(),
        };
        let diffs = if diff.is_empty() { Vec::new() } else { vec![file] };
        PreviewItem { step: step.parse().unwrap(), preview: Ok(Preview { verdict, says: says.to_owned(), diffs }) }
    }

    fn items() -> Vec<PreviewItem> {
        let diff = "--- a\n+++ b\n@@ -1,6 +1,6 @@\n [server]\n hostname = \"is\"\n offset = 1\n-type = \"jdbc\"\n+type = \"database\u{1b}[2J\"\n # end\n x = 1\n y = 2\n";
        let mut items = vec![
            item("2.1@is-1", Verdict::Change, "", diff),
            item("1.1@is-1", Verdict::Opaque, "judged by its process", ""),
            item("1.1@is-2", Verdict::Same, "down already", ""),
            item("1.1@gw-1", Verdict::Same, "down already", ""),
            item("2.1@is-2", Verdict::Change, "", diff),
            item("2.2@is-1", Verdict::Maybe, "depends on 2.1", ""),
        ];
        let fault = Fault::new(cavalcade_common::codes::run::HOST_UNREACHABLE, "is-2.example.com is not connected");
        items.push(PreviewItem { step: "2.2@is-2".parse().unwrap(), preview: Err(fault) });
        items
    }

    #[test]
    fn homes_in_different_places_tell_no_diffs_apart() {
        let mut plan = plan();
        for node in &mut plan.nodes {
            let home = format!("/opt/{}/wso2is-5.11.0", node.id);
            node.new.iter_mut().for_each(|side| side.home = home.clone());
        }
        let of = |node: &str, home: &str, value: &str| {
            let file = FileDiff {
                path: format!("{home}/repository/conf/deployment.toml"),
                diff: format!("@@ -1 +1 @@\n-a = 0\n+a = {value}\n"),
                note: String::new(),
            };
            let preview = Preview { verdict: Verdict::Change, says: String::new(), diffs: vec![file] };
            PreviewItem { step: format!("2.1@{node}").parse().unwrap(), preview: Ok(preview) }
        };
        let shown = |items: &[PreviewItem]| preview(&plan, items, Tally::of(items, 2), Show::default());
        let equal = [of("is-1", "/opt/is-1/wso2is-5.11.0", "1"), of("is-2", "/opt/is-2/wso2is-5.11.0", "1")];
        let text = shown(&equal);
        assert_eq!(text.matches("+a = 1").count(), 1, "{text}");
        assert!(text.contains("is-1 is-2") && text.contains("{{ node.new.home }}/repository/conf/deployment.toml"), "{text}");
        assert!(!text.contains("/opt/is-1"), "{text}");
        let other = shown(&[of("is-1", "/opt/is-1/wso2is-5.11.0", "1"), of("is-2", "/opt/is-2/wso2is-5.11.0", "2")]);
        assert!(other.contains("/opt/is-1/wso2is-5.11.0/rep") && other.contains("/opt/is-2/wso2is-5.11.0/rep"), "{other}");
        let elsewhere = shown(&[of("is-1", "/opt/is-1/wso2is-5.11.0", "1"), of("is-2", "/srv/other", "1")]);
        assert_eq!(elsewhere.matches("+a = 1").count(), 2, "{elsewhere}");
    }

    #[test]
    fn it_looks_like_this() {
        let (plan, items) = (plan(), items());
        let tally = Tally::of(&items, 8);
        insta::assert_snapshot!("preview", preview(&plan, &items, tally, Show::default()));
        insta::assert_snapshot!("preview_full", preview(&plan, &items, tally, Show { full: true, colour: false }));
        let coloured = preview(&plan, &items, tally, Show { full: false, colour: true });
        assert_eq!(console::strip_ansi_codes(&coloured), preview(&plan, &items, tally, Show::default()));
    }
}
