//! The stand-ins' migration clients against a real MariaDB: what they do to the databases, and how they lie about it.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use cavalcade_tests::standin::{
    fleet::{self, OldFleet, edit_toml, wait_until},
    mariadb::MariaDb,
    packs,
    peer::Address,
    stage::{Stage, log},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use toml_edit::value;

const SUCCESS: &str = "Execution was done through all the requested version list without having unexpected issues";
pub(super) const PATIENCE: Duration = Duration::from_secs(300);

/// Stage, database server with the old data after the AM script, and an Identity Server ready to be migrated.
struct Scene {
    stage: Stage,
    database: MariaDb,
    identity: PathBuf,
    offset: u16,
    _folder: TempDir,
}

async fn scene(settings: &Value) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let database = MariaDb::start(folder.path()).unwrap();
    database.create("am_db", packs::AM_DB_SQL).unwrap();
    database.create("shared_db", packs::SHARED_DB_SQL).unwrap();
    database.run("shared_db", packs::TENANT_SQL[0]).unwrap();
    database.run("am_db", packs::AM_UPGRADE_SQL).unwrap();
    let stage = Stage::new(Path::new(env!("CARGO_BIN_EXE_standin-java")), settings).unwrap();
    let (identity, offset) = stage.home("is-1", packs::IS_PACK).unwrap();
    let mut toml = database.account("am_db").settings("identity_db");
    toml.extend(database.account("shared_db").settings("shared_db"));
    toml.push(("super_admin.create_admin_account".to_owned(), value(false)));
    toml.push(("carbon_health_check.enable".to_owned(), value(true)));
    edit_toml(&identity, toml).unwrap();
    put_driver(&stage, &identity);
    Scene { stage, database, identity, offset, _folder: folder }
}

fn put_driver(stage: &Stage, home: &Path) {
    fs::copy(stage.packs().join(packs::DRIVER), home.join("repository/components/lib").join(packs::DRIVER)).unwrap();
}

impl Scene {
    /// Puts the IS migration client in (rows C9 and C10).
    fn put_client(&self, current: &str) {
        let folder = self.stage.path("client");
        packs::unpack(&self.stage.packs().join(packs::IS_MIGRATION), &folder).unwrap();
        let client = folder.join("wso2is-migration-1.0.147");
        let jar = "org.wso2.carbon.is.migration-1.0.147.jar";
        fs::copy(client.join("dropins").join(jar), self.identity.join("repository/components/dropins").join(jar)).unwrap();
        fs::rename(client.join("migration-resources"), self.identity.join("migration-resources")).unwrap();
        let config = self.identity.join("migration-resources/migration-config.yaml");
        let text = fs::read_to_string(&config).unwrap();
        let text = text.replacen("\"5.x.x\"", &format!("\"{current}\""), 1).replacen("\"5.x.x\"", "\"5.11.0\"", 1);
        fs::write(config, text).unwrap();
    }

    fn migrate_identity(&self) {
        let run = self.stage.witness("ready").unwrap().len();
        self.stage.run(&self.identity, &["start", "-Dmigrate", "-Dcomponent=identity"]).unwrap();
        self.stage.wait_for("ready", run + 1).unwrap();
        fleet::stop(&self.identity).unwrap();
    }

    fn remove_client(&self) {
        fs::remove_file(self.identity.join("repository/components/dropins/org.wso2.carbon.is.migration-1.0.147.jar")).unwrap();
        fs::remove_dir_all(self.identity.join("migration-resources")).unwrap();
    }

    async fn count(&self, database: &str, query: &'static str) -> i64 {
        self.database.number(database, query).await.unwrap()
    }

