//! Round trips of every message, and what hostile bytes do.

use std::collections::BTreeMap;

use cavalcade_proto::prost::Message as _;
use cavalcade_proto::v1;
use jiff::Timestamp;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::error::{Code, Place};
use crate::facts::{FactsWanted, Look, NodeWanted};
use crate::given::GivenSecrets;
use crate::id::{AttemptId, Digest, EffectKey, Epoch, HostId, Incarnation, Mark, NodeId, RunId, StepKey};
use crate::message::{
    Answer, ApprovedRepeat, Ask, Chunk, FetchArtifact, FromAgent, Heartbeat, Hello, LogRecord, MAX_MESSAGE, Offer, Seen, ToAgent,
};
use crate::plan::{PlanNode, PlanStep, Probe};
use crate::report::{Checked, Ending, Evidence, FileDiff, Observation, Outcome, Preview, Progress, Report, Sight, Verdict};
use crate::secret::{SecretRef, SecretValue};

fn name<T: std::str::FromStr<Err = NameError> + std::fmt::Debug>() -> impl Strategy<Value = T> {
    "[A-Za-z0-9][A-Za-z0-9_-]{0,12}(\\.[a-z]{1,3})?".prop_map(|text| text.parse::<T>().expect("obeys the grammar"))
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![".{0,20}", Just(String::new()), Just("a\n\u{1b}[31m\0ü€😀".to_owned())]
}

fn attempt() -> impl Strategy<Value = AttemptId> {
    (name::<RunId>(), any::<u32>(), any::<u32>(), name::<NodeId>(), any::<u32>())
        .prop_map(|(run, stage, step, node, number)| AttemptId { run, step: StepKey { stage, step, node }, number })
}

fn moment() -> impl Strategy<Value = Timestamp> {
    let (first, last) = (Timestamp::MIN.as_second() + 1, Timestamp::MAX.as_second() - 1);
    (first..last, 0..999_999_999).prop_map(|(second, nano)| Timestamp::new(second, nano).expect("in range"))
}

fn evidence() -> impl Strategy<Value = Vec<Evidence>> {
    vec((text(), text(), any::<bool>()).prop_map(|(what, found, holds)| Evidence { what, found, holds }), 0..4)
}

fn diffs() -> impl Strategy<Value = Vec<FileDiff>> {
    vec((text(), text(), text()).prop_map(|(path, diff, note)| FileDiff { path, diff, note }), 0..3)
}

fn fault() -> impl Strategy<Value = Fault> {
    let place = (text(), any::<u32>(), any::<u32>(), any::<u32>()).prop_map(|(file, line, column, length)| Place {
        file,
        line,
        column,
        length,
    });
    (any::<u16>(), text(), option::of(place), option::of(text()), option::of(text()), option::of(text()))
        .prop_map(|(code, message, place, node, step, help)| Fault { code: Code(code), message, place, node, step, help })
}

fn outcome() -> impl Strategy<Value = Outcome> {
    let ending = prop_oneof![Just(Ending::Succeeded), Just(Ending::Failed), Just(Ending::Indeterminate)];
    let known = (vec(text(), 0..3), vec(text(), 0..3), observed());
    (ending, any::<bool>(), moment(), moment(), evidence(), diffs(), option::of(fault()), known).prop_map(
        |(ending, changed, began, ended, evidence, diffs, fault, (known, unknown, observed))| Outcome {
            ending,
            changed,
            began,
            ended,
            evidence,
            diffs,
            fault,
            known,
            unknown,
            observed,
        },
    )
}

fn observed() -> impl Strategy<Value = Vec<Observation>> {
    let sight = prop_oneof![Just(Sight::Up), Just(Sight::Running), Just(Sight::NotReady), Just(Sight::Down)];
    vec((text(), sight, moment()).prop_map(|(home, sight, at)| Observation { home, sight, at }), 0..3)
}

