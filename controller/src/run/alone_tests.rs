//! Who is in the databases, asked before a step is offered and again when it launches (10, rule 16).

use cavalcade_common::message::Ask;
use cavalcade_common::report::{Ending, Evidence, Outcome, Report};

use super::*;

impl Kit {
    async fn say(&self, peer: &Peer, message: FromAgent) {
        let input = Input::Message { host: peer.host.clone(), session: peer.session, message };
        self.inputs.send(input).await.expect("takes");
        self.settle().await;
    }

    async fn answer(&self, peer: &Peer, id: u64, strangers: &[&str]) {
        let strangers = strangers.iter().map(|s| (*s).to_owned()).collect();
        self.say(peer, FromAgent::Answer { id, answer: Ok(Answer::Strangers(strangers)) }).await;
    }

    /// Answers the only look that was asked for.
    async fn looked(&self, peer: &mut Peer, database: &str, strangers: &[&str]) {
        let id = came(peer).look(database);
        self.answer(peer, id, strangers).await;
    }

    /// Answers the looks of the next moments; how much was offered meanwhile.
    async fn look_again(&self, one: &mut Peer, two: &mut Peer, strangers: &[&str]) -> usize {
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (first, second) = (came(one), came(two));
        for (id, _) in first.looks {
            self.answer(one, id, &[]).await;
        }
        for (id, _) in second.looks {
            self.answer(two, id, strangers).await;
        }
        first.offers
    }

    /// The script's attempt is taken and began.
    async fn script_begins(&self, peer: &Peer) -> AttemptId {
        let attempt = AttemptId { run: self.run().id, step: "1.1@is-1".parse().expect("a step"), number: 1 };
        for (seq, report) in [(1, Report::Accepted { attempt: attempt.clone() }), (2, Report::Began { attempt: attempt.clone() })]
        {
            self.say(peer, FromAgent::Report { seq, mark: None, report }).await;
        }
        attempt
    }

    async fn ask_permit(&self, peer: &Peer, nonce: &str) {
        let attempt = AttemptId { run: self.run().id, step: "1.1@is-1".parse().expect("a step"), number: 1 };
        self.say(peer, FromAgent::AskPermit { nonce: nonce.to_owned(), attempt }).await;
    }
}

/// What came since the last call.
#[derive(Default)]
struct Came {
    offers: usize,
    /// Number and database of each look that was asked for.
    looks: Vec<(u64, String)>,
    permits: Vec<Result<Vec<Evidence>, String>>,
}

impl Came {
    /// The only look that was asked for.
    fn look(&self, database: &str) -> u64 {
        assert_eq!(self.looks.len(), 1, "{:?}", self.looks);
        assert_eq!(self.looks[0].1, database);
        self.looks[0].0
    }
}

fn came(peer: &mut Peer) -> Came {
    let mut came = Came::default();
    while let Ok(message) = peer.from_controller.try_recv() {
        match message {
            ToAgent::Offer(_) => came.offers += 1,
            ToAgent::Permit { answer, .. } => came.permits.push(answer),
            ToAgent::Ask { id, ask } => match *ask {
                Ask::Strangers { database, but_from, given, .. } => {
                    assert_eq!((but_from.as_slice(), given.get("key").map(SecretValue::expose)), ([].as_slice(), Some(VALUE)));
                    came.looks.push((id, database.name));
                }
                other => panic!("asked {other:?}"),
            },
            _ => {}
        }
    }
    came
}

/// A script on am_db, worked on from is-1; shared_db is worked on from is-2.
fn script() -> HashedPlan {
    let database = |name: &str| {
        json!({ "name": name, "engine": "mysql", "host": "db", "port": 3306, "database": name, "user": "u",
            "password": marker("key") })
    };
    let sql = json!({ "sql": { "effect": "script", "database": database("am_db"), "statements": "SELECT 1;" } });
    let mut stage = stage(1, &["is-1"], &sql, json!({}));
    stage["steps"][0]["needs"] = json!([{ "alone": { "databases": { "am_db": "is-1", "shared_db": "is-2" } } }]);
    let mut plan = plan("emea", vec![stage], json!({ "key": { "prompt": "the DBA" } }));
    for name in ["am_db", "shared_db"] {
        plan.databases.insert(name.to_owned(), serde_json::from_value(database(name)).expect("a target"));
    }
    hashed(plan)
}

async fn begun() -> (Kit, Peer, Peer) {
    let mut kit = Kit::new().await;
    let given = [("key".to_owned(), SecretValue::new(VALUE.to_owned()))].into_iter().collect();
    kit.apply(&script(), Scope::default(), given).await;
    let (one, two) = (kit.connect("is-1.host").await, kit.connect("is-2.host").await);
    (kit, one, two)
}

const STRANGER: &str = "session 7 of wso2carbon from 10.0.0.9";

