//! `verify` through a real controller and a real agent: without a run, and from the plan of the newest run.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::time::{Duration, Instant};

use cavalcade_agent::daemon::{AgentConfig, enrol_host};
use cavalcade_agent::link::dial::Address;
use cavalcade_common::action::{Action, LogGate, TcpGate, TextEdit};
use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::plan::HashedPlan;
use cavalcade_common::secret::{SecretRef, SecretValue, marker};
use cavalcade_common::token::EnrolmentToken;
use cavalcade_controller::daemon::{ServeConfig, serve};
use cavalcade_controller::operate::request::{
    ApplyRequest, StatusRequest, TokenAnswer, TokenRequest, VerbAnswer, VerifyAnswer, VerifyRequest,
};
use cavalcade_controller::rpc::client::OperatorClient;
use cavalcade_controller::rpc::method::Method;
use cavalcade_controller::view::document::Status;
use cavalcade_tests::{one_node, ports};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::agent::tree;

/// Where the controller listens.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 10, 4);

async fn ask<A: DeserializeOwned>(client: &OperatorClient, method: Method, request: &impl Serialize) -> Result<A, Fault> {
    let request = serde_json::to_value(request).expect("JSON");
    client.call(method, &request).await.map(|answer| serde_json::from_value(answer).expect("the answer's form"))
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(300) {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never came: {what}");
}

/// A plan of these actions, its only stage with `verify` or not.
fn plan(home: &Path, actions: Vec<Action>, verify: bool) -> HashedPlan {
    #[expect(clippy::disallowed_methods, reason = "a plan says when it was made")]
    let mut plan = one_node::plan(home, actions, Timestamp::now()).expect("a plan");
    plan.stages[0].verify = verify;
    HashedPlan::new(plan).expect("has a digest")
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_look_at_any_time_and_refuse_to_act() {
    let folder = tempfile::tempdir().expect("a folder");
    let (state_dir, agent_dir, home) =
        (folder.path().join("controller"), folder.path().join("agent"), folder.path().join("home"));
    std::fs::create_dir(&home).expect("is made");
    let (agents, enrol) = ports::free(ADDRESS).expect("two ports");
    let (agents, enrol) = (SocketAddr::from((ADDRESS, agents)), SocketAddr::from((ADDRESS, enrol)));
    let config = ServeConfig { state_dir: state_dir.clone(), agents, enrol, names: vec![ADDRESS.to_string()], operators: None };
    let controller = tokio::spawn(serve(config));
    let client = until("the controller", async || OperatorClient::connect(&state_dir).await.ok()).await;
    let request = TokenRequest { host: one_node::HOST.to_owned(), ttl_seconds: None };
    let token: TokenAnswer = ask(&client, Method::TokenCreate, &request).await.expect("a token");
    let address: Address = enrol.to_string().parse().expect("an address");
    let token = EnrolmentToken::read(&token.token).expect("a token");

    let log = home.join("wso2carbon.log").display().to_string();
    let listener = TcpListener::bind("127.0.0.1:0").expect("listens");
    let tcp = TcpGate { address: listener.local_addr().expect("listens").to_string(), within: Duration::from_secs(60) };
    let started = LogGate { file: log.clone(), pattern: "started in".to_owned(), failed: Vec::new(), within: tcp.within };
    let looking = plan(&home, vec![Action::Tcp(tcp), Action::Log(started)], true);
    let verify = |plan: Option<&HashedPlan>| VerifyRequest {
        plan: plan.map(|p| p.to_text().expect("text")),
        nodes: Vec::new(),
        within_seconds: Some(1),
        secrets: Default::default(),
    };

    // Nobody is connected: the items say so.
    let answer: VerifyAnswer = ask(&client, Method::Verify, &verify(Some(&looking))).await.expect("an answer");
    assert!(answer.items.iter().all(|i| i.checked.as_ref().is_err_and(|f| f.code == codes::run::HOST_UNREACHABLE)));

    enrol_host(&token, &address, &agent_dir).await.expect("enrols");
    let config = AgentConfig { state_dir: agent_dir.clone(), controller: agents.to_string().parse().expect("an address") };
    let agent = tokio::spawn(cavalcade_agent::daemon::run(config));
    until("the agent", async || {
        let status: Status = ask(&client, Method::Status, &StatusRequest::default()).await.ok()?;
        status.hosts.iter().any(|h| h.connected).then_some(())
    })
    .await;

    // One holds, the other does not; the ledger knows of none of it.
    let ledger = tree(&agent_dir.join("ledger"));
    let answer: VerifyAnswer = ask(&client, Method::Verify, &verify(Some(&looking))).await.expect("an answer");
    let holds: Vec<bool> = answer.items.iter().map(|i| i.checked.as_ref().expect("was asked").holds).collect();
    assert_eq!((holds, &answer.plan), (vec![true, false], &looking.sha256));
    assert_eq!(tree(&agent_dir.join("ledger")), ledger, "a question is no attempt");
    let none = ask::<VerifyAnswer>(&client, Method::Verify, &verify(None)).await.expect_err("there was no run");
    assert_eq!(none.code, codes::run::NO_RUN);

    // A secret that a person has: it is asked first, travels with the question, and is hidden in the answer.
    std::fs::write(&log, "open sesame\n").expect("is written");
    let failed = vec![format!("refused {}", marker("word"))];
    let word = LogGate { file: log.clone(), pattern: "open .*".to_owned(), failed, within: Duration::from_secs(60) };
    let mut secret = plan(&home, vec![Action::Log(word)], true).plan;
    secret.secrets.insert("word".to_owned(), SecretRef::Prompt("the word".to_owned()));
    let secret = HashedPlan::new(secret).expect("has a digest");
    let asked: VerifyAnswer = ask(&client, Method::Verify, &verify(Some(&secret))).await.expect("an answer");
    assert_eq!((asked.items.len(), asked.asks.get("word").map(String::as_str)), (0, Some("the word")));
    for (value, shown) in [("sesame", "open (secret)"), ("barley", "open sesame")] {
        let secrets = [("word".to_owned(), SecretValue::new(value.to_owned()))].into_iter().collect();
        let request = VerifyRequest { secrets, ..verify(Some(&secret)) };
        let answer: VerifyAnswer = ask(&client, Method::Verify, &request).await.expect("an answer");
        let checked = answer.items[0].checked.as_ref().expect("was asked");
        assert!(checked.holds && checked.evidence.iter().any(|e| e.found.contains(shown)), "{checked:?}");
    }
    std::fs::remove_file(&log).expect("is removed");

    // A plan whose stage would act: the agent itself refuses, and says which step.
    let edit = TextEdit { file: log.clone(), content: Some("WSO2 Carbon started in 9 sec\n".to_owned()), ..TextEdit::default() };
    let acting = plan(&home, vec![Action::Text(edit)], true);
    let answer: VerifyAnswer = ask(&client, Method::Verify, &verify(Some(&acting))).await.expect("an answer");
    let refused = answer.items[0].checked.as_ref().expect_err("is refused");
    assert!(refused.message.contains("step-1 (1.1@one) would change something"), "{refused}");
    assert!(!Path::new(&log).exists(), "nothing was changed");
    let idle = plan(&home, Vec::new(), true);
    let none = ask::<VerifyAnswer>(&client, Method::Verify, &verify(Some(&idle))).await.expect_err("has no step");
    assert_eq!(none.code, codes::plan::NOTHING_TO_VERIFY);

    // The plan of the newest run counts where none is named; its stages without `verify` are not asked.
    let confirm = ApplyRequest {
        plan: looking.to_text().expect("text"),
        scope: Default::default(),
        supersedes: None,
        keep: Vec::new(),
        undo: Vec::new(),
        supersede_why: String::new(),
        stale_ok: false,
        confirm: None,
        waive: Vec::new(),
        secrets: Default::default(),
    };
    std::fs::write(&log, "WSO2 Carbon started in 9 sec\n").expect("is written");
    let _: VerbAnswer = ask(&client, Method::Apply, &confirm).await.expect("runs");
    let answer: VerifyAnswer = ask(&client, Method::Verify, &verify(None)).await.expect("an answer");
    assert_eq!((&answer.plan, answer.items.len()), (&looking.sha256, 2));
    assert!(answer.items.iter().all(|i| i.checked.as_ref().is_ok_and(|c| c.holds)), "{answer:?}");
    agent.abort();
    controller.abort();
}