fn report() -> impl Strategy<Value = Report> {
    prop_oneof![
        attempt().prop_map(|attempt| Report::Accepted { attempt }),
        attempt().prop_map(|attempt| Report::Began { attempt }),
        (attempt(), text()).prop_map(|(attempt, shown_by)| Report::WorkEnded { attempt, shown_by }),
        (attempt(), outcome().prop_map(Box::new)).prop_map(|(attempt, outcome)| Report::Ended { attempt, outcome }),
        (attempt(), text()).prop_map(|(attempt, why)| Report::Abandoned { attempt, why }),
    ]
}

fn mark() -> impl Strategy<Value = Mark> {
    "[0-9a-f]{32}".prop_map(Mark)
}

fn hello() -> impl Strategy<Value = Hello> {
    let numbers = (any::<u32>(), any::<u64>(), any::<[u64; 2]>(), any::<i32>());
    let past = (vec(attempt(), 0..4), btree_map(any::<u64>(), mark(), 0..3));
    (numbers, name::<HostId>(), "[0-9a-f]{32}", (text(), text()), past, moment()).prop_map(
        |((version, epoch, [last_seq, acked], utc_offset_seconds), host, incarnation, (program, zone), (open, marks), now)| {
            Hello {
                version,
                host,
                incarnation: Incarnation(incarnation),
                program,
                highest_epoch: Epoch(epoch),
                last_seq,
                acked,
                marks,
                open,
                utc_offset_seconds,
                zone,
                now,
            }
        },
    )
}

fn facts() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        text().prop_map(Value::from)
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            btree_map("[a-z]{1,6}", inner, 0..4).prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn preview() -> impl Strategy<Value = Preview> {
    let verdict = prop_oneof![Just(Verdict::Change), Just(Verdict::Same), Just(Verdict::Maybe), Just(Verdict::Opaque)];
    (verdict, text(), diffs()).prop_map(|(verdict, says, diffs)| Preview { verdict, says, diffs })
}

fn checked() -> impl Strategy<Value = Checked> {
    (any::<bool>(), evidence(), option::of(fault())).prop_map(|(holds, evidence, fault)| Checked { holds, evidence, fault })
}

fn answer() -> impl Strategy<Value = Result<Answer, String>> {
    prop_oneof![
        btree_map(name::<NodeId>(), facts(), 0..3).prop_map(|facts| Ok(Answer::Facts(facts))),
        vec(preview(), 0..3).prop_map(|previews| Ok(Answer::Previews(previews))),
        evidence().prop_map(|evidence| Ok(Answer::Judged(evidence))),
        vec(text(), 0..3).prop_map(|sessions| Ok(Answer::Strangers(sessions))),
        vec(checked(), 0..3).prop_map(|all| Ok(Answer::Checked(all))),
        text().prop_map(Err),
    ]
}

fn from_agent() -> impl Strategy<Value = FromAgent> {
    let progress = (any::<u64>(), any::<u64>(), text(), any::<u64>()).prop_map(|(done, total, label, quiet_seconds)| Progress {
        done,
        total,
        label,
        quiet_seconds,
    });
    let seen = (any::<bool>(), text(), any::<u64>(), any::<bool>(), evidence(), observed()).prop_map(
        |(ready, process, age_millis, old_down, evidence, observed)| Seen {
            ready,
            process,
            age_millis,
            old_down,
            evidence,
            observed,
        },
    );
    let unconfirmed = proptest::collection::vec(attempt(), 0..3);
    let heartbeat = (any::<u64>(), any::<u32>(), any::<u64>(), unconfirmed)
        .prop_map(|(count, running, resident_kib, unconfirmed)| Heartbeat { count, running, resident_kib, unconfirmed });
    prop_oneof![
        hello().prop_map(FromAgent::Hello),
        (any::<u64>(), option::of(mark()), report()).prop_map(|(seq, mark, report)| FromAgent::Report { seq, mark, report }),
        (attempt(), progress).prop_map(|(attempt, progress)| FromAgent::Progress { attempt, progress }),
        heartbeat.prop_map(FromAgent::Heartbeat),
        (text(), attempt()).prop_map(|(nonce, attempt)| FromAgent::AskPermit { nonce, attempt }),
        (any::<u64>(), name(), seen).prop_map(|(id, node, seen)| FromAgent::Probed { id, node, seen }),
        (any::<u64>(), answer()).prop_map(|(id, answer)| FromAgent::Answer { id, answer }),
    ]
}

