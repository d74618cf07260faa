//! Licence and dependency policy over the whole dependency graph, offline: what `deny.toml` says, for machines without
//! cargo-deny.

use std::process::Command;

use serde_json::Value;

const LICENCES: [&str; 9] =
    ["Apache-2.0", "MIT", "BSD-3-Clause", "ISC", "Unicode-3.0", "Zlib", "CDLA-Permissive-2.0", "CC0-1.0", "MIT-0"];
const BANNED: [&str; 8] = ["openssl-sys", "aws-lc-rs", "aws-lc-sys", "rsa", "serde_yml", "tokio-tar", "instant", "reqwest"];

/// Whether an SPDX expression can be met with the allowed licences alone: one side of an OR, all sides of an AND.
fn allowed(expression: &str) -> bool {
    let text = expression.replace(['(', ')'], " ").replace('/', " OR ");
    text.split(" AND ").all(|all| {
        all.split(" OR ").map(|one| one.split(" WITH ").next().unwrap_or_default().trim()).any(|one| LICENCES.contains(&one))
    })
}

#[test]
fn every_dependency_obeys_the_policy() {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let out = Command::new(cargo)
        .args(["metadata", "--format-version", "1", "--locked", "--offline", "--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo metadata runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let graph: Value = serde_json::from_slice(&out.stdout).expect("JSON");
    let packages = graph["packages"].as_array().expect("packages");
    assert!(packages.len() > 100, "the graph is whole");
    let mut bad = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let licence = package["license"].as_str().unwrap_or("none");
        if !allowed(licence) {
            bad.push(format!("{name}: licence {licence} is not on the list of deny.toml"));
        }
        if BANNED.contains(&name) {
            bad.push(format!("{name} is banned, see deny.toml"));
        }
        let source = package["source"].as_str();
        if source.is_some_and(|s| !s.starts_with("registry+https://github.com/rust-lang/crates.io-index")) {
            bad.push(format!("{name} comes from {source:?}, only crates.io is allowed"));
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

/// Features of the agent, of the controller and of tokio in what this call of cargo would build.
fn features(arguments: &[&str]) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut command = Command::new(cargo);
    command.args(["tree", "--offline", "--locked", "--edges", "normal", "--prefix", "none", "--format", "{p} [{f}]"]);
    let out = command.args(arguments).current_dir(top).output().expect("cargo tree runs");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let watched = ["cavalcade-agent v", "cavalcade-controller v", "tokio v"];
    let ours = text.lines().filter(|line| watched.iter().any(|name| line.starts_with(name)));
    ours.map(str::to_owned).collect()
}

#[test]
fn what_is_shipped_has_no_seeded_bug_and_no_clock_that_stands_still() {
    let for_tests = |features: &[String]| features.iter().any(|f| f.contains("seeded-bugs") || f.contains("test-util"));
    // As the README and the demo build.
    for shipped in [&["-p", "cavalcade-controller", "-p", "cavalcade-agent"][..], &["--workspace", "--no-default-features"]] {
        let features = features(shipped);
        for ours in ["cavalcade-agent v", "cavalcade-controller v"] {
            assert!(features.iter().any(|f| f.starts_with(ours)), "{features:?}");
        }
        assert!(!for_tests(&features), "{shipped:?}: {features:?}");
    }
    assert!(for_tests(&features(&["--workspace"])), "this test would see them");
}
