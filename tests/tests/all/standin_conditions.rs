//! The stand-ins show what each condition of the guide does: right where its row was followed, wrong where it was not.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use cavalcade_tests::standin::{
    crypto::fingerprint,
    fleet::{self, edit_toml, run_script, wait_until},
    keystore::{Entry, KeyStore, SHIPPED_PASSWORD},
    mariadb::MariaDb,
    packs,
    peer::Address,
    stage::{Stage, log},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use toml_edit::value;

use super::standin_migration::PATIENCE;

const LOGIN: &str = "Authorization: Basic YWRtaW46YWRtaW4=";

fn stage(settings: &Value) -> Stage {
    Stage::new(Path::new(env!("CARGO_BIN_EXE_standin-java")), settings).unwrap()
}

fn quick() -> Stage {
    stage(&json!({"start": 0.3, "pid_file_after": 0.1, "waiting_interval": 0.1, "migration": {"per_order": 0.0}}))
}

fn set(home: &Path, settings: &[(&str, &str)]) {
    edit_toml(home, settings.iter().map(|(key, text)| ((*key).to_owned(), value(*text)))).unwrap();
}

/// Status and body of a request to localhost.
async fn ask(method: &str, port: u16, path: &str, headers: &[String], body: &str) -> (u16, Value) {
    let address = Address::of_url(&format!("https://localhost:{port}/")).unwrap();
    let (status, body) = address.ask(method, path, headers, body).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
}

#[tokio::test]
async fn a_weak_primary_key_issues_no_token_and_a_separate_internal_store_does() {
    let stage = quick();
    let (home, offset) = stage.home("is-1", packs::IS_PACK).unwrap();
    let old = KeyStore::new("old", vec![Entry::private("old", "old-key", 1024)]);
    fs::write(home.join("repository/resources/security/old.jks"), old.bytes()).unwrap();
    let login = [LOGIN.to_owned()];
    let token = || ask("POST", 9443 + offset, "/oauth2/token", &login, "grant_type=client_credentials");

    set(&home, &[("keystore.primary.file_name", "old.jks"), ("keystore.primary.password", "old")]);
    fleet::start(&home, &stage.jdk(), &[]).unwrap();
    let (status, answer) = token().await;
    assert!(status == 500 && answer["error_description"].as_str().unwrap().contains("2048"), "{status} {answer}");
    fleet::stop(&home).unwrap();

    set(&home, &[("keystore.primary.file_name", "wso2carbon.jks"), ("keystore.primary.password", SHIPPED_PASSWORD)]);
    set(&home, &[("keystore.internal.file_name", "old.jks"), ("keystore.internal.password", "old")]);
    fleet::start(&home, &stage.jdk(), &[]).unwrap();
    assert_eq!(token().await.0, 200);
    fleet::stop(&home).unwrap();
    let settings = stage.witness("settings").unwrap();
    assert_eq!(settings[0].detail["encryption"]["signing_bits"], json!(1024));
    assert_eq!(settings[1].detail["encryption"]["private_keys"], json!(["old-key", "shipped"]));
    assert_eq!(settings[1].detail["encryption"]["public"], json!(true), "nobody set a key");
}

#[test]
fn a_key_store_with_another_password_never_starts() {
    let stage = quick();
    let (home, _) = stage.home("is-1", packs::IS_PACK).unwrap();
    set(&home, &[("keystore.primary.password", "other")]);
    stage.run(&home, &["start"]).unwrap();
    wait_until(PATIENCE, "the waiting line", || log(&home).contains("Waiting for required OSGi services: ")).unwrap();
    assert!(log(&home).contains("password was incorrect") && stage.witness("ready").unwrap().is_empty());
    fleet::stop(&home).unwrap();
}