#[tokio::test(start_paused = true)]
async fn a_stranger_in_any_database_of_the_plan_is_waited_for_by_name() {
    let (kit, mut one, mut two) = begun().await;
    let (first, second) = (came(&mut one), came(&mut two));
    assert_eq!(first.offers, 0, "nobody has looked yet");
    kit.answer(&one, first.look("am_db"), &[]).await;
    // An agent speaks for what it was asked: this answer is not its own.
    kit.answer(&one, second.look("shared_db"), &[]).await;
    assert_eq!(came(&mut one).offers, 0);
    kit.answer(&two, second.look("shared_db"), &[STRANGER]).await;
    let wait = kit.wait_of("1.1@is-1");
    assert_eq!((wait.kind, wait.person), (WaitKind::Permit, false));
    assert!(wait.why.contains("shared_db") && wait.why.contains(STRANGER) && !wait.why.contains("am_db"), "{}", wait.why);
    kit.everything_is_named();
    tokio::time::sleep(Duration::from_secs(3)).await;
    let again = came(&mut two);
    kit.answer(&two, again.look("shared_db"), &[]).await;
    assert_eq!(came(&mut one).offers, 1, "it left");
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_given_only_where_every_database_was_looked_at_now() {
    let (kit, mut one, mut two) = begun().await;
    kit.looked(&mut one, "am_db", &[]).await;
    kit.looked(&mut two, "shared_db", &[]).await;
    assert_eq!(came(&mut one).offers, 1);

    kit.ask_permit(&one, "first").await;
    kit.looked(&mut one, "am_db", &[]).await;
    assert!(came(&mut one).permits.is_empty(), "one of two");
    kit.looked(&mut two, "shared_db", &[STRANGER]).await;
    let refused = came(&mut one).permits.remove(0).expect_err("somebody came");
    assert!(refused.contains("shared_db") && refused.contains(STRANGER), "{refused}");

    kit.ask_permit(&one, "second").await;
    kit.looked(&mut one, "am_db", &[]).await;
    kit.looked(&mut two, "shared_db", &[]).await;
    let shown = came(&mut one).permits.remove(0).expect("nobody is there");
    assert_eq!(shown.iter().filter(|e| e.holds && e.what.starts_with("sessions in ")).count(), 2, "{shown:?}");
    assert!(kit.journaled().await.contains("sessions in shared_db"));

    // No answer is no permit.
    kit.ask_permit(&one, "third").await;
    tokio::time::sleep(Duration::from_secs(25)).await;
    let refused = came(&mut one).permits.remove(0).expect_err("nobody answered");
    assert!(refused.contains("is-2 about shared_db"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_went_is_named_and_asked_again_when_it_is_back() {
    let (mut kit, mut one, mut two) = begun().await;
    kit.looked(&mut one, "am_db", &[]).await;
    came(&mut two);
    kit.inputs.send(Input::SessionDown { host: two.host.clone(), session: two.session }).await.expect("takes");
    kit.settle().await;
    let wait = kit.wait_of("1.1@is-1");
    assert!(wait.why.contains("shared_db") && wait.why.contains("the agent of is-2 is not connected"), "{}", wait.why);
    let mut two = kit.connect("is-2.host").await;
    let why = "the account `u` does not see the sessions of others";
    let id = came(&mut two).look("shared_db");
    kit.say(&two, FromAgent::Answer { id, answer: Err(why.to_owned()) }).await;
    assert!(kit.wait_of("1.1@is-1").why.contains(why), "what nobody can tell is no proof");
    assert_eq!(came(&mut one).offers, 0);
}

/// Rule 3: an attempt that waited, or a script that was interrupted and comes back hours later, does not go on for a run that
/// is cancelled.
#[tokio::test(start_paused = true)]
async fn nothing_is_permitted_to_launch_for_a_cancelled_run() {
    let (kit, mut one, mut two) = begun().await;
    kit.looked(&mut one, "am_db", &[]).await;
    kit.looked(&mut two, "shared_db", &[]).await;
    kit.script_begins(&one).await;
    came(&mut one);
    kit.ask_permit(&one, "before").await;
    kit.looked(&mut one, "am_db", &[]).await;
    kit.order("ben", None, None, Verb::Cancel { why: "another night".to_owned() }).await.expect("is taken");
    kit.looked(&mut two, "shared_db", &[]).await;
    kit.ask_permit(&one, "after").await;
    let answers = came(&mut one).permits;
    assert_eq!(answers.len(), 2, "{answers:?}");
    assert!(answers.iter().all(|a| a.as_ref().is_err_and(|why| why.contains("cancelled"))), "{answers:?}");
    assert!(!kit.journaled().await.contains("permitted"));
}

/// An interrupted script that somebody else's session holds up waits for its end, in a new attempt, and for no person.
#[tokio::test(start_paused = true)]
async fn interrupted_work_that_was_refused_a_permit_waits_for_what_it_needs() {
    let (kit, mut one, mut two) = begun().await;
    kit.looked(&mut one, "am_db", &[]).await;
    kit.looked(&mut two, "shared_db", &[]).await;
    let attempt = kit.script_begins(&one).await;
    came(&mut one);
    kit.ask_permit(&one, "resumed").await;
    kit.looked(&mut one, "am_db", &[]).await;
    kit.looked(&mut two, "shared_db", &[STRANGER]).await;
    assert!(came(&mut one).permits.remove(0).is_err());
    let now = kit.clock.now();
    let fault = Some(Fault::new(codes::agent::NOT_PERMITTED, "session 7 is in shared_db"));
    let outcome = Outcome { fault, ..Outcome::bare(Ending::Failed, true, now, now) };
    kit.say(&one, FromAgent::Report { seq: 3, mark: None, report: Report::Ended { attempt, outcome: Box::new(outcome) } }).await;
    // First the pause behind what was given back, then the stranger, by name.
    let strangers_seen = |kit: &Kit| kit.waits().iter().any(|w| !w.person && w.why.contains(STRANGER));
    let mut offers = 0;
    for _ in 0..20 {
        assert!(kit.waits().iter().all(|w| !w.person), "{:?}", kit.waits());
        offers += kit.look_again(&mut one, &mut two, &[STRANGER]).await;
    }
    assert!(offers == 0 && strangers_seen(&kit), "{offers}: {:?}", kit.waits());
    for _ in 0..20 {
        offers += kit.look_again(&mut one, &mut two, &[]).await;
    }
    assert_eq!(offers, 1, "{:?}", kit.waits());
    assert_eq!(kit.run().step(&"1.1@is-1".parse().expect("a step")).map(|s| (s.attempt, s.failures)), Some((2, 0)));
}