fn step() -> PlanStep {
    serde_json::from_value(json!({
        "key": "3.2@is-1", "host": "h1", "name": "wait", "timeout": "10min", "note": "ü",
        "action": {"http": {"url": "https://is-1:9443/x", "within": "10s"}},
        "needs": [{"ready": {"nodes": ["is-1"]}}, {"down": {"nodes": ["am-1"]}}],
        "effect": "am-db@1",
    }))
    .expect("is a step")
}

fn node() -> PlanNode {
    serde_json::from_value(json!({"id": "is-1", "host": "h1", "role": "identity-server", "old": {"home": "/opt/is"}}))
        .expect("is a node")
}

fn probe() -> Probe {
    serde_json::from_value(json!({"home": "/opt/is-5.11", "forbid_args": ["-Dmigrate"], "ready": {"started": "in"}}))
        .expect("is a probe")
}

fn secrets() -> impl Strategy<Value = BTreeMap<String, SecretRef>> {
    let secret = prop_oneof![
        text().prop_map(SecretRef::File),
        vec(text(), 0..3).prop_map(SecretRef::Exec),
        any::<u32>().prop_map(|bytes| SecretRef::Generate { bytes })
    ];
    btree_map(text(), secret, 0..3)
}

fn given() -> impl Strategy<Value = GivenSecrets> {
    let values = btree_map(text(), text(), 0..3);
    values.prop_map(|values| values.into_iter().map(|(name, value)| (name, SecretValue::new(value))).collect())
}

/// By way of JSON, which the plan's own types take as well.
fn offer() -> impl Strategy<Value = Offer> {
    let approved = (text(), attempt(), text()).prop_map(|(effect, replaces, says)| ApprovedRepeat {
        effect: EffectKey(effect),
        replaces,
        says,
    });
    let texts = (vec(text(), 0..3), option::of(text()), option::of(text()));
    (attempt(), any::<[u64; 2]>(), (secrets(), given()), option::of(approved), texts).prop_map(
        |(attempt, [epoch, generation], (secrets, given), approved, (hide, decision, home))| {
            let offer = json!({
                "also_hide": secrets, "attempt": attempt, "epoch": epoch, "generation": generation, "step": step(), "home": home,
                "secrets": secrets, "hide": hide, "approved": approved, "decision": decision,
            });
            Offer { given, ..serde_json::from_value(offer).expect("is an offer") }
        },
    )
}

fn ask() -> impl Strategy<Value = Ask> {
    let sequence = crate::action::Sequence { pattern: "order (\\d+)".to_owned(), from: 1, to: 17 };
    let judged = crate::action::Evidence { require: vec!["x".to_owned()], forbid: Vec::new(), sequence: Some(sequence) };
    prop_oneof![
        vec(text(), 0..3).prop_map(|paths| {
            let nodes = vec![NodeWanted { node: node(), look: Look { ports: vec![9443], ..Look::default() } }];
            Ask::Facts(FactsWanted { nodes, paths, ..FactsWanted::default() })
        }),
        (secrets(), given(), vec(text(), 0..3)).prop_map(|(secrets, given, hide)| Ask::Preview {
            steps: vec![step()],
            secrets,
            given,
            hide
        }),
        (secrets(), given(), vec(text(), 0..3)).prop_map(|(secrets, given, hide)| Ask::Check {
            steps: vec![step()],
            secrets,
            given,
            hide
        }),
        (secrets(), given(), vec(text(), 0..3)).prop_map(|(secrets, given, but_from)| {
            let database = r#"{"name":"am_db","engine":"mysql","port":3306,"database":"am_db","user":"u"}"#;
            Ask::Strangers { database: serde_json::from_str(database).expect("is a target"), but_from, secrets, given }
        }),
        attempt().prop_map(move |attempt| Ask::Rejudge { attempt, evidence: judged.clone() }),
    ]
}

