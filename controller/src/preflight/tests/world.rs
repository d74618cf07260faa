//! A fleet against which nothing stands; tests change one thing of it.

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::error::{Fault, Faults};
use cavalcade_common::finding::Severity;
use cavalcade_common::plan::Plan;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::super::{Input, Results, run};
use crate::fleet;
use crate::resolve::NodeFacts;
use crate::view::document::{HostStatus, Upgraded};

pub(super) const FLEET: &str = r#"
schema: cavalcade.fleet/1
fleet: test
recipe: wso2-is-km-5.10.0-to-5.11.0
defaults: { run_as: wso2, java_home: /opt/java }
artifacts:
  is_pack: { file: is.zip, sha256: SHA }
  am_pack: { file: am.zip, sha256: SHA }
  is_connector: { file: connector.zip, sha256: SHA }
  is_migration: { file: migration.zip, sha256: SHA }
  am_migration_client: { file: org.wso2.carbon.apimgt.migrate.client-4.0.0.jar, sha256: SHA }
  am_script: { file: am.sql, sha256: SHA }
  am_migration_resources: { file: migration-resources.zip, sha256: SHA }
  jdbc_driver: { file: driver.jar, sha256: SHA }
secrets: { ddl: { env: DDL }, server: { env: SERVER } }
options: { corrected_claims_pattern: true }
databases:
  am_db: &db
    engine: mariadb
    host: db
    name: am
    scratch: am_proof
    from: is-1
    admin: { user: ddl, password: ddl }
    server: { user: wso2carbon, password: server }
  shared_db:
    engine: mariadb
    host: db
    name: shared
    scratch: shared_proof
    from: is-1
    admin: { user: ddl, password: ddl }
    server: { user: wso2carbon, password: server }
nodes:
  is-[1:2]:
    role: identity-server
    host: "{{ name }}.example.com"
    old: { home: /opt/wso2/old }
    new: { home: /opt/wso2/new }
  cp-1:
    role: api-manager
    host: "{{ name }}.example.com"
    old: { home: /opt/wso2/old, profile: api-publisher }
    new: { home: /opt/wso2/new, profile: control-plane }
"#;

/// Everything that the checks look at.
pub(super) struct World {
    pub(super) fleet: String,
    pub(super) facts: BTreeMap<String, Value>,
    pub(super) hosts: Vec<HostStatus>,
    pub(super) upgraded: Vec<Upgraded>,
    pub(super) unanswered: Vec<Fault>,
    pub(super) contents: BTreeMap<String, BTreeSet<String>>,
    pub(super) artifacts: Option<Faults>,
    pub(super) planned: Option<Result<Plan, Faults>>,
}

impl World {
    /// One without a finding.
    pub(super) fn good() -> Self {
        let hosts = ["is-1", "is-2", "cp-1"].map(|name| HostStatus {
            host: format!("{name}.example.com"),
            connected: true,
            program: env!("CARGO_PKG_VERSION").to_owned(),
            quiet_seconds: 0,
            skew_millis: 3,
            resident_kib: 1,
            zone: None,
        });
        let mut facts: BTreeMap<String, Value> = BTreeMap::new();
        for (name, product, profile) in
            [("is-1", "wso2is-km", None), ("is-2", "wso2is-km", None), ("cp-1", "wso2am", Some("api-publisher"))]
        {
            facts.insert(name.to_owned(), node(product, profile));
        }
        let databases = json!({ "am_db": database("am_proof"), "shared_db": database("shared_proof") });
        facts.entry("is-1".to_owned()).and_modify(|f| f["databases"] = databases);
        let entries = |names: &[&str]| names.iter().map(ToString::to_string).collect::<BTreeSet<String>>();
        let contents = [
            ("is_pack", entries(&["wso2is-5.11.0/bin/wso2server.sh", "wso2is-5.11.0/repository/conf/deployment.toml"])),
            ("am_pack", entries(&["wso2am-4.0.0/bin/api-manager.sh", "wso2am-4.0.0/bin/profileSetup.sh"])),
            (
                "is_connector",
                entries(&[
                    "x/dropins/wso2is.key.manager.core-1.jar",
                    "x/dropins/wso2is.notification.event.handlers-1.jar",
                    "x/keymanager-operations.war",
                ]),
            ),
            (
                "is_migration",
                entries(&["x/dropins/org.wso2.carbon.is.migration-1.jar", "x/migration-resources/migration-config.yaml"]),
            ),
            (
                "am_script",
                entries(&["CREATE TABLE IF NOT EXISTS AM_GW_API_DEPLOYMENTS ( API_ID VARCHAR(255), VHOST VARCHAR(255) )"]),
            ),
            ("am_migration_resources", entries(&["migration-resources/rxts/api.rxt"])),
            ("jdbc_driver", entries(&["com/mysql/cj/jdbc/Driver.class"])),
        ];
        Self {
            fleet: FLEET.replace("SHA", &"ab".repeat(32)).replace("&db", ""),
            facts,
            hosts: hosts.to_vec(),
            upgraded: Vec::new(),
            unanswered: Vec::new(),
            contents: contents.into_iter().map(|(name, entries)| (name.to_owned(), entries)).collect(),
            artifacts: None,
            planned: None,
        }
    }

