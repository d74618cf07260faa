//! For each check the change of a good world that it is for.

use std::collections::BTreeSet;

use cavalcade_common::codes;
use cavalcade_common::error::{Fault, Faults};
use serde_json::json;

use super::world::World;
use crate::view::document::Upgraded;

pub(super) type Case = (&'static str, &'static str, fn(&mut World));

/// For each check one change of the good world after which it finds something, and on which nodes.
pub(super) const CASES: &[Case] = &[
    ("agent-enrolled", "is-2.example.com", |w| w.hosts.retain(|h| !h.host.starts_with("is-2"))),
    ("agent-connected", "is-2.example.com", |w| w.hosts[1].connected = false),
    ("agent-version", "is-2.example.com", |w| w.hosts[1].program = "0.0.9".to_owned()),
    ("agent-clock", "is-2.example.com", |w| w.hosts[1].skew_millis = -9000),
    ("facts-readable", "is-2", |w| w.of("is-2")["problems"] = json!([Fault::new(codes::files::FACTS_UNREADABLE, "no")])),
    ("old-home", "is-2", |w| w.of("is-2")["old"] = json!({ "exists": false, "autostart": [] })),
    ("old-offset", "is-2", |w| w.of("is-2")["old"]["offset"] = json!(3)),
    ("old-profile", "cp-1", |w| w.of("cp-1")["old"]["running"][0]["profile"] = json!(null)),
    ("old-user", "is-2", |w| w.of("is-2")["old"]["running"][0]["user"] = json!("root")),
    ("old-server", "is-2", |w| {
        let port = json!({ "port": 9443, "free": false, "pid": 8, "home": "/opt/wso2/other" });
        w.of("is-2")["old_ports"][0] = port;
    }),
    ("old-running", "is-2", |w| w.of("is-2")["old"]["running"] = json!([])),
    ("old-driver-class", "is-2", |w| w.of("is-2")["old"]["driver_classes"]["com.mysql.cj.jdbc.Driver"] = json!(null)),
    ("new-user", "is-2", |w| w.of("is-2")["new"]["running"] = json!([{ "pid": 7, "user": "root", "profile": null }])),
    ("new-node", "gw-1", |w| {
        second_server(w, 10);
        let old = "    old_offset: 10\n    old: { home: /opt/wso2/gw-old, profile: gateway-worker }\n";
        w.fleet = w.fleet.replacen(old, "", 1);
        w.of("gw-1")["old"] = json!(null);
    }),
    ("new-home-free", "is-2", |w| w.of("is-2")["new"]["exists"] = json!(true)),
    ("upgraded-before", "is-2", |w| {
        let made = |host: &str, home: &str| Upgraded {
            host: host.to_owned(),
            home: home.to_owned(),
            run: "run-7f3a91c2".to_owned(),
            at: "2026-11-22T23:00:00Z".parse().expect("a time"),
        };
        // Of the same host another home, and of another host the same one, are none of its matter.
        w.upgraded = vec![
            made("is-2.example.com", "/opt/wso2/new"),
            made("is-1.example.com", "/opt/wso2/newer"),
            made("other.example.com", "/opt/wso2/new"),
        ];
    }),
    ("java-home", "is-2", |w| w.of("is-2")["java"]["version"] = json!(null)),
    ("keytool", "is-2", |w| w.of("is-2")["java"]["keytool"] = json!(false)),
    ("tmp-noexec", "is-2", |w| w.of("is-2")["tmp_noexec"] = json!(true)),
    ("disk-writable", "is-2.example.com", |w| w.of("is-2")["disks"][0]["read_only"] = json!(true)),
    ("disk-free", "is-2.example.com", |w| w.of("is-2")["disks"][0]["free_bytes"] = json!(5)),
    ("disk-noexec", "is-2", |w| w.of("is-2")["disks"][0]["noexec"] = json!(true)),
    ("disk-network", "is-2.example.com", |w| w.of("is-2")["disks"][0]["network"] = json!(true)),
    ("selinux", "is-2", |w| w.of("is-2")["files"]["selinux"] = json!(true)),
    ("port-free", "is-2", |w| w.of("is-2")["ports"][0]["home"] = json!(null)),
    ("ports-apart", "cp-1 gw-1", |w| second_server(w, 100)),
    ("peer-reached", "is-2", |w| w.of("is-2")["reach"][0]["connected"] = json!(false)),
    ("peer-certificate-name", "is-2", |w| w.of("is-2")["reach"][0]["matches"] = json!(false)),
    ("peer-certificate-time", "is-2", |w| w.of("is-2")["reach"][0]["expires"] = json!("2026-12-01T00:00:00Z")),
    ("peer-certificate-trusted", "is-2", |w| w.of("is-2")["reach"][0]["trusted"] = json!(false)),
    ("autostart-unseen", "is-2", |w| w.of("is-2")["autostart_unseen"] = json!(["/var/spool/cron: permission denied"])),
    ("autostart", "is-2", |w| w.of("is-2")["old"]["autostart"][0]["person"] = json!("a package links it")),
    ("keystores-readable", "is-2", |w| w.of("is-2")["old"]["keystores"] = json!(null)),
    ("weak-key", "is-2", |w| w.of("is-2")["old"]["keystores"][0]["bits"] = json!(1024)),
    ("certificate-expired", "is-2", |w| w.of("is-2")["old"]["keystores"][0]["expires"] = json!("2020-01-01T00:00:00Z")),
    ("database-reached", "is-1", |w| *w.db("am_db") = json!({ "reachable": false, "problem": "connection refused" })),
    ("database-engine", "is-1", |w| w.db("am_db")["engine"] = json!("oracle")),
    ("database-rights", "is-1", |w| w.db("am_db")["rights"]["index"] = json!(false)),
    ("database-scratch", "is-1", |w| {
        let scratch = &mut w.db("am_db")["scratch"];
        (scratch["empty"], scratch["holds"]) = (json!(false), json!(["table AM_API"]));
    }),
    ("database-told", "is-1", |w| w.db("am_db")["problems"] = json!(["looking for replicas failed"])),
    ("server-login", "gw-1", |w| {
        second_server(w, 10);
        let login = &mut w.of("gw-1")["logins"]["shared_db"];
        (login["reached"], login["problem"], login["rights"]) = (json!(false), json!("access denied"), json!({}));
    }),
    ("server-rights", "cp-1", |w| w.of("cp-1")["logins"]["am_db"]["rights"]["alter"] = json!(false)),
    ("database-sees-others", "is-1", |w| w.db("am_db")["rights"]["lock_accounts"] = json!(false)),
    ("database-accounts-apart", "is-1", |w| w.fleet = w.fleet.replacen("admin: { user: ddl", "admin: { user: wso2carbon", 1)),
    ("database-login", "is-1", |w| w.db("am_db")["login_plugin"] = json!("caching_sha2_password")),
    ("database-dump-client", "is-1", |w| w.db("am_db")["dump_client"] = json!(null)),
    ("database-address", "is-1 is-2 cp-1", |w| {
        w.fleet = w.fleet.replace("host: db\n    name: shared", "host: db2\n    name: shared");
    }),
    ("database-sessions", "is-1", |w| w.db("am_db")["sessions"][0]["user"] = json!("reports")),
    ("database-long-transactions", "is-1", |w| w.db("am_db")["long_transactions"] = json!(2)),
    ("database-read-only", "is-1", |w| w.db("am_db")["read_only"] = json!(true)),
    ("database-galera", "is-1", |w| w.db("am_db")["wsrep"] = json!(true)),
    ("database-pooler", "is-1", |w| w.db("am_db")["pooler"] = json!(true)),
    ("database-replicas", "is-1", |w| w.db("am_db")["replicas"] = json!(1)),
    ("database-durable", "is-1", |w| w.db("am_db")["durable"] = json!(false)),
    ("database-function-creators", "is-1", |w| w.db("am_db")["trust_function_creators"] = json!(false)),
    ("artifacts", "", |w| w.artifacts = Some(Fault::new(codes::written::UNREADABLE, "it is gone").into())),
    ("artifact-pinned", "", |w| w.fleet = w.fleet.replace(&format!("driver.jar, sha256: {}", "ab".repeat(32)), "driver.jar")),
    ("plan", "is-2", |w| w.planned = Some(Err(Faults::from(Fault::new(codes::plan::REQUIREMENT, "it is so").on("is-2"))))),
    ("is-pack", "", |w| *w.entries("is_pack") = BTreeSet::from(["wso2is-5.10.0/x".to_owned()])),
    ("am-pack", "", |w| w.contents.retain(|name, _| name != "am_pack")),
    ("is-connector", "", |w| w.entries("is_connector").retain(|entry| !entry.ends_with(".war"))),
    ("is-migration-client", "", |w| w.entries("is_migration").retain(|entry| !entry.ends_with(".jar"))),
    ("am-migration-client", "cp-1", |w| w.fleet = w.fleet.replace("org.wso2.carbon.apimgt.migrate.client-4.0.0.jar", "c.jar")),
    ("am-script-vhost", "", |w| {
        *w.entries("am_script") = BTreeSet::from(["CREATE TABLE AM_GW_API_DEPLOYMENTS ( API_ID VARCHAR(255) )".to_owned()]);
    }),
    ("am-migration-resources", "", |w| {
        *w.entries("am_migration_resources") = BTreeSet::from(["resources/rxts/api.rxt".to_owned()])
    }),
    ("am-migration-rxt", "", |w| {
        *w.entries("am_migration_resources") = BTreeSet::from(["migration-resources/310to320Migration/api.rxt".to_owned()]);
    }),
    ("jdbc-driver-class", "", |w| w.entries("jdbc_driver").clear()),
    ("gateway-enrolled-unseen", "cp-1", |w| {
        let hook = |word: &str| format!("{word}: {{ command: {{ command: [/opt/lb/{word}], cwd: /opt/lb }} }}");
        let hooks = format!("profile: default }}\n    hooks: {{ {}, {} }}", hook("drain"), hook("enrol"));
        w.fleet = w.fleet.replace("profile: control-plane }", &hooks);
    }),
    ("drained-and-enrolled", "cp-1", |w| {
        let hooks = "profile: control-plane }\n    hooks: { drain: { command: { command: [/opt/lb/drain], cwd: /opt/lb } } }";
        w.fleet = w.fleet.replace("profile: control-plane }", hooks);
    }),
    ("java-version", "is-2", |w| w.of("is-2")["java"]["major"] = json!(17)),
    ("open-files", "is-2", |w| w.of("is-2")["limits"]["open_files"] = json!(1024)),
    ("old-product", "is-2", |w| w.of("is-2")["old"]["product"] = json!("wso2is")),
    ("roles-twice", "is-1", |w| w.db("shared_db")["asked"]["roles_twice"] = json!("2")),
    ("auto-commit", "is-2", |w| w.of("is-2")["old"]["databases"]["shared_db"]["auto_commit"] = json!(false)),
    ("charset", "is-1", |w| {
        let db = w.db("am_db");
        (db["engine"], db["charset"]) = (json!("mysql"), json!("utf8mb4"));
    }),
    ("collation", "is-1", |w| w.db("am_db")["case_sensitive"] = json!(true)),
    ("cipher-differs", "is-1 is-2", |w| w.of("is-2")["old"]["values"]["cipher_transformation"] = json!("RSA")),
    ("cipher-unknown", "is-1 is-2", |w| {
        for node in ["is-1", "is-2"] {
            w.of(node)["old"]["values"]["cipher_transformation"] = json!("RSA/ECB/PKCS1Padding");
        }
    }),
    ("user-stores-carried", "is-2", |w| {
        let path = "repository/deployment/server/userstores/P.xml";
        // The first migrates its own.
        for node in ["is-1", "is-2"] {
            w.of(node)["old"]["trees"]["user_stores"] = json!({ "files": 1, "names": [path] });
        }
    }),
    ("encryption-key", "is-1 is-2", |w| {
        for node in ["is-1", "is-2"] {
            w.of(node)["old"]["conf"]["encryption_provider"] = json!("SymmetricKeyInternalCryptoProvider");
        }
    }),
    ("encryption-differs", "is-1 is-2", |w| {
        let conf = &mut w.of("is-2")["old"]["conf"];
        (conf["encryption_provider"], conf["encryption_key"]) = (json!("Symmetric"), json!(true));
    }),
    ("encryption-key-length", "is-1 is-2 cp-1", |w| {
        w.fleet = w.fleet.replace("secrets: {", "secrets: { encryption_key: { generate: 20 },");
    }),
    ("vault-file", "is-2", |w| {
        w.of("is-2")["old"]["conf"]["vault"] = json!(["a", "b"]);
        w.of("is-2")["old"]["tables"] = json!({ "vault_file": ["b", "c"] });
    }),
    ("embedded-directory", "is-1 is-2 cp-1", |w| {
        for node in ["is-1", "is-2", "cp-1"] {
            w.of(node)["user_store"]["type"] = json!("read_write_ldap_unique_id");
            w.of(node)["old"]["conf"]["directory"] = json!("ldap://localhost:${Ports.EmbeddedLDAP.LDAPServerPort}");
        }
    }),
    ("realm-database", "is-2", |w| w.of("is-2")["old"]["conf"]["realm"] = json!("WSO2PEOPLE_DB")),
    ("unique-id-column", "is-1 is-2 cp-1", |w| {
        w.db("shared_db")["asked"]["unique_ids"] = json!(null);
        for node in ["is-1", "is-2", "cp-1"] {
            w.of(node)["user_store"]["type"] = json!("database_unique_id");
        }
    }),
    ("user-stores-differ", "is-1 is-2 cp-1", |w| w.of("is-2")["user_store"]["type"] = json!(null)),
    ("jdbc-url", "is-1 is-2 cp-1", |w| {
        let url = "jdbc_url: 'jdbc:mysql://db/shared?useSSL=false&amp;a=b&c=d'";
        w.fleet = w.fleet.replacen("    name: shared\n", &format!("    name: shared\n    {url}\n"), 1);
    }),
    ("api-artifacts", "is-1", |w| w.db("am_db")["asked"]["apis"] = json!("13")),
    ("api-artifacts-twice", "is-1", |w| w.db("shared_db")["asked"]["api_artifacts_twice"] = json!("1")),
    ("gateway-environment", "cp-1", |w| {
        w.fleet = w.fleet.replace("options: {", "options: { gateway_environment: Default,");
    }),
    ("notification-endpoint", "is-1 is-2", |w| {
        w.fleet = w.fleet.replace("options: {", "options: { control_plane_url: 'https://localhost:9443',");
    }),
    ("claims-pattern", "is-1 is-2", |w| w.fleet = w.fleet.replace("corrected_claims_pattern: true", "start_within: 10min")),
    ("pool-size", "cp-1", |w| {
        w.db("am_db")["asked"]["apis"] = json!("2000");
        w.db("shared_db")["asked"]["api_artifacts"] = json!("2000");
    }),
];

/// Another API Manager on the host of the first, with this offset.
pub(super) fn second_server(w: &mut World, offset: u16) {
    let node = format!(
        "  gw-1:\n    role: api-manager\n    host: cp-1.example.com\n    offset: {offset}\n    old_offset: {offset}\n    \
         old: {{ home: /opt/wso2/gw-old, profile: gateway-worker }}\n    new: {{ home: /opt/wso2/gw-new, profile: gateway-worker }}\n"
    );
    w.fleet.push_str(&node);
    let mut facts = w.of("cp-1").clone();
    (facts["old"]["offset"], facts["old"]["running"][0]["profile"]) = (json!(offset), json!("gateway-worker"));
    facts["disks"][0]["path"] = json!("/opt/wso2/gw-new");
    w.facts.insert("gw-1".to_owned(), facts);
}