fn to_agent() -> impl Strategy<Value = ToAgent> {
    prop_oneof![
        (any::<u64>(), any::<u64>()).prop_map(|(epoch, acked)| ToAgent::Welcome { epoch: Epoch(epoch), acked }),
        text().prop_map(|why| ToAgent::Refuse { why }),
        offer().prop_map(|offer| ToAgent::Offer(Box::new(offer))),
        any::<u64>().prop_map(|seq| ToAgent::Ack { seq }),
        (attempt(), any::<u64>()).prop_map(|(attempt, epoch)| ToAgent::Withdraw { attempt, epoch: Epoch(epoch) }),
        (attempt(), any::<u64>(), text()).prop_map(|(attempt, epoch, why)| ToAgent::StopJob {
            attempt,
            epoch: Epoch(epoch),
            why
        }),
        (text(), prop_oneof![evidence().prop_map(Ok), text().prop_map(Err)])
            .prop_map(|(nonce, answer)| ToAgent::Permit { nonce, answer }),
        (any::<u64>(), name(), option::of(Just(probe())), option::of(text()))
            .prop_map(|(id, node, probe, old_home)| ToAgent::Probe { id, node, probe, old_home }),
        (any::<u64>(), ask().prop_map(Box::new)).prop_map(|(id, ask)| ToAgent::Ask { id, ask }),
        any::<u64>().prop_map(|count| ToAgent::Heartbeat { count }),
    ]
}

/// Through bytes, as it goes over the connection.
fn through<M: Wired + Clone>(message: M) -> Result<M, WireError> {
    let mut inbound = Inbound::<M>::default();
    let mut whole = None;
    for wire in Outbound::<M>::default().encode(message)? {
        assert!(wire.encoded_len() <= MAX_MESSAGE, "{} bytes in one message", wire.encoded_len());
        assert!(whole.is_none(), "a message came before its last part");
        let wire = M::Wire::decode(wire.encode_to_vec().as_slice()).expect("decodes");
        whole = inbound.decode(wire)?;
    }
    Ok(whole.expect("is complete"))
}

proptest! {
    #[test]
    fn messages_from_agents_round_trip(message in from_agent()) {
        prop_assert_eq!(through(message.clone()).expect("is carried"), message);
    }

    #[test]
    fn messages_to_agents_round_trip(message in to_agent()) {
        prop_assert_eq!(through(message.clone()).expect("is carried"), message);
    }

    #[test]
    fn hostile_bytes_give_an_error_or_a_message(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(wire) = v1::FromAgent::decode(bytes.as_slice()) {
            let _any = Inbound::<FromAgent>::default().decode(wire);
        }
        if let Ok(wire) = v1::LogBatch::decode(bytes.as_slice()) {
            let _any = log_batch_from_wire(wire);
        }
    }

    #[test]
    fn damaged_messages_give_an_error_or_a_message(message in from_agent(), at in any::<prop::sample::Index>(), bit in 0..8) {
        let mut bytes = message.to_wire().expect("is encoded").encode_to_vec();
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] ^= 1_u8 << bit;
        }
        if let Ok(wire) = v1::FromAgent::decode(bytes.as_slice()) {
            let _any = Inbound::<FromAgent>::default().decode(wire);
        }
    }

    #[test]
    fn logs_round_trip_in_batches_within_the_limit(
        lines in vec((name::<NodeId>(), option::of(name::<RunId>()), text(), moment(), any::<u64>(), 0..40_000usize), 0..40)
    ) {
        let records: Vec<LogRecord> = lines.into_iter().zip(1..).map(|((node, run, short, at, gap, size), seq)| LogRecord {
            seq, node, run, step: "3.2".to_owned(), stream: "output".to_owned(), at, text: short + &"x".repeat(size), gap,
        }).collect();
        let mut back = Vec::new();
        for batch in log_batches_to_wire(records.clone()) {
            prop_assert!(batch.encoded_len() <= MAX_MESSAGE);
            back.extend(log_batch_from_wire(batch).expect("is good"));
        }
        prop_assert_eq!(back, records);
    }
}

