//! The built-in recipe against the stand-ins' packs: every edit, unpack and copy of its plan, with the agent's own editors and
//! globs, in the plan's order. What it leaves is what the guide's rows ask for.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a failed helper fails its test")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use cavalcade_agent::{edit, host::glob::Glob};
use cavalcade_common::{
    action::{Action, ArtifactRef, CopyFiles},
    id::{Digest, NodeId},
    plan::Plan,
};
use cavalcade_controller::{
    fleet, recipe,
    resolve::{Input, NodeFacts, resolve},
};
use cavalcade_tests::standin::packs;
use serde_json::json;
use toml_edit::{DocumentMut, Item};

struct Trial {
    _folder: tempfile::TempDir,
    packs: PathBuf,
    plan: Plan,
}

fn trial() -> Trial {
    let folder = tempfile::tempdir().unwrap();
    let packs = folder.path().join("artifacts");
    packs::write_all(&packs).unwrap();
    let homes = folder.path().join("homes");
    let text = include_str!("../../../deploy/examples/fleet.yaml").replace("/opt/wso2", homes.to_str().unwrap());
    let fleet = fleet::read(text.as_bytes(), "fleet.yaml").unwrap();
    let recipe = recipe::load(&fleet.recipe, folder.path()).unwrap();
    let artifacts: BTreeMap<String, ArtifactRef> = fleet::pin(&fleet, folder.path()).unwrap();
    let now = "2026-11-23T01:00:00Z".parse().unwrap();
    let facts = fleet.nodes.iter().map(|node| {
        let database =
            |name: &str| json!({ "url": format!("jdbc:mysql://db/{name}?a=b&amp;c=d"), "driver": "com.mysql.cj.jdbc.Driver" });
        let version = if node.role.as_str() == "identity-server" { "5.10.0" } else { "3.1.0" };
        let databases = json!({ "apim_db": database("am_db"), "shared_db": database("shared_db") });
        let nothing = json!({ "files": 0, "bytes": 0, "names": [] });
        let value = json!({
            "old": {
                "version": version, "databases": databases, "weak_key": false, "settings": [], "keystores": [],
                "files": {
                    "bundles": [], "libraries": [], "webapps": [], "scripts": [], "configuration": [], "email": [],
                    "sequences": [], "templates": [],
                },
                "trees": { "tenants": nothing, "user_stores": nothing },
                "values": {
                    "cipher_transformation": null, "versioning_properties": "false", "versioning_comments": "false",
                    "versioning_tags": "false", "versioning_ratings": "false",
                },
                "conf": {
                    "encryption_provider": null, "vault": null, "realm": null, "keystore_name": null, "keystore_file": null,
                    "keystore_alias": null, "keystore_key_password": null, "re_indexing": null,
                    "gateway_environments": [{ "name": "Production and Sandbox", "type": "hybrid" }],
                },
            },
            "databases": { "shared_db": { "asked": { "tenants": "0" } } },
            "user_store": { "type": "database" },
        });
        (node.id.clone(), NodeFacts { value, gathered_at: now })
    });
    let facts: BTreeMap<NodeId, NodeFacts> = facts.collect();
    let input = Input {
        fleet: &fleet,
        recipe: &recipe,
        facts: &facts,
        asked: &BTreeMap::new(),
        shipped: &BTreeMap::new(),
        artifacts: &artifacts,
        plan_id: "p",
        made_by: "test",
        now,
    };
    let plan = resolve(&input).unwrap_or_else(|f| panic!("{f}"));
    Trial { _folder: folder, packs, plan }
}

/// Unpacks without the archive's root folder, as `strip: 1` does.
fn unpack(archive: &Path, to: &Path) {
    let beside = tempfile::tempdir().unwrap();
    packs::unpack(archive, beside.path()).unwrap();
    let mut roots = fs::read_dir(beside.path()).unwrap().map(|e| e.unwrap().path());
    let root = roots.next().expect("has a root folder");
    assert!(roots.next().is_none(), "{} has one root folder", archive.display());
    copy_tree(&root, to);
}

