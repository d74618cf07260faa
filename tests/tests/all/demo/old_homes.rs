//! The old homes are the way back: after the upgrade they are as they were laid out, but for what a server itself writes.

use std::{collections::BTreeMap, fs, path::Path};

use cavalcade_common::id::Digest;
use cavalcade_tests::standin::{fleet::OldFleet, libraries::is_made};
use walkdir::WalkDir;

use super::stage::Demo;

/// What a server writes: logs, its working folder, H2, the index; beside them the PID file and the bundles of its libraries.
const SERVERS_OWN: [&str; 4] = ["repository/logs/", "tmp/", "repository/database/", "solr/"];

pub(super) fn unchanged(demo: &Demo) {
    let mut fleet: OldFleet = serde_json::from_slice(&fs::read(demo.path("old-fleet.json")).unwrap()).unwrap();
    let hosts = fleet.into.clone();
    let afresh = tempfile::tempdir().unwrap();
    fleet.into = afresh.path().to_owned();
    fleet.nodes.iter_mut().for_each(|node| node.start = false);
    fleet.lay_out(|_| {}).unwrap();
    for node in &fleet.nodes {
        let (before, after) = (files(&node.home(&fleet.into)), files(&node.home(&hosts)));
        assert!(before.len() > 25, "{}: {} files", node.name, before.len());
        assert_eq!(before, after, "{}", node.name);
    }
}

fn files(home: &Path) -> BTreeMap<String, Digest> {
    let mut all = BTreeMap::new();
    for entry in WalkDir::new(home) {
        let entry = entry.unwrap();
        let path = entry.path().strip_prefix(home).unwrap().to_str().unwrap().to_owned();
        let own = path == "wso2carbon.pid" || SERVERS_OWN.iter().any(|folder| path.starts_with(folder)) || is_made(home, &path);
        if entry.file_type().is_file() && !own {
            all.insert(path, Digest::of(&fs::read(entry.path()).unwrap()));
        }
    }
    all
}
