//! Secrets of other steps, which the lines of a program may show.

use cavalcade_common::report::Report;

use super::*;

/// The agent holds the lines back until the value is here again, so the wait has a name and an end.
#[tokio::test(start_paused = true)]
async fn what_runs_waits_for_the_secrets_of_its_lines_when_another_process_of_the_controller_has_none() {
    let mut kit = Kit::new().await;
    let stages = vec![stage(1, &["is-1"], &job(), json!({})), stage(2, &["is-1"], &edit(&marker("key")), json!({}))];
    let given = [("key".to_owned(), SecretValue::new(VALUE.to_owned()))].into_iter().collect();
    kit.apply(&hashed(plan("emea", stages, json!({ "key": { "prompt": "the DBA" } }))), Scope::default(), given).await;
    let mut agent = kit.connect("is-1.host").await;
    let first = agent.offers().remove(0);
    assert_eq!((first.secrets.len(), first.given.get("key").map(SecretValue::expose)), (0, Some(VALUE)));
    let attempt = first.attempt.clone();
    for (seq, report) in [(1, Report::Accepted { attempt: attempt.clone() }), (2, Report::Began { attempt })] {
        kit.says(&agent, FromAgent::Report { seq, mark: None, report }).await;
    }
    assert!(!kit.waits().iter().any(|w| w.kind == WaitKind::Secret), "{:?}", kit.waits());

    kit.restart().await;
    kit.sessions += 1;
    let (session, (to, from_controller)) = (SessionId(kit.sessions), mpsc::channel(64));
    let hello = Hello { last_seq: 2, acked: 2, ..hello("is-1.host", kit.clock.now()) };
    let up = Input::SessionUp { host: agent.host.clone(), session, hello: Box::new(hello), to };
    kit.inputs.send(up).await.expect("takes");
    let mut agent = Peer { host: agent.host, session, from_controller };
    kit.beat(&agent).await;
    let wait = kit.wait_of("1.1@is-1");
    assert!(wait.kind == WaitKind::Secret && wait.person && wait.why.contains("cavalcade secret give key"), "{wait:?}");
    agent.offers();
    kit.order("ben", None, None, give(VALUE)).await.expect("is taken");
    kit.settle().await;
    let again = agent.offers().remove(0);
    assert_eq!((again.attempt, again.given.get("key").map(SecretValue::expose)), (first.attempt, Some(VALUE)));
    assert!(!kit.waits().iter().any(|w| w.kind == WaitKind::Secret), "{:?}", kit.waits());
}
