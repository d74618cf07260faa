mod cases;
mod identity_only;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use cavalcade_common::action::Action;
use cavalcade_common::finding::Severity;
use serde_json::json;

use super::{Explained, explained};
use cases::{CASES, second_server};
use world::World;

/// Checks of every fleet and of the recipe of this one.
fn of_the_fleet() -> Vec<Explained> {
    let ours = |check: &Explained| check.recipe.as_ref().is_none_or(|recipe| recipe == "wso2-is-km-5.10.0-to-5.11.0");
    explained().into_iter().filter(ours).collect()
}

#[test]
fn nothing_stands_against_a_good_fleet() {
    let results = World::good().results();
    assert_eq!(results.findings, []);
    assert!(results.ok.iter().all(|(area, ok)| *ok > 0 || area == "plan"), "{:?}", results.ok);
}

#[test]
fn every_check_finds_what_it_is_for_and_nothing_else_does() {
    let severities: BTreeMap<String, Severity> = of_the_fleet().into_iter().map(|e| (e.check, e.severity)).collect();
    let mut wrong = Vec::new();
    for (check, nodes, change) in CASES {
        let mut world = World::good();
        change(&mut world);
        let mut found = world.found();
        // Without the home or the database others cannot look: no finding of theirs.
        found.retain(|(_, severity, _)| *severity != Severity::Unseen);
        let right = |(name, severity, _): &(String, Severity, String)| name == check && severities.get(name) == Some(severity);
        let on: BTreeSet<&str> = found.iter().flat_map(|(_, _, on)| on.split(' ')).collect();
        if found.is_empty() || on != nodes.split(' ').collect() || !found.iter().all(right) {
            wrong.push(format!("{check}: {found:?}"));
        }
    }
    assert_eq!(wrong, Vec::<String>::new());
}

/// Checks that look at no fact of one node: at what the controller knows, at the fleet file, at artifacts, at the plan.
const WITHOUT_FACTS: [&str; 24] = [
    "agent-enrolled",
    "agent-connected",
    "agent-version",
    "agent-clock",
    "upgraded-before",
    "artifacts",
    "artifact-pinned",
    "plan",
    "is-pack",
    "am-pack",
    "is-connector",
    "is-migration-client",
    "am-migration-client",
    "am-script-vhost",
    "am-migration-resources",
    "am-migration-rxt",
    "jdbc-driver-class",
    "new-node",
    "ports-apart",
    "gateway-enrolled-unseen",
    "drained-and-enrolled",
    "encryption-key-length",
    "notification-endpoint",
    "claims-pattern",
];

/// A waiver is for what was found: the facts behind a finding go along, so that `apply` looks at them again.
#[test]
fn the_facts_behind_a_finding_go_along_with_it() {
    let mut wrong = Vec::new();
    for (check, _, change) in CASES {
        let mut world = World::good();
        change(&mut world);
        let results = world.results();
        let named = format!("{}{check}", cavalcade_common::plan::FINDING_OF);
        let behind: Vec<String> = results.behind.iter().filter(|d| d.decides.contains(&named)).map(|d| d.path.clone()).collect();
        if behind.is_empty() && !WITHOUT_FACTS.contains(check) {
            wrong.push(*check);
        }
    }
    assert_eq!(wrong, [""; 0]);
    let mut world = World::good();
    world.of("is-2")["ports"][0]["home"] = json!(null);
    let mut plan = crate::view::example_plan::plan();
    world.results().put_into(&mut plan);
    let ports = plan.decided_by.iter().find(|d| d.path == "facts.ports").expect("goes along");
    assert_eq!((ports.node.as_str(), ports.value[0].get("pid")), ("is-2", None), "a process id changes by itself");
    assert!(plan.findings.iter().any(|f| f.check == "port-free"));
}

/// Checks whose state is another one than one change of the good world.
const APART: [&str; 14] = [
    "encryption-differs-am",
    "registry-versioning-differs",
    "shared-home",
    "database-connection-check",
    "uuid-ossp",
    "uuid-ossp-servers",
    "uuid-ossp-servers-of-users",
    "auto-commit-of-users",
    "unique-id-column-of-users",
    "am-db-differs",
    "shared-db-differs",
    "h2",
    "gateway-environments-differ",
    "gateway-labels",
];

