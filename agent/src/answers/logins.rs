//! Logins of the servers' accounts, tried from this host and laid below the facts of its nodes.

use std::collections::BTreeMap;

use cavalcade_common::facts::LoginWanted;
use cavalcade_common::id::NodeId;
use cavalcade_common::secret::SecretRef;
use futures_util::future::join_all;
use serde_json::{Map, Value};

use super::databases::with_password;
use crate::database::{LoginFacts, Stops, login};
use crate::executor::SecretResolver;

/// Servers and accounts: what one wrong password would be counted against.
type Account<'a> = (&'a str, u16, &'a str, &'a str);

/// What became of each login, by node and name of the database. The databases of one account are tried one after the
/// other, so that a wrong password is sent once.
pub(super) async fn facts(
    wanted: &[LoginWanted],
    secrets: &BTreeMap<String, SecretRef>,
    resolver: &dyn SecretResolver,
) -> BTreeMap<NodeId, Map<String, Value>> {
    let mut accounts: BTreeMap<Account<'_>, Vec<&LoginWanted>> = BTreeMap::new();
    for one in wanted {
        let target = &one.target;
        accounts.entry((&target.host, target.port, &target.user, &target.password)).or_default().push(one);
    }
    let found = join_all(accounts.into_values().map(|of_one| of_account(of_one, secrets, resolver))).await;
    let mut by_node = BTreeMap::<NodeId, Map<String, Value>>::new();
    for (one, facts) in found.into_iter().flatten() {
        let facts = serde_json::to_value(facts).unwrap_or_default();
        for node in &one.nodes {
            by_node.entry(node.clone()).or_default().insert(one.target.name.clone(), facts.clone());
        }
    }
    by_node
}

async fn of_account<'w>(
    wanted: Vec<&'w LoginWanted>,
    secrets: &BTreeMap<String, SecretRef>,
    resolver: &dyn SecretResolver,
) -> Vec<(&'w LoginWanted, LoginFacts)> {
    let mut found: Vec<(&LoginWanted, LoginFacts)> = Vec::new();
    let mut stopped: Option<LoginFacts> = None;
    for one in wanted {
        if let Some(LoginFacts { reached, problem, .. }) = &stopped {
            let untried = LoginFacts::untried(&one.target, problem.clone().unwrap_or_default());
            found.push((one, LoginFacts { reached: *reached, ..untried }));
            continue;
        }
        let (facts, stops) = of_one(one, secrets, resolver).await;
        stopped = (stops == Stops::All).then(|| facts.clone());
        found.push((one, facts));
    }
    found
}

async fn of_one(one: &LoginWanted, secrets: &BTreeMap<String, SecretRef>, resolver: &dyn SecretResolver) -> (LoginFacts, Stops) {
    let (target, book) = match with_password(&one.target, secrets, resolver).await {
        Ok(revealed) => revealed,
        // The step that writes this password on this host would fail for the same reason.
        Err(fault) => {
            let untried = LoginFacts::untried(&one.target, fault.to_string());
            return (LoginFacts { reached: Some(false), ..untried }, Stops::All);
        }
    };
    let (mut facts, stops) = login(&target, &one.scripts).await;
    facts.rewrite(|text| book.redact(text));
    (facts, stops)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use cavalcade_common::action::{DbTarget, Engine};
    use cavalcade_common::secret::marker;
    use serde_json::json;
    use tokio::net::TcpListener;

    use super::*;
    use crate::host::secrets::HostSecrets;

    fn wanted(name: &str, port: u16, user: &str, password: String) -> LoginWanted {
        let target = json!({
            "name": name, "engine": Engine::Postgresql, "host": "127.0.0.1", "port": port, "database": name, "user": user,
            "password": password,
        });
        let target: DbTarget = serde_json::from_value(target).expect("a target");
        let nodes = ["am-1", "gw-1"].map(|n| NodeId::new(n).expect("a name")).to_vec();
        LoginWanted { nodes, target, scripts: "ddl".to_owned() }
    }

    /// A server that hangs up on everybody, and how often somebody came.
    async fn server() -> (u16, Arc<AtomicUsize>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("binds");
        let port = listener.local_addr().expect("has one").port();
        let came = Arc::new(AtomicUsize::new(0));
        let count = came.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        });
        (port, came)
    }

    #[tokio::test]
    async fn an_account_that_cannot_log_in_is_tried_once_for_all_its_databases() {
        let (port, came) = server().await;
        let secrets = [("env".to_owned(), SecretRef::Env("CAVALCADE_NO_SUCH_VARIABLE".to_owned()))].into();
        let all = [
            wanted("am_db", port, "wso2", String::new()),
            wanted("shared_db", port, "wso2", String::new()),
            wanted("user_db", port, "other", marker("env")),
        ];
        facts(&all[..1], &secrets, &HostSecrets).await;
        let once = came.load(Ordering::SeqCst);
        let found = facts(&all, &secrets, &HostSecrets).await;
        let both = came.load(Ordering::SeqCst) - once;
        assert!(once > 0 && both == once, "the second database would have met the same end: {both}, not {once}");
        for node in ["am-1", "gw-1"] {
            let of = &found[&NodeId::new(node).expect("a name")];
            for name in ["am_db", "shared_db", "user_db"] {
                assert_eq!(of[name]["reached"], json!(false), "{of:?}");
                assert_eq!(of[name]["at"], json!(format!("127.0.0.1:{port}/{name}")));
            }
            assert_eq!(of["am_db"]["problem"], of["shared_db"]["problem"]);
            assert!(of["user_db"]["problem"].as_str().is_some_and(|why| why.contains("env")), "{of:?}");
        }
    }
}