fn copy_tree(from: &Path, to: &Path) {
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.unwrap();
        let target = to.join(entry.path().strip_prefix(from).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).unwrap();
        } else {
            fs::copy(entry.path(), &target).unwrap();
        }
    }
}

fn copy(spec: &CopyFiles) {
    let found = Glob::absolute(&spec.from).unwrap().find().unwrap();
    assert_eq!(Some(found.len()), spec.count.map(|n| n as usize), "{}", spec.from);
    for from in found {
        let to = Path::new(&spec.into).join(from.file_name().unwrap());
        fs::create_dir_all(&spec.into).unwrap();
        if from.is_dir() { copy_tree(&from, &to) } else { fs::copy(&from, &to).map(|_| ()).unwrap() }
    }
}

impl Trial {
    /// Does what changes files, for one node; every edit twice, since every edit may be begun again.
    fn run(&self, node: &str, until: &str) {
        for (stage, step) in self.plan.steps().filter(|(_, s)| s.key.node.as_str() == node) {
            match &step.action {
                Action::Unpack(u) => unpack(&self.packs.join(&u.artifact.file), Path::new(&u.to)),
                Action::Artifact(a) => {
                    let bytes = fs::read(self.packs.join(&a.artifact.file)).unwrap();
                    assert_eq!(Digest::of(&bytes), a.artifact.sha256);
                    assert!(Path::new(&a.to).parent().unwrap().is_dir(), "{} has its folder in the pack", a.to);
                    fs::write(&a.to, bytes).unwrap();
                }
                Action::Copy(c) => copy(c),
                Action::Toml(e) => twice(&e.file, |bytes| edit::toml(bytes, e).unwrap()),
                Action::Yaml(e) => twice(&e.file, |bytes| edit::yaml(bytes, e).unwrap()),
                _ => {}
            }
            if stage.id.as_str() == until && step.action.kind() == "job" {
                return;
            }
        }
    }

    fn home(&self, node: &str) -> PathBuf {
        PathBuf::from(&self.plan.node(&NodeId::new(node).unwrap()).unwrap().new.as_ref().unwrap().home)
    }

    fn toml(&self, node: &str) -> DocumentMut {
        fs::read_to_string(self.home(node).join("repository/conf/deployment.toml")).unwrap().parse().unwrap()
    }
}

fn twice(file: &str, edit: impl Fn(&[u8]) -> Vec<u8>) {
    let once = edit(&fs::read(file).unwrap());
    // What the first run removed cannot be found a second time where a count is asked for: only a change is looked at.
    if file.ends_with(".toml") {
        assert!(edit(&once) == once, "{file} changes a second time");
    }
    fs::write(file, once).unwrap();
}

fn text<'d>(document: &'d DocumentMut, path: &str) -> Option<&'d str> {
    let mut item: &Item = document.as_item();
    for part in path.split('/') {
        item = item.get(part)?;
    }
    item.as_str()
}

