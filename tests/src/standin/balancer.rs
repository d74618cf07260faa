//! A load balancer that is told over HTTP which servers may get calls. It balances nothing; it writes down what it was told.

use std::{
    collections::BTreeMap,
    fs::OpenOptions,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use jiff::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;

use super::http::{self, Request, Response};

/// One word that it was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// When.
    pub at: Timestamp,
    /// `drain` or `enrol`.
    pub word: String,
    /// The server.
    pub server: String,
}

/// Serves `POST /drain/SERVER` and `POST /enrol/SERVER`, and `GET /SERVER` with its state, until the process ends.
///
/// # Errors
///
/// When the connection cannot be accepted or the file cannot be written: a balancer that forgets must not go on.
pub async fn serve(listener: TcpListener, file: &Path) -> anyhow::Result<()> {
    let mut states = BTreeMap::new();
    loop {
        let (mut stream, _) = listener.accept().await?;
        // A peer that speaks nonsense or leaves is no matter of the balancer's.
        let Ok(request) = http::receive(&mut stream).await else { continue };
        let response = answer(&request, &mut states, file)?;
        let _gone = http::reply(stream, &request, &response).await;
    }
}

fn answer(request: &Request, states: &mut BTreeMap<String, String>, file: &Path) -> anyhow::Result<Response> {
    let words: Vec<&str> = request.path.trim_start_matches('/').split('/').collect();
    Ok(match (request.method.as_str(), words.as_slice()) {
        ("POST", [word @ ("drain" | "enrol"), server]) => {
            states.insert((*server).to_owned(), (*word).to_owned());
            note(file, word, server)?;
            Response::json(200, &json!({ "server": server, "state": word }))
        }
        ("GET", [server]) if states.contains_key(*server) => {
            Response::json(200, &json!({ "server": server, "state": states[*server] }))
        }
        _ => Response::empty(404),
    })
}

#[expect(clippy::disallowed_methods, reason = "the stand-ins are no part of the product: they read the clock themselves")]
fn note(file: &Path, word: &str, server: &str) -> anyhow::Result<()> {
    let mut file = OpenOptions::new().create(true).append(true).open(file)?;
    file.write_all(format!("{} {word} {server}\n", Timestamp::now()).as_bytes())?;
    Ok(file.sync_all()?)
}

/// Everything that it was told, in order; nothing where it was told nothing.
///
/// # Errors
///
/// When the file cannot be read or holds a line that is not its own.
pub fn told(file: &PathBuf) -> anyhow::Result<Vec<Told>> {
    let text = if file.exists() { std::fs::read_to_string(file)? } else { String::new() };
    let told = text.lines().map(|line| {
        let mut words = line.split(' ').map(ToOwned::to_owned);
        let (at, word, server) = (words.next(), words.next(), words.next());
        let at = at.context("no time")?.parse().with_context(|| format!("{line:?} has no time"))?;
        Ok(Told { at, word: word.context("no word")?, server: server.context("no server")? })
    });
    told.collect()
}
