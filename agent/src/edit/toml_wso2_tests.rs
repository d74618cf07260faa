//! The recipe's edits on the products' own files (rows of the procedure: A2, A5, C1, C2, C8, D2, D3).

use cavalcade_common::action::TomlEdit;
use serde_json::{Value, json};

use super::fixture::{changes, wso2};
use super::toml;

const TOMLS: [&str; 5] = [
    "wso2is-5.11.0.deployment.toml",
    "wso2am-4.0.0.deployment.toml",
    "wso2am-4.0.0.template.control-plane.toml",
    "wso2am-4.0.0.template.gateway-worker.toml",
    "wso2am-4.0.0.template.traffic-manager.toml",
];

fn edit(fields: Value) -> TomlEdit {
    let mut all = json!({"file": "/deployment.toml"});
    if let (Some(all), Some(fields)) = (all.as_object_mut(), fields.as_object()) {
        all.extend(fields.clone());
    }
    serde_json::from_value(all).expect("a TOML edit")
}

/// Applies the edit twice, as it is and with CRLF and a byte order mark. Gives the lines that went and that came.
fn run(source: &[u8], fields: &Value) -> (String, Vec<String>, Vec<String>) {
    let edit = edit(fields.clone());
    let once = toml(source, &edit).expect("first run");
    assert_eq!(toml(&once, &edit).expect("second run"), once, "the second run changed something");
    assert_eq!(once.ends_with(b"\n"), source.ends_with(b"\n"));
    let windows = |bytes: &[u8]| {
        let text = std::str::from_utf8(bytes).expect("UTF-8").replace('\n', "\r\n");
        format!("\u{feff}{text}").into_bytes()
    };
    assert_eq!(toml(&windows(source), &edit).expect("CRLF and mark"), windows(&once));
    let (gone, new) = changes(source, &once);
    (String::from_utf8(once).expect("UTF-8"), gone, new)
}

fn control(path: &str, method: &str, scope: &str) -> Value {
    json!({"table": "resource.access_control", "identity": ["context", "http_method"], "values": {
        "context": path, "secure": true, "http_method": method,
        "permissions": format!("/permission/admin/manage/{scope}"), "scopes": format!("internal_{scope}")}})
}

fn key_manager_edit() -> Value {
    json!({"append": [
        {"table": "event_listener", "identity": ["id"], "values": {
            "id": "token_revocation",
            "type": "org.wso2.carbon.identity.core.handler.AbstractIdentityHandler",
            "name": "org.wso2.is.notification.ApimOauthEventInterceptor",
            "order": 1,
            "properties": {
                "notification_endpoint": "https://cp.example:9443/internal/data/v1/notify",
                "username": "${admin.username}",
                "password": "${admin.password}",
                "header.X-WSO2-KEY-MANAGER": "WSO2IS"}}},
        control("(.)/keymanager-operations/user-info/claims(.)", "GET", "user_mgt_list"),
        control("(.*)/keymanager-operations/user-info/claims/generate", "POST", "user_mgt_list"),
        control("(.*)/keymanager-operations/dcr/register", "POST", "application_mgt_create"),
        control("(.*)/keymanager-operations/dcr/register(.*)", "GET", "application_mgt_view"),
        control("(.*)/keymanager-operations/dcr/register(.*)", "PUT", "application_mgt_update"),
        control("(.*)/keymanager-operations/dcr/register(.*)", "DELETE", "application_mgt_delete")],
     "merge": {"tenant_context.rewrite": {"custom_webapps": ["/keymanager-operations/"]}}})
}

#[test]
fn a2_key_manager_tables_are_added_to_is() {
    let Some(source) = wso2("wso2is-5.11.0.deployment.toml") else { return };
    let (text, gone, new) = run(&source, &key_manager_edit());
    assert_eq!(gone, Vec::<String>::new());
    let added = &text[source.len()..];
    assert!(text.as_bytes().starts_with(&source), "all of it is added at the end");
    assert!(
        added.starts_with("\n[tenant_context.rewrite]\ncustom_webapps = [\"/keymanager-operations/\"]\n\n[[event_listener]]\n")
    );
    assert!(added.contains("order = 1\n\n[event_listener.properties]\nnotification_endpoint = \"https://cp.example"));
    assert!(added.contains("\n'header.X-WSO2-KEY-MANAGER' = \"WSO2IS\"\n\n[[resource.access_control]]\n"));
    assert_eq!(added.matches("\n\n[[resource.access_control]]\ncontext = ").count(), 6);
    assert_eq!(new.iter().filter(|l| !l.is_empty()).count(), 2 + 5 + 5 + 6 * 6);
}

#[test]
fn a2_the_listener_that_api_m_ships_is_updated_in_place() {
    for name in ["wso2am-4.0.0.deployment.toml", "wso2am-4.0.0.template.control-plane.toml"] {
        let Some(source) = wso2(name) else { return };
        let (text, gone, new) = run(&source, &key_manager_edit());
        assert_eq!(text.matches("[[event_listener]]").count(), 1);
        let endpoint = "notification_endpoint = \"https://localhost:${mgt.transport.https.port}/internal/data/v1/notify\"";
        assert_eq!(gone, [endpoint, "'header.X-WSO2-KEY-MANAGER' = \"default\""]);
        assert_eq!(new[0], "notification_endpoint = \"https://cp.example:9443/internal/data/v1/notify\"");
        assert_eq!(new[1], "'header.X-WSO2-KEY-MANAGER' = \"WSO2IS\"");
    }
}