#[test]
fn an_identity_server_is_set_up_as_the_guide_says() {
    let trial = trial();
    trial.run("is-1", "migrate-is");
    let (home, conf) = (trial.home("is-1"), trial.toml("is-1"));
    let listener = conf["event_listener"].as_array_of_tables().unwrap().iter().next().unwrap();
    assert_eq!(listener["properties"]["header.X-WSO2-KEY-MANAGER"].as_str(), Some("WSO2IS"));
    assert_eq!(listener["properties"]["password"].as_str(), Some("${admin.password}"));
    assert_eq!(conf["resource"]["access_control"].as_array_of_tables().unwrap().len(), 6);
    assert_eq!(conf["tenant_context"]["rewrite"]["custom_webapps"][0].as_str(), Some("/keymanager-operations/"));
    assert_eq!(conf["carbon_health_check"]["enable"].as_bool(), Some(true));
    assert_eq!(text(&conf, "database/identity_db/url"), Some("jdbc:mysql://db/am_db?a=b&amp;c=d"));
    assert_eq!(text(&conf, "database/shared_db/type"), Some("mysql"));
    assert_eq!(text(&conf, "user_store/type"), Some("database"));
    assert_eq!(conf["user_store"].as_table().unwrap().len(), 1);
    assert_eq!(conf["super_admin"]["create_admin_account"].as_bool(), Some(false));
    for file in [
        "repository/components/dropins/wso2is.key.manager.core-1.0.15.jar",
        "repository/components/dropins/wso2is.notification.event.handlers_1.0.15.jar",
        "repository/deployment/server/webapps/keymanager-operations.war",
        "repository/components/dropins/org.wso2.carbon.is.migration-1.0.147.jar",
        "repository/components/lib/mysql-connector-java-8.0.28.jar",
        "migration-resources/5.11.0/dbscripts/step1/um/mysql.sql",
        "bin/wso2server.sh",
    ] {
        assert!(home.join(file).is_file(), "{file}");
    }
}

#[test]
fn the_migration_configuration_loses_three_items_and_nothing_else() {
    let trial = trial();
    trial.run("is-1", "migrate-is");
    let changed = fs::read_to_string(trial.home("is-1").join("migration-resources/migration-config.yaml")).unwrap();
    assert!(changed.contains("currentVersion: \"5.10.0\"") && changed.contains("migrateVersion: \"5.11.0\""), "{changed}");
    let block = &changed[changed.find("version: \"5.10.0\"").unwrap()..changed.find("version: \"5.11.0\"").unwrap()];
    assert!(!block.contains("MigrationValidator") && !block.contains("TenantPortalMigrator"), "{block}");
    assert_eq!(block.matches("SchemaMigrator").count(), 3, "{block}");
    let mut rest = packs::MIGRATION_CONFIG.lines();
    let new: Vec<&str> = changed.lines().filter(|line| !rest.clone().any(|l| l == *line) || !rest.any(|l| l == *line)).collect();
    assert_eq!(new, ["currentVersion: \"5.10.0\"", "migrateVersion: \"5.11.0\""]);
    assert_eq!(packs::MIGRATION_CONFIG.lines().count() - changed.lines().count(), 12);
}

#[test]
fn an_api_manager_is_set_up_as_the_guide_says() {
    let trial = trial();
    trial.run("cp-1", "none");
    let conf = trial.toml("cp-1");
    assert_eq!(text(&conf, "database/apim_db/url"), Some("jdbc:mysql://db/am_db?a=b&amp;c=d"));
    assert_eq!(text(&conf, "database/shared_db/driver"), Some("com.mysql.cj.jdbc.Driver"));
    assert_eq!(text(&conf, "apim/key_manager/service_url"), Some("https://is.example.com:9443/services/"));
    assert_eq!(text(&conf, "apim/key_manager/type"), Some("WSO2-IS"));
    assert_eq!(text(&conf, "server/server_role"), Some("control-plane"));
    let home = trial.home("cp-1");
    assert!(home.join("migration-resources").is_dir());
    assert!(home.join("repository/components/dropins/org.wso2.carbon.apimgt.migrate.client-4.0.0.jar").is_file());
}

#[test]
fn start_scripts_of_the_probes_are_in_the_packs() {
    let trial = trial();
    trial.run("is-1", "none");
    trial.run("gw-1", "none");
    for (_, step) in trial.plan.steps().filter(|(s, _)| s.id.as_str().starts_with("start-")) {
        let Action::Server(server) = &step.action else { panic!("starts a server") };
        if Path::new(&server.home).is_dir() {
            assert!(Path::new(&server.home).join(&server.script).is_file(), "{}", server.script);
        }
    }
}
