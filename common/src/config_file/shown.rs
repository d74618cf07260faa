//! Which value each option has, and from where.

use std::ffi::OsStr;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use super::{ConfigFile, values};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A flag of this command.
    Flag,
    /// The option's variable.
    Environment,
    /// This line of the file.
    File(u32),
    /// The program.
    Default,
    /// It has none.
    Nowhere,
}

/// One option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its key in the file.
    pub key: String,
    /// Its variable.
    pub variable: String,
    /// The commands that take it; empty where all do.
    pub commands: Vec<String>,
    /// Its value, several with commas.
    pub value: String,
    /// Where that comes from.
    pub from: From,
}

/// All options that can come from the file, in the order of their keys. `matches` are those of the command that asks:
/// options of other commands have no flag here.
#[must_use]
pub fn shown(command: &Command, matches: &ArgMatches, file: Option<&ConfigFile>) -> Vec<Shown> {
    values::options(command).into_iter().filter_map(|(key, options)| one(key, &options, matches, file)).collect()
}

fn one(key: String, options: &[(String, Arg)], matches: &ArgMatches, file: Option<&ConfigFile>) -> Option<Shown> {
    let (_, option) = options.first()?;
    let variable = option.get_env()?;
    let flag = (option.is_global_set() && matches.value_source(option.get_id().as_str()) == Some(ValueSource::CommandLine))
        .then(|| matches.get_raw(option.get_id().as_str()))
        .flatten();
    let given = file.and_then(|file| file.values.get(&key));
    let (value, from) = match (flag, std::env::var_os(variable), given) {
        (Some(flag), ..) => (joined(flag), From::Flag),
        (None, Some(set), _) => (set.to_string_lossy().into_owned(), From::Environment),
        (None, None, Some(given)) => (given.texts.join(","), From::File(given.line)),
        (None, None, None) if option.get_default_values().is_empty() => (String::new(), From::Nowhere),
        (None, None, None) => (joined(option.get_default_values().iter().map(|v| v.as_os_str())), From::Default),
    };
    let mut commands: Vec<String> = options.iter().map(|(name, _)| name.clone()).filter(|name| !name.is_empty()).collect();
    commands.sort();
    Some(Shown { variable: variable.to_string_lossy().into_owned(), key, commands, value, from })
}

fn joined<'v>(values: impl IntoIterator<Item = &'v OsStr>) -> String {
    values.into_iter().map(OsStr::to_string_lossy).collect::<Vec<_>>().join(",")
}
