//! A ledger that comes back is the one that the journal knows, or what was under way on its host is Indeterminate (10,
//! rule 2).

use cavalcade_common::id::Mark;
use cavalcade_common::report::{Ending, Outcome, Report};

use super::*;
use crate::event::Event;

/// What a ledger holds up to each of its reports.
fn marks<const N: usize>(told: [(u64, &str); N]) -> BTreeMap<u64, Mark> {
    told.into_iter().map(|(seq, mark)| (seq, Mark(mark.to_owned()))).collect()
}

/// A step of is-1 that began; its two reports are journaled.
async fn begun() -> (Kit, Peer, AttemptId) {
    let mut kit = Kit::new().await;
    kit.apply(&hashed(plan("emea", vec![stage(1, &["is-1"], &edit("x"), json!({}))], json!({}))), Scope::default(), none()).await;
    let mut peer = kit.connect("is-1.host").await;
    kit.settle().await;
    let attempt = peer.offers().remove(0).attempt;
    told(&kit, &peer, 1, "a1", Report::Accepted { attempt: attempt.clone() }).await;
    told(&kit, &peer, 2, "a2", Report::Began { attempt: attempt.clone() }).await;
    (kit, peer, attempt)
}

async fn told(kit: &Kit, peer: &Peer, seq: u64, mark: &str, report: Report) {
    kit.says(peer, FromAgent::Report { seq, mark: Some(Mark(mark.to_owned())), report }).await;
}

/// The agent's next session. What it has is told, and what the controller welcomes it with is given.
async fn comes_back(kit: &mut Kit, had: &Peer, (acked, last_seq): (u64, u64), marks: BTreeMap<u64, Mark>) -> (Peer, u64) {
    kit.sessions += 1;
    let (session, (to, mut from_controller)) = (SessionId(kit.sessions), mpsc::channel(64));
    let hello = Hello { acked, last_seq, marks, ..hello(had.host.as_str(), kit.clock.now()) };
    let up = Input::SessionUp { host: had.host.clone(), session, hello: Box::new(hello), to };
    kit.inputs.send(up).await.expect("takes");
    let Some(ToAgent::Welcome { acked, .. }) = from_controller.recv().await else { panic!("no welcome") };
    let peer = Peer { host: had.host.clone(), session, from_controller };
    kit.beat(&peer).await;
    (peer, acked)
}

fn phase(kit: &Kit, attempt: &AttemptId) -> Option<Phase> {
    kit.run().step(&attempt.step).map(|s| s.phase)
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_holds_what_is_journaled_goes_on() {
    // The second report is acked, or its ack was lost, or a third one waits behind it.
    for (seqs, held) in [
        ((2, 2), marks([(2, "a2")])),
        ((1, 2), marks([(1, "a1"), (2, "a2")])),
        ((1, 3), marks([(1, "a1"), (2, "a2"), (3, "a3")])),
    ] {
        let (mut kit, peer, attempt) = begun().await;
        let (_, acked) = comes_back(&mut kit, &peer, seqs, held).await;
        assert_eq!((acked, phase(&kit, &attempt)), (2, Some(Phase::Running)), "{seqs:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_ledger_with_another_past_makes_what_was_under_way_indeterminate() {
    for (what, seqs, held) in [
        ("behind", (1, 1), marks([(1, "a1")])),
        ("as many reports again", (1, 2), marks([(1, "a1"), (2, "b2")])),
        ("more of them than before", (1, 4), marks([(1, "a1"), (2, "b2"), (3, "b3"), (4, "b4")])),
        ("back to its beginning", (0, 2), marks([(1, "b1"), (2, "b2")])),
        ("a journal that knows less", (3, 3), marks([(3, "a3")])),
    ] {
        let (mut kit, peer, attempt) = begun().await;
        let (_, acked) = comes_back(&mut kit, &peer, seqs, held).await;
        assert_eq!(phase(&kit, &attempt), Some(Phase::Indeterminate), "{what}");
        assert_eq!(acked, seqs.0, "{what}: its reports count on from where it stands");
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_ledger_with_another_past_tells_is_journaled_and_not_applied() {
    let (mut kit, peer, attempt) = begun().await;
    let (mut peer, _) = comes_back(&mut kit, &peer, (1, 2), marks([(1, "a1"), (2, "b2")])).await;
    let now = kit.clock.now();
    let outcome = Box::new(Outcome::bare(Ending::Succeeded, true, now, now));
    let late = Report::Ended { attempt: attempt.clone(), outcome };
    told(&kit, &peer, 2, "b2", late.clone()).await;
    assert_eq!(phase(&kit, &attempt), Some(Phase::Indeterminate), "a person decides");
    assert_eq!(kit.run().superseded.len(), 1, "what came late is shown");
    let mut acked = 0;
    while let Ok(message) = peer.from_controller.try_recv() {
        if let ToAgent::Ack { seq } = message {
            acked = seq;
        }
    }
    assert_eq!(acked, 2);
    let entries = kit.journal.read(1, 10_000).await.expect("is read");
    let events = entries.iter().map(|e| Event::read(e.kind, e.body.clone()).expect("is known"));
    let journaled = events.filter(|e| matches!(e, Event::Reported { seq: 2, report, .. } if *report == late)).count();
    assert_eq!(journaled, 1, "what was acked is in the journal");
    // The same session of the same ledger, once more: it is known now.
    let (_, acked) = comes_back(&mut kit, &peer, (2, 2), marks([(2, "b2")])).await;
    assert_eq!(acked, 2);
}
