//! What stands in the file: keys and values, judged by the options of the command line.

use std::any::TypeId;
use std::collections::BTreeMap;
use std::error::Error as _;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue};
use clap::{Arg, ArgAction, Command};

use super::{Form, OPTION};
use crate::codes::written as codes;
use crate::error::Faults;
use crate::written::{AbsolutePath, Content, Entry, FromNode, Mark, Node, Reader, nearest, read as read_yaml};

/// What options' variables begin with.
const PREFIX: &str = "CAVALCADE_";

/// The file with options, read.
#[derive(Debug)]
pub struct ConfigFile {
    /// The file as it was named.
    pub name: String,
    pub(super) values: BTreeMap<String, Given>,
}

/// What the file gives an option.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) texts: Vec<String>,
    pub(super) line: u32,
}

/// The key of an option; those without a variable have none.
pub(super) fn key(option: &Arg) -> Option<String> {
    let variable = option.get_env()?.to_str()?;
    (option.get_id() != OPTION).then(|| variable.strip_prefix(PREFIX).unwrap_or(variable).to_lowercase())
}

/// All options that have keys, with the names of their commands. An option may belong to several commands.
pub(super) fn options(command: &Command) -> BTreeMap<String, Vec<(String, Arg)>> {
    let mut all = BTreeMap::<_, Vec<_>>::new();
    let mut commands = vec![(String::new(), command)];
    while let Some((name, command)) = commands.pop() {
        for option in command.get_arguments() {
            if let Some(key) = key(option) {
                all.entry(key).or_default().push((name.clone(), option.clone()));
            }
        }
        let below = command.get_subcommands().map(|below| (format!("{name} {}", below.get_name()).trim().to_owned(), below));
        commands.extend(below);
    }
    all
}

/// Reads the file. One without any content gives nothing.
pub(super) fn read(bytes: &[u8], name: &str, form: &Form, command: &Command) -> Result<ConfigFile, Faults> {
    let document = read_yaml(bytes, name)?;
    let mut r = Reader::new(name);
    let values = if document.root.is_null() { Some(BTreeMap::new()) } else { values(&document.root, form, command, &mut r) };
    r.finish(values.map(|values| ConfigFile { name: name.to_owned(), values }))
}

fn values(root: &Node, form: &Form, command: &Command, r: &mut Reader) -> Option<BTreeMap<String, Given>> {
    let Content::Map(entries) = &root.content else {
        r.fault(codes::WRONG_KIND, root.mark, format!("a file with options is a mapping, this is {}", root.kind()));
        return None;
    };
    if root.get("schema").and_then(Node::text) != Some(form.schema) {
        let mark = root.get("schema").map_or(entries.first().map_or(root.mark, |e| e.mark), |n| n.mark);
        r.fault(codes::SCHEMA_WORD, mark, format!("this program reads `schema: {}` here", form.schema));
    }
    let options = options(command);
    let mut values = BTreeMap::new();
    for entry in entries.iter().filter(|e| e.key != "schema") {
        match options.get(&entry.key) {
            // A key without a value is one that was taken out.
            Some(_) if entry.value.is_null() => {}
            Some(options) => {
                if let Some(texts) = texts(entry, options, r) {
                    values.insert(entry.key.clone(), Given { texts, line: entry.mark.line });
                }
            }
            None => unknown(entry, options.keys().map(String::as_str).collect(), r),
        }
    }
    Some(values)
}

fn unknown(entry: &Entry, known: Vec<&str>, r: &mut Reader) {
    if holds_secret(entry) {
        // Without a column no snippet shows the value.
        let hidden = Mark { column: 0, length: 0, ..entry.mark };
        let message = format!("`{}` looks like a secret; the file with options has none", entry.key);
        let help = "name a file that only its user can read: --token-file for a token, `secrets` of the fleet file for others";
        r.fault_with(codes::LITERAL_SECRET, hidden, message, Some(help.to_owned()));
        return;
    }
    let help = match nearest(&entry.key, known.iter().copied()) {
        Some(near) => format!("`{near}` exists"),
        None => format!("it has: {}", known.join(", ")),
    };
    r.fault_with(codes::UNKNOWN_KEY, entry.mark, format!("the file with options has no key `{}`", entry.key), Some(help));
}

fn holds_secret(entry: &Entry) -> bool {
    const WORDS: [&str; 7] = ["pass", "pwd", "secret", "token", "credential", "private", "apikey"];
    let key = entry.key.to_lowercase().replace(['_', '-', '.'], "");
    WORDS.iter().any(|word| key.contains(word)) || entry.value.entries().is_some_and(|below| below.iter().any(holds_secret))
}

/// The texts of one key, where its options take them.
fn texts(entry: &Entry, options: &[(String, Arg)], r: &mut Reader) -> Option<Vec<String>> {
    let (_, first) = options.first()?;
    let nodes = match &entry.value.content {
        Content::List(items) if takes_many(first) => items.as_slice(),
        _ => std::slice::from_ref(&entry.value),
    };
    let mut texts = Vec::new();
    for node in nodes {
        let text = if is_path(first) { AbsolutePath::from_node(node, r)?.0 } else { String::from_node(node, r)? };
        for (_, option) in options {
            if let Some((why, help)) = refusal(option, &text) {
                r.fault_with(codes::BAD_VALUE, node.mark, format!("`{}` cannot be {text:?}: {why}", entry.key), help);
                return None;
            }
        }
        texts.push(text);
    }
    Some(texts)
}

fn takes_many(option: &Arg) -> bool {
    matches!(option.get_action(), ArgAction::Append)
}

/// A path in a file means the same wherever the program is started.
fn is_path(option: &Arg) -> bool {
    option.get_value_parser().type_id() == TypeId::of::<PathBuf>()
}

/// Why the option does not take the text, by its own parser, and what is near.
fn refusal(option: &Arg, text: &str) -> Option<(String, Option<String>)> {
    let alone = option.clone().required(false).long("option");
    let alone = Command::new("option").no_binary_name(true).disable_help_flag(true).arg(alone);
    let error = alone.try_get_matches_from([format!("--option={text}")]).err()?;
    if let Some(ContextValue::Strings(values)) = error.get(ContextKind::ValidValue)
        && !values.is_empty()
    {
        let near = nearest(text, values.iter().map(String::as_str)).map(|near| format!("`{near}` exists"));
        return Some((format!("it is one of {}", values.join(", ")), near));
    }
    Some((error.source().map_or_else(|| "it is not allowed".to_owned(), ToString::to_string), None))
}

impl ConfigFile {
    /// The command with the file's values in place of those that are built in.
    pub(super) fn as_defaults(&self, command: Command) -> Command {
        let command = command.mut_args(|option| {
            let given = key(&option).and_then(|key| self.values.get(&key));
            match given {
                // Defaults live as long as the program does, and so does what stands in for them.
                Some(given) => option.required(false).default_values(given.texts.iter().map(|t| &*t.clone().leak())),
                None => option,
            }
        });
        command.mut_subcommands(|below| self.as_defaults(below))
    }
}