    /// An API Manager of this scene whose Key Manager is the scene's Identity Server.
    fn api_manager(&self, node: &str, environments: &[&str]) -> (PathBuf, u16) {
        let (home, offset) = self.stage.home(node, packs::AM_PACK).unwrap();
        let mut toml = self.database.account("am_db").settings("apim_db");
        toml.extend(self.database.account("shared_db").settings("shared_db"));
        let url = format!("https://localhost:{}/services/", 9443 + self.offset);
        toml.push(("apim.key_manager.service_url".to_owned(), value(url)));
        let labels: toml_edit::Array = environments.iter().copied().collect();
        toml.push(("apim.sync_runtime_artifacts.gateway.gateway_labels".to_owned(), value(labels)));
        edit_toml(&home, toml).unwrap();
        let file = home.join("repository/conf/deployment.toml");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replace("name = \"Default\"", &format!("name = \"{}\"", environments[0]))).unwrap();
        put_driver(&self.stage, &home);
        (home, offset)
    }

    /// A token of this scene's Identity Server.
    async fn bearer(&self) -> String {
        let identity = Address::of_url(&format!("https://localhost:{}", 9443 + self.offset)).unwrap();
        let login = ["Authorization: Basic YWRtaW46YWRtaW4=".to_owned()];
        let (_, token) = identity.ask("POST", "/oauth2/token", &login, "grant_type=client_credentials").await.unwrap();
        let token: Value = serde_json::from_slice(&token).unwrap();
        format!("Authorization: Bearer {}", token["access_token"].as_str().unwrap())
    }

    fn put_am_client(&self, home: &Path) {
        let jar = home.join("repository/components/dropins").join(packs::AM_MIGRATION);
        fs::copy(self.stage.packs().join(packs::AM_MIGRATION), jar).unwrap();
    }
}

async fn asked(port: u16, path: &str, headers: &[String]) -> anyhow::Result<(u16, String)> {
    let address = Address::of_url(&format!("https://localhost:{port}/")).unwrap();
    let (status, body) = address.ask("GET", path, headers, "").await?;
    Ok((status, String::from_utf8(body)?))
}

async fn get(port: u16, path: &str, headers: &[String]) -> (u16, String) {
    asked(port, path, headers).await.unwrap()
}