#[test]
fn the_jdk_has_a_keytool_and_the_home_a_cipher_tool() {
    let stage = quick();
    let (home, _) = stage.home("is 1", packs::IS_PACK).unwrap();
    let keytool = |password: &str| {
        let mut command = Command::new(stage.jdk().join("bin/keytool"));
        command.args(["-list", "-v", "-storepass:env", "PASS", "-keystore"]).env("PASS", password);
        let output = command.arg(home.join("repository/resources/security/wso2carbon.jks")).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (status, text) = keytool(SHIPPED_PASSWORD);
    assert!(status == Some(0) && text.contains("Subject Public Key Algorithm: 2048-bit RSA key\n"), "{text}");
    let (status, text) = keytool("wrong");
    assert!(status == Some(1) && text.starts_with("keytool error: java.io.IOException:"), "{text}");

    set(&home, &[("secrets.admin", "[of the admin]"), ("super_admin.password", "$secret{admin}")]);
    let tool = home.join("bin/ciphertool.sh");
    let refused = run_script(&tool, &stage.jdk(), &["-Dconfigure"]).unwrap();
    assert_eq!(refused.status.code(), Some(1), "nobody is at a console");
    let done = run_script(&tool, &stage.jdk(), &["-Dconfigure", "-Dpassword=wso2carbon"]).unwrap();
    assert_eq!(done.status.code(), Some(0), "{done:?}");
    let toml = fs::read_to_string(home.join("repository/conf/deployment.toml")).unwrap();
    assert!(!toml.contains("of the admin"), "{toml}");
    assert!(home.join("repository/conf/security/secret-conf.properties").is_file());

    fleet::start(&home, &stage.jdk(), &[]).unwrap();
    fleet::stop(&home).unwrap();
    assert!(log(&home).contains("SecureVaultException: no password file"), "{}", log(&home));
    fs::write(home.join("password-persist"), SHIPPED_PASSWORD).unwrap();
    fs::remove_file(home.join("repository/logs/wso2carbon.log")).unwrap();
    fleet::start(&home, &stage.jdk(), &[]).unwrap();
    fleet::stop(&home).unwrap();
    assert!(!log(&home).contains("ERROR"), "{}", log(&home));
}

/// The event hub's brokers are others than those of throttling: one is no word on the other.
#[test]
fn a_gateway_without_throttling_endpoints_waits_for_ever() {
    let stage = stage(&json!({"start": 0.3, "pid_file_after": 0.1, "waiting_interval": 0.1}));
    let (home, _) = stage.home("gw-1", packs::AM_PACK).unwrap();
    let (hub, offset) = stage.home("cp-1", packs::AM_PACK).unwrap();
    fleet::start(&hub, &stage.jdk(), &["-Dprofile=control-plane"]).unwrap();
    let broker: toml_edit::Array = [format!("tcp://localhost:{}", 5672 + offset)].into_iter().collect();
    edit_toml(&home, [("apim.event_hub.event_listening_endpoints".to_owned(), toml_edit::value(broker))]).unwrap();
    stage.run(&home, &["start", "-Dprofile=gateway-worker"]).unwrap();
    stage.wait_for("without-brokers", 1).unwrap();
    wait_until(PATIENCE, "the waiting line", || log(&home).contains("JMSListener Unable to continue server startup")).unwrap();
    assert_eq!(stage.witness("ready").unwrap().len(), 1, "the control plane alone");
    fleet::stop(&home).unwrap();
    fleet::stop(&hub).unwrap();
}

/// A database server with the old data, and the home of an API Manager with the migration client.
struct Scene {
    stage: Stage,
    database: MariaDb,
    home: PathBuf,
    port: u16,
    _folder: TempDir,
}

impl Scene {
    fn new(shared: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = MariaDb::start(folder.path()).unwrap();
        database.create("am_db", &[packs::AM_DB_SQL, packs::TENANT_SQL[2]].concat()).unwrap();
        database.create("shared_db", shared).unwrap();
        database.run("am_db", packs::AM_UPGRADE_SQL).unwrap();
        let stage = quick();
        let (home, offset) = stage.home("am-1", packs::AM_PACK).unwrap();
        let mut toml = database.account("am_db").settings("apim_db");
        toml.extend(database.account("shared_db").settings("shared_db"));
        edit_toml(&home, toml).unwrap();
        let file = home.join("repository/conf/deployment.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(file, text.replace("name = \"Default\"", "name = \"Production and Sandbox\"")).unwrap();
        fs::copy(stage.packs().join(packs::DRIVER), home.join("repository/components/lib").join(packs::DRIVER)).unwrap();
        Self { stage, database, home, port: 9443 + offset, _folder: folder }
    }

    fn put(&self, name: &str) {
        fs::copy(self.stage.packs().join(name), self.home.join("repository/components/dropins").join(name)).unwrap();
    }

    fn start_and_stop(&self, options: &[&str]) {
        fleet::start(&self.home, &self.stage.jdk(), options).unwrap();
        fleet::stop(&self.home).unwrap();
    }

    async fn deployments(&self) -> i64 {
        self.database.number("am_db", "SELECT COUNT(*) FROM AM_GW_API_DEPLOYMENTS").await.unwrap()
    }
}

