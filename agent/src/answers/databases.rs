//! Facts of databases, laid below the facts of the node that their steps run on.

use std::collections::BTreeMap;

use cavalcade_common::action::{DbTarget, NoSessions};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::facts::DatabaseWanted;
use cavalcade_common::id::NodeId;
use cavalcade_common::secret::{SecretBook, SecretRef, markers};
use futures_util::future::join_all;
use serde_json::{Map, Value};

use crate::database::{self, DbFacts, describe, unreached};
use crate::executor::SecretResolver;

/// Facts of all databases, asked at the same time, by node and name.
pub(super) async fn facts(
    wanted: &[DatabaseWanted],
    secrets: &BTreeMap<String, SecretRef>,
    resolver: &dyn SecretResolver,
) -> BTreeMap<NodeId, Map<String, Value>> {
    let found = join_all(wanted.iter().map(|one| one_of(one, secrets, resolver))).await;
    let mut by_node = BTreeMap::<NodeId, Map<String, Value>>::new();
    for (one, facts) in wanted.iter().zip(found) {
        let facts = serde_json::to_value(facts).unwrap_or_default();
        by_node.entry(one.node.clone()).or_default().insert(one.target.name.clone(), facts);
    }
    by_node
}

/// Sessions in a database that may not be there, each in words.
///
/// # Errors
/// Why nobody can tell: no password, no way there, or an account that does not see others.
pub(crate) async fn strangers(database: &DbTarget, but_from: Vec<String>, book: &SecretBook) -> Result<Vec<String>, String> {
    let password = book.reveal(&database.password).map_err(|missing| missing.to_string())?;
    let target = DbTarget { password: password.expose().to_owned(), ..database.clone() };
    let found = database::strangers(&target, &NoSessions { but_from }).await;
    let found = found.map_err(|e| book.redact(&e.fault().to_string()))?;
    Ok(database::each_named(&found).iter().map(|text| format!("session {text}")).collect())
}

/// The target with the value of its password, and the book that hides it again.
///
/// # Errors
/// A secret that this host does not find, or that was not sent along.
pub(super) async fn with_password(
    target: &DbTarget,
    secrets: &BTreeMap<String, SecretRef>,
    resolver: &dyn SecretResolver,
) -> Result<(DbTarget, SecretBook), Fault> {
    let named = markers(&target.password);
    let needed = secrets.iter().filter(|(name, _)| named.contains(&name.as_str()));
    let needed = needed.map(|(name, place)| (name.clone(), place.clone())).collect();
    let book = resolver.resolve(&needed).await?;
    let missing = |what: String| Fault::new(codes::agent::SECRET_MISSING, what);
    let password = book.reveal(&target.password).map_err(|e| missing(e.to_string()))?;
    let mut target = target.clone();
    password.expose().clone_into(&mut target.password);
    Ok((target, book))
}

async fn one_of(wanted: &DatabaseWanted, secrets: &BTreeMap<String, SecretRef>, resolver: &dyn SecretResolver) -> DbFacts {
    let DatabaseWanted { node: _, target, asks } = wanted;
    let (target, book) = match with_password(target, secrets, resolver).await {
        Ok(revealed) => revealed,
        Err(fault) => return unreached(target, asks, fault.to_string()),
    };
    let mut facts = describe(&target, asks).await;
    // No server repeats a password; if one does, it goes no further.
    facts.rewrite(|text| book.redact(text));
    facts
}

#[cfg(test)]
mod tests {
    use cavalcade_common::action::Engine;
    use cavalcade_common::secret::marker;

    use super::*;
    use crate::host::secrets::HostSecrets;

    fn wanted(name: &str, port: u16, password: String) -> DatabaseWanted {
        let target = DbTarget {
            name: name.to_owned(),
            engine: Engine::Postgresql,
            host: "127.0.0.1".to_owned(),
            port,
            socket: None,
            database: name.to_owned(),
            scratch: None,
            user: "u".to_owned(),
            password,
            server_accounts: Vec::new(),
            tls: false,
            ca: None,
            client_bin: None,
        };
        let asks = [("n".to_owned(), "SELECT 1".to_owned())].into();
        DatabaseWanted { node: NodeId::new("am-1").unwrap(), target, asks }
    }

    #[tokio::test]
    async fn one_that_cannot_be_asked_takes_no_other_with_it() {
        // Bound, so that nobody else gets the port meanwhile, and not listening.
        let closed = tokio::net::TcpSocket::new_v4().unwrap();
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = closed.local_addr().unwrap().port();
        let databases = [wanted("am_db", port, marker("asked")), wanted("shared_db", port, String::new())];
        let secrets = [("asked".to_owned(), SecretRef::Prompt("password?".to_owned()))].into();
        let found = facts(&databases, &secrets, &HostSecrets).await;
        let node = &found[&NodeId::new("am-1").unwrap()];
        assert_eq!((&node["am_db"]["reachable"], &node["am_db"]["asked"]["n"]), (&false.into(), &Value::Null));
        assert!(node["am_db"]["problem"].as_str().unwrap().contains("secret `asked`"), "{node:?}");
        assert!(node["shared_db"]["problem"].as_str().unwrap().contains("cannot be reached"), "{node:?}");
    }
}
