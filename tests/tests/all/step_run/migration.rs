//! What must happen at most once: a migration and a script on a real MariaDB.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{
    fs,
    path::{Path, PathBuf},
};

use cavalcade_tests::standin::{
    fleet::{self, edit_toml},
    mariadb::MariaDb,
    packs,
    stage::Stage,
};
use serde_json::{Value, json};
use tempfile::TempDir;
use toml_edit::value;

use super::machine::{Machine, artifact, names};

/// An Identity Server ready to be migrated, its databases, and a machine with names and steps for it.
pub(super) struct Scene {
    pub(super) machine: Machine,
    pub(super) stage: Stage,
    pub(super) database: MariaDb,
    pub(super) identity: PathBuf,
    _folder: TempDir,
}

impl Scene {
    pub(super) async fn new(migration: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = MariaDb::start(folder.path()).unwrap();
        database.create("am_db", packs::AM_DB_SQL).unwrap();
        database.create("shared_db", packs::SHARED_DB_SQL).unwrap();
        let settings = json!({ "start": 0.3, "pid_file_after": 0.1, "migration": migration });
        let stage = Stage::new(Path::new(env!("CARGO_BIN_EXE_standin-java")), &settings).unwrap();
        let (identity, _) = stage.home("is-1", packs::IS_PACK).unwrap();
        let scene = Self { machine: Machine::new(), stage, database, identity, _folder: folder };
        scene.configure();
        scene.write_steps();
        scene
    }

    /// Databases, driver and migration client.
    fn configure(&self) {
        let mut toml = self.database.account("am_db").settings("identity_db");
        toml.extend(self.database.account("shared_db").settings("shared_db"));
        toml.push(("super_admin.create_admin_account".to_owned(), value(false)));
        edit_toml(&self.identity, toml).unwrap();
        let components = self.identity.join("repository/components");
        fs::copy(self.stage.packs().join(packs::DRIVER), components.join("lib").join(packs::DRIVER)).unwrap();
        let folder = self.stage.path("client");
        packs::unpack(&self.stage.packs().join(packs::IS_MIGRATION), &folder).unwrap();
        let client = folder.join("wso2is-migration-1.0.147");
        let jar = "org.wso2.carbon.is.migration-1.0.147.jar";
        fs::copy(client.join("dropins").join(jar), components.join("dropins").join(jar)).unwrap();
        fs::rename(client.join("migration-resources"), self.identity.join("migration-resources")).unwrap();
        let config = self.identity.join("migration-resources/migration-config.yaml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(config, text.replacen("\"5.x.x\"", "\"5.10.0\"", 1).replacen("\"5.x.x\"", "\"5.11.0\"", 1)).unwrap();
    }

    fn write_steps(&self) {
        let script = self.machine.write("files/am.sql", packs::AM_UPGRADE_SQL);
        let database = |name: &str| {
            json!({ "name": name, "engine": "mysql", "host": "127.0.0.1", "port": self.database.port(), "database": name,
                    "user": "wso2", "password": cavalcade_common::secret::marker("db") })
        };
        let mut names = names(&self.stage, "identity-server", &self.identity, "bin/wso2server.sh");
        names["databases"] = json!({ "am_db": database("am_db"), "shared_db": database("shared_db") });
        names["artifacts"] = json!({ "am_sql": artifact("am_sql", &script) });
        self.machine.write("names.json", names.to_string());
        let password = self.machine.write("password", "wso2\n");
        self.machine.write("secrets.yaml", format!("db: {{ file: {} }}\n", password.display()));
        self.machine.write("script.yaml", "- { step: am-db, sql: { effect: am-db-4.0.0, database: am_db, script: am_sql } }\n");
        self.machine.write("migrate.yaml", MIGRATE);
    }

    /// Arguments for a file of steps.
    pub(super) fn arguments(&self, steps: &str) -> Vec<String> {
        let path = |name: &str| self.machine.path(name).display().to_string();
        let options = ["--node", &path("names.json"), "--secrets", &path("secrets.yaml"), "--artifacts", &path("files")];
        let mut all = vec![path(steps)];
        all.extend(options.map(str::to_owned));
        all
    }

    pub(super) fn run(&self, steps: &str, more: &[&str]) -> super::machine::Ran {
        let arguments = self.arguments(steps);
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).chain(more.iter().copied()).collect();
        self.machine.run(&arguments)
    }

    pub(super) fn begun(&self) -> usize {
        self.stage.witness("migration-begin").unwrap().len()
    }
}