fn some_attempt() -> AttemptId {
    AttemptId {
        run: RunId::new("r1").expect("a name"),
        step: StepKey { stage: 3, step: 2, node: NodeId::new("is-1").expect("a name") },
        number: 1,
    }
}

fn ended(diff: usize) -> FromAgent {
    let outcome = Outcome {
        evidence: vec![Evidence::holds("sha256", "y".repeat(8 << 10))],
        diffs: vec![FileDiff { path: "/a".to_owned(), diff: "x".repeat(diff), note: String::new() }],
        ..Outcome::bare(Ending::Succeeded, true, Timestamp::UNIX_EPOCH, Timestamp::UNIX_EPOCH)
    };
    FromAgent::Report { seq: 7, mark: None, report: Report::Ended { attempt: some_attempt(), outcome: Box::new(outcome) } }
}

fn facts_of(bytes: usize) -> FromAgent {
    let facts = BTreeMap::from([(NodeId::new("is-1").expect("a name"), Value::from("x".repeat(bytes)))]);
    FromAgent::Answer { id: 4, answer: Ok(Answer::Facts(facts)) }
}

#[test]
fn large_messages_travel_in_parts() {
    for size in [MAX_MESSAGE - 40, MAX_MESSAGE, MAX_MESSAGE + 1, 3 << 20, MAX_WHOLE - 100] {
        let message = facts_of(size);
        assert_eq!(through(message.clone()).expect("is carried"), message, "{size}");
    }
}

#[test]
fn what_is_beyond_every_limit_says_so_instead_of_ending_the_session() {
    match through(facts_of(MAX_WHOLE + 1)).expect("is carried") {
        FromAgent::Answer { id: 4, answer: Err(why) } => assert!(why.contains("at most 16777216"), "{why}"),
        other => panic!("{other:?}"),
    }
    match through(ended(MAX_WHOLE + 1)).expect("is carried") {
        FromAgent::Report { seq: 7, report: Report::Ended { outcome, .. }, .. } => {
            assert_eq!(outcome.ending, Ending::Succeeded);
            assert!(outcome.diffs[0].note.contains("16777217 bytes left out"), "{}", outcome.diffs[0].note);
            assert!(outcome.evidence[0].found.contains("[cut: 4096 more bytes]"));
        }
        other => panic!("{other:?}"),
    }
    let endless = FromAgent::AskPermit { nonce: "x".repeat(MAX_WHOLE + 1), attempt: some_attempt() };
    assert!(matches!(through(endless), Err(WireError::TooLarge { .. })));
}

fn decode_all(parts: Vec<v1::FromAgent>) -> Result<Option<FromAgent>, WireError> {
    let mut inbound = Inbound::<FromAgent>::default();
    let mut last = None;
    for part in parts {
        last = inbound.decode(part)?;
    }
    Ok(last)
}

