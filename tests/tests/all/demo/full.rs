//! The rows with a condition: each with its condition true (`--full`) and false (without).

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use cavalcade_common::{action::Action, id::Digest, plan::HashedPlan};
use cavalcade_tests::{
    standin::{
        crypto::fingerprint,
        fleet::wait_until,
        libraries::bundle_of,
        packs, user_stores,
        variant::{BUNDLES, CHANGED_LIBRARY, LIBRARY, OWN_JAGGERY_APP, OWN_PASSWORD, OWN_STORE, PORTAL, WEBAPP},
        witness::Line,
    },
    upgrade::{
        extent::{CIPHER, ENCRYPTION_KEY},
        layout::SERVER_PASSWORD,
    },
};
use serde_json::{Value, json};
use toml_edit::DocumentMut;

use super::stage::{Demo, IDENTITY_SERVERS, item, text};

const MANAGERS: [&str; 6] = ["pub-1", "dev-1", "km-2", "tm-1", "gw-1", "gw-2"];
/// Those that become control planes: a Publisher and a Key Manager.
const CONTROL_PLANES: [&str; 2] = ["pub-1", "km-2"];

/// What the newest start of a node's new home read.
fn settings(demo: &Demo, node: &str) -> Line {
    demo.lines_of("settings", &demo.new_home(node)).pop().unwrap()
}

fn of<'l>(line: &'l Line, key: &str) -> &'l Value {
    &line.detail[key]
}

/// The nodes whose new homes exist.
fn upgraded(demo: &Demo) -> Vec<&str> {
    demo.hosts.iter().map(|host| host.name.as_str()).filter(|node| demo.new_home(node).exists()).collect()
}

/// Every condition is false: the rows are left out, and what holds in any case holds.
pub(super) fn off(demo: &Demo) {
    for (row, step) in [
        ("B3", "versioning-script"),
        ("C2", "user-store-jdbc"),
        ("C3", "user-database"),
        ("C5", "custom-bundles"),
        ("C5", "tenants"),
        ("C6", "internal-keystore"),
        ("C7", "client-symmetric"),
        ("C7", "client-cipher"),
        ("D5", "encryption-key-is-the-old-one"),
        ("C15", "vault-encrypt"),
        ("D4", "vault-encrypt"),
        ("D12", "tenantloader"),
        ("D15", "user-store"),
    ] {
        assert!(!demo.has_step(row, step), "{row} {step} is left out");
    }
    one_key(demo);
    left_out_of_the_files(demo);
    let indexed = demo.lines("reindexed");
    assert_eq!(of(&settings(demo, "am-1"), "encryption")["symmetric"], json!(false), "D5: as it was");
    assert!(!indexed.is_empty() && indexed.iter().all(|line| of(line, "tenants") == &json!(false)), "D12: {indexed:?}");
    assert_eq!(of(&settings(demo, "is-1"), "user_database"), "shared_db", "C3");
    assert_eq!(of(&settings(demo, "am-1"), "user_store"), "read_write_ldap", "D7");
    assert!(!demo.row("D16").is_empty());
}

/// What the rows would have written is in no file, and the directory of the users is the old one, key for key.
fn left_out_of_the_files(demo: &Demo) {
    for node in upgraded(demo) {
        let (new, old) = (demo.toml(node), demo.old_toml(node));
        for (row, path) in [
            ("C3, D2", "database.user"),
            ("C3, D2", "database.config"),
            ("C3, D2", "realm_manager"),
            ("C6", "keystore.internal"),
            ("C15, D4", "secrets"),
            ("C7, D5", "encryption.internal_crypto_provider"),
        ] {
            assert!(item(&new, path).is_none(), "{row} {node}: {path}");
        }
        let store = |toml: &DocumentMut| -> BTreeMap<String, String> {
            let table = item(toml, "user_store").unwrap().as_table().unwrap();
            table.iter().map(|(key, value)| (key.to_owned(), value.as_str().unwrap_or_default().to_owned())).collect()
        };
        let directory = store(&new);
        assert_eq!(directory, store(&old), "C2, D7 {node}: as it was");
        let of = |key: &str| directory.get(key).map(String::as_str);
        assert_eq!((of("type"), of("connection_url")), (Some("read_write_ldap"), Some("ldap://ldap.example.com:389")), "{node}");
        assert!(
            of("connection_password").is_some_and(|text| !text.is_empty()) && of("base_dn") == Some("dc=example,dc=com"),
            "{node}"
        );
        assert!(text(&new, "keystore.primary.file_name").is_none_or(|file| file == "wso2carbon.jks"), "C6 {node}");
    }
}