const MIGRATE: &str = r"
- step: migrate
  row: C12
  job:
    effect: is-5.10.0-to-5.11.0
    home: '{{ node.new.home }}'
    command: [bin/wso2server.sh, -Dmigrate, -Dcomponent=identity]
    databases: [am_db, shared_db]
    log: repository/logs/wso2carbon.log
    ends: ['WSO2 Carbon started in (\d+) sec', 'WSO2 Carbon initialization Failed']
    evidence:
      require: [Execution was done through all the requested version list without having unexpected issues]
      forbid: ['ERROR \{org\.wso2\.carbon\.is\.migration']
      sequence: { pattern: 'Version : 5\.11\.0, Migration Step : .* of order : (\d+) is starting', from: 1, to: 17 }
    progress: { pattern: 'Migration Step : (?P<label>.*) of order : (?P<done>\d+) is starting', total: 17 }
- step: stop
  row: C13
  server: { stop: '{{ node.new.home }}' }
";

#[tokio::test]
async fn a_script_and_a_migration_happen_once() {
    let scene = Scene::new(json!({ "per_order": 0.0 })).await;
    let first = scene.run("script.yaml", &[]).ended(0);
    assert_eq!(first.outcomes(), [("am-db", "changed")]);
    assert!(!first.out.contains("wso2\"") && first.step("am-db")["evidence"].to_string().contains("script ledger"), "{first:#?}");
    let columns = "SELECT COUNT(*) FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'am_db'";
    let left = scene.database.number("am_db", columns).await.unwrap();
    let second = scene.run("script.yaml", &[]).ended(0);
    assert_eq!(second.outcomes(), [("am-db", "unchanged")]);
    assert!(second.step("am-db")["says"].as_str().unwrap().contains("statements are done already"), "{second:#?}");
    assert_eq!(scene.database.number("am_db", columns).await.unwrap(), left);
    // Another ledger: the database's own knows all the same.
    let elsewhere = scene.machine.path("state-2").display().to_string();
    assert_eq!(scene.run("script.yaml", &["--state", &elsewhere]).ended(0).outcomes(), [("am-db", "unchanged")]);

    let first = scene.run("migrate.yaml", &[]).ended(0);
    assert_eq!(first.outcomes(), [("migrate", "changed"), ("stop", "changed")]);
    assert!(first.step("migrate")["evidence"].to_string().contains("Execution was done"), "{first:#?}");
    assert_eq!((scene.begun(), fleet::running(&scene.identity)), (1, None));
    let seen = scene.run("migrate.yaml", &["--preview"]).ended(0);
    assert_eq!(seen.step("migrate")["outcome"], "unchanged", "{seen:#?}");
    let second = scene.run("migrate.yaml", &[]).ended(0);
    assert_eq!(second.outcomes(), [("migrate", "unchanged"), ("stop", "unchanged")]);
    assert_eq!(scene.begun(), 1);
}

#[tokio::test]
async fn a_migration_that_lies_fails_and_only_a_person_starts_it_again() {
    let scene = Scene::new(json!({ "per_order": 0.0, "mode": "error", "order": 4 })).await;
    scene.run("script.yaml", &[]).ended(0);
    let failed = scene.run("migrate.yaml", &[]).ended(1);
    assert_eq!(failed.outcomes(), [("migrate", "failed"), ("stop", "not-run")]);
    assert!(failed.step("migrate")["evidence"].to_string().contains("\"holds\":false"), "{failed:#?}");
    fleet::stop(&scene.identity).unwrap();

    let refused = scene.run("migrate.yaml", &[]).ended(9);
    assert_eq!(refused.outcomes(), [("migrate", "refused"), ("stop", "not-run")]);
    assert_eq!(refused.step("migrate")["fault"]["code"], 3057);
    let refused = scene.run("migrate.yaml", &["--again", "migrate", "--why", "looked at it"]).ended(9);
    assert_eq!(refused.step("migrate")["fault"]["code"], 3058, "its databases come first");
    scene.run("migrate.yaml", &["--again", "stop", "--why", "x"]).ended(2);
    assert_eq!(scene.run("migrate.yaml", &["--again", "migrate"]).code, Some(2), "no decision without a reason");
    assert_eq!(scene.begun(), 1);

    fs::write(scene.identity.join("standin.json"), json!({ "migration": { "mode": "ok", "per_order": 0.0 } }).to_string())
        .unwrap();
    let decided = ["--again", "migrate", "--why", "restored by hand", "--restored", "am_db", "--restored", "shared_db"];
    let again = scene.run("migrate.yaml", &decided);
    assert_eq!(scene.begun(), 2, "{again:#?}");
    assert_ne!(again.step("migrate")["outcome"], "refused");
    fleet::stop(&scene.identity).unwrap();
}
