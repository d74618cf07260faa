//! Where a command writes: its result to standard output or a file, everything else to standard error.

use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::failure::Failure;

/// Form of a result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people; its form may change with any version.
    #[default]
    Table,
    /// One JSON document with a schema word; stable.
    Json,
    /// The same as YAML.
    Yaml,
    /// The same, one JSON document a line.
    Jsonl,
}

/// Arguments of a command with a result.
#[derive(Debug, Args)]
pub(super) struct OutputArgs {
    /// Form of the result.
    #[arg(short, long, env = "CAVALCADE_OUTPUT", default_value = "table", value_name = "FORM")]
    pub(super) output: Format,
}

/// Writes a result in the form that was asked for.
pub(super) fn emit<T: Serialize>(format: Format, value: &T, table: impl FnOnce() -> String) -> Result<(), Failure> {
    match format {
        Format::Table => print(table().trim_end()),
        Format::Json => print(&serde_json::to_string_pretty(value).map_err(|e| unwritable(&e))?),
        Format::Jsonl => print(&serde_json::to_string(value).map_err(|e| unwritable(&e))?),
        Format::Yaml => {
            let value = serde_json::to_value(value).map_err(|e| unwritable(&e))?;
            print(serde_yaml::to_string(&value).map_err(|e| unwritable(&e))?.trim_end())
        }
    }
}

/// One document of several, on a line of its own. Each names its schema: a reader may meet any of them first.
pub(super) fn line(schema: &'static str, body: &impl Serialize) -> Result<(), Failure> {
    print(&serde_json::to_string(&Worded { schema, body }).map_err(|e| unwritable(&e))?)
}

#[derive(Serialize)]
struct Worded<'a, T> {
    schema: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

fn unwritable(error: &dyn std::fmt::Display) -> Failure {
    Failure::usage(format!("the result cannot be written: {error}"))
}

/// Writes text and a line end to standard output at once.
pub(super) fn print(text: &str) -> Result<(), Failure> {
    raw(&format!("{text}\n"))
}

/// Writes text to standard output as it is.
pub(super) fn raw(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::Pipe),
        Err(error) => Err(Failure::usage(format!("standard output: {error}"))),
    }
}

/// Writes a result to a file where one is named, else to standard output.
pub(super) fn put(out: Option<&Path>, text: &str) -> Result<(), Failure> {
    match out {
        None => print(text.trim_end()),
        Some(path) => write_file(path, text.as_bytes()),
    }
}

/// Writes a file whole or not at all: a temporary file beside it, then a rename.
pub(super) fn write_file(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let written = tempfile::Builder::new().permissions(permissions()).tempfile_in(folder).and_then(|mut file| {
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)
    });
    written.map(drop).map_err(|error| Failure::file(path, &error))
}

/// Of a file that others may read; the umask narrows it.
fn permissions() -> std::fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(0o644)
}

/// Tells the operator something, on standard error. A closed one changes nothing.
pub(super) fn say(text: &str) {
    let mut err = std::io::stderr().lock();
    let _ = writeln!(err, "{text}");
}
