//! Migration clients that lie, each in its way, before the real job: none passes for a success, and each is told apart by how the
//! attempt ended and by what is said of it.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::{fs, path::PathBuf, time::Duration};

use cavalcade_controller::recipe::BUILT_IN;
use cavalcade_tests::standin::{
    fleet::{self, edit_toml},
    packs,
    stage::log,
};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};
use toml_edit::value;

use super::{
    machine::{Ran, names},
    migration::Scene,
};

/// Everything that was said of the step `migrate`.
fn said(ran: &Ran) -> String {
    ran.step("migrate").to_string()
}

/// The one migration of a scene, which fails; its server, where one is left, is stopped.
async fn failed(migration: Value, before: impl FnOnce(&Scene)) -> (Scene, String) {
    let scene = Scene::new(migration).await;
    scene.run("script.yaml", &[]).ended(0);
    before(&scene);
    let ran = scene.run("migrate.yaml", &[]).ended(1);
    assert_eq!(ran.outcomes(), [("migrate", "failed"), ("stop", "not-run")], "{ran:#?}");
    fleet::stop(&scene.identity).unwrap();
    let said = said(&ran);
    (scene, said)
}

const SUCCESS: &str = "Execution was done through all the requested version list without having unexpected issues";

#[tokio::test]
async fn a_success_line_after_an_error_fails_for_the_error() {
    let (scene, said) = failed(json!({ "per_order": 0.0, "mode": "error", "order": 12 }), |_| ()).await;
    assert!(log(&scene.identity).contains(SUCCESS), "the client says that all went well");
    assert!(said.contains("no line that matches") && said.contains("ClaimDataMigrator"), "{said}");
    assert_eq!(scene.begun(), 1);
}

/// Values under an algorithm that the client has no name for stay as they were, with a warning and the success line.
#[tokio::test]
async fn a_value_that_was_not_opened_fails_for_a_warning() {
    let (secret, algorithm) = ("{rsa:shipped}portalSecret", "RSA/ECB/PKCS1Padding");
    let (scene, said) = failed(json!({ "per_order": 0.0 }), |scene| {
        let encrypted =
            format!("UPDATE IDN_OAUTH_CONSUMER_APPS SET CONSUMER_SECRET = '{secret}' WHERE CONSUMER_KEY = 'portalKey'");
        scene.database.run("am_db", &encrypted).unwrap();
        let config = scene.identity.join("migration-resources/migration-config.yaml");
        let text = fs::read_to_string(&config).unwrap();
        let (before, block) = text.split_once("name: \"EncryptionAdminFlowMigrator\"").unwrap();
        let block = block.replacen("RSA/ECB/OAEPwithSHA1andMGF1Padding", algorithm, 1);
        fs::write(config, format!("{before}name: \"EncryptionAdminFlowMigrator\"{block}")).unwrap();
        let steps = fs::read_to_string(scene.machine.path("migrate.yaml")).unwrap();
        let (head, tail) = (steps.split("    evidence:\n").next().unwrap(), steps.split("    progress:").nth(1).unwrap());
        let recipes = format!("{head}    evidence: {}\n    progress:{tail}", evidence("migrate-is"));
        scene.machine.write("migrate.yaml", recipes);
    })
    .await;
    let text = log(&scene.identity);
    assert!(text.contains(SUCCESS) && !text.contains("ERROR {org.wso2.carbon.is.migration"), "{text}");
    assert!(said.contains(&format!("Error while decrypting using '{algorithm}'")), "{said}");
    let left = "SELECT COUNT(*) FROM IDN_OAUTH_CONSUMER_APPS WHERE CONSUMER_SECRET = '{rsa:shipped}portalSecret'";
    assert_eq!(scene.database.number("am_db", left).await.unwrap(), 1, "it was left");
}

