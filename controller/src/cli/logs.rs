//! `logs`.

use cavalcade_common::codes::operator as codes;
use cavalcade_common::error::Fault;
use clap::{Args, ValueEnum};
use futures_util::StreamExt;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::context::Context;
use super::controller::Controller;
use super::failure::Failure;
use super::output::{line, print, raw, say};
use crate::logs::Level;
use crate::operate::request::{LogAnswer, LogNote, LogsRequest};
use crate::rpc::method::Method;
use crate::view::log_lines;
use cavalcade_common::exit::Exit;

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Go on with new lines as they come.
    #[arg(short, long)]
    follow: bool,
    /// Only these nodes, as a pattern (is-*); may be given again.
    #[arg(long, value_name = "NODE")]
    node: Vec<String>,
    /// Only these steps (4.6) or stages (4); may be given again.
    #[arg(long, value_name = "STEP")]
    step: Vec<String>,
    /// Only these streams, as a pattern (output, wso2carbon.log); may be given again.
    #[arg(long, value_name = "STREAM")]
    stream: Vec<String>,
    /// Only this run.
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
    /// Only records with a line that this regular expression finds.
    #[arg(long, value_name = "REGEX")]
    grep: Option<String>,
    /// Only this level and graver ones.
    #[arg(long, value_name = "LEVEL", ignore_case = true, value_parser = ["trace", "debug", "info", "warn", "error", "fatal"])]
    level: Option<String>,
    /// From this time on: RFC 3339, or back from now (-15min).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    since: Option<String>,
    /// Up to this time: RFC 3339, or back from now (-5min).
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,
    /// From the record with this address on (is-1:8841).
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// At most this many records (10000), the newest ones. Without it 200, or all where something narrows the search.
    #[arg(short = 'n', long, value_name = "N")]
    tail: Option<usize>,
    /// Form of the lines.
    #[arg(short, long, env = "CAVALCADE_LOGS_OUTPUT", default_value = "text", value_name = "FORM")]
    output: Form,
}

/// Form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Address, time, level and text; control characters shown, not sent.
    Text,
    /// The text alone, as the node wrote it; gaps as lines.
    Raw,
    /// One JSON document for each record.
    Jsonl,
}

/// Records that are shown where nothing narrows the search.
const TAIL: usize = 200;

fn request(args: &LogsArgs, now: Timestamp) -> Result<LogsRequest, Failure> {
    let time = |text: &Option<String>| text.as_deref().map(|t| instant(t, now)).transpose();
    let (since, until) = (time(&args.since)?, time(&args.until)?);
    if let Some(pattern) = &args.grep {
        regex::Regex::new(pattern).map_err(|error| Failure::usage(format!("--grep: {error}")))?;
    }
    let level = args.level.as_deref().and_then(|word| Level::of_word(&word.to_uppercase()));
    let narrowed = since.is_some() || until.is_some() || args.from.is_some() || args.grep.is_some() || !args.step.is_empty();
    Ok(LogsRequest {
        nodes: args.node.clone(),
        streams: args.stream.clone(),
        steps: args.step.clone(),
        run: args.run.clone(),
        since,
        until,
        grep: args.grep.clone(),
        level: level.map(|level| level.to_string()),
        from: args.from.clone(),
        follow: args.follow,
        zones: args.output == Form::Text,
        tail: args.tail.or_else(|| (!narrowed).then_some(if args.follow { 10 } else { TAIL })),
    })
}

/// An instant in RFC 3339, or a duration back from now with a minus before it. A minute may be written `m` here.
fn instant(text: &str, now: Timestamp) -> Result<Timestamp, Failure> {
    let bad = || {
        let help = "write 2026-11-23T01:12:40Z or, back from now, -15min";
        Failure::from(Fault::new(codes::USAGE, format!("`{text}` is no time")).help(help))
    };
    let Some(back) = text.strip_prefix('-') else { return text.parse().map_err(|_| bad()) };
    let written = match back.strip_suffix('m').filter(|number| number.ends_with(|c: char| c.is_ascii_digit())) {
        Some(minutes) => format!("{minutes}min"),
        None => back.to_owned(),
    };
    let back = cavalcade_common::duration::parse(&written).map_err(|_| bad())?;
    SignedDuration::try_from(back).ok().and_then(|back| now.checked_sub(back).ok()).ok_or_else(bad)
}

pub(super) async fn run(args: LogsArgs, context: &Context) -> Result<Exit, Failure> {
    #[expect(clippy::disallowed_methods, reason = "times back from now are typed against the clock of this terminal")]
    let now = Timestamp::now();
    let request = request(&args, now)?;
    let controller = Controller::connect(context).await?;
    let mut answers = controller.stream::<LogAnswer>(Method::Logs, &request).await?;
    let zone = TimeZone::system();
    let mut shown = 0_u64;
    loop {
        let answer = tokio::select! {
            biased;
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Left),
            answer = answers.next() => answer,
        };
        let Some(answer) = answer.transpose()? else { break };
        if let LogAnswer::Note(LogNote::Zones(zones)) = &answer {
            log_lines::zones(zones, &zone, now).iter().for_each(|text| say(text.trim_end()));
            continue;
        }
        shown += 1;
        match (args.output, &answer) {
            (Form::Text, LogAnswer::Line(record)) => print(&log_lines::text(record, &zone, context.colour_out))?,
            (Form::Text, LogAnswer::Note(note)) => print(&log_lines::note(note, context.colour_out))?,
            (Form::Raw, LogAnswer::Line(record)) => raw(&log_lines::raw(record))?,
            (Form::Raw, LogAnswer::Note(note)) => print(&log_lines::note(note, false))?,
            (Form::Jsonl, answer) => line("cavalcade.log/1", answer)?,
        }
    }
    if shown == 0 && !args.follow {
        say("No line fits.");
    }
    if args.follow {
        return Err(Fault::new(codes::NO_CONTROLLER, "the controller ended the log").into());
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_instants_or_back_from_now() {
        let now: Timestamp = "2026-11-23T01:00:00Z".parse().unwrap();
        let at = |text: &str| instant(text, now).ok().map(|t| t.to_string());
        assert_eq!(at("-15m").as_deref(), Some("2026-11-23T00:45:00Z"));
        assert_eq!(at("-15min").as_deref(), Some("2026-11-23T00:45:00Z"));
        assert_eq!(at("-1h30min").as_deref(), Some("2026-11-22T23:30:00Z"));
        assert_eq!(at("2026-11-23T02:00:00+01:00").as_deref(), Some("2026-11-23T01:00:00Z"));
        for bad in ["", "-", "15min", "yesterday", "-15", "-1mm", "2026-11-23"] {
            assert_eq!(at(bad), None, "{bad}");
        }
    }
}
