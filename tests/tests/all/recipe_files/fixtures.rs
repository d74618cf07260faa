//! The edits of the recipe on the files that the vendor shipped: what the document means afterwards, and which lines moved.
//! The old settings are those of a fleet on MySQL. Without `CAVALCADE_WSO2_FIXTURES` the files are not there, and these tests
//! say so; the same code runs on smaller files in the tests beside this one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use cavalcade_common::{
    plan::{Fate, Setting},
    settings::settings,
};
use serde_json::{Value, json};

use super::trial::{CONFIG, OldFiles, Trial};

fn fixture(name: &str) -> Option<String> {
    let Some(folder) = std::env::var_os("CAVALCADE_WSO2_FIXTURES") else {
        println!("not run: CAVALCADE_WSO2_FIXTURES is not set");
        return None;
    };
    Some(fs::read_to_string(PathBuf::from(folder).join(name)).unwrap())
}

async fn trial() -> Option<Trial> {
    trial_with("", "").await
}

/// With more options and nodes than the example fleet has.
async fn trial_with(options: &str, nodes: &str) -> Option<Trial> {
    let old = [
        ("wso2is-km-5.10.0", fixture("wso2is-km-5.10.0.mysql.deployment.toml")?),
        ("wso2am-3.1.0", fixture("wso2am-3.1.0.mysql.deployment.toml")?),
    ];
    let shipped = [
        ("is_old_pack", fixture("wso2is-km-5.10.0.deployment.toml")?),
        ("am_old_pack", fixture("wso2am-3.1.0.deployment.toml")?),
    ];
    let options = format!("  is_user_store_type: database\n{options}");
    Some(Trial::new(OldFiles { settings: &old, shipped: &shipped, options: &options, nodes, artifacts: &[], files: &[] }).await)
}

/// Runs everything that changes files on a node whose pack holds `new` as its settings. Gives the text before and after.
async fn edited(node: &str, new: &str, until: &str) -> Option<(String, String)> {
    let (trial, before) = (trial().await?, fixture(new)?);
    trial.run_on(node, until, |home| fs::write(home.join(CONFIG), &before).unwrap());
    let after = fs::read_to_string(trial.home(node).join(CONFIG)).unwrap();
    Some((before, after))
}

/// That exactly these settings differ, `null` for one that is gone; and that no line moved that none of them explains.
fn assert_only(before: &str, after: &str, expected: &[(&str, Value)]) {
    let (old, new) = (settings(before).unwrap(), settings(after).unwrap());
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let differ = keys.into_iter().filter(|key| old.get(*key) != new.get(*key));
    let found: BTreeMap<&str, Value> = differ.map(|key| (key.as_str(), new.get(key).cloned().unwrap_or_default())).collect();
    assert_eq!(found, expected.iter().map(|(key, value)| (*key, value.clone())).collect());
    only_these_lines(before, after, expected);
}

fn only_these_lines(before: &str, after: &str, expected: &[(&str, Value)]) {
    let parts: BTreeSet<String> = expected.iter().flat_map(|(key, value)| names(key, value)).collect();
    let mine = |line: &str| {
        let line = line.trim_start_matches('#').trim();
        let name = line.split('=').next().unwrap_or_default().trim().trim_matches(['"', '\'', '[', ']']);
        line.is_empty() || parts.contains(name.rsplit('.').next().unwrap_or_default()) || parts.contains(name)
    };
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    // What no setting explains is the same text in the same order; what the settings mean is compared above.
    let untouched = |lines: &[&str]| -> Vec<String> {
        lines.iter().filter(|l| !l.trim().is_empty() && !mine(l)).map(|l| (*l).to_owned()).collect()
    };
    assert_eq!(untouched(&new), untouched(&old));
}

/// Every name in a key and in the tables that it holds.
fn names(key: &str, value: &Value) -> Vec<String> {
    let mut all: Vec<String> = key.split('.').map(|part| part.trim_matches('"').to_owned()).collect();
    all.push(key.to_owned());
    let mut open = vec![value];
    while let Some(value) = open.pop() {
        match value {
            Value::Array(items) => open.extend(items),
            Value::Object(map) => {
                all.extend(map.keys().flat_map(|k| k.split('.').map(str::to_owned).chain([k.clone()])));
                open.extend(map.values());
            }
            _ => {}
        }
    }
    all
}

fn mysql(table: &str, url: &str) -> Vec<(String, Value)> {
    let key = |name: &str| format!("database.{table}.{name}");
    vec![
        (key("type"), json!("mysql")),
        (key("url"), json!(url)),
        (key("driver"), json!("com.mysql.cj.jdbc.Driver")),
        (key("password"), json!("\u{2039}secret:server_password\u{203a}")),
    ]
}