#[test]
fn a5_health_check() {
    for name in TOMLS {
        let Some(source) = wso2(name) else { return };
        let (text, gone, new) = run(&source, &json!({"merge": {"carbon_health_check": {"enable": true}}}));
        // The last line of a file without a last line end gets one: that is a change of the line.
        assert_eq!(gone.len(), usize::from(!source.ends_with(b"\n")), "{name}");
        assert!(new.ends_with(&[String::new(), "[carbon_health_check]".to_owned(), "enable = true".to_owned()]), "{name}");
        assert!(text.as_bytes().starts_with(&source), "{name}");
    }
}

#[test]
fn c1_identity_db() {
    let Some(source) = wso2("wso2is-5.11.0.deployment.toml") else { return };
    let database = json!({"type": "mysql", "url": "jdbc:mysql://db:3306/am_db", "username": "am", "password": "pw"});
    let (text, gone, new) = run(&source, &json!({"merge": {"database.identity_db": database}}));
    assert_eq!(gone[0], "type = \"h2\"");
    assert_eq!(gone.len(), 4);
    let lines = ["type = \"mysql\"", "url = \"jdbc:mysql://db:3306/am_db\"", "username = \"am\"", "password = \"pw\""];
    assert_eq!(new, lines);
    assert!(text.contains("[database.shared_db]\ntype = \"h2\"\n"));
}

#[test]
fn c2_ldap_is_commented_out() {
    let Some(source) = wso2("wso2is-5.11.0.deployment.toml") else { return };
    let (text, ..) = run(&source, &json!({"comment_out": ["user_store"], "set": {"user_store.type": "database"}}));
    let source = String::from_utf8(source).expect("UTF-8");
    let (above, table) = source.split_once("[user_store]\n").expect("table");
    let (keys, below) = table.split_once("\n\n").expect("table's end");
    assert_eq!(keys.lines().count(), 5);
    let keys: String = keys.lines().map(|l| format!("#{l}\n")).collect();
    assert_eq!(text, format!("{above}#[user_store]\n{keys}\n[user_store]\ntype = \"database\"\n\n{below}"));
    // D15 afterwards: the value is replaced, nothing is commented out.
    let (_, gone, new) = run(text.as_bytes(), &json!({"set": {"user_store.type": "database_unique_id"}}));
    assert_eq!((gone.len(), new), (1, vec!["type = \"database_unique_id\"".to_owned()]));
}

#[test]
fn c8_admin_account() {
    for name in TOMLS {
        let Some(source) = wso2(name) else { return };
        let (_, gone, new) = run(&source, &json!({"set": {"super_admin.create_admin_account": false}}));
        assert_eq!(gone, ["create_admin_account = true"], "{name}");
        assert_eq!(new, ["create_admin_account = false"], "{name}");
    }
}

#[test]
fn d2_databases() {
    for name in TOMLS {
        let Some(source) = wso2(name) else { return };
        let database = |name: &str| {
            json!({"type": "mysql", "url": format!("jdbc:mysql://db/{name}"), "username": "u",
            "password": "p", "driver": "com.mysql.cj.jdbc.Driver", "validationQuery": "SELECT 1"})
        };
        let fields = json!({"merge": {"database.apim_db": database("am"), "database.shared_db": database("reg"),
            "database.user": database("um"), "realm_manager": {"data_source": "WSO2USER_DB"}}});
        let (text, gone, _) = run(&source, &fields);
        assert!(
            gone.iter()
                .all(|l| ["type", "url", "username", "password"].iter().any(|k| l.starts_with(k))
                    || source.ends_with(l.as_bytes())),
            "{name}: {gone:?}"
        );
        // The message broker's store keeps its default.
        let local = "[database.local]\nurl = \"jdbc:h2:./repository/database/WSO2CARBON_DB;DB_CLOSE_ON_EXIT=FALSE\"\n";
        assert_eq!(text.contains(local), String::from_utf8_lossy(&source).contains(local), "{name}");
        let after = text.split("[database.user]\n").nth(1).expect(name);
        assert!(after.starts_with("type = \"mysql\"\nurl = \"jdbc:mysql://db/um\"\n"), "{name}");
    }
}

#[test]
fn d3_resident_key_manager() {
    for name in TOMLS {
        let Some(source) = wso2(name) else { return };
        let fields =
            json!({"merge": {"apim.key_manager": {"service_url": "https://is.example:9443/services/", "type": "WSO2-IS"}}});
        let (text, gone, new) = run(&source, &fields);
        assert!(gone.iter().all(|l| l.starts_with("service_url") || source.ends_with(l.as_bytes())), "{name}: {gone:?}");
        let lines = ["service_url = \"https://is.example:9443/services/\"", "type = \"WSO2-IS\""];
        assert!(lines.iter().all(|l| new.iter().any(|n| n == l)), "{name}: {new:?}");
        assert_eq!(text.matches("\n[apim.key_manager]\n").count(), 1, "{name}");
        if name.contains("am-4.0.0.deployment") {
            assert!(gone.is_empty());
            let header = "allow_credentials = false\n\n[apim.key_manager]\nservice_url = ";
            assert!(text.contains(header) && text.contains("\"WSO2-IS\"\n\n#[apim.throttling]\n"), "{text}");
        }
    }
}

#[test]
fn d8_gateway_environment() {
    let Some(source) = wso2("wso2am-4.0.0.deployment.toml") else { return };
    let fields = json!({"set": {"apim.gateway.environment[name=Default].ws_endpoint": "ws://gw:9099",
        "apim.sync_runtime_artifacts.gateway.gateway_labels": ["Production and Sandbox"]}});
    let (_, gone, new) = run(&source, &fields);
    assert_eq!(gone, ["ws_endpoint = \"ws://localhost:9099\"", "gateway_labels =[\"Default\"]"]);
    assert_eq!(new, ["ws_endpoint = \"ws://gw:9099\"", "gateway_labels =[\"Production and Sandbox\"]"]);
}
