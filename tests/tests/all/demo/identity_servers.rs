//! Rows A1 to A5, C1, C2, C8 to C14.

use cavalcade_tests::standin::{fleet::running, packs};

use super::stage::{Demo, IDENTITY_SERVERS, item, text};

pub(super) fn set_up(demo: &Demo) {
    for node in IDENTITY_SERVERS {
        a1_unpacked(demo, node);
        a2_key_manager_settings(demo, node);
        a3_a4_connector(demo, node);
        let toml = demo.toml(node);
        assert_eq!(item(&toml, "carbon_health_check.enable").and_then(toml_edit::Item::as_bool), Some(true), "A5 {node}");
        let url = text(&toml, "database.identity_db.url").unwrap();
        assert!(url.contains("/am_db?"), "C1 {node}: {url}");
        assert_eq!(text(&toml, "database.identity_db.username"), Some("wso2carbon"), "C1 {node}");
        c2_user_store(demo, node);
        let created = item(&toml, "super_admin.create_admin_account").and_then(toml_edit::Item::as_bool);
        assert_eq!(created, Some(false), "C8 {node}");
    }
    for (row, step) in [
        ("A1", "unpack"),
        ("A2", "key-manager-settings"),
        ("A3", "connector-core"),
        ("A4", "connector-webapp"),
        ("A5", "health-check"),
        ("C1", "identity-database"),
        ("C8", "keep-admin-account"),
        ("C14", "start"),
    ] {
        assert_eq!(demo.nodes_of(row, step), IDENTITY_SERVERS, "{row}");
    }
    assert_eq!(demo.has_step("C2", "user-store-jdbc"), demo.full, "C2 is done where users are in a database");
}

fn a1_unpacked(demo: &Demo, node: &str) {
    let home = demo.new_home(node);
    let version = std::fs::read_to_string(home.join("bin/version.txt")).unwrap();
    assert_eq!(version.trim(), "WSO2 Identity Server v5.11.0", "A1 {node}");
    assert!(home.with_file_name(".wso2is-5.11.0.cavalcade.json").is_file(), "A1 {node}: the manifest of what we made");
}

fn a2_key_manager_settings(demo: &Demo, node: &str) {
    let toml = demo.toml(node);
    let listeners = item(&toml, "event_listener").unwrap().as_array_of_tables().unwrap();
    let ours: Vec<_> = listeners.iter().filter(|l| l.get("id").and_then(|id| id.as_str()) == Some("token_revocation")).collect();
    assert_eq!(ours.len(), 1, "A2 {node}");
    let properties = ours[0].get("properties").unwrap();
    let property = |key: &str| properties.get(key).and_then(|value| value.as_str()).map(str::to_owned);
    let notify = format!("{}/internal/data/v1/notify", demo.host(if demo.full { "pub-1" } else { "am-1" }).url(9443));
    assert_eq!(property("notification_endpoint"), Some(notify), "A2 {node}: host and port come from the fleet");
    assert_eq!(property("header.X-WSO2-KEY-MANAGER").as_deref(), Some("WSO2IS"), "A2 {node}");
    assert_eq!(property("username").as_deref(), Some("${admin.username}"), "A2 {node}");
    let access = item(&toml, "resource.access_control").unwrap().as_array_of_tables().unwrap();
    let context =
        |t: &toml_edit::Table| t.get("context").and_then(|c| c.as_str()).is_some_and(|c| c.contains("keymanager-operations"));
    assert_eq!(access.iter().filter(|table| context(table)).count(), 6, "A2 {node}");
    let webapps = item(&toml, "tenant_context.rewrite.custom_webapps").unwrap().as_array().unwrap();
    assert_eq!(webapps.iter().filter_map(|w| w.as_str()).collect::<Vec<_>>(), ["/keymanager-operations/"], "A2 {node}");
}

fn a3_a4_connector(demo: &Demo, node: &str) {
    let dropins = "repository/components/dropins";
    for start in ["wso2is.key.manager.core-", "wso2is.notification.event.handlers-"] {
        assert_eq!(demo.found(node, dropins, start, ".jar").len(), 1, "A3 {node}: one version of {start}");
    }
    let webapps = demo.found(node, "repository/deployment/server/webapps", "keymanager-operations", ".war");
    assert_eq!(webapps, ["keymanager-operations.war"], "A4 {node}");
}

fn c2_user_store(demo: &Demo, node: &str) {
    let toml = demo.toml(node);
    let store = item(&toml, "user_store").unwrap().as_table().unwrap();
    let ldap = demo.toml_text(node).lines().filter(|line| line.starts_with('#') && line.contains("ldap")).count();
    if demo.full {
        // C15 brought back what the old JDBC store had beside its type; none of the directory's keys is there.
        let keys: Vec<&str> = store.iter().map(|(key, _)| key).collect();
        assert_eq!((keys, text(&toml, "user_store.type")), (vec!["type", "properties"], Some("database")), "C2 {node}");
        assert!(ldap > 0, "C2 {node}: the default table is commented out, not gone");
    } else {
        assert!(text(&toml, "user_store.type").unwrap().contains("ldap"), "C2 {node}: users stay in the directory");
        assert_eq!(ldap, 0, "C2 {node}");
    }
}