#[tokio::test]
async fn a_version_that_fits_no_block_fails_for_the_orders_that_never_ran() {
    let (scene, said) = failed(json!({ "per_order": 0.0 }), |scene| {
        let config = scene.identity.join("migration-resources/migration-config.yaml");
        let text = fs::read_to_string(&config).unwrap();
        fs::write(config, text.replacen("currentVersion: \"5.10.0\"", "currentVersion: \"5.10.1\"", 1)).unwrap();
    })
    .await;
    let text = log(&scene.identity);
    assert!(text.contains(SUCCESS) && text.contains("Start Version : 5.10.0 to 5.11.0") && !text.contains(" ERROR "), "{text}");
    assert_eq!(scene.stage.witness("migration-end").unwrap()[0].detail["ran"], json!(false));
    assert!(said.contains("1 to 17") || said.contains("none"), "{said}");
    assert!(!said.contains("ended with exit code"), "{said}");
}

#[tokio::test]
async fn an_exception_that_stops_the_client_fails_for_what_it_says() {
    let (scene, said) = failed(json!({ "per_order": 0.0, "mode": "exception", "order": 3 }), |_| ()).await;
    assert!(log(&scene.identity).contains("Migration process was stopped."), "{said}");
    assert!(said.contains("MigrationClientImpl"), "{said}");
}

#[tokio::test]
async fn a_jvm_that_was_killed_fails_although_its_script_ends_with_0() {
    let (scene, said) = failed(json!({ "per_order": 0.0, "mode": "kill", "order": 6 }), |_| ()).await;
    assert!(said.contains("exit code 0 before it said that its work had ended"), "{said}");
    assert_eq!(scene.stage.witness("exit").unwrap().len(), 0, "a killed process witnesses no end");
    assert_eq!(scene.begun(), 1);
}

#[tokio::test]
async fn exit_121_never_migrates_again() {
    let (scene, said) = failed(json!({ "per_order": 0.0, "mode": "exit-121", "order": 6 }), |_| ()).await;
    assert!(said.contains("second launch (exit 121), which was refused"), "{said}");
    assert_eq!((scene.begun(), scene.stage.witness("launch").unwrap().len()), (1, 1), "the script's second launch is refused");
}

