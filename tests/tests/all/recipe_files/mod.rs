//! The built-in recipe against the stand-ins' packs: every edit, unpack and copy of its plan, with the agent's own editors and
//! globs, in the plan's order. What it leaves is what the guide's rows ask for.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper fails its test")]

mod fixtures;
mod trial;

use std::{fs, path::Path};

use cavalcade_common::action::Action;
use cavalcade_tests::standin::packs;
use toml_edit::{DocumentMut, Item};

use trial::Trial;

fn text<'d>(document: &'d DocumentMut, path: &str) -> Option<&'d str> {
    let mut item: &Item = document.as_item();
    for part in path.split('/') {
        item = item.get(part)?;
    }
    item.as_str()
}

#[tokio::test]
async fn an_identity_server_is_set_up_as_the_guide_says() {
    let trial = Trial::of_standins().await;
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
        "repository/components/dropins/wso2is.notification.event.handlers-1.0.15.jar",
        "repository/deployment/server/webapps/keymanager-operations.war",
        "repository/components/dropins/org.wso2.carbon.is.migration-1.0.147.jar",
        "repository/components/lib/mysql-connector-java-8.0.28.jar",
        "migration-resources/5.11.0/dbscripts/step1/um/mysql.sql",
        "bin/wso2server.sh",
    ] {
        assert!(home.join(file).is_file(), "{file}");
    }
}

/// What the site added to the old settings, beside what the old pack shipped.
const OWN: &str = "[user_store.properties]\nPasswordDigest = \"SHA-512\"\nCaseInsensitiveUsername = false\n\
    [[event_listener]]\nid = \"own\"\nname = \"com.example.Listener\"\norder = 9\n";

#[tokio::test]
async fn a_jdbc_store_keeps_its_settings_and_no_shipped_element_comes_along() {
    let trial = Trial::of_standins_with(OWN).await;
    trial.run("is-1", "migrate-is");
    trial.run("cp-1", "none");
    for node in ["is-1", "cp-1"] {
        let conf = trial.toml(node);
        assert_eq!(text(&conf, "user_store/type"), Some("database"), "{node}");
        assert_eq!(text(&conf, "user_store/properties/PasswordDigest"), Some("SHA-512"), "{node}");
        assert_eq!(conf["user_store"]["properties"]["CaseInsensitiveUsername"].as_bool(), Some(false), "{node}");
        assert!(text(&conf, "user_store/connection_url").is_none(), "{node}");
    }
    let conf = trial.toml("is-1");
    let listeners = conf["event_listener"].as_array_of_tables().unwrap().iter();
    let ids: Vec<&str> = listeners.filter_map(|l| l.get("id")?.as_str()).collect();
    assert_eq!(ids, ["own", "token_revocation"], "IS-KM's disabled listener is the old pack's own");
}

#[tokio::test]
async fn the_migration_configuration_loses_three_items_and_nothing_else() {
    let trial = Trial::of_standins().await;
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

#[tokio::test]
async fn an_api_manager_is_set_up_as_the_guide_says() {
    let trial = Trial::of_standins().await;
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

#[tokio::test]
async fn what_changed_between_the_set_up_and_the_stop_comes_along() {
    let store = "repository/deployment/server/userstores/PARTNERS.xml";
    let (later, tenants) = ("repository/deployment/server/userstores/LATER.xml", "repository/tenants/1/userstores/BRANCH.xml");
    let key_store = "repository/resources/security/partners.jks";
    let is = "wso2is-km-5.10.0";
    let files = [(is, store, "first"), (is, tenants, "first"), ("wso2am-3.1.0", key_store, "first")];
    let trial = Trial::with_files(&files).await;
    let change = |stage: &str, of: &str, paths: &[&str]| {
        if stage.starts_with("stop-old") {
            for path in paths {
                fs::write(trial.old_home(of).join(path), "changed").unwrap();
            }
        }
    };
    let arrived = |node: &str, path: &str| fs::read_to_string(trial.home(node).join(path)).unwrap();
    trial.run_beside("is-1", "migrate-is", |_| {}, |stage| change(stage, "is-1", &[store, later, tenants]));
    for path in [store, later, tenants] {
        assert_eq!(arrived("is-1", path), "changed", "{path}");
    }
    trial.run_beside("gw-1", "none", |_| {}, |stage| change(stage, "gw-1", &[key_store]));
    assert_eq!(arrived("gw-1", key_store), "changed");
    let conf = trial.toml("is-1");
    assert_eq!(conf["super_admin"]["create_admin_account"].as_bool(), Some(false), "settings are not copied again");
    assert!(trial.home("is-1").join("repository/deployment/server/webapps/keymanager-operations.war").is_file());
}

#[tokio::test]
async fn start_scripts_of_the_probes_are_in_the_packs() {
    let trial = Trial::of_standins().await;
    trial.run("is-1", "none");
    trial.run("gw-1", "none");
    let mut looked = 0;
    for (_, step) in trial.plan.steps().filter(|(s, _)| s.id.as_str().starts_with("start-")) {
        let Action::Server(server) = &step.action else { continue };
        if Path::new(&server.home).is_dir() {
            assert!(Path::new(&server.home).join(&server.script).is_file(), "{}", server.script);
            looked += 1;
        }
    }
    assert!(looked >= 2, "{looked} starts of homes that were made");
}
