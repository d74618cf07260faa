//! Scripted sessions with the program `cavalcade` against a controller that answers from a script, over the real socket:
//! what goes to standard output, what to standard error, which exit code.
#![cfg(test)]

mod documents;
mod fake;

mod applying;
mod asking;
mod leaving;
mod options;
mod recipes;
mod serving;
mod terminal;
mod verbs;
