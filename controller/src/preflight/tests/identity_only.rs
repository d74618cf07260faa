//! The checks of the recipe for Identity Servers alone.

use cavalcade_common::finding::Severity;
use serde_json::json;

use super::world::World;

const FLEET: &str = r#"
schema: cavalcade.fleet/1
fleet: test
recipe: wso2-is-5.10.0-to-5.11.0
defaults: { run_as: wso2, java_home: /opt/java }
artifacts:
  is_pack: { file: is.zip, sha256: SHA }
  is_migration: { file: migration.zip, sha256: SHA }
  jdbc_driver: { file: driver.jar, sha256: SHA }
secrets: { ddl: { env: DDL }, server: { env: SERVER } }
databases:
  identity_db:
    engine: mariadb
    host: db
    name: am
    scratch: am_proof
    from: is-1
    admin: { user: ddl, password: ddl }
    server: { user: wso2carbon, password: server }
  shared_db:
    engine: mariadb
    host: db
    name: shared
    scratch: shared_proof
    from: is-1
    admin: { user: ddl, password: ddl }
    server: { user: wso2carbon, password: server }
nodes:
  is-[1:2]:
    role: identity-server
    host: "{{ name }}.example.com"
    old: { home: /opt/wso2/old }
    new: { home: /opt/wso2/new }
"#;

/// One without a finding.
fn good() -> World {
    let mut world = World::good();
    world.fleet = FLEET.replace("SHA", &"ab".repeat(32));
    world.facts.remove("cp-1");
    world.hosts.retain(|host| !host.host.starts_with("cp-1"));
    for node in ["is-1", "is-2"] {
        let facts = world.of(node);
        facts["old"]["product"] = json!("wso2is");
        for place in ["/old/databases", "/databases", "/logins"] {
            let Some(named) = facts.pointer_mut(place).and_then(serde_json::Value::as_object_mut) else { continue };
            let identity = named.remove("apim_db").or_else(|| named.remove("am_db")).expect("is there");
            named.insert("identity_db".to_owned(), identity);
        }
    }
    world
}

type Case = (&'static str, &'static str, fn(&mut World));

const CASES: &[Case] = &[
    ("new-node", "is-2", |w| {
        w.fleet = w.fleet.replace("is-[1:2]:", "is-1:");
        w.fleet.push_str("  is-2:\n    role: identity-server\n    host: is-2.example.com\n    new: { home: /opt/wso2/new }\n");
        w.of("is-2")["old"] = json!(null);
    }),
    ("jdbc-driver-class", "", |w| w.entries("jdbc_driver").clear()),
    ("roles-twice", "is-1", |w| w.db("shared_db")["asked"]["roles_twice"] = json!("2")),
    ("auto-commit", "is-2", |w| w.of("is-2")["old"]["databases"]["shared_db"]["auto_commit"] = json!(false)),
    ("charset", "is-1", |w| {
        let db = w.db("identity_db");
        (db["engine"], db["charset"]) = (json!("mysql"), json!("utf8mb4"));
    }),
    ("uuid-ossp-servers", "is-1", |w| {
        let db = w.db("shared_db");
        (db["engine"], db["extensions"]) = (json!("postgresql"), json!([]));
    }),
    ("cipher-differs", "is-1 is-2", |w| w.of("is-2")["old"]["values"]["cipher_transformation"] = json!("RSA")),
    ("cipher-unknown", "is-1 is-2", |w| {
        for node in ["is-1", "is-2"] {
            w.of(node)["old"]["values"]["cipher_transformation"] = json!("RSA/ECB/PKCS1Padding");
        }
    }),
    ("encryption-differs", "is-1 is-2", |w| {
        let conf = &mut w.of("is-2")["old"]["conf"];
        (conf["encryption_type"], conf["encryption_key"]) = (json!("symmetric"), json!(true));
    }),
    ("user-stores-carried", "is-2", |w| {
        for node in ["is-1", "is-2"] {
            w.of(node)["old"]["trees"]["user_stores"] =
                json!({ "files": 1, "names": ["repository/deployment/server/userstores/P.xml"] });
        }
    }),
    ("unique-id-column", "is-1 is-2", |w| {
        w.db("shared_db")["asked"]["unique_ids"] = json!(null);
        for node in ["is-1", "is-2"] {
            w.of(node)["user_store"]["type"] = json!("database_unique_id");
        }
    }),
    ("jdbc-url", "is-1 is-2", |w| {
        let url = "jdbc_url: 'jdbc:mysql://db/shared?useSSL=false&amp;a=b&c=d'";
        w.fleet = w.fleet.replacen("    name: shared\n", &format!("    name: shared\n    {url}\n"), 1);
    }),
    ("h2", "is-2", |w| w.of("is-2")["old"]["databases"]["shared_db"]["url"] = json!("jdbc:h2:./x")),
];

#[test]
fn identity_servers_alone_have_the_checks_of_their_migration() {
    assert_eq!(good().results().findings, []);
    let mut wrong = Vec::new();
    for (check, nodes, change) in CASES {
        let mut world = good();
        change(&mut world);
        let mut found: Vec<(String, String)> = Vec::new();
        for (name, severity, on) in world.found() {
            if severity != Severity::Unseen && name == *check {
                found.push((name, on));
            }
        }
        let on = found.iter().flat_map(|(_, on)| on.split(' ')).collect::<std::collections::BTreeSet<_>>();
        if found.is_empty() || on != nodes.split(' ').collect() {
            wrong.push(format!("{check}: {found:?} among {:?}", world.found()));
        }
    }
    assert_eq!(wrong, [""; 0]);
}
