//! Who imports whom, and who touches the machine.
//!
//! Each exception stands here with its reason; one that nothing needs any more is a finding too.

use std::collections::BTreeSet;
use std::fs;

use regex::Regex;
use toml_edit::DocumentMut;

use super::none;
use super::source::{SourceFile, sources, top};

/// Members of the workspace with those that each may import.
const MAY_IMPORT: [(&str, &[&str]); 5] = [
    ("proto", &[]),
    ("common", &["proto"]),
    ("controller", &["proto", "common"]),
    ("agent", &["proto", "common"]),
    ("tests", &["proto", "common", "controller", "agent"]),
];

#[test]
fn members_import_in_one_direction() {
    let named = Regex::new(r"\bcavalcade_(proto|common|controller|agent|tests)::").expect("a pattern");
    let mut findings = Vec::new();
    for (member, may) in MAY_IMPORT {
        let manifest = fs::read_to_string(top().join(member).join("Cargo.toml")).expect("a manifest");
        let manifest: DocumentMut = manifest.parse().expect("TOML");
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(table).and_then(|t| t.as_table()) else { continue };
            let others = table.iter().filter_map(|(name, _)| name.strip_prefix("cavalcade-"));
            findings.extend(others.filter(|o| !may.contains(o)).map(|o| format!("{member}/Cargo.toml: cavalcade-{o}")));
        }
        // A member's own binaries and tests name it as others do.
        for file in sources().iter().filter(|f| f.member() == member) {
            let others = named.captures_iter(&file.masked).filter(|c| &c[1] != member && !may.contains(&&c[1]));
            findings.extend(others.map(|c| format!("{}: {}", file.path, &c[0])));
        }
    }
    none(
        findings,
        "imports go proto <- common <- {controller, agent} <- tests and no other way; move the shared type to common:",
    );
}

/// Where something may stand: a path's beginning, and why.
type Room = (&'static str, &'static str);

/// Finds a pattern outside its rooms, and rooms that do not need it.
fn only_in(pattern: &str, of: impl Fn(&SourceFile) -> &str, rooms: &[Room], todo: &str) {
    let pattern = Regex::new(pattern).expect("a pattern");
    let mut needed = BTreeSet::new();
    let mut findings = Vec::new();
    for file in sources() {
        for found in pattern.find_iter(of(file)) {
            match rooms.iter().find(|(room, _)| file.path.starts_with(room)) {
                Some((room, _)) => {
                    needed.insert(*room);
                }
                None => findings.push(format!("{} `{}`", file.at(found.start()), found.as_str())),
            }
        }
    }
    for (room, why) in rooms.iter().filter(|(room, _)| !needed.contains(room)) {
        findings.push(format!("{room} does not need its exception any more ({why}): take it out of this test"));
    }
    none(findings, todo);
}

#[test]
fn protobuf_stays_at_the_edge() {
    only_in(
        r"\bcavalcade_proto::",
        |f| &f.masked,
        &[
            ("common/src/wire/", "the conversion"),
            ("controller/src/rpc/", "serves gRPC, and calls the operator's service"),
            ("agent/src/link/", "calls gRPC"),
            ("tests/src/link/sessions.rs", "sends messages that the conversion would never write"),
        ],
        "name the types of common; protobuf types are converted in common/src/wire and by what speaks gRPC:",
    );
}

#[test]
fn sqlx_stays_in_its_rooms() {
    only_in(
        r"\bsqlx::",
        SourceFile::product,
        &[("controller/src/journal/", "the journal"), ("agent/src/database/", "the databases of the products")],
        "only the journal and the agent's database room speak SQL:",
    );
}

#[test]
fn the_agent_touches_the_machine_in_its_host_alone() {
    // tokio's own clock is virtual in the simulation.
    let pattern = [
        r"\bstd::(fs|process|net|os)\b|\buse std::\{[^}]*\b(fs|process|net|os)\b",
        r"\btokio::(fs|process|net|signal)\b|\b(nix|rustix|process_wrap)::",
        r"\bstd::time::(\{[^}]*)?(Instant|SystemTime)\b|\b(SystemTime|Timestamp|Zoned)::now\b",
    ]
    .join("|");
    only_in(
        &pattern,
        |f| if f.member() == "agent" { f.product() } else { "" },
        &[
            ("agent/src/host/", "the machine's room"),
            ("agent/src/shim/", "a process of its own beside the agent"),
            ("agent/src/database/", "dumps, and the vendors' clients that write and read them: tested against real servers only"),
            ("agent/src/link/dial.rs", "opens the connection; the simulation stands behind the trait `Dial`"),
            ("agent/src/cli/", "arguments and exit codes of the program, the file with a token"),
            ("agent/src/step_run/", "a program without a controller: its list of steps, its packs, its own state folder"),
            ("agent/src/main.rs", "the program's exit code"),
            ("agent/src/daemon.rs", "ends at TERM"),
        ],
        "go through the trait `Host`, or put plain functions into agent/src/host: the simulation runs the same code on machines of its own:",
    );
}

#[test]
fn the_controllers_daemon_reads_the_clock_in_one_place() {
    only_in(
        r"\b(SystemTime|Timestamp|Zoned)::now\b",
        |f| if matches!(f.member(), "controller" | "common" | "proto") { f.product() } else { "" },
        &[
            ("controller/src/daemon.rs", "hands the clock to everything else"),
            ("controller/src/cli/", "the clock of the terminal: when a plan or report was made, how far back logs are asked"),
        ],
        "take the time as an argument, or a `WallClock`:",
    );
}

/// Rooms without effects: pattern, why.
const PURE: [(&str, &str); 6] = [
    ("controller/src/schedule/", "the scheduler decides and does nothing"),
    ("controller/src/state/", "the state is the fold of its events"),
    ("controller/src/event.rs", "events are data"),
    ("controller/src/resolve/", "a plan follows from fleet, recipe and facts alone"),
    ("agent/src/edit/", "an edit is a function from bytes to bytes"),
    ("agent/src/ledger/record.rs", "records are data"),
];

#[test]
fn pure_rooms_have_no_effects() {
    let effects = Regex::new(
        r"\bstd::(fs|process|net|os|env|thread)\b|\btokio::|\bsqlx::|\btonic::|\bnow\(\)|\basync fn\b|\brand::|\btracing::|\bcrate::(journal|rpc|run|session|host|link|executor|action)::",
    )
    .expect("a pattern");
    let mut findings = Vec::new();
    for (room, why) in PURE {
        let mut files = sources().iter().filter(|f| f.path.starts_with(room)).peekable();
        assert!(files.peek().is_some(), "{room} is gone: correct this test");
        for file in files {
            findings.extend(effects.find_iter(file.product()).map(|m| format!("{} `{}`: {why}", file.at(m.start()), m.as_str())));
        }
    }
    none(findings, "these rooms are pure; hand in what they need as arguments:");
}
