//! `config`: the options that need no flag, and where each comes from.

use cavalcade_common::config_file::{ConfigFile, Form, From, Shown, shown};
use cavalcade_common::exit::Exit;
use clap::{ArgMatches, Args, Subcommand};
use serde_json::{Value, json};

use super::failure::Failure;
use super::output::{OutputArgs, emit};
use crate::view::table::table;

/// The file with options of this program. What explains an error in it works without it.
pub(super) const FORM: Form =
    Form { schema: "cavalcade.config/1", name: "config.yaml", without: &["explain", "man", "completions"] };

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Show every option that can come from the environment or the file, with its value and where that comes from.
    Show(ShowArgs),
}

#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    #[command(flatten)]
    output: OutputArgs,
}

pub(super) fn run(command: ConfigCommand, matches: &ArgMatches, file: Option<&ConfigFile>) -> Result<Exit, Failure> {
    let ConfigCommand::Show(args) = command;
    let options = shown(&super::command(), matches, file);
    let name = file.map(|file| file.name.as_str());
    let document = json!({
        "schema": "cavalcade.options/1",
        "file": name,
        "options": options.iter().map(option).collect::<Vec<_>>(),
    });
    emit(args.output.output, &document, || told(&options, name))?;
    Ok(Exit::Done)
}

fn option(option: &Shown) -> Value {
    let Shown { key, variable, commands, value, from } = option;
    let (word, line) = match from {
        From::Flag => ("flag", None),
        From::Environment => ("environment", None),
        From::File(line) => ("file", Some(*line)),
        From::Default => ("default", None),
        From::Nowhere => ("nowhere", None),
    };
    let value = (*from != From::Nowhere).then_some(value);
    json!({ "key": key, "variable": variable, "commands": commands, "value": value, "from": word, "line": line })
}

fn told(options: &[Shown], file: Option<&str>) -> String {
    let from = |option: &Shown| match option.from {
        From::Flag => "flag".to_owned(),
        From::Environment => option.variable.clone(),
        From::File(line) => format!("file, line {line}"),
        From::Default => "default".to_owned(),
        From::Nowhere => "-".to_owned(),
    };
    let value = |option: &Shown| if option.from == From::Nowhere { "-".to_owned() } else { option.value.clone() };
    let rows: Vec<Vec<String>> = options.iter().map(|o| vec![o.key.clone(), value(o), from(o)]).collect();
    let file = file.map_or_else(|| "No file with options was read.".to_owned(), |file| format!("File: {file}"));
    format!("{}\n\n{file}", table(&["KEY", "VALUE", "FROM"], &rows, &[]))
}