const AM_DB: &str = "jdbc:mysql://mysql:3306/WSO2AM_DB?autoReconnect=true&amp;useSSL=false";
const SHARED_DB: &str = "jdbc:mysql://mysql:3306/WSO2AM_SHARED_DB?autoReconnect=true&amp;useSSL=false";
const KEY: &str = "\u{2039}secret:encryption_key\u{203a}";

/// With the databases' settings, which no text here has to repeat.
fn with_databases<'k>(more: &[(&'k str, Value)], databases: &'k [(String, Value)]) -> Vec<(&'k str, Value)> {
    databases.iter().map(|(key, value)| (key.as_str(), value.clone())).chain(more.iter().cloned()).collect()
}

#[tokio::test]
async fn an_identity_server_gets_what_the_rows_say_and_no_line_more() {
    let Some((before, after)) = edited("is-2", "wso2is-5.11.0.deployment.toml", "none").await else { return };
    let databases = [mysql("identity_db", AM_DB), mysql("shared_db", SHARED_DB)].concat();
    let new = settings(&after).unwrap();
    // The values of A2 are compared with the guide in the tests of the stand-ins; here that they are there, each once.
    let (listeners, access) = (&new["event_listener"], &new["resource.access_control"]);
    assert_eq!(listeners.as_array().unwrap().iter().filter(|l| l["id"] == "token_revocation").count(), 1);
    assert_eq!(access.as_array().unwrap().len(), 6);
    let expected = [
        ("event_listener", listeners.clone()),
        ("resource.access_control", access.clone()),
        ("tenant_context.rewrite.custom_webapps", json!(["/keymanager-operations/"])),
        ("carbon_health_check.enable", json!(true)),
        ("server.offset", json!(0)),
        ("super_admin.create_admin_account", json!(false)),
        ("encryption.key", json!(KEY)),
        ("user_store.type", json!("database")),
        ("user_store.connection_url", Value::Null),
        ("user_store.connection_name", Value::Null),
        ("user_store.connection_password", Value::Null),
        ("user_store.base_dn", Value::Null),
        ("config_data.path", json!("/_system/is_as_km/config")),
    ];
    assert_only(&before, &after, &with_databases(&expected, &databases));
    assert!(after.contains("#[user_store]") || after.contains("# [user_store]"), "C2: commented out, not removed: {after}");
    for kept_out in ["traffic_manager_urls", "serverDetails"] {
        assert!(!after.contains(kept_out), "C4, C15: {kept_out} does not come along");
    }
}

/// What every API Manager gets.
fn of_api_manager(profile: &str) -> Vec<(&'static str, Value)> {
    let role = [("server.server_role", json!(profile))].into_iter().filter(|_| profile != "default");
    [
        ("server.offset", json!(0)),
        ("encryption.key", json!(KEY)),
        ("apim.key_manager.service_url", json!("https://is.example.com:9443/services/")),
        ("apim.key_manager.type", json!("WSO2-IS")),
        ("transport.passthru_https.sender.parameters.HostnameVerifier", json!("AllowAll")),
        ("config_data.path", json!("/_system/apim/config")),
    ]
    .into_iter()
    .chain(role)
    .collect()
}

#[tokio::test]
async fn a_control_plane_gets_what_the_rows_say_and_no_line_more() {
    let Some((before, after)) = edited("cp-1", "wso2am-4.0.0.deployment.toml", "none").await else { return };
    let databases = [mysql("apim_db", AM_DB), mysql("shared_db", SHARED_DB)].concat();
    let environments = &settings(&after).unwrap()["apim.gateway.environment"];
    assert_eq!(environments[0]["name"], "Production and Sandbox", "D8");
    assert_eq!(environments.as_array().unwrap().len(), 1);
    let mut expected = of_api_manager("control-plane");
    expected.extend([("apim.gateway.environment", environments.clone()), ("indexing.re_indexing", json!(1))]);
    assert_only(&before, &after, &with_databases(&expected, &databases));
    assert!(!before.ends_with('\n'), "the shipped file ends inside a table, without a line break");
    let listener = settings(&after).unwrap()["event_listener"].clone();
    assert_eq!(listener, settings(&before).unwrap()["event_listener"], "what is appended spoils no table");
}