/// The same key on every node, made for the fleet or the old one, and never the one that everybody knows.
fn one_key(demo: &Demo) -> String {
    let keys: BTreeSet<String> = upgraded(demo)
        .into_iter()
        .map(|node| {
            let line = settings(demo, node);
            assert_eq!(of(&line, "encryption")["public"], json!(false), "C7 {node}");
            of(&line, "encryption")["key"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(keys.len(), 1, "C7, D5: {keys:?}");
    assert_eq!(demo.lines("encrypted-with-another-key"), [], "C7, D5");
    keys.into_iter().next().unwrap()
}

/// Every condition is true.
pub(super) fn on(demo: &Demo) {
    registry(demo);
    users(demo);
    assert_eq!(one_key(demo), fingerprint(ENCRYPTION_KEY), "C7, D5: the old key");
    for node in IDENTITY_SERVERS.iter().chain(&MANAGERS) {
        custom_files(demo, node);
        let line = settings(demo, node);
        assert_eq!(of(&line, "secrets"), 3, "D4 {node}: the vault's values");
        vaulted(demo, node);
        assert_eq!(of(&line, "encryption")["symmetric"], json!(true), "C7, D5 {node}: as it was");
        assert_eq!(of(&line, "password_digest"), "SHA-512", "C2, D7 {node}: the store's other settings");
        assert_eq!(of(&line, "config_path"), "/_system/example/config", "C15, D17 {node}");
        assert_eq!(of(&line, "proxy_port"), "443", "C15, D17 {node}");
        let log = fs::read_to_string(demo.new_home(node).join("repository/logs/wso2carbon.log")).unwrap();
        assert!(!log.contains("SecureVaultException"), "D4 {node}");
    }
    for node in IDENTITY_SERVERS {
        let line = settings(demo, node);
        assert_eq!(of(&line, "primary_store"), packs::PRIMARY_STORE, "C6 {node}");
        assert_eq!(of(&line, "internal_store"), OWN_STORE, "C6 {node}");
        assert_eq!(of(&line, "encryption")["private_keys"], json!(["example-1024", "primary"]), "C6 {node}");
    }
    let read = demo.sql("am_db", "SELECT GROUP_CONCAT(CONSUMER_SECRET ORDER BY CONSUMER_SECRET) FROM IDN_OAUTH_CONSUMER_APPS");
    let aes = fingerprint(ENCRYPTION_KEY);
    assert_eq!(read, format!("{{aes:{aes}}}portalSecret,{{aes:{aes}}}x"), "C6, C7: what both old keys encrypted is read");
    migration_client(demo);
    user_stores(demo);
    indexed(demo);
    profiles(demo);
    no_secret_is_told(demo);
    assert!(demo.said.contains(PORTAL), "D4: the changed portal is named");
    assert!(!demo.row("D16").is_empty());
}

/// D4: a database's password that was in the vault is nowhere in clear; one that was not is as the fleet file gives it.
fn vaulted(demo: &Demo, node: &str) {
    let (toml, table) = (demo.toml(node), if IDENTITY_SERVERS.contains(&node) { "identity_db" } else { "apim_db" });
    let password = |table: &str| text(&toml, &format!("database.{table}.password")).map(str::to_owned);
    assert_eq!(password(table).as_deref(), Some("$secret{database_apim_db_password}"), "D4 {node}");
    assert_eq!(password("shared_db").as_deref(), Some(SERVER_PASSWORD), "D2 {node}");
    let sealed = text(&toml, "secrets.database_apim_db_password").unwrap();
    assert!(!sealed.contains(SERVER_PASSWORD), "D4 {node}: the cipher tool was there");
}

/// C7: what the guide asks for, and the algorithm that the migrators of 5.11.0 read.
fn migration_client(demo: &Demo) {
    let lines = |name: &str| -> Vec<String> {
        let step = demo.row("C7").into_iter().find(|step| step.name == name).unwrap();
        let diff = demo.outcome(&step)["diffs"][0]["diff"].as_str().unwrap().to_owned();
        let added = diff.lines().filter(|line| line.starts_with('+') && !line.starts_with("+++"));
        added.map(|line| line[1..].trim().to_owned()).collect()
    };
    assert_eq!(lines("client-symmetric"), ["transformToSymmetric: \"true\""], "C7");
    let cipher = lines("client-cipher");
    assert_eq!(
        cipher,
        [format!("currentEncryptionAlgorithm: \"{CIPHER}\""), format!("currentEncryptionAlgorithm: \"{CIPHER}\"")],
        "C7"
    );
}

/// C5, C12: every Identity Server opens its secondary user stores, though the migration ran on one.
fn user_stores(demo: &Demo) {
    for node in IDENTITY_SERVERS {
        let found = user_stores::passwords(&demo.new_home(node)).unwrap();
        let sealed = format!("{{aes:{}}}", fingerprint(ENCRYPTION_KEY));
        assert!(found.len() == 2 && found.iter().all(|(_, password)| password.starts_with(&sealed)), "{node}: {found:?}");
    }
    assert_eq!(demo.lines("user-store-unreadable"), []);
    assert_eq!(demo.nodes_of("C14", "user-stores-are-migrated"), ["is-2"]);
}

fn registry(demo: &Demo) {
    assert_eq!(demo.row("B3").len(), 2, "the registry, and the configuration registry that is apart");
    assert_eq!(demo.sql("shared_db", "SELECT COUNT(*) FROM REG_RESOURCE_PROPERTY WHERE REG_PATH_ID IS NULL"), "0", "B3");
    assert_eq!(demo.sql("shared_db", "SELECT REG_VALUE FROM REG_PROPERTY"), "Production and Sandbox", "B3: the newest alone");
    assert_eq!(demo.lines("registry-unread"), [], "B3");
    let index = "SELECT COUNT(*) FROM INFORMATION_SCHEMA.STATISTICS WHERE TABLE_SCHEMA = 'am_db' AND TABLE_NAME = 'AM_API' AND \
                 COLUMN_NAME = 'API_UUID' AND NON_UNIQUE = 0";
    assert_eq!(demo.sql("am_db", index), "1", "D11");
    assert_eq!(demo.sql("am_db", "SELECT COUNT(DISTINCT API_ID) FROM AM_GW_API_DEPLOYMENTS"), "7", "D10: of every tenant");
}

fn users(demo: &Demo) {
    let table = "SHOW TABLES LIKE 'UM_HYBRID_GROUP_ROLE'";
    assert_eq!((demo.sql("user_db", table).as_str(), demo.sql("shared_db", table).as_str()), ("UM_HYBRID_GROUP_ROLE", ""), "C3");
    for node in IDENTITY_SERVERS.iter().chain(&MANAGERS) {
        let line = settings(demo, node);
        assert_eq!((of(&line, "user_database"), of(&line, "user_store")), (&json!("user"), &json!("database")), "C2, C3, D2, D7");
    }
    for node in MANAGERS {
        assert_eq!(of(&settings(demo, node), "config_database"), true, "D2 {node}");
    }
}

fn custom_files(demo: &Demo, node: &str) {
    let home = demo.new_home(node);
    let components = home.join("repository/components");
    let made = demo.old_home(node).join("repository/components/dropins").join(bundle_of(CHANGED_LIBRARY));
    assert!(made.is_file(), "{node}: the old server made bundles of its libraries");
    let copied: Vec<&str> = demo
        .row(if IDENTITY_SERVERS.contains(&node) { "C5" } else { "D4" })
        .iter()
        .filter(|step| step.node == node && step.name == "custom-bundles")
        .flat_map(|step| demo.outcome(step)["diffs"].as_array())
        .flatten()
        .filter_map(|diff| diff["path"].as_str()?.rsplit('/').next())
        .collect();
    assert_eq!(copied, BUNDLES, "C5, D4 {node}: of its own, and nothing that the new server makes itself");
    assert!(BUNDLES.iter().all(|name| components.join("dropins").join(name).is_file()), "C5, D4 {node}");
    assert!(components.join("lib").join(LIBRARY).is_file(), "C5, D4 {node}");
    let digest =
        |home: &std::path::Path| Digest::of(&fs::read(home.join("repository/components/lib").join(CHANGED_LIBRARY)).unwrap());
    assert_ne!(digest(&home), digest(&demo.old_home(node)), "C5 {node}: what the pack ships is not copied");
    assert!(home.join("repository/resources/security").join(OWN_STORE).is_file(), "C5, D4 {node}");
    assert!(!home.join("repository/deployment/server/webapps").join(WEBAPP).exists(), "C5 {node}: a person merges it");
    assert!(demo.said.contains(WEBAPP), "C5: and it is named");
    if IDENTITY_SERVERS.contains(&node) {
        for path in [
            "repository/deployment/server/userstores/PARTNERS.xml",
            "repository/deployment/server/carbonapps/com.example.flows_1.0.0.car",
            "repository/tenants/1/userstores/BRANCH.xml",
        ] {
            assert!(home.join(path).is_file(), "C5 {node}: {path}");
        }
        for path in packs::homes::DEPLOYED {
            let text = fs::read_to_string(home.join(path)).unwrap();
            assert_eq!(text, "of 5.11.0\n", "C5 {node}: the new pack's own, {path}");
        }
        assert!(!home.join(packs::homes::JAGGERY_APP).exists(), "C5 {node}: the old pack's");
        assert!(home.join(packs::homes::JAGGERY_APP).with_file_name(OWN_JAGGERY_APP).is_dir(), "C5 {node}");
        let told = [packs::homes::DEPLOYED[0], packs::homes::JAGGERY_APP].map(|path| demo.said.contains(path));
        assert_eq!(told, [true; 2], "C5: what was changed of the old pack's is named");
        let mails = fs::read_to_string(home.join("repository/conf/email/email-admin-config.xml")).unwrap();
        assert!(mails.contains("Example Inc."), "C5 {node}");
    }
}

fn indexed(demo: &Demo) {
    for node in ["pub-1", "dev-1", "km-2"] {
        let lines = demo.lines_of("reindexed", &demo.new_home(node));
        assert_eq!(lines.len(), 1, "D12 {node}: once");
        assert_eq!((of(&lines[0], "tenants"), of(&lines[0], "fresh")), (&json!(true), &json!(true)), "D12 {node}");
        let left = demo.found(node, "repository/components/dropins", "tenantloader-", ".jar");
        assert_eq!(left, [""; 0], "D12 {node}");
    }
}

fn profiles(demo: &Demo) {
    assert!(!demo.new_home("km-1").exists(), "D13: retired");
    for (node, profile) in [
        ("pub-1", "control-plane"),
        ("dev-1", "default"),
        ("km-2", "control-plane"),
        ("tm-1", "traffic-manager"),
        ("gw-1", "gateway-worker"),
        ("gw-2", "gateway-worker"),
    ] {
        let line = settings(demo, node);
        assert_eq!((line.profile.as_str(), of(&line, "server_role")), (profile, &json!(profile)), "D13 {node}");
    }
    let manager = demo.hosts.iter().find(|host| host.name == "tm-1").unwrap();
    let endpoint = format!("tcp://{}:{}", manager.address, 5672 + manager.offset);
    for node in ["gw-1", "gw-2"] {
        assert_eq!(of(&settings(demo, node), "throttle_decision_endpoints"), &json!([endpoint]), "D13 {node}");
        assert!(text(&demo.toml(node), "apim.event_hub.service_url").is_some(), "D13 {node}");
    }
    assert_eq!(demo.lines("without-brokers"), [], "D13");
    hubs(demo);
    control_planes(demo);
    started_in_order(demo);
}

/// D8, D13: what makes a control plane of a node that was a Publisher or a Key Manager.
fn control_planes(demo: &Demo) {
    let plan = HashedPlan::from_text(&fs::read_to_string(demo.path("upgrade.plan")).unwrap()).unwrap();
    let steps = demo.steps();
    let of_node = |node: &str, name: &str| steps.iter().rfind(|step| step.node == node && step.name == name).unwrap();
    for node in CONTROL_PLANES {
        let mut planned = plan.plan.steps().filter(|(_, step)| step.key.node.as_str() == node);
        let setup = planned.find_map(|(_, step)| match &step.action {
            Action::Command(setup) if step.name.as_str() == "profile-setup" => Some(setup.command.clone()),
            _ => None,
        });
        let given = &setup.unwrap()[1..];
        assert_eq!(given, ["-Dprofile=control-plane", "--skipConfigOptimization"], "D13 {node}: the profile comes first");
        let endpoints = demo.found(node, "repository/deployment/server/synapse-configs/default/inbound-endpoints", "", ".xml");
        assert_eq!(endpoints, [""; 0], "D13 {node}: the script took away what a gateway has");
        let portals = demo.found(node, "repository/deployment/server/webapps", "api#am#", ".war");
        assert!(portals.iter().any(|name| name == "api#am#publisher.war"), "D13 {node}: {portals:?}");
        assert!(!demo.new_home(node).join("repository/conf/deployment.toml.backup").exists(), "D13 {node}");
        let order = ["profile-setup", "server-role", "start"].map(|name| of_node(node, name));
        assert!(order.windows(2).all(|two| two[0].ended.unwrap() <= two[1].began.unwrap()), "D13, D14 {node}: {order:?}");
        assert_eq!(of(&settings(demo, node), "environments"), &json!(["Production and Sandbox"]), "D8 {node}: as it was");
    }
}

/// D14: control planes and Default nodes one by one, then the Traffic Manager, then Gateways.
fn started_in_order(demo: &Demo) {
    let last = |node: &str| {
        let home = demo.new_home(node);
        let launch = demo.lines_of("launch", &home).pop().unwrap();
        let ready = demo.lines_of("ready", &home).into_iter().find(|line| line.launch == launch.launch).unwrap();
        (launch.t, ready.t)
    };
    let mut portals = ["pub-1", "dev-1", "km-2"].map(last);
    portals.sort();
    let rest = ["tm-1", "gw-1", "gw-2"].map(last);
    let all: Vec<_> = portals.iter().chain(&rest).collect();
    assert!(all.windows(2).all(|two| two[0].1 < two[1].0), "D14: each starts when the one before it is ready: {all:?}");
}

/// Every control plane tells all event hubs, since a gateway hears one of them.
fn hubs(demo: &Demo) {
    let url = |node: &str, scheme: &str, base: u16| {
        let host = demo.host(node);
        format!("{scheme}://{}:{}", host.address, base + host.offset)
    };
    let portals = ["pub-1", "dev-1", "km-2"];
    for node in portals {
        let others: BTreeSet<String> = portals.iter().filter(|p| **p != node).map(|other| url(other, "tcp", 5672)).collect();
        for told in of(&settings(demo, node), "event_duplicates").as_array().unwrap() {
            let told: BTreeSet<String> = serde_json::from_value(told.clone()).unwrap();
            assert_eq!(told, others, "D13 {node}");
        }
        let all: BTreeSet<String> = portals.iter().map(|portal| url(portal, "ssl", 9711)).collect();
        let launch = settings(demo, node).launch;
        let reached = || -> BTreeSet<String> {
            let lines = demo.lines_of("hub-reached", &demo.new_home(node)).into_iter().filter(|line| line.launch == launch);
            lines.filter_map(|line| Some(of(&line, "url").as_str()?.to_owned())).collect()
        };
        wait_until(Duration::from_secs(30), "every event hub", || reached() == all).unwrap();
    }
}

fn no_secret_is_told(demo: &Demo) {
    for file in ["preview.txt", "report.html", "logs.txt", "upgrade.plan"] {
        let text = fs::read_to_string(demo.path(file)).unwrap();
        for secret in [ENCRYPTION_KEY, OWN_PASSWORD, packs::PRIMARY_PASSWORD] {
            assert!(!text.contains(secret), "{file} tells a secret");
        }
    }
    assert!(!demo.said.contains(ENCRYPTION_KEY));
}