#[test]
fn parts_out_of_order_are_refused() {
    let parts = |size| Outbound::<FromAgent>::default().encode(facts_of(size)).expect("is encoded");
    let three = parts(2 * MAX_MESSAGE + 100);
    assert_eq!(three.len(), 3);
    let order = |picks: &[usize]| decode_all(picks.iter().map(|i| three[*i].clone()).collect());
    assert!(matches!(order(&[0, 1, 2]), Ok(Some(_))));
    assert!(matches!(order(&[1]), Err(WireError::PartOrder { expected: 0, .. })));
    assert!(matches!(order(&[0, 2]), Err(WireError::PartOrder { expected: 1, .. })));
    assert!(matches!(order(&[0, 0]), Err(WireError::PartOrder { expected: 1, .. })));
    let heartbeat = FromAgent::Heartbeat(Heartbeat { count: 1, running: 0, resident_kib: 0, unconfirmed: Vec::new() })
        .to_wire()
        .expect("is encoded");
    assert!(matches!(decode_all(vec![three[0].clone(), heartbeat]), Err(WireError::PartInterrupted { id: 1 })));
    let part = |index, count, bytes: usize| {
        let part = v1::Part { id: 1, index, count, bytes: vec![8; bytes] };
        v1::FromAgent { message: Some(v1::from_agent::Message::Part(part)) }
    };
    assert!(matches!(decode_all(vec![part(0, 0, 1)]), Err(WireError::PartOrder { .. })), "no parts at all");
    assert!(matches!(decode_all(vec![part(0, 2, 0)]), Err(WireError::TooLarge { .. })), "an empty part");
    assert!(matches!(decode_all(vec![part(0, 1, 3)]), Err(WireError::Decode(_))), "parts of nothing");
    let flood = (0..200).map(|index| part(index, u32::MAX, 200 << 10)).collect();
    assert!(matches!(decode_all(flood), Err(WireError::TooLarge { .. })), "no end of parts");
    let nested =
        v1::FromAgent { message: Some(v1::from_agent::Message::Part(v1::Part { id: 9, index: 0, count: 1, bytes: Vec::new() })) };
    let nested = v1::Part { id: 1, index: 0, count: 1, bytes: nested.encode_to_vec() };
    let nested = v1::FromAgent { message: Some(v1::from_agent::Message::Part(nested)) };
    assert!(matches!(decode_all(vec![nested]), Err(WireError::PartInterrupted { id: 9 })), "a part in a part");
}

#[test]
fn missing_and_unknown_fields_are_named() {
    let decode = |message| FromAgent::from_wire(v1::FromAgent { message });
    assert!(matches!(decode(None), Err(WireError::Missing { field: "from_agent.message" })));
    // A oneof field of a later version: unknown to prost, so that the oneof is empty.
    let later = v1::FromAgent::decode([0xa2, 0x01, 0x01, 0x00].as_slice()).expect("decodes");
    assert!(matches!(FromAgent::from_wire(later), Err(WireError::Missing { field: "from_agent.message" })));
    assert!(matches!(ToAgent::from_wire(v1::ToAgent { message: None }), Err(WireError::Missing { .. })));
    let Ok(v1::FromAgent { message: Some(v1::from_agent::Message::Report(report)) }) = ended(1).to_wire() else {
        panic!("a report");
    };
    let with = |ending| {
        let mut report = report.clone();
        if let Some(v1::sequenced_report::Report::Ended(outcome)) = &mut report.report {
            outcome.ending = ending;
        }
        decode(Some(v1::from_agent::Message::Report(report)))
    };
    assert!(with(1).is_ok());
    for ending in [0, 4, -1, i32::MAX] {
        match with(ending) {
            Err(WireError::UnknownValue { field: "outcome.ending", value }) => assert_eq!(value, ending),
            other => panic!("{other:?}"),
        }
    }
    let mut bad = report.clone();
    bad.attempt = None;
    let missing = decode(Some(v1::from_agent::Message::Report(bad)));
    assert!(matches!(missing, Err(WireError::Missing { field: "report.attempt" })));
    for node in ["../x", "", "a/b", &"x".repeat(10_000)] {
        let mut bad = report.clone();
        bad.attempt.as_mut().expect("is there").node = node.to_owned();
        let named = decode(Some(v1::from_agent::Message::Report(bad)));
        assert!(matches!(named, Err(WireError::Name { field: "report.attempt", .. })), "{named:?}");
    }
}

