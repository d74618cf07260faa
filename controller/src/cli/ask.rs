//! Questions to the person. Without a terminal a question is an error that names the flag.

use std::io::BufRead;

use cavalcade_common::codes::operator as codes;
use cavalcade_common::error::Fault;

use super::context::Context;
use super::failure::Failure;
use super::output::say;

/// Asks for a yes. `flag` says it beforehand.
pub(super) fn yes(context: &Context, question: &str, given: bool, flag: &str) -> Result<(), Failure> {
    if given {
        return Ok(());
    }
    if !context.asks {
        return Err(Failure::usage(format!("nobody can be asked here: \"{question}\" wants {flag}")));
    }
    let answer = read(&format!("{question} [y/N]"))?;
    match answer.to_lowercase().as_str() {
        "y" | "yes" => Ok(()),
        _ => Err(Fault::new(codes::ANSWERED_NO, format!("\"{question}\" was answered with no")).into()),
    }
}

/// Asks for a text.
pub(super) fn read(question: &str) -> Result<String, Failure> {
    say(question);
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line);
    read.map_err(|error| Failure::usage(format!("the answer cannot be read: {error}")))?;
    Ok(line.trim().to_owned())
}