#[tokio::test]
async fn a_gateway_on_its_template_gets_the_fleets_addresses() {
    let Some((before, after)) = edited("gw-1", "wso2am-4.0.0.template.gateway-worker.toml", "none").await else { return };
    let (old, new) = (settings(&before).unwrap(), settings(&after).unwrap());
    assert_eq!(new["apim.throttling.throttle_decision_endpoints"], json!(["tcp://tm-1.example.com:5672"]));
    assert_eq!(new["apim.throttling.service_url"], json!("https://tm-1.example.com:9443/services/"));
    assert_eq!(new["apim.event_hub.service_url"], json!("https://cp-1.example.com:9443/services/"));
    assert_eq!(new["apim.event_hub.event_listening_endpoints"], json!(["tcp://cp-1.example.com:5672"]));
    assert_eq!(new["apim.sync_runtime_artifacts.gateway.gateway_labels"], json!(["Production and Sandbox"]));
    assert_eq!(new["apim.key_manager.service_url"], json!("https://is.example.com:9443/services/"));
    assert_eq!(new["server.server_role"], json!("gateway-worker"));
    let groups = new["apim.throttling.url_group"].as_array().unwrap();
    assert!(groups.iter().any(|g| g["traffic_manager_urls"] == json!(["tcp://tm-1.example.com:9611"])), "{groups:?}");
    // What the template says beyond that stays.
    for key in ["apim.jwt.enable", "apim.cache.resource.enable", "truststore.file_name", "keystore.tls.alias"] {
        assert_eq!(new[key], old[key], "{key}");
    }
}

/// A developer portal that becomes a second control plane.
const SECOND: &str = "  dev-1:
    role: api-manager
    host: dev-1.example.com
    old: { home: /opt/wso2/wso2am-3.1.0, profile: api-devportal }
    new: { home: /opt/wso2/wso2am-4.0.0, profile: default }
";

#[tokio::test]
async fn two_control_planes_tell_both_event_hubs() {
    for (node, other) in [("dev-1", "cp-1"), ("cp-1", "dev-1")] {
        let (Some(trial), Some(before)) = (trial_with("", SECOND).await, fixture("wso2am-4.0.0.deployment.toml")) else { return };
        trial.run_on(node, "none", |home| fs::write(home.join(CONFIG), &before).unwrap());
        let after = fs::read_to_string(trial.home(node).join(CONFIG)).unwrap();
        let new = settings(&after).unwrap();
        let duplicates = json!([format!("tcp://{other}.example.com:5672")]);
        for key in ["apim.event_hub.event_duplicate_url", "apim.throttling.event_duplicate_url"] {
            assert_eq!(new[key], duplicates, "{node} {key}");
        }
        assert_eq!(new["apim.event_hub.event_listening_endpoints"], json!(["tcp://localhost:5672"]));
        let hub = |host: &str| json!({ "urls": [format!("tcp://{host}.example.com:9611")], "auth_urls": [format!("ssl://{host}.example.com:9711")] });
        assert_eq!(new["apim.event_hub.publish.url_group"], json!([hub("dev-1"), hub("cp-1")]), "{node}");
        let unchanged = settings(&before).unwrap();
        assert_eq!(new["event_listener"], unchanged["event_listener"], "what is appended spoils no table");
    }
}

/// `[[apim.gateway.environment]]` of a fleet that gave its gateways names.
fn own_environments() -> Option<String> {
    let text = fixture("wso2am-3.1.0.mysql.deployment.toml")?;
    let own = text.replacen("http://localhost:${http.nio.port}", "http://api.example.com", 1);
    let own = own.replacen("https://localhost:${https.nio.port}", "https://api.example.com", 1);
    assert_ne!(text, own, "the file has these URLs");
    Some(own)
}

#[tokio::test]
async fn urls_of_a_gateway_environment_come_along_whatever_its_name_is() {
    for (option, name) in [("", "Production and Sandbox"), ("  gateway_environment: Default\n", "Default")] {
        let (Some(own), Some(before)) = (own_environments(), fixture("wso2am-4.0.0.deployment.toml")) else { return };
        let Some(is) = fixture("wso2is-km-5.10.0.mysql.deployment.toml") else { return };
        let settings_of = [("wso2is-km-5.10.0", is), ("wso2am-3.1.0", own.clone())];
        let options = format!("  is_user_store_type: database\n{option}");
        let trial = Trial::new(OldFiles {
            settings: &settings_of,
            shipped: &[],
            options: &options,
            nodes: "",
            artifacts: &[],
            files: &[],
        })
        .await;
        trial.run_on("cp-1", "none", |home| fs::write(home.join(CONFIG), &before).unwrap());
        let new = settings(&fs::read_to_string(trial.home("cp-1").join(CONFIG)).unwrap()).unwrap();
        let mut expected = settings(&own).unwrap()["apim.gateway.environment"].clone();
        expected[0]["name"] = json!(name);
        for key in ["websub_event_receiver_http_endpoint", "websub_event_receiver_https_endpoint"] {
            expected[0][key] = settings(&before).unwrap()["apim.gateway.environment"][0][key].clone();
        }
        assert_eq!(new["apim.gateway.environment"], expected, "{name}");
        assert_eq!(expected[0]["https_endpoint"], json!("https://api.example.com"));
    }
}