#[test]
fn every_check_has_a_case() {
    let with: BTreeSet<&str> = CASES.iter().map(|(check, ..)| *check).chain(APART).collect();
    let all: Vec<String> = of_the_fleet().into_iter().map(|e| e.check).collect();
    assert_eq!(
        with.into_iter().collect::<Vec<_>>(),
        all.iter().map(String::as_str).collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    );
}

fn with(check: &str, change: impl Fn(&mut World)) -> Vec<(Severity, String)> {
    let mut world = World::good();
    change(&mut world);
    world.found().into_iter().filter(|(name, ..)| name == check).map(|(_, severity, nodes)| (severity, nodes)).collect()
}

#[test]
fn a_home_shared_by_hosts_is_seen() {
    let network = |node: &'static str| move |w: &mut World| w.of(node)["disks"][0]["network"] = json!(true);
    assert_eq!(with("shared-home", network("is-1")), []);
    let both = |w: &mut World| ["is-1", "is-2"].into_iter().for_each(|node| network(node)(w));
    assert_eq!(with("shared-home", both), [(Severity::Warning, "is-1 is-2".to_owned())]);
}

fn on_postgresql(w: &mut World) {
    w.fleet = w.fleet.replace("engine: mariadb", "engine: postgresql");
    for name in ["am_db", "shared_db"] {
        let db = w.db(name);
        (db["engine"], db["version"]) = (json!("postgresql"), json!("15.4"));
        (db["extensions"], db["client_connection_check_interval"]) = (json!(["uuid-ossp"]), json!(0));
        db["dump_client"]["version"] = json!("pg_dump (PostgreSQL) 15.4");
    }
    for node in ["is-1", "is-2", "cp-1"] {
        for (fact, name) in [("apim_db", "am"), ("shared_db", "shared")] {
            w.of(node)["old"]["databases"][fact]["url"] = json!(format!("jdbc:postgresql://db/{name}"));
        }
    }
}

#[test]
fn postgresql_has_checks_of_its_own() {
    let mut world = World::good();
    on_postgresql(&mut world);
    assert_eq!(world.found(), []);
    let with = |check: &str, change: &dyn Fn(&mut World)| {
        with(check, |w| {
            on_postgresql(w);
            change(w);
        })
    };
    let is_1 = |severity| [(severity, "is-1".to_owned())];
    assert_eq!(with("uuid-ossp", &|w| w.db("am_db")["extensions"] = json!([])), is_1(Severity::Error));
    assert_eq!(with("uuid-ossp", &|w| (w.db("am_db")["extensions"], w.db("am_db")["superuser"]) = (json!([]), json!(true))), []);
    // The migration of the users' database works with the servers' account, whatever the one for scripts may.
    let missing = |w: &mut World| (w.db("shared_db")["extensions"], w.db("shared_db")["superuser"]) = (json!([]), json!(true));
    let and = |key: &'static str| {
        move |w: &mut World| {
            missing(w);
            w.of("is-1")["logins"]["shared_db"][key] = json!(true);
        }
    };
    assert_eq!(with("uuid-ossp-servers", &missing), is_1(Severity::Error));
    assert_eq!(with("uuid-ossp-servers", &and("superuser")), []);
    assert_eq!(with("uuid-ossp-servers", &and("trusted_extensions")), [], "it may create what the server trusts its users with");
    assert_eq!(with("uuid-ossp", &|w| w.db("shared_db")["extensions"] = json!([])), [], "no script of ours creates it there");
    let apart = |w: &mut World| {
        with_user_db(w);
        w.db("user_db")["extensions"] = json!([]);
        for (name, superuser) in [("shared_db", true), ("user_db", false)] {
            let mut login = w.of("is-1")["logins"]["am_db"].clone();
            login["superuser"] = json!(superuser);
            w.of("is-1")["logins"][name] = login;
        }
    };
    let both = |change: &dyn Fn(&mut World)| ["uuid-ossp-servers", "uuid-ossp-servers-of-users"].map(|check| with(check, change));
    assert_eq!(both(&apart), [vec![], vec![]], "users are in shared_db all the same");
    let in_it = |w: &mut World| {
        apart(w);
        w.of("is-2")["old"]["conf"]["realm"] = json!("WSO2USER_DB");
    };
    assert_eq!(both(&in_it), [vec![], is_1(Severity::Error).to_vec()], "its own database, which nobody looked at before");
    let interval = |w: &mut World| w.db("am_db")["client_connection_check_interval"] = json!(1000);
    assert_eq!(with("database-connection-check", &interval), is_1(Severity::Warning));
    let older = |w: &mut World| w.db("am_db")["dump_client"]["version"] = json!("pg_dump (PostgreSQL) 13.1");
    assert_eq!(with("database-dump-client", &older), is_1(Severity::Error));
}