    /// The facts of a node.
    pub(super) fn of(&mut self, node: &str) -> &mut Value {
        self.facts.get_mut(node).expect("is a node")
    }

    /// A database as it was seen from its node.
    pub(super) fn db(&mut self, name: &str) -> &mut Value {
        &mut self.of("is-1")["databases"][name]
    }

    /// The entries of an artifact.
    pub(super) fn entries(&mut self, artifact: &str) -> &mut BTreeSet<String> {
        self.contents.get_mut(artifact).expect("is a zip")
    }

    pub(super) fn results(&self) -> Results {
        let fleet = fleet::read(self.fleet.as_bytes(), "fleet.yaml").unwrap_or_else(|f| panic!("the fleet: {f:?}"));
        let recipe = crate::recipe::load(&fleet.recipe, std::path::Path::new(".")).expect("a recipe");
        let now: Timestamp = "2026-11-23T00:00:00Z".parse().expect("a time");
        let facts = self
            .facts
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), NodeFacts { value: value.clone(), gathered_at: now }));
        let artifacts = match &self.artifacts {
            Some(faults) => Err(faults.clone()),
            None => Ok(fleet
                .artifacts
                .iter()
                .map(|(name, a)| {
                    let sha256 = a.sha256.clone().unwrap_or_else(|| cavalcade_common::id::Digest::of(b""));
                    (
                        name.clone(),
                        cavalcade_common::action::ArtifactRef { name: name.clone(), sha256, size: 1, file: a.file.clone() },
                    )
                })
                .collect()),
        };
        run(&Input {
            fleet: &fleet,
            recipe: &recipe,
            artifacts: &artifacts,
            contents: &self.contents,
            facts: &facts.collect(),
            asked: &BTreeMap::new(),
            shipped: &BTreeMap::new(),
            planned: self.planned.as_ref(),
            unanswered: &self.unanswered,
            hosts: Some(&self.hosts),
            upgraded: &self.upgraded,
            now,
        })
    }

    /// Check, severity and nodes of each finding.
    pub(super) fn found(&self) -> Vec<(String, Severity, String)> {
        self.results().findings.into_iter().map(|f| (f.check, f.severity, f.nodes.join(" "))).collect()
    }
}