#[tokio::test]
async fn a_hang_is_no_end_and_is_left_alone() {
    let scene = Scene::new(json!({ "per_order": 0.0, "mode": "hang", "order": 2 })).await;
    scene.run("script.yaml", &[]).ended(0);
    let file = scene.machine.path("migrate.yaml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("    home: '", "    alarm_after: 1s\n    home: '", 1)).unwrap();
    let arguments = scene.arguments("migrate.yaml");
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let started = scene.machine.start(&arguments);
    let err = || fs::read_to_string(scene.machine.path("err")).unwrap();
    started.until("the alarm", || err().contains("ALARM") && log(&scene.identity).contains("of order : 2 is starting"));
    std::thread::sleep(Duration::from_secs(2));
    let server = fleet::running(&scene.identity);
    assert!(server.is_some() && scene.stage.witness("term").unwrap().is_empty(), "the alarm touches nothing");
    assert!(!log(&scene.identity).contains("of order : 3"), "it hangs");
    // A person gives it up.
    kill(Pid::from_raw(server.unwrap()), Signal::SIGTERM).unwrap();
    let ended = started.end().ended(1);
    let said = said(&ended);
    assert!(said.contains("before it said that its work had ended") && !said.contains("second launch"), "{said}");
    assert_eq!(scene.begun(), 1);
}

const MIGRATE_AM: &str = r"
- step: migrate
  row: D10
  job:
    effect: am-3.1.0-to-4.0.0
    home: '{{ node.new.home }}'
    command: [bin/api-manager.sh, -DmigrateFromVersion=3.1.0]
    databases: [am_db, shared_db]
    log: repository/logs/wso2carbon.log
    ends: ['WSO2 Carbon started in (\d+) sec', 'WSO2 Carbon initialization Failed']
    evidence: EVIDENCE
";

/// The evidence that the built-in recipe asks of the migration of a stage, in one line.
fn evidence(stage: &str) -> String {
    let (_, text) = BUILT_IN.iter().find(|(name, _)| name.contains("is-km")).unwrap();
    let recipe: Value = serde_yaml::from_str(text).unwrap();
    let of = |list: &Value, key: &str, name: &str| list.as_array().unwrap().iter().find(|e| e[key] == name).unwrap().clone();
    of(&of(&recipe["stages"], "stage", stage)["steps"], "step", "migrate")["job"]["evidence"].to_string()
}

/// An API Manager ready to be migrated, beside a scene whose Identity Server is up.
fn manager(scene: &Scene) -> PathBuf {
    let identity = scene.stage.offset().unwrap();
    let toml = [("server.offset", value(i64::from(identity))), ("carbon_health_check.enable", value(true))];
    edit_toml(&scene.identity, toml.map(|(key, item)| (key.to_owned(), item))).unwrap();
    fleet::start(&scene.identity, &scene.stage.jdk(), &[]).unwrap();
    let (home, _) = scene.stage.home("am-1", packs::AM_PACK).unwrap();
    let mut toml = scene.database.account("am_db").settings("apim_db");
    toml.extend(scene.database.account("shared_db").settings("shared_db"));
    let url = format!("https://localhost:{}", 9443 + identity);
    toml.push(("apim.key_manager.service_url".to_owned(), value(format!("{url}/services/"))));
    edit_toml(&home, toml).unwrap();
    let toml = home.join("repository/conf/deployment.toml");
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(toml, text.replace("name = \"Default\"", "name = \"Production and Sandbox\"")).unwrap();
    let components = home.join("repository/components");
    for (name, folder) in [(packs::DRIVER, "lib"), (packs::AM_MIGRATION, "dropins")] {
        fs::copy(scene.stage.packs().join(name), components.join(folder).join(name)).unwrap();
    }
    let is: Value = serde_json::from_slice(&fs::read(scene.machine.path("names.json")).unwrap()).unwrap();
    let mut names = names(&scene.stage, "api-manager", &home, "bin/api-manager.sh");
    names["databases"] = is["databases"].clone();
    names["artifacts"] = is["artifacts"].clone();
    names["needs"] =
        json!({ "is": { "ready": { "nodes": ["is-1"], "via": [{ "url": format!("{url}/api/health-check/v1.0/health") }] } } });
    scene.machine.write("names.json", names.to_string());
    scene.machine.write("migrate.yaml", MIGRATE_AM.replace("EVIDENCE", &evidence("migrate-am")));
    home
}

async fn manager_failed(migration: Value) -> (Scene, PathBuf, String) {
    let scene = Scene::new(json!({ "per_order": 0.0 })).await;
    scene.run("script.yaml", &[]).ended(0);
    let home = manager(&scene);
    fs::write(home.join("standin.json"), json!({ "migration": migration }).to_string()).unwrap();
    let ran = scene.run("migrate.yaml", &[]).ended(1);
    assert_eq!(ran.outcomes(), [("migrate", "failed")], "{ran:#?}");
    fleet::stop(&home).unwrap();
    fleet::stop(&scene.identity).unwrap();
    let said = said(&ran);
    (scene, home, said)
}

const ACTIVATED: &str = "WSO2 API Manager migration component successfully activated.";

#[tokio::test]
async fn the_client_of_api_manager_is_not_believed_either() {
    for (mode, order, reason) in [
        ("error", 10, "Error while Migrating Endpoint Certificates"),
        ("error", 4, "Error while intitiation the registry"),
        ("error", 6, "Error while migrating WebSocket APIs"),
        // Known by its class alone, which the console shortens.
        ("error", 3, "ERROR - MigrateFrom310"),
        ("exception", 4, "exception occurred while migrating"),
        ("throwable", 1, "Throwable error"),
    ] {
        let (_scene, home, said) = manager_failed(json!({ "mode": mode, "order": order, "per_order": 0.0 })).await;
        assert!(log(&home).contains(ACTIVATED), "{mode}: the last line is always the same");
        assert!(said.contains(reason), "{mode}: {said}");
    }
}

#[tokio::test]
async fn a_killed_or_restarted_api_manager_migrates_once() {
    for (mode, reason) in [("kill", "before it said that its work had ended"), ("exit-121", "second launch (exit 121)")] {
        let (scene, home, said) = manager_failed(json!({ "mode": mode, "order": 9, "per_order": 0.0 })).await;
        assert!(said.contains(reason), "{mode}: {said}");
        assert!(!log(&home).contains(ACTIVATED), "{mode}");
        assert_eq!(scene.begun(), 1, "{mode}");
    }
}