#[test]
fn a_url_of_its_own_on_one_node_is_seen() {
    let url = |node: &'static str, fact: &'static str, url: &'static str| {
        move |w: &mut World| w.of(node)["old"]["databases"][fact]["url"] = json!(url)
    };
    let all = "is-1 is-2 cp-1".split(' ').map(ToOwned::to_owned).collect::<BTreeSet<_>>();
    for (check, fact) in [("am-db-differs", "apim_db"), ("shared-db-differs", "shared_db")] {
        let found = with(check, url("cp-1", fact, "jdbc:mysql://other/x"));
        let nodes: BTreeSet<String> = found.iter().flat_map(|(_, nodes)| nodes.split(' ')).map(ToOwned::to_owned).collect();
        assert_eq!(nodes, all, "{check}: {found:?}");
    }
    let embedded = [(Severity::Error, "cp-1".to_owned())];
    assert_eq!(with("h2", url("cp-1", "apim_db", "jdbc:h2:./x")), embedded);
    for (name, fact) in [("user_db", "user"), ("config_db", "config")] {
        let apart = |there: &'static str| {
            move |w: &mut World| {
                with_database(w, name);
                let own = json!({ "type": "h2", "url": there, "driver": "org.h2.Driver", "auto_commit": null });
                w.of("cp-1")["old"]["databases"][fact] = own;
            }
        };
        assert_eq!(with("h2", apart("jdbc:h2:./repository/database/X")), embedded, "{name}");
        assert_eq!(with("h2", apart("jdbc:mysql://db/x")), [], "{name}");
    }
}

/// A gateway beside the control plane, with this in its old settings and in the fleet file.
fn with_gateway(w: &mut World, change: impl Fn(&mut serde_json::Value), more: &str) {
    let node = "  gw-1:\n    role: api-manager\n    host: gw-1.example.com\n    old: { home: /opt/wso2/old }\n    \
                new: { home: /opt/wso2/new, profile: gateway-worker }\n";
    w.fleet.push_str(&format!("{node}{more}"));
    let mut facts = w.of("cp-1").clone();
    change(&mut facts["old"]["conf"]);
    w.facts.insert("gw-1".to_owned(), facts);
}

#[test]
fn the_login_of_the_servers_counts_where_it_is_used() {
    let refused = |w: &mut World| w.of("cp-1")["logins"]["am_db"]["rights"]["alter"] = json!(false);
    let plan = |stages: &[&str]| {
        let mut plan = crate::view::example_plan::plan();
        let jobs = plan.stages.iter_mut().flat_map(|s| &mut s.steps).filter(|s| matches!(s.action, Action::Job(_)));
        for (job, node) in jobs.zip(stages.iter().cycle()) {
            job.key.node = node.parse().expect("a name");
        }
        assert!(plan.steps().any(|(_, s)| matches!(s.action, Action::Job(_))), "the example migrates");
        plan
    };
    let with_plan = |node: &'static str| {
        move |w: &mut World| {
            refused(w);
            w.planned = Some(Ok(plan(&[node])));
        }
    };
    assert_eq!(with("server-rights", with_plan("cp-1")), [(Severity::Error, "cp-1".to_owned())]);
    assert_eq!(with("server-rights", with_plan("is-1")), [], "this node runs no migration client");
    let unknown = |w: &mut World| w.of("cp-1")["logins"]["am_db"]["rights"]["alter"] = json!(null);
    assert_eq!(with("server-rights", unknown), [(Severity::Unseen, "cp-1".to_owned())]);
    let untried = |w: &mut World| w.of("cp-1")["logins"]["am_db"]["reached"] = json!(null);
    assert_eq!(with("server-login", untried), [(Severity::Unseen, "cp-1".to_owned())]);
}

#[test]
fn a_login_whose_secret_only_the_controller_has_is_said_to_be_untried() {
    let mut world = World::good();
    world.fleet = world.fleet.replace("server: { env: SERVER }", "server: { prompt: the password }");
    for node in ["is-1", "is-2", "cp-1"] {
        world.of(node)["logins"] = json!({});
    }
    let found = world.results().findings;
    assert!(found.iter().all(|f| f.severity == Severity::Unseen && f.nodes == ["is-1", "is-2", "cp-1"]), "{found:#?}");
    let said: Vec<&str> = found.iter().map(|f| f.found.as_str()).collect();
    assert!(said.contains(&"the servers' login at am_db: only the controller will have the secret server"), "{said:?}");
}

