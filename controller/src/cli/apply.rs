//! `apply`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use cavalcade_common::given::GivenSecrets;
use cavalcade_common::id::NodeId;
use cavalcade_common::plan::HashedPlan;
use cavalcade_common::secret::SecretRef;
use clap::Args;
use jiff::tz::TimeZone;
use serde_json::json;

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::follow::{Course, Followed, Following, follow, of_closed};
use super::output::{Format, OutputArgs, emit, print, say};
use super::painter::Stream;
use super::{ask, find, plan, secret};
use crate::event::Scope;
use crate::operate::request::{ApplyRequest, ReportAnswer, ReportRequest, VerbAnswer, Waiver};
use crate::rpc::method::Method;
use crate::view::document::RunStatus;
use crate::view::ending::Goal;
use crate::view::overview::outcome;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct ApplyArgs {
    /// The plan file.
    #[arg(value_name = "PLAN")]
    plan: PathBuf,
    /// Stop behind this stage: its number or its name. Apply again without it goes on.
    #[arg(long, value_name = "STAGE")]
    until: Option<String>,
    /// Only on this node; may be given again. Barriers count all nodes of the plan all the same.
    #[arg(long, value_name = "NODE")]
    node: Vec<String>,
    /// Go on with a plan that is older than 24 hours, or whose facts have changed since.
    #[arg(long)]
    stale_ok: bool,
    /// Let the findings of this check pass, which stop the plan; may be given again. Each wants its --why.
    #[arg(long, value_name = "CHECK", requires = "why")]
    waive: Vec<String>,
    /// Why the check of the --waive before it is let pass: journal and report keep it.
    #[arg(long, value_name = "TEXT", requires = "waive")]
    why: Vec<String>,
    /// Take over this open run, whose steps must all have come to rest.
    #[arg(long, value_name = "RUN")]
    supersedes: Option<String>,
    /// With --supersedes: a finished step that is another one in this plan stays as it is and counts as done. STAGE.STEP@NODE,
    /// STAGE.STEP for all its nodes, or `all`; may be given again.
    #[arg(long, value_name = "STEP", requires = "supersedes")]
    keep: Vec<String>,
    /// With --supersedes: what such a step did is undone first, with every later file step of its node; then they run anew.
    #[arg(long, value_name = "STEP", requires = "supersedes")]
    undo: Vec<String>,
    /// Why they are kept or undone: journal and report keep it.
    #[arg(long, value_name = "TEXT", default_value = "")]
    says: String,
    /// Begin without being asked.
    #[arg(long)]
    yes: bool,
    /// The plan's sha256, or at least its first 8 digits: confirms a plan with a point of no return.
    #[arg(long, value_name = "PLANHASH")]
    confirm: Option<String>,
    /// Leave as soon as the run is open.
    #[arg(long)]
    detach: bool,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is asked of the controller.
struct Wanted {
    plan: HashedPlan,
    text: String,
    goal: Goal,
    scope: Scope,
    waive: Vec<Waiver>,
}

impl Wanted {
    fn new(args: &ApplyArgs) -> Result<Self, Failure> {
        let (plan, text) = plan::read(&args.plan)?;
        let stages = || plan.plan.stages.iter().map(|g| (g.number, g.id.as_str())).collect::<Vec<_>>();
        let until = match &args.until {
            None => None,
            Some(until) => {
                let found = plan.plan.stages.iter().find(|g| g.id.as_str() == until || g.number.to_string() == *until);
                Some(found.ok_or_else(|| find::no_stage(until, stages()))?.number)
            }
        };
        let nodes = args.node.iter().map(|node| plan::node(&plan.plan, node)).collect::<Result<Vec<NodeId>, _>>()?;
        let goal_nodes: BTreeSet<String> = nodes.iter().map(ToString::to_string).collect();
        let nodes = (!nodes.is_empty()).then_some(nodes);
        let goal = Goal { until, nodes: nodes.is_some().then_some(goal_nodes) };
        Ok(Self { plan, text, goal, scope: Scope { until, nodes }, waive: waivers(args)? })
    }
}

/// The checks that are let pass, each with its reason.
fn waivers(args: &ApplyArgs) -> Result<Vec<Waiver>, Failure> {
    let (checks, reasons) = (args.waive.len(), args.why.len());
    if checks != reasons {
        return Err(Failure::usage(format!("each --waive wants a --why of its own: there are {checks} and {reasons}")));
    }
    if args.why.iter().any(|why| why.trim().is_empty()) {
        return Err(Failure::usage("--why: a reason is needed"));
    }
    let pairs = args.waive.iter().zip(&args.why);
    Ok(pairs.map(|(check, why)| Waiver { check: check.clone(), why: why.clone() }).collect())
}

pub(super) async fn run(args: ApplyArgs, context: &Context) -> Result<Exit, Failure> {
    let wanted = Wanted::new(&args)?;
    let controller = Controller::connect(context).await?;
    let digest = wanted.plan.sha256.as_str();
    let known = known(&controller, digest).await?;
    if let Some(run) = known.as_ref().filter(|r| r.closed_at.is_some()) {
        say(&format!("This plan has had its run: {}. Nothing was changed.", run.run));
        return finish(&args, context, Followed { exit: of_closed(run), run: Some(run.clone()) });
    }
    let confirm = if known.is_none() { confirmed(&args, context, &wanted)? } else { None };
    let secrets = if known.is_none() { asked(context, &wanted).await? } else { Some(GivenSecrets::default()) };
    let Some(secrets) = secrets else { return Ok(Exit::Left) };
    say("The controller looks at plan, artifacts and facts ...");
    let request = ApplyRequest {
        plan: wanted.text,
        scope: wanted.scope,
        supersedes: args.supersedes.clone(),
        keep: args.keep.clone(),
        undo: args.undo.clone(),
        supersede_why: args.says.clone(),
        stale_ok: args.stale_ok,
        waive: wanted.waive,
        confirm,
        secrets,
    };
    let answer: VerbAnswer = controller.order(Method::Apply, &request).await?;
    say(&format!("{} ({})", answer.says, answer.run));
    if args.detach {
        let document =
            json!({ "schema": "cavalcade.verb/1", "run": answer.run, "position": answer.position, "says": answer.says });
        emit(args.output.output, &document, || format!("{} goes on; watch it with: {} watch", answer.run, context.program()))?;
        return Ok(Exit::Done);
    }
    let course = match args.output.output {
        Format::Table => Course::On(Stream::Out),
        Format::Json | Format::Yaml => Course::On(Stream::Err),
        Format::Jsonl => Course::Jsonl,
    };
    let following = Following { run: Some(answer.run.clone()), goal: Some(wanted.goal), course, opened: known.is_none() };
    match follow(context, following).await {
        Ok(followed) => finish(&args, context, followed),
        // The run goes on whoever reads this.
        Err(Failure::Pipe) => Ok(Exit::Left),
        Err(failure) => Err(failure.changed(format!("The run {} is open and goes on.", answer.run))),
    }
}

/// Asks for the secrets that only a person has; `None`: the person left. Where nobody can be asked, the steps that need them
/// wait for `secret give`.
async fn asked(context: &Context, wanted: &Wanted) -> Result<Option<GivenSecrets>, Failure> {
    let mut given = GivenSecrets::default();
    for (name, place) in &wanted.plan.plan.secrets {
        let SecretRef::Prompt(question) = place else { continue };
        if context.asks {
            let Some(value) = secret::asked(&format!("Secret {name} ({question}):")).await? else { return Ok(None) };
            given.insert(name.clone(), value);
        } else {
            say(&format!("The secret {name} is asked of a person: {} secret give {name}", context.program()));
        }
    }
    Ok(Some(given))
}

/// The run that this plan has, open or closed.
async fn known(controller: &Controller, digest: &str) -> Result<Option<RunStatus>, Failure> {
    let shown = controller.status(Some(digest)).await?.runs.into_iter().find(|r| r.plan == digest);
    if shown.is_some() {
        return Ok(shown);
    }
    // The status shows the last closed run of a fleet; an older one is in the journal.
    let request = ReportRequest { run: Some(digest.to_owned()) };
    match controller.ask::<ReportAnswer>(Method::Report, &request).await {
        Ok(report) => Ok(Some(report.run)),
        Err(failure) if failure.has(cavalcade_common::codes::run::NO_RUN) => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Asks what must be asked before a plan becomes a run; gives the digest where it was confirmed.
fn confirmed(args: &ApplyArgs, context: &Context, wanted: &Wanted) -> Result<Option<String>, Failure> {
    const DIGITS: usize = 8;
    let plan = &wanted.plan.plan;
    let digest = wanted.plan.sha256.as_str();
    let fits = |typed: &str| typed.len() >= DIGITS && digest.starts_with(&typed.to_lowercase());
    let steps = plan.steps().count();
    say(&format!("Plan {}: {steps} steps on {} nodes of fleet {}.", wanted.plan.sha256.short(), plan.nodes.len(), plan.fleet));
    if let Some(typed) = &args.confirm
        && !fits(typed)
    {
        return Err(Failure::usage(format!(
            "--confirm {typed} is not this plan: its sha256 begins with {}",
            wanted.plan.sha256.short()
        )));
    }
    let point = plan.stages.iter().find(|g| g.point_of_no_return);
    match (point, &args.confirm) {
        (Some(_), Some(_)) => {}
        (Some(stage), None) => {
            let what = format!("From stage {} {} on a way back loses new data.", stage.number, stage.id);
            if !context.asks {
                let short = wanted.plan.sha256.short();
                return Err(Failure::usage(format!("{what} Nobody can be asked here: it wants --confirm {short}")));
            }
            let typed = ask::read(&format!("{what} Type the first {DIGITS} digits of the plan's sha256 to begin:"))?;
            if !fits(&typed) {
                return Err(Failure::usage("that is not this plan's sha256"));
            }
        }
        (None, _) => ask::yes(context, "Begin?", args.yes, "--yes")?,
    }
    Ok((point.is_some() || args.confirm.is_some()).then(|| digest.to_owned()))
}

fn finish(args: &ApplyArgs, context: &Context, followed: Followed) -> Result<Exit, Failure> {
    let Followed { exit, run } = followed;
    let Some(run) = run.filter(|_| exit != Exit::Left) else { return Ok(exit) };
    match args.output.output {
        Format::Table => {
            let plan = args.plan.display().to_string();
            print(outcome(&run, exit, &plan, &context.program(), &TimeZone::system()).trim_end())?;
        }
        other => {
            let document = json!({ "schema": "cavalcade.apply/1", "exit": exit.number(), "meaning": exit.meaning(), "run": run });
            emit(other, &document, String::new)?;
        }
    }
    Ok(exit)
}