/// How the templates of 3.1.0 name a database, where the settings of the fleet have URL and driver.
fn by_host_and_name(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        match line.split('=').next().unwrap_or_default().trim() {
            "driver" => {}
            "url" if line.contains("jdbc:mysql") => {
                let name = line.rsplit('/').next().unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
                lines.extend(["hostname = \"mysql\"".to_owned(), "port = 3306".to_owned(), format!("name = \"{name}\"")]);
            }
            _ => lines.push(line.to_owned()),
        }
    }
    lines.join("\n")
}

#[tokio::test]
async fn a_database_that_is_named_by_its_host_gets_the_url_that_the_product_makes_of_it() {
    let (Some(is), Some(am)) = (fixture("wso2is-km-5.10.0.mysql.deployment.toml"), fixture("wso2am-3.1.0.mysql.deployment.toml"))
    else {
        return;
    };
    let old = [("wso2is-km-5.10.0", by_host_and_name(&is)), ("wso2am-3.1.0", by_host_and_name(&am))];
    let options = "  is_user_store_type: database\n";
    let trial = Trial::new(OldFiles { settings: &old, shipped: &[], options, nodes: "", artifacts: &[], files: &[] }).await;
    let Some(before) = fixture("wso2am-4.0.0.deployment.toml") else { return };
    trial.run_on("gw-1", "none", |home| fs::write(home.join(CONFIG), &before).unwrap());
    let new = settings(&fs::read_to_string(trial.home("gw-1").join(CONFIG)).unwrap()).unwrap();
    for (table, name) in [("apim_db", "WSO2AM_DB"), ("shared_db", "WSO2AM_SHARED_DB")] {
        assert_eq!(new[&format!("database.{table}.url")], json!(format!("jdbc:mysql://mysql:3306/{name}")));
        assert_eq!(new[&format!("database.{table}.driver")], json!("com.mysql.jdbc.Driver"));
    }
}

#[tokio::test]
async fn a_traffic_manager_and_a_control_plane_on_their_templates_keep_the_rest() {
    for (node, template, role) in [
        ("tm-1", "wso2am-4.0.0.template.traffic-manager.toml", "traffic-manager"),
        ("cp-1", "wso2am-4.0.0.template.control-plane.toml", "control-plane"),
    ] {
        let Some((before, after)) = edited(node, template, "none").await else { return };
        let (old, new) = (settings(&before).unwrap(), settings(&after).unwrap());
        assert_eq!(new["server.server_role"], json!(role));
        assert_eq!((&new["database.apim_db.url"], &new["database.shared_db.url"]), (&json!(AM_DB), &json!(SHARED_DB)));
        assert!(old.keys().all(|key| new.contains_key(key)), "{node}: nothing of the template is lost");
    }
}

#[tokio::test]
async fn nothing_of_the_old_settings_is_lost_silently() {
    let Some(trial) = trial().await else { return };
    let of = |node: &str| -> BTreeMap<&str, &Setting> {
        trial.plan.settings.iter().filter(|s| s.node.as_str() == node).map(|s| (s.key.as_str(), s)).collect()
    };
    let fates = |node: &str| of(node).into_iter().map(|(key, s)| (key, s.fate)).collect::<Vec<_>>();
    let apim_db = ["database.apim_db.driver", "database.apim_db.type", "database.apim_db.url"];
    let shared_db = ["database.shared_db.driver", "database.shared_db.type", "database.shared_db.url"];
    let both: BTreeMap<&str, Fate> = apim_db.iter().chain(&shared_db).map(|key| (*key, Fate::Done)).collect();
    let mut is = both.clone();
    is.extend([
        ("apim.gateway.environment", Fate::Dropped),
        ("apim.throttling.url_group", Fate::Dropped),
        ("config_data.path", Fate::Carried),
        ("server.serverDetails", Fate::Dropped),
        ("server.userAgent", Fate::Dropped),
    ]);
    assert_eq!(fates("is-1"), is.into_iter().collect::<Vec<_>>());
    let mut am = both;
    am.extend([
        ("apim.analytics.enable", Fate::Person),
        ("apim.analytics.store_api_url", Fate::Person),
        ("apim.analytics.url_group", Fate::Person),
        ("apim.key_manager.service_url", Fate::Done),
        ("config_data.path", Fate::Carried),
        ("transport.passthru_https.sender.parameters.HostnameVerifier", Fate::Carried),
    ]);
    assert_eq!(fates("gw-1"), am.into_iter().collect::<Vec<_>>());
    assert!(trial.plan.settings.iter().all(|s| s.fate == Fate::Carried || !s.why.is_empty()), "each has its reason");
    // The preview's table and the report's show each of them.
    let shown = cavalcade_controller::view::settings::settings(&trial.plan);
    for setting in &trial.plan.settings {
        let start: String = setting.key.chars().take(12).collect();
        assert!(shown.contains(&start), "{} in {shown}", setting.key);
    }
}