#[test]
fn a_url_of_the_fleet_file_is_compared_with_its_database() {
    let url = |url: &'static str| {
        move |w: &mut World| w.fleet = w.fleet.replacen("name: am\n", &format!("name: am\n    jdbc_url: {url}\n"), 1)
    };
    let nowhere = (Severity::Warning, String::new());
    assert_eq!(with("database-address", url("jdbc:mysql://db/am?useSSL=false")), []);
    assert_eq!(with("database-address", url("jdbc:mysql://db/am_old")), std::slice::from_ref(&nowhere));
    assert_eq!(with("database-address", url("jdbc:mysql://db:3307/am")), [nowhere]);
}

#[test]
fn a_scratch_database_is_there_and_ours_or_empty() {
    let scratch = |value: serde_json::Value| move |w: &mut World| w.db("am_db")["scratch"] = value.clone();
    let error = [(Severity::Error, "is-1".to_owned())];
    assert_eq!(with("database-scratch", scratch(json!({ "exists": false, "problem": "unknown database" }))), error);
    assert_eq!(with("database-scratch", scratch(json!({ "exists": null, "problem": "access denied" }))), error);
    assert_eq!(with("database-scratch", scratch(json!({ "exists": true, "empty": false, "ours": true }))), []);
    assert_eq!(with("database-scratch", scratch(json!(null))), [(Severity::Unseen, "is-1".to_owned())]);
}

#[test]
fn offsets_that_differ_may_still_meet() {
    for (offset, meets) in [(37, true), (52, true), (100, true), (152, true), (1, false), (10, false)] {
        let found = with("ports-apart", |w| second_server(w, offset));
        assert_eq!(!found.is_empty(), meets, "{offset}: {found:?}");
    }
}

#[test]
fn a_home_by_another_name_is_known_by_its_process() {
    let linked = |w: &mut World| w.of("is-2")["old_ports"][0]["home"] = json!("/opt/wso2/current");
    assert_eq!(with("old-server", linked), []);
}

#[test]
fn a_gateway_whose_label_no_environment_has_is_seen() {
    let nothing = |_: &mut serde_json::Value| ();
    let error = [(Severity::Error, "gw-1".to_owned())];
    assert_eq!(with("gateway-labels", |w| with_gateway(w, nothing, "")), []);
    let own = |w: &mut World| {
        w.of("cp-1")["old"]["conf"]["gateway_environments"] = json!([{ "name": "Public" }, { "name": "Internal" }]);
        with_gateway(w, |conf| conf["gateway_environments"] = json!(null), "");
    };
    assert_eq!(with("gateway-labels", own), [], "those of the control plane are the gateway's");
    let old = |w: &mut World| with_gateway(w, |conf| conf["gateway_labels"] = json!(["Internal"]), "");
    assert_eq!(with("gateway-labels", old), error);
    let answered = |label: &'static str| {
        move |w: &mut World| {
            own(w);
            w.fleet.push_str(&format!("    answers: {{ old: {{ conf: {{ gateway_labels: [{label}] }} }} }}\n"));
        }
    };
    assert_eq!(with("gateway-labels", answered("Internal")), []);
    assert_eq!(with("gateway-labels", answered("Internl")), error);
}

/// A second API Manager, with an old profile.
fn beside(w: &mut World, profile: &str, change: impl Fn(&mut serde_json::Value)) {
    let node = format!(
        "  am-2:\n    role: api-manager\n    host: am-2.example.com\n    old: {{ home: /opt/wso2/old, profile: {profile} }}\n    \
         new: {{ home: /opt/wso2/new, profile: control-plane }}\n"
    );
    w.fleet.push_str(&node);
    let mut facts = w.of("cp-1").clone();
    change(&mut facts);
    w.facts.insert("am-2".to_owned(), facts);
}