fn node(product: &str, profile: Option<&str>) -> Value {
    let old = |name: &str| {
        json!({
            "type": "mysql", "url": format!("jdbc:mysql://db:3306/{name}?useSSL=false"), "driver": "com.mysql.cj.jdbc.Driver",
            "auto_commit": null,
        })
    };
    json!({
        "old": {
            "exists": true, "version": "5.10.0", "product": product, "offset": 0, "owner": "wso2",
            "running": [{ "pid": 7, "user": "wso2", "profile": profile }],
            "databases": { "apim_db": old("am"), "shared_db": old("shared") },
            "driver_classes": { "com.mysql.cj.jdbc.Driver": "repository/components/lib/mysql.jar" },
            "keystores": [{
                "path": "repository/resources/security/wso2carbon.jks", "type": "JKS", "bits": 2048, "algorithm": "RSA",
                "alias": "wso2carbon", "expires": "2030-01-01T00:00:00Z",
            }],
            "conf": {
                "encryption_provider": null, "encryption_type": null, "encryption_key": null, "shared_pool": null, "shared_pool_alias": null,
                "gateway_environments": null, "gateway_labels": null, "vault": null, "realm": null,
            },
            "values": {
                "cipher_transformation": null, "versioning_properties": "false", "versioning_comments": "false",
                "versioning_tags": "false", "versioning_ratings": "false",
            },
            "trees": { "tenants": { "files": 0, "names": [] }, "user_stores": { "files": 0, "names": [] } },
            "autostart": [{ "kind": "systemd", "file": "/etc/systemd/system/wso2.service", "enabled": true, "person": null, "text": "x" }],
        },
        "new": { "exists": false, "made_by_us": false, "running": [], "autostart": [] },
        "autostart_unseen": [],
        "user_store": { "type": "database" },
        "java": { "home": "/opt/java", "version": "11.0.20", "major": 11, "keytool": true },
        "limits": { "open_files": 65535 },
        "ports": [{ "port": 9443, "free": false, "pid": 7, "home": "/opt/wso2/old" }, { "port": 9763, "free": true }],
        "old_ports": [{ "port": 9443, "free": false, "pid": 7, "home": "/opt/wso2/old" }, { "port": 9763, "free": true }],
        "logins": { "am_db": login("am"), "shared_db": login("shared") },
        "reach": [{
            "address": "peer:9443", "connected": true, "names": ["peer"], "matches": true, "expires": "2030-01-01T00:00:00Z",
            "trusted": true, "problem": null,
        }],
        "disks": [{
            "path": "/opt/wso2/new", "mount": "/opt", "free_bytes": 50_u64 << 30, "read_only": false, "network": false,
            "noexec": false,
        }],
        "files": { "read_only": false, "network": false, "noexec": false, "selinux": false },
        "tmp_noexec": false,
        "problems": [],
    })
}

fn login(name: &str) -> Value {
    json!({
        "user": "wso2carbon", "at": format!("db:3306/{name}"), "reached": true, "problem": null,
        "rights": { "create": true, "alter": true, "index": true, "write": true, "drop": true }, "refused": {},
        "superuser": false, "trusted_extensions": false,
    })
}

fn database(scratch: &str) -> Value {
    json!({
        "scratch": { "database": scratch, "exists": true, "empty": true, "ours": false, "holds": [], "problem": null },
        "reachable": true, "problem": null, "problems": [], "engine": "mariadb", "version": "10.11.6-MariaDB", "charset": "latin1",
        "collation": "latin1_swedish_ci", "case_sensitive": false, "superuser": false, "extensions": null,
        "rights": { "create": true, "alter": true, "index": true, "drop": true, "lock": true, "sessions": true,
                    "foreign_sessions": true, "lock_accounts": true },
        "refused": {}, "read_only": false, "wsrep": false, "durable": true, "flush": "1", "sync": "1", "log_bin": true,
        "trust_function_creators": true, "replicas": 0, "client_connection_check_interval": null, "pooler": false,
        "sessions": [{ "user": "wso2carbon", "host": "is-1", "count": 9 }], "long_transactions": 0,
        "login_plugin": "mysql_native_password", "tls": false,
        "dump_client": { "path": "/usr/bin/mariadb-dump", "version": "10.19 Distrib 10.11.6-MariaDB" },
        "asked": { "apis": "12", "api_artifacts": "12", "api_artifacts_twice": "0", "roles_twice": "0", "unique_ids": "40" },
    })
}