#[test]
fn json_of_another_form_is_refused_and_nothing_is_guessed() {
    let offer = |step_json: &[u8]| {
        let attempt = Some(v1::AttemptId { run: "r".to_owned(), stage: 1, step: 1, node: "n".to_owned(), number: 1 });
        let offer = v1::Offer { attempt, step_json: step_json.to_vec(), secrets_json: b"{}".to_vec(), ..Default::default() };
        ToAgent::from_wire(v1::ToAgent { message: Some(v1::to_agent::Message::Offer(offer.into())) })
    };
    let good = serde_json::to_vec(&step()).expect("is written");
    assert!(offer(&good).is_ok());
    let unknown = String::from_utf8(good.clone()).expect("text").replace("\"http\"", "\"shell\"");
    let nested = "[".repeat(10_000);
    for bad in [b"".as_slice(), b"{}", b"null", &good[..good.len() - 1], unknown.as_bytes(), nested.as_bytes()] {
        assert!(matches!(offer(bad), Err(WireError::Json { field: "offer.step_json", .. })));
    }
}

#[test]
fn log_sequences_ascend_and_long_lines_are_cut_with_a_note() {
    let record = |seq, text: String| LogRecord {
        seq,
        node: NodeId::new("is-1").expect("a name"),
        run: None,
        step: String::new(),
        stream: "output".to_owned(),
        at: Timestamp::UNIX_EPOCH,
        text,
        gap: 0,
    };
    let batch = |records| log_batches_to_wire(records).remove(0);
    for (first, second) in [(2, 2), (2, 1), (0, 1)] {
        let refused = log_batch_from_wire(batch(vec![record(first, String::new()), record(second, String::new())]));
        assert!(matches!(refused, Err(WireError::Sequence { .. })), "{first} {second}");
    }
    let cut = log_batch_from_wire(batch(vec![record(1, "ü".repeat(MAX_LINE))])).expect("is good").remove(0).text;
    assert!(cut.ends_with(&format!(" [cut: {MAX_LINE} more bytes]")), "{}", &cut[cut.len() - 40..]);
}

#[test]
fn artifacts_round_trip() {
    let fetch = FetchArtifact { sha256: Digest::of(b"x"), offset: u64::MAX };
    assert_eq!(fetch_from_wire(fetch_to_wire(fetch.clone())).expect("is good"), fetch);
    let bad = v1::FetchArtifactRequest { sha256: "../../etc/passwd".to_owned(), offset: 0 };
    assert!(matches!(fetch_from_wire(bad), Err(WireError::Digest { .. })));
    let chunk = Chunk { offset: 3, bytes: vec![1, 2] };
    assert_eq!(chunk_from_wire(chunk_to_wire(9, chunk.clone())), (9, chunk));
}

#[test]
fn faults_survive_a_status_and_stay_short_enough_for_a_header() {
    let fault = Fault::new(Code(2001), "no").help("ask");
    let status = fault_status(tonic::Code::PermissionDenied, &fault);
    assert_eq!(status_fault(&status), Some(fault));
    let long = Fault::new(Code(2001), "€".repeat(100_000)).help("€".repeat(100_000));
    let status = fault_status(tonic::Code::PermissionDenied, &long);
    assert!(status.details().len() < 8 << 10);
    assert!(status_fault(&status).expect("a fault").message.contains("[cut: "));
    assert_eq!(status_fault(&tonic::Status::internal("x")), None);
}

#[test]
fn a_value_that_the_controller_brings_shows_in_no_debug_and_in_no_json() {
    let text = "canary-value-of-a-secret";
    let attempt = AttemptId { run: "r".parse().expect("a name"), step: "1.1@n".parse().expect("a step"), number: 1 };
    let offer = json!({
        "attempt": attempt, "epoch": 1, "generation": 0, "step": step(), "home": null,
        "secrets": {}, "hide": [], "approved": null, "decision": null,
    });
    let mut offer: Offer = serde_json::from_value(offer).expect("is an offer");
    offer.given.insert("key", SecretValue::new(text.to_owned()));
    assert!(!format!("{offer:?}").contains(text));
    assert!(!serde_json::to_string(&offer).expect("is written").contains(text));
    let wire = ToAgent::Offer(Box::new(offer)).to_wire().expect("is carried");
    let shown = format!("{wire:?}");
    assert!(shown.contains("key") && !shown.contains(text), "{shown}");
}