#[test]
fn api_managers_that_cannot_share_their_data_are_seen() {
    let both = [(Severity::Error, "cp-1".to_owned()), (Severity::Error, "am-2".to_owned())];
    let sorted = |mut found: Vec<(Severity, String)>| {
        found.sort_by(|a, b| b.1.cmp(&a.1));
        found
    };
    let symmetric = |facts: &mut serde_json::Value| {
        facts["old"]["conf"]["encryption_type"] = json!("symmetric");
        facts["old"]["conf"]["encryption_key"] = json!(true);
    };
    let found = |profile: &'static str| with("encryption-differs-am", move |w| beside(w, profile, symmetric));
    assert_eq!(sorted(found("gateway-worker")), both);
    assert_eq!(found("traffic-manager"), [], "it encrypts nothing");
    // Identity Servers may have another way, and a provider that is named is the one that counts by default.
    let named = |facts: &mut serde_json::Value| {
        let provider = "org.wso2.carbon.crypto.provider.KeyStoreBasedInternalCryptoProvider";
        facts["old"]["conf"]["encryption_provider"] = json!(provider);
    };
    let mut world = World::good();
    for node in ["is-1", "is-2"] {
        symmetric(world.of(node));
    }
    beside(&mut world, "default", named);
    let of_keys: Vec<_> = world.found().into_iter().filter(|(check, ..)| check.starts_with("encryption")).collect();
    assert_eq!(of_keys, [], "no finding of encryption-key either");

    let versioned = |facts: &mut serde_json::Value| facts["old"]["values"]["versioning_tags"] = json!("true");
    let found = |profile: &'static str| with("registry-versioning-differs", move |w| beside(w, profile, versioned));
    assert_eq!(sorted(found("api-devportal")), both);
    assert_eq!(found("traffic-manager"), [], "its template says so in any case");
}

#[test]
fn pools_are_known_by_both_names_of_their_keys_and_so_is_that_of_the_users() {
    let users = |auto_commit: serde_json::Value| {
        move |w: &mut World| {
            let mut user = w.of("is-2")["old"]["databases"]["shared_db"].clone();
            user["auto_commit"] = auto_commit.clone();
            w.of("is-2")["old"]["databases"]["user"] = user;
        }
    };
    assert_eq!(with("auto-commit-of-users", users(json!(false))), [(Severity::Warning, "is-2".to_owned())]);
    assert_eq!(with("auto-commit-of-users", users(json!(null))), []);
    let many = |key: &'static str, pool: serde_json::Value| {
        move |w: &mut World| {
            w.db("am_db")["asked"]["apis"] = json!("1200");
            w.of("cp-1")["old"]["conf"][key] = pool.clone();
        }
    };
    let few = [(Severity::Warning, "cp-1".to_owned())];
    assert_eq!(with("pool-size", many("shared_pool_alias", json!(50))), few);
    assert_eq!(with("pool-size", many("shared_pool_alias", json!("100"))), []);
    assert_eq!(with("pool-size", many("shared_pool", json!(100))), []);
}

#[test]
fn a_vault_file_that_nobody_can_see_is_not_looked_at() {
    let vault = |keys: serde_json::Value| {
        with("vault-file", move |w| {
            w.of("is-2")["old"]["conf"]["vault"] = json!(["a"]);
            w.of("is-2")["old"]["tables"] = json!({ "vault_file": keys });
        })
    };
    assert_eq!(vault(json!(null)), [(Severity::Unseen, "is-2".to_owned())]);
    assert_eq!(vault(json!(["b", "a"])), []);
}

#[test]
fn gateways_that_call_their_environment_otherwise_are_seen() {
    let second = |name: &'static str| {
        move |w: &mut World| with_gateway(w, |conf| conf["gateway_environments"] = json!([{ "name": name }]), "")
    };
    let found = with("gateway-environments-differ", second("Internal"));
    assert_eq!(found, [(Severity::Warning, "gw-1".to_owned()), (Severity::Warning, "cp-1".to_owned())]);
    assert_eq!(with("gateway-environments-differ", second("Production and Sandbox")), []);
}

#[test]
fn an_algorithm_that_the_migration_has_no_name_for_is_seen_and_may_be_answered() {
    let of = |cipher: &'static str, answers: &'static str| {
        move |w: &mut World| {
            for node in ["is-1", "is-2"] {
                w.of(node)["old"]["values"]["cipher_transformation"] = json!(cipher);
            }
            w.fleet = w.fleet.replacen(
                "    old: { home: /opt/wso2/old }\n",
                &format!("    old: {{ home: /opt/wso2/old }}\n{answers}"),
                1,
            );
        }
    };
    for known in ["RSA", "RSA/ECB/OAEPwithSHA1andMGF1Padding", "AES", "AES/GCM/NoPadding"] {
        assert_eq!(with("cipher-unknown", of(known, "")), [], "{known}");
    }
    let padded = "RSA/ECB/PKCS1Padding";
    assert_eq!(with("cipher-unknown", of(padded, "")), [(Severity::Error, "is-1 is-2".to_owned())]);
    let answers = "    answers: { old: { values: { cipher_transformation: RSA } } }\n";
    assert_eq!(with("cipher-unknown", of(padded, answers)), []);
}