/// Waits until the gateway on a port serves an API: it is deployed some time after the start.
async fn reached(port: u16, headers: &[String]) {
    let mut last = None;
    for _ in 0..1200 {
        let answer = asked(port, "/orders/1.0.0/42", headers).await;
        if answer.as_ref().is_ok_and(|(status, _)| *status == 200) {
            return;
        }
        last = Some(answer);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{last:?}");
}

#[tokio::test]
async fn the_whole_upgrade_ends_in_a_call_through_the_gateway() {
    let scene = scene(&json!({"start": 0.4, "pid_file_after": 0.1, "migration": {"per_order": 0.01}})).await;
    scene.put_client("5.10.0");
    scene.migrate_identity();
    let text = log(&scene.identity);
    assert!(text.contains(SUCCESS) && !text.contains(" ERROR "), "{text}");
    for order in 1..=17 {
        assert!(text.contains(&format!("of order : {order} is starting")), "{order}");
    }
    assert_eq!(scene.stage.witness("migration-end").unwrap()[0].detail["ok"], json!(true));
    let table = "SELECT COUNT(*) FROM INFORMATION_SCHEMA.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN \
                 ('IDN_CORS_ORIGIN', 'IDN_REMOTE_FETCH_CONFIG')";
    assert_eq!(scene.count("am_db", table).await, 2);
    assert_eq!(scene.count("shared_db", "SELECT COUNT(*) FROM UM_HYBRID_GROUP_ROLE").await, 2);
    assert_eq!(scene.count("shared_db", "SELECT COUNT(*) FROM UM_TENANT WHERE LENGTH(UM_TENANT_UUID) = 36").await, 1);

    // The normal start finds its schema and answers with a body.
    scene.remove_client();
    fleet::start(&scene.identity, &scene.stage.jdk(), &[]).unwrap();
    assert!(!log(&scene.identity).contains(" ERROR "), "{}", log(&scene.identity));
    let (status, body) = get(9443 + scene.offset, "/api/health-check/v1.0/health", &[]).await;
    assert!(status == 200 && body.contains("identity_db"), "{status} {body}");

    // API Manager: the old environment's name is kept.
    let (manager, offset) = scene.api_manager("am-1", &["Production and Sandbox"]);
    scene.put_am_client(&manager);
    fleet::start(&manager, &scene.stage.jdk(), &["-DmigrateFromVersion=3.1.0"]).unwrap();
    fleet::stop(&manager).unwrap();
    let text = log(&manager);
    assert!(text.contains("Migrated Successfully to 4.0.0") && !text.contains(" ERROR "), "{text}");
    assert_eq!(scene.count("am_db", "SELECT COUNT(*) FROM AM_API WHERE API_UUID IS NULL").await, 0);
    assert_eq!(scene.count("am_db", "SELECT COUNT(*) FROM AM_GW_API_DEPLOYMENTS").await, 6);
    fs::remove_file(manager.join("repository/components/dropins").join(packs::AM_MIGRATION)).unwrap();

    // Nothing is listed before the registry was indexed again.
    let login = ["Authorization: Basic YWRtaW46YWRtaW4=".to_owned()];
    fleet::start(&manager, &scene.stage.jdk(), &[]).unwrap();
    let (_, body) = get(9443 + offset, "/api/am/publisher/v2/apis", &login).await;
    assert!(body.contains("\"count\":0"), "{body}");
    fleet::stop(&manager).unwrap();
    assert!(manager.join("solr").exists());
    scene.database.run("shared_db", packs::REG_INDEX_SQL).unwrap();
    edit_toml(&manager, [("indexing.re_indexing".to_owned(), value(1))]).unwrap();
    fleet::start(&manager, &scene.stage.jdk(), &[]).unwrap();
    wait_until(PATIENCE, "the index", || manager.join("solr/data/index/segments_1").exists()).unwrap();
    let (_, body) = get(9443 + offset, "/api/am/publisher/v2/apis", &login).await;
    assert!(body.contains("\"count\":6"), "{body}");

    // A token of Identity Server opens the gateway.
    let bearer = [scene.bearer().await];
    reached(8243 + offset, &bearer).await;
    assert_eq!(get(8243 + offset, "/orders/1.0.0/42", &[]).await.0, 401);
    assert_eq!(get(8243 + offset, "/nothing/1.0.0", &bearer).await.0, 404);
    assert_eq!(scene.stage.witness("is-answered").unwrap().len(), 3);
    fleet::stop(&manager).unwrap();
    fleet::stop(&scene.identity).unwrap();
}

#[tokio::test]
async fn a_second_run_destroys_and_adds_again() {
    let scene = scene(&json!({"start": 0.3, "pid_file_after": 0.1, "migration": {"per_order": 0.0}})).await;
    scene.put_client("5.10.0");
    scene.migrate_identity();
    scene.migrate_identity();
    let destroyed = scene.stage.witness("migration-destroyed").unwrap();
    assert_eq!((destroyed.len(), &destroyed[0].detail["rows"]), (1, &json!(2)));
    assert_eq!(scene.count("shared_db", "SELECT COUNT(*) FROM UM_HYBRID_GROUP_ROLE").await, 0);
    let text = log(&scene.identity);
    assert!(
        text.contains("30012 - RoleExisting")
            && text.contains("Error occurred while executing SQL script for migrating database")
    );
    assert_eq!(text.matches(SUCCESS).count(), 2, "the sentence comes all the same");
    let ends = scene.stage.witness("migration-end").unwrap();
    assert_eq!((&ends[0].detail["ok"], &ends[1].detail["ok"]), (&json!(true), &json!(false)));

    let (manager, _) = scene.api_manager("am-1", &["Production and Sandbox"]);
    scene.put_am_client(&manager);
    for _ in 0..2 {
        fleet::start(&manager, &scene.stage.jdk(), &["-DmigrateFromVersion=3.1.0"]).unwrap();
        fleet::stop(&manager).unwrap();
    }
    assert_eq!(scene.count("am_db", "SELECT COUNT(*) FROM AM_REVISION").await, 12);
}

#[tokio::test]
async fn a_wrong_version_runs_nothing_and_says_the_same() {
    let scene = scene(&json!({"start": 0.3, "pid_file_after": 0.1})).await;
    scene.put_client("5.10.1");
    scene.migrate_identity();
    let text = log(&scene.identity);
    assert!(text.contains(SUCCESS) && text.contains("Start Version : 5.10.0 to 5.11.0"), "{text}");
    assert!(!text.contains("is starting"), "{text}");
    let end = &scene.stage.witness("migration-end").unwrap()[0];
    assert_eq!((&end.detail["ok"], &end.detail["ran"]), (&json!(false), &json!(false)));
}

#[tokio::test]
async fn an_admin_account_from_the_first_start_makes_the_roles_fail() {
    let scene = scene(&json!({"start": 0.3, "pid_file_after": 0.1, "migration": {"per_order": 0.0}})).await;
    edit_toml(&scene.identity, [("super_admin.create_admin_account".to_owned(), value(true))]).unwrap();
    scene.put_client("5.10.0");
    scene.migrate_identity();
    let text = log(&scene.identity);
    assert!(text.contains("30012 - RoleExisting") && text.contains(SUCCESS), "{text}");
    assert!(text.contains("ERROR {org.wso2.carbon.is.migration"), "{text}");
    assert_eq!(scene.count("shared_db", "SELECT COUNT(*) FROM UM_HYBRID_GROUP_ROLE").await, 0);
}

#[tokio::test]
async fn mishaps_happen_where_the_settings_say() {
    let scene = scene(&json!({"start": 0.3, "pid_file_after": 0.1})).await;
    scene.put_client("5.10.0");
    let mishap = |mode: &str, order: u32| {
        let settings = json!({"migration": {"mode": mode, "order": order, "per_order": 0.0}});
        fs::write(scene.identity.join("standin.json"), settings.to_string()).unwrap();
    };
    mishap("hang", 2);
    scene.stage.run(&scene.identity, &["start", "-Dmigrate", "-Dcomponent=identity"]).unwrap();
    wait_until(PATIENCE, "order 2", || log(&scene.identity).contains("of order : 2 is starting")).unwrap();
    fleet::stop(&scene.identity).unwrap();
    assert!(scene.stage.witness("migration-end").unwrap().is_empty());
    assert!(!log(&scene.identity).contains("order : 3"));

    mishap("kill", 1);
    scene.stage.run(&scene.identity, &["-Dmigrate", "-Dcomponent=identity"]).unwrap();
    assert_eq!(scene.stage.witness("launch").unwrap().len(), 2);
    assert_eq!(scene.stage.witness("exit").unwrap().len(), 1, "a killed process witnesses no end");

    mishap("exit-121", 1);
    scene.migrate_identity();
    let begun = scene.stage.witness("migration-begin").unwrap();
    assert_eq!(begun.len(), 4, "the script launched the migration twice");
    assert_eq!(scene.stage.witness("migration-end").unwrap().len(), 1);
}

#[tokio::test]
async fn the_client_of_api_manager_ends_with_the_same_line_whatever_happened() {
    let scene = scene(&json!({"start": 0.3, "pid_file_after": 0.1, "migration": {"per_order": 0.0}})).await;
    let (manager, _) = scene.api_manager("am-1", &["Default"]);
    scene.put_am_client(&manager);
    let run = |settings: Value, options: &[&str]| {
        fs::write(manager.join("standin.json"), settings.to_string()).unwrap();
        let before = log(&manager).len();
        fleet::start(&manager, &scene.stage.jdk(), options).unwrap();
        fleet::stop(&manager).unwrap();
        let text = log(&manager)[before..].to_owned();
        assert!(text.contains("WSO2 API Manager migration component successfully activated."), "{text}");
        text
    };
    let from = ["-DmigrateFromVersion=3.1.0"];
    let text = run(json!({"migration": {"mode": "exception", "order": 4}}), &from);
    assert!(text.contains("API Management  exception occurred while migrating") && !text.contains("to 4.0.0"), "{text}");
    let text = run(json!({"migration": {"mode": "throwable", "order": 1}}), &from);
    assert!(text.contains("Throwable error"), "{text}");
    let text = run(json!({"migration": {"mode": "error", "order": 10}}), &from);
    assert!(
        text.contains("Error while Migrating Endpoint Certificates") && text.contains("Migrated Successfully to 4.0.0"),
        "{text}"
    );
    assert!(text.contains("Configured read only environment not found: Production and Sandbox"), "{text}");
    let text = run(json!({}), &[]);
    assert!(text.contains("Starting APIM Migration from APIM null"), "{text}");
    // Identity Server was never up: each of these starts is witnessed as one without it.
    assert_eq!(scene.stage.witness("started-without-is").unwrap().len(), 4);
}

#[tokio::test]
async fn a_gateway_without_a_database_is_told_by_the_control_plane() {
    let scene = scene(&json!({"start": 0.3, "pid_file_after": 0.1, "migration": {"per_order": 0.0}})).await;
    scene.put_client("5.10.0");
    scene.migrate_identity();
    scene.remove_client();
    fleet::start(&scene.identity, &scene.stage.jdk(), &[]).unwrap();
    let (manager, offset) = scene.api_manager("cp-1", &["Production and Sandbox"]);
    scene.put_am_client(&manager);
    fleet::start(&manager, &scene.stage.jdk(), &["-DmigrateFromVersion=3.1.0"]).unwrap();
    fleet::stop(&manager).unwrap();
    fs::remove_file(manager.join("repository/components/dropins").join(packs::AM_MIGRATION)).unwrap();
    fleet::start(&manager, &scene.stage.jdk(), &["-Dprofile=control-plane"]).unwrap();
    assert!(std::net::TcpStream::connect(("127.0.0.1", 8243 + offset)).is_err(), "a control plane serves no API");

    let (gateway, gateway_offset) = scene.api_manager("gw-1", &["Production and Sandbox"]);
    let hub = format!("https://localhost:{}/services/", 9443 + offset);
    let broker: toml_edit::Array = [format!("tcp://localhost:{}", 5672 + offset)].into_iter().collect();
    edit_toml(
        &gateway,
        [
            ("database.apim_db.type".to_owned(), value("h2")),
            ("apim.event_hub.service_url".to_owned(), value(hub)),
            ("apim.event_hub.event_listening_endpoints".to_owned(), value(broker.clone())),
            ("apim.throttling.throttle_decision_endpoints".to_owned(), value(broker)),
            ("server.server_role".to_owned(), value("gateway-worker")),
        ],
    )
    .unwrap();
    fleet::start(&gateway, &scene.stage.jdk(), &["-Dprofile=gateway-worker"]).unwrap();
    reached(8243 + gateway_offset, &[scene.bearer().await]).await;
    let ready = scene.stage.witness("ready").unwrap();
    let last = ready.last().unwrap();
    assert_eq!((last.profile.as_str(), &last.detail["server_role"]), ("gateway-worker", &json!("gateway-worker")));
    for home in [&gateway, &manager, &scene.identity] {
        fleet::stop(home).unwrap();
    }
}

#[tokio::test]
async fn a_new_server_on_an_old_schema_logs_what_it_misses() {
    let scene = scene(&json!({"start": 0.3, "pid_file_after": 0.1})).await;
    fleet::start(&scene.identity, &scene.stage.jdk(), &[]).unwrap();
    fleet::stop(&scene.identity).unwrap();
    let text = log(&scene.identity);
    for missing in ["Table 'identity_db.IDN_CORS_ORIGIN' doesn't exist", "Unknown column 'UM_TENANT.UM_TENANT_UUID'"] {
        assert!(text.contains(missing), "{text}");
    }
}

#[tokio::test]
async fn an_old_fleet_serves_calls_before_anything_is_upgraded() {
    let folder = tempfile::tempdir().unwrap();
    let database = MariaDb::start(folder.path()).unwrap();
    database.create("am_db", packs::AM_DB_SQL).unwrap();
    database.create("shared_db", packs::SHARED_DB_SQL).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_standin-java"));
    let stage = Stage::new(program, &json!({"start": 0.3, "pid_file_after": 0.1})).unwrap();
    let (identity, gateway) = (stage.offset().unwrap(), stage.offset().unwrap());
    let account = |name: &str| serde_json::to_value(database.account(name)).unwrap();
    let databases = json!({"apim_db": account("am_db"), "shared_db": account("shared_db")});
    let key_manager = format!("https://localhost:{}/services/", 9443 + identity);
    let fleet: OldFleet = serde_json::from_value(json!({
        "packs": stage.packs(), "jdk": stage.jdk(), "into": stage.path("fleet"),
        "nodes": [
            {"name": "is-1", "role": "is", "offset": identity, "databases": databases, "start": true},
            {"name": "gw-1", "role": "am", "profile": "gateway-worker", "offset": gateway, "databases": databases,
             "key_manager": key_manager, "start": true},
            {"name": "spare", "role": "am"},
        ],
    }))
    .unwrap();
    fleet.lay_out(|_| {}).unwrap();
    assert!(fleet.lay_out(|_| {}).is_err(), "a home is never made over another");

    let ready = stage.witness("ready").unwrap();
    let seen: Vec<_> = ready.iter().map(|line| (line.product.as_str(), line.version.as_str(), line.profile.as_str())).collect();
    assert_eq!(seen, [("wso2is", "5.10.0", "default"), ("wso2am", "3.1.0", "gateway-worker")]);
    let login = ["Authorization: Basic YWRtaW46YWRtaW4=".to_owned()];
    let peer = Address::of_url(&key_manager).unwrap();
    let (_, token) = peer.ask("POST", "/oauth2/token", &login, "grant_type=client_credentials").await.unwrap();
    let token: Value = serde_json::from_slice(&token).unwrap();
    reached(8243 + gateway, &[format!("Authorization: Bearer {}", token["access_token"].as_str().unwrap())]).await;

    fleet.stop().unwrap();
    assert_eq!(stage.witness("exit").unwrap().len(), 2);
    assert!(fleet.nodes.iter().all(|node| fleet::running(&node.home(&fleet.into)).is_none()));
}
