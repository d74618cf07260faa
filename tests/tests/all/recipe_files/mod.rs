//! The built-in recipe against the stand-ins' packs: every edit, unpack and copy of its plan, with the agent's own editors and
//! globs, in the plan's order. What it leaves is what the guide's rows ask for.

#![expect(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a failed helper fails its test")]

mod fixtures;
mod trial;

use std::{cell::RefCell, fs, path::Path};

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
    trial.run("cp-1", "migrate-am");
    let conf = trial.toml("cp-1");
    assert_eq!(text(&conf, "database/apim_db/url"), Some("jdbc:mysql://db/am_db?a=b&amp;c=d"));
    assert_eq!(text(&conf, "database/shared_db/driver"), Some("com.mysql.cj.jdbc.Driver"));
    assert_eq!(text(&conf, "apim/key_manager/service_url"), Some("https://is.example.com:9443/services/"));
    assert_eq!(text(&conf, "apim/key_manager/type"), Some("WSO2-IS"));
    let client = "repository/components/dropins/org.wso2.carbon.apimgt.migrate.client-4.0.0.jar";
    let home = trial.home("cp-1");
    assert!(home.join("migration-resources").is_dir() && home.join(client).is_file());
    let whole = Trial::of_standins().await;
    whole.run("cp-1", "none");
    assert_eq!(text(&whole.toml("cp-1"), "server/server_role"), Some("control-plane"));
    let home = whole.home("cp-1");
    assert!(!home.join("migration-resources").exists() && !home.join(client).exists());
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
async fn what_the_old_pack_deployed_stays_behind_and_what_was_removed_does_not_come_back() {
    let is = "wso2is-km-5.10.0";
    let server = "repository/deployment/server";
    let [changed, as_shipped] = packs::homes::DEPLOYED;
    let own = [
        format!("{server}/eventpublishers/own.xml"),
        format!("{server}/userstores/PARTNERS.xml"),
        format!("{server}/jaggeryapps/desk/jaggery.conf"),
        format!("{server}/services/a [b]*.aar"),
    ];
    let removed = [format!("{server}/userstores/GONE.xml"), "repository/tenants/1/userstores/GONE.xml".to_owned()];
    let inside = format!("{}/own.jag", packs::homes::JAGGERY_APP);
    let mut files = vec![(is, changed, "changed"), (is, inside.as_str(), "own"), (is, "repository/tenants/1/kept.xml", "kept")];
    files.extend(own.iter().chain(&removed).map(|path| (is, path.as_str(), "own")));
    let trial = Trial::with_files(&files).await;
    trial.run_beside(
        "is-1",
        "migrate-is",
        |_| {},
        |stage| {
            if stage.starts_with("stop-old") {
                for path in &removed {
                    fs::remove_file(trial.old_home("is-1").join(path)).unwrap();
                }
            }
        },
    );
    let home = trial.home("is-1");
    let text = |path: &str| fs::read_to_string(home.join(path)).unwrap();
    assert_eq!([changed, as_shipped].map(text), ["of 5.11.0\n"; 2], "the new pack's own stay");
    for path in &own {
        assert_eq!(text(path), "own", "{path}");
    }
    assert_eq!(text("repository/tenants/1/kept.xml"), "kept");
    for path in removed.iter().map(String::as_str).chain([packs::homes::JAGGERY_APP]) {
        assert!(!home.join(path).exists(), "{path}");
    }
    let told = trial.plan.remarks.join("\n");
    assert!(told.contains(changed) && told.contains(packs::homes::JAGGERY_APP) && !told.contains(as_shipped), "{told}");
}

/// D12: whatever the file is called, it is there for the index and gone behind it.
#[tokio::test]
async fn the_tenant_loader_goes_again_under_any_name() {
    let tenant = [("wso2am-3.1.0", "repository/tenants/1/axis2services/README", "of the tenant")];
    for name in [packs::TENANT_LOADER, "tenantloader-4.0.0.jar", "com.example.loader.jar"] {
        let trial = Trial::with_artifacts(&tenant, &[("tenantloader", name, packs::TENANT_LOADER)]).await;
        let dropins = trial.home("cp-1").join("repository/components/dropins");
        let seen = RefCell::new(Vec::new());
        let look = |stage: &str| seen.borrow_mut().push((stage.to_owned(), dropins.join(name).is_file()));
        trial.run_beside(
            "cp-1",
            "none",
            |_| {},
            |stage| {
                if stage.ends_with("-index") {
                    look(stage)
                }
            },
        );
        look("the end");
        let seen = seen.borrow();
        let told: Vec<(&str, bool)> = seen.iter().map(|(stage, there)| (stage.as_str(), *there)).collect();
        assert_eq!(told, [("build-index", false), ("stop-index", true), ("the end", false)], "{name}");
        assert!(dropins.join("shipped-bundle_1.0.0.jar").is_file(), "{name}: it alone is gone");
    }
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