/// Another database beside the shared one, with the same in it.
fn with_database(w: &mut World, name: &str) {
    let database =
        format!("  {name}:\n    engine: mariadb\n    host: db\n    name: {name}\n    from: is-1\n    admin: {{ user: ddl }}\n");
    w.fleet = w.fleet.replace("nodes:\n", &format!("{database}nodes:\n"));
    let db = w.db("shared_db").clone();
    w.of("is-1")["databases"][name] = db;
}

fn with_user_db(w: &mut World) {
    with_database(w, "user_db");
}

#[test]
fn users_may_have_a_database_of_their_own() {
    let change = |ids: serde_json::Value| {
        move |w: &mut World| {
            with_user_db(w);
            w.db("user_db")["asked"]["unique_ids"] = ids.clone();
            w.of("is-2")["user_store"]["type"] = json!("database_unique_id");
        }
    };
    let in_it = |ids: serde_json::Value| {
        move |w: &mut World| {
            change(ids.clone())(w);
            w.of("is-2")["old"]["conf"]["realm"] = json!("WSO2USER_DB");
        }
    };
    assert_eq!(with("unique-id-column-of-users", in_it(json!(null))), [(Severity::Error, "is-2".to_owned())]);
    assert_eq!(with("unique-id-column-of-users", in_it(json!("7"))), []);
    assert_eq!(with("unique-id-column", in_it(json!(null))), []);
    // A user database that is not the primary user store's is none of the matter: UM_USER of shared_db has the column.
    assert_eq!(with("unique-id-column-of-users", change(json!(null))), []);
    let neither = |w: &mut World| {
        change(json!("7"))(w);
        w.db("shared_db")["asked"]["unique_ids"] = json!(null);
    };
    assert_eq!(with("unique-id-column", neither), [(Severity::Error, "is-2".to_owned())]);
}

#[test]
fn what_an_old_agent_does_not_tell_is_not_looked_at() {
    let mut world = World::good();
    let facts = json!({
        "old": { "exists": true, "version": "5.10.0", "offset": 0, "owner": "wso2", "running": [{ "pid": 7, "user": "wso2" }] },
        "new": { "exists": false, "made_by_us": false },
        "java": { "home": "/opt/java", "version": "11.0.20" },
        "disks": [], "problems": [],
    });
    *world.of("is-2") = facts;
    let results = world.results();
    assert!(results.findings.iter().all(|f| f.severity == Severity::Unseen && f.nodes == ["is-2"]), "{:#?}", results.findings);
    for check in ["open-files", "port-free", "keystores-readable", "autostart", "encryption-key", "java-version"] {
        assert!(results.findings.iter().any(|f| f.check == check), "{check}");
    }
    world.facts.remove("is-1");
    let without = world.results();
    assert_eq!(without.count(Severity::Error), 0, "{:#?}", without.findings);
}

#[test]
fn an_answer_stands_in_for_what_was_found() {
    let mut world = World::good();
    world.of("is-2")["java"]["major"] = json!(17);
    world.fleet = world.fleet.replace("options:", "answers: { java: { major: 11 } }\noptions:");
    assert_eq!(world.found(), []);
}

#[test]
fn our_own_new_home_and_our_own_servers_are_no_findings() {
    let made = |w: &mut World| (w.of("is-2")["new"]["exists"], w.of("is-2")["new"]["made_by_us"]) = (json!(true), json!(true));
    assert_eq!(with("new-home-free", made), []);
    let ours = |w: &mut World| w.of("is-2")["ports"][0]["home"] = json!("/opt/wso2/new");
    assert_eq!(with("port-free", ours), []);
    let off = |w: &mut World| {
        w.of("is-2")["old"]["autostart"][0] = json!({ "kind": "monit", "file": "x", "person": "monit does", "enabled": false })
    };
    assert_eq!(with("autostart", off), []);
}