fn registry() -> String {
    [packs::SHARED_DB_SQL, packs::TENANT_SQL[0], packs::TENANT_SQL[1]].concat()
}

#[tokio::test]
async fn a_registry_with_versions_is_read_after_its_script_alone() {
    let versioned = [registry().as_str(), packs::VERSIONED_SQL].concat();
    for (script, read) in [(false, false), (true, true)] {
        let scene = Scene::new(&versioned);
        if script {
            scene.database.run("shared_db", packs::VERSIONING_SQL).unwrap();
        }
        scene.put(packs::AM_MIGRATION);
        scene.start_and_stop(&["-DmigrateFromVersion=3.1.0"]);
        assert_eq!(scene.stage.witness("registry-unread").unwrap().is_empty(), read);
        assert_eq!(log(&scene.home).contains("Error while Reading Labels"), !read, "{}", log(&scene.home));
        assert_eq!(scene.deployments().await, if read { 7 } else { 0 });
    }
}

#[tokio::test]
async fn the_versioning_script_deletes_what_a_registry_without_versions_holds() {
    let scene = Scene::new(&registry());
    let count = "SELECT COUNT(*) FROM REG_PROPERTY";
    assert_eq!(scene.database.number("shared_db", count).await.unwrap(), 1);
    scene.database.run("shared_db", packs::VERSIONING_SQL).unwrap();
    assert_eq!(scene.database.number("shared_db", count).await.unwrap(), 0, "as the published one does");
}

#[tokio::test]
async fn other_tenants_are_indexed_where_their_loader_is() {
    let scene = Scene::new(&registry());
    scene.put(packs::AM_MIGRATION);
    scene.start_and_stop(&["-DmigrateFromVersion=3.1.0"]);
    fs::remove_file(scene.home.join("repository/components/dropins").join(packs::AM_MIGRATION)).unwrap();
    scene.database.run("shared_db", packs::REG_INDEX_SQL).unwrap();
    edit_toml(&scene.home, [("indexing.re_indexing".to_owned(), value(1))]).unwrap();
    for (loader, of_tenant) in [(false, 0), (true, 1)] {
        if loader {
            scene.put(packs::TENANT_LOADER);
        }
        fs::remove_dir_all(scene.home.join("solr")).unwrap();
        fleet::start(&scene.home, &scene.stage.jdk(), &[]).unwrap();
        wait_until(PATIENCE, "the index", || scene.home.join("solr/data/index/segments_1").exists()).unwrap();
        let mut headers = vec![LOGIN.to_owned()];
        for total in [6, of_tenant] {
            let (status, list) = ask("GET", scene.port, "/api/am/publisher/v2/apis", &headers, "").await;
            assert_eq!((status, &list["pagination"]["total"]), (200, &json!(total)), "{headers:?}");
            headers.push("X-WSO2-Tenant: example.org".to_owned());
        }
        fleet::stop(&scene.home).unwrap();
    }
    let indexed = scene.stage.witness("reindexed").unwrap();
    let seen: Vec<_> = indexed.iter().map(|line| (&line.detail["tenants"], &line.detail["fresh"])).collect();
    assert_eq!(seen, [(&json!(false), &json!(true)), (&json!(true), &json!(true))]);
}

#[tokio::test]
async fn what_another_key_encrypted_is_an_error_at_every_start() {
    let scene = Scene::new(&registry());
    let (one, other) = ("11111111111111111111111111111111", "22222222222222222222222222222222");
    let seal = format!("UPDATE IDN_OAUTH_CONSUMER_APPS SET CONSUMER_SECRET = '{{aes:{}}}x'", fingerprint(one));
    scene.database.execute("am_db", &seal).await.unwrap();
    let lines = || scene.stage.witness("encrypted-with-another-key").unwrap().len();
    set(&scene.home, &[("encryption.key", one)]);
    scene.start_and_stop(&[]);
    assert_eq!(lines(), 0, "{}", log(&scene.home));
    set(&scene.home, &[("encryption.key", other)]);
    scene.start_and_stop(&[]);
    assert_eq!(lines(), 1);
    assert!(log(&scene.home).contains("CryptoException"), "{}", log(&scene.home));
}