pub(super) fn migrated_once(demo: &Demo) {
    assert_eq!(demo.nodes_of("C9", "client-jar"), ["is-1"]);
    let diff = |row: &str, name: &str| {
        let step = demo.row(row).into_iter().find(|step| step.name == name).unwrap();
        demo.outcome(&step)["diffs"][0]["diff"].as_str().unwrap().to_owned()
    };
    let changed = |diff: &str, sign: char| {
        let lines = diff.lines().filter(|line| line.starts_with(sign));
        lines.map(|line| line[1..].trim().to_owned()).collect::<Vec<_>>()
    };
    let versions = diff("C10", "client-versions");
    // What the pack says already is not written again.
    for wanted in ["migrationEnable: \"true\"", "currentVersion: \"5.10.0\"", "migrateVersion: \"5.11.0\""] {
        let stood = packs::MIGRATION_CONFIG.lines().any(|line| line.trim() == wanted);
        assert!(stood || changed(&versions, '+').contains(&wanted.to_owned()), "C10: {wanted} in {versions}");
    }
    let removed = diff("C11", "client-migrators");
    let names: Vec<String> = changed(&removed, '-').into_iter().filter(|line| line.starts_with("name:")).collect();
    assert_eq!(names, ["name: \"MigrationValidator\"", "name: \"SchemaMigrator\"", "name: \"TenantPortalMigrator\""], "C11");
    assert_eq!(changed(&removed, '+'), Vec::<String>::new(), "C11: the rest stays as it is");

    let home = demo.new_home("is-1");
    let begun: Vec<_> = demo.lines("migration-begin").into_iter().filter(|line| line.detail["migration"] == "identity").collect();
    assert_eq!(begun.len(), 1, "C12: once");
    assert_eq!(std::path::Path::new(&begun[0].home), home);
    let orders: Vec<u64> =
        demo.lines_of("migration-order", &home).iter().filter_map(|line| line.detail["order"].as_u64()).collect();
    assert_eq!(orders, (1..=17).collect::<Vec<u64>>(), "C12");
    let ended = demo.lines_of("migration-end", &home);
    assert!(ended.len() == 1 && ended[0].detail["ok"] == true, "C12: {ended:?}");
    let found = |name: &str| demo.sql("am_db", &format!("SHOW TABLES LIKE '{name}'"));
    assert_eq!(
        (found("IDN_CORS_ORIGIN"), found("IDN_REMOTE_FETCH_CONFIG")),
        ("IDN_CORS_ORIGIN".into(), "IDN_REMOTE_FETCH_CONFIG".into())
    );
    let users = if demo.full { "user_db" } else { "shared_db" };
    assert_eq!(demo.sql(users, "SHOW COLUMNS FROM UM_TENANT LIKE 'UM_TENANT_UUID'").split('\t').next(), Some("UM_TENANT_UUID"));
    assert_eq!(demo.sql(users, "SHOW TABLES LIKE 'UM_HYBRID_GROUP_ROLE'"), "UM_HYBRID_GROUP_ROLE", "C12");

    // Stopped behind its end, and nothing of the client is left.
    let exited = demo.lines_of("exit", &home);
    assert_eq!((exited.len(), exited[0].pid), (1, begun[0].pid), "C13");
    assert!(exited[0].t > ended[0].t, "C13");
    for node in IDENTITY_SERVERS {
        assert_eq!(
            demo.found(node, "repository/components/dropins", "org.wso2.carbon.is.migration-", ".jar"),
            Vec::<String>::new()
        );
        assert!(!demo.new_home(node).join("migration-resources").exists(), "C13 {node}");
    }
}

pub(super) async fn up(demo: &Demo) {
    for node in IDENTITY_SERVERS {
        let home = demo.new_home(node);
        let launches = demo.lines_of("launch", &home);
        let normal: Vec<_> = launches.iter().filter(|line| !line.detail["args"].to_string().contains("-Dmigrate")).collect();
        assert_eq!(normal.len(), 1, "C14 {node}");
        assert_eq!(running(&home), i32::try_from(normal[0].pid).ok(), "C14 {node}: it is up");
        let (status, body) = demo.get(node, 9443, "/api/health-check/v1.0/health").await;
        assert!(status == 200 && !body.trim().is_empty(), "A5 {node}: {status} {body:?}");
    }
    assert_eq!(demo.nodes_of("D9", "ready"), IDENTITY_SERVERS);
}
