//! Rows with a condition, each with it true and false, in plans of the recipe with API Managers.

use cavalcade_common::action::{Action, TomlEdit};
use cavalcade_common::plan::{Fate, Plan};
use serde_json::{Value, json};

use super::tests::{FLEET, RECIPE, plan_knowing, plan_with};
use super::*;
use crate::pack::Shipped;

fn plan(fleet: &str, change: impl Fn(&str, &mut Value)) -> Plan {
    plan_with(fleet, RECIPE, change).unwrap_or_else(|f| panic!("{f}"))
}

fn action<'p>(plan: &'p Plan, stage: &str, node: &str, name: &str) -> Option<&'p Action> {
    let of_stage = plan.stages.iter().find(|s| s.id.as_str() == stage)?;
    let mut steps = of_stage.steps.iter().filter(|s| s.key.node.as_str() == node && s.name.as_str() == name);
    steps.next().map(|s| &s.action)
}

fn toml<'p>(plan: &'p Plan, stage: &str, node: &str, name: &str) -> &'p TomlEdit {
    match action(plan, stage, node, name) {
        Some(Action::Toml(edit)) => edit,
        other => panic!("{stage}/{name} on {node} is no edit: {other:?}"),
    }
}

/// The example with more in one of its mappings.
fn with_more(section: &str, more: &str) -> String {
    let head = format!("\n{section}:\n");
    assert!(FLEET.contains(&head), "{section}");
    FLEET.replacen(&head, &format!("{head}{more}"), 1)
}

fn setting(key: &str, change: &str) -> Value {
    json!({ "key": key, "change": change, "hidden": false, "value": "x" })
}

fn fates(plan: &Plan, node: &str) -> BTreeMap<String, Fate> {
    let of_node = plan.settings.iter().filter(|s| s.node.as_str() == node);
    of_node.map(|s| (s.key.clone(), s.fate)).collect()
}

const SYMMETRIC: &str = "org.wso2.carbon.crypto.provider.SymmetricKeyInternalCryptoProvider";

#[test]
fn registry_versioning_is_told_by_those_that_write_to_the_registry() {
    let fleet = with_more("artifacts", "  registry_versioning_script: { file: artifacts/versioning.sql }\n");
    let versioned = |on: &'static str| {
        move |id: &str, facts: &mut Value| {
            if id == on {
                facts["old"]["values"]["versioning_comments"] = json!("true");
            }
        }
    };
    let script =
        |on: &'static str| action(&plan(&fleet, versioned(on)), "registry-versioning", "is-1", "versioning-script").cloned();
    assert!(matches!(script("cp-1"), Some(Action::Sql(_))), "a publisher, though the database is looked after by is-1");
    for other in ["tm-1", "is-1", "gw-1"] {
        assert_eq!(script(other), None, "{other} does not count: a traffic manager's own template says so in any case");
    }
    let decided = plan(&fleet, versioned("cp-1")).decided_by;
    let path = "facts.old.values.versioning_comments";
    assert!(decided.iter().any(|d| d.node.as_str() == "cp-1" && d.path == path && d.value == "true"), "{decided:?}");
    let refused = plan_with(FLEET, RECIPE, versioned("cp-1")).expect_err("the script is missing").to_string();
    assert!(refused.contains("registry_versioning_script"), "{refused}");
}

#[test]
fn tenants_are_counted_where_the_users_are() {
    let user_db = "  user_db:\n    engine: mysql\n    host: db1.example.com\n    name: um_db\n    from: is-1\n    scratch: um_db_proof\n    \
                   admin: { user: wso2_ddl, password: ddl_password }\n    server: { user: wso2carbon, password: server_password }\n";
    let fleet = with_more("databases", user_db).replacen(
        "\nartifacts:\n",
        "\nartifacts:\n  tenantloader: { file: artifacts/tenantloader-1.0.jar }\n",
        1,
    );
    let counted = |shared: Value, users: Value| {
        let plan = plan(&fleet, |id, facts| {
            facts["old"]["conf"]["realm"] = json!("WSO2USER_DB");
            facts["old"]["databases"]["user"] = facts["old"]["databases"]["shared_db"].clone();
            facts["databases"] = json!({});
            if id == "is-1" {
                facts["databases"] = json!({
                    "am_db": { "bytes": 1 },
                    "shared_db": { "bytes": 1, "asked": { "tenants": shared } },
                    "user_db": { "bytes": 1, "asked": { "tenants": users } },
                });
            }
        });
        action(&plan, "build-index", "cp-1", "tenantloader").is_some()
    };
    assert!(counted(json!("0"), json!("3")), "in user_db");
    assert!(counted(json!(null), json!("3")), "shared_db has no such table");
    assert!(!counted(json!("0"), json!("0")));
    assert!(counted(json!("2"), json!("0")), "in shared_db");
}

#[test]
fn what_a_jdbc_user_store_has_beside_its_type_is_carried() {
    let keys = [
        ("user_store.properties.PasswordDigest", "added", Fate::Carried),
        ("user_store.properties.CaseInsensitiveUsername", "added", Fate::Carried),
        ("user_store.type", "changed", Fate::Done),
        ("user_store.connection_url", "added", Fate::Dropped),
        ("user_store.base_dn", "removed", Fate::Dropped),
    ];
    let found = |kind: &'static str| {
        plan(FLEET, move |_, facts| {
            facts["user_store"]["type"] = json!(kind);
            facts["old"]["settings"] = keys.iter().map(|(key, change, _)| setting(key, change)).collect();
        })
    };
    let jdbc = found("database");
    let wanted: BTreeMap<String, Fate> = keys.iter().map(|(key, _, fate)| ((*key).to_owned(), *fate)).collect();
    assert_eq!(fates(&jdbc, "is-1"), wanted);
    let stage = jdbc.stages.iter().find(|s| s.id.as_str() == "set-up-is").expect("is a stage");
    let at = |name: &str| stage.steps.iter().position(|s| s.key.node.as_str() == "is-1" && s.name.as_str() == name);
    assert!(at("user-store-jdbc") < at("old-settings"), "what comments the table out comes before what fills it");
    let carry = toml(&jdbc, "set-up-is", "is-1", "old-settings").carry.clone().expect("carries");
    let carried: Vec<&str> = carry.keys.iter().map(|k| k.to.as_str()).collect();
    assert_eq!(carried, ["user_store.properties.PasswordDigest", "user_store.properties.CaseInsensitiveUsername"]);
    assert_eq!(fates(&found("read_write_ldap"), "is-1")["user_store.connection_url"], Fate::Carried, "of a directory all");
}

#[test]
fn a_database_password_in_the_vault_stays_there() {
    let fleet = with_more("secrets", "  keystore_password: { file: /run/secrets/keystore }\n").replacen(
        "\noptions:\n",
        "\noptions:\n  vault_file: /run/secrets/vault.toml\n",
        1,
    );
    let reference = "$secret{am_password}";
    let made = |vault: Value, user: &'static str| {
        plan(&fleet, move |id, facts| {
            facts["old"]["conf"]["vault"] = vault.clone();
            let databases = &mut facts["old"]["databases"];
            databases["apim_db"]["password_reference"] = json!((id != "gw-2").then_some(reference));
            databases["apim_db"]["username"] = json!(user);
            databases["shared_db"]["password_reference"] = json!(null);
        })
    };
    let on = made(json!(["am_password"]), "wso2carbon");
    let plain = json!("\u{2039}secret:server_password\u{203a}");
    let password = |plan: &Plan, stage: &str, node: &str, step: &str, table: &str| {
        toml(plan, stage, node, step).merge[&format!("database.{table}")]["password"].clone()
    };
    assert_eq!(password(&on, "set-up-is", "is-2", "identity-database", "identity_db"), reference);
    assert_eq!(password(&on, "set-up-is", "is-2", "shared-database", "shared_db"), plain);
    assert_eq!(password(&on, "set-up-am", "gw-1", "databases", "apim_db"), reference);
    assert_eq!(password(&on, "set-up-am", "gw-1", "databases", "shared_db"), plain);
    assert_eq!(password(&on, "set-up-am", "gw-2", "databases", "apim_db"), plain, "another node's vault is no help to it");
    let off = made(json!(null), "wso2carbon");
    assert_eq!(password(&off, "set-up-is", "is-2", "identity-database", "identity_db"), plain, "nothing resolves it");
    let other = made(json!(["am_password"]), "another");
    assert_eq!(
        password(&other, "set-up-is", "is-2", "identity-database", "identity_db"),
        plain,
        "the servers get another account"
    );
}

#[test]
fn both_forms_of_symmetric_encryption_are_known_on_both_products() {
    let made = |on: &'static str, key: &'static str, value: &'static str| {
        plan(FLEET, move |id, facts| {
            if id == on {
                facts["old"]["conf"][key] = json!(value);
                facts["old"]["settings"] = json!([setting("encryption.internal_crypto_provider", "added")]);
            }
        })
    };
    for (key, value) in [("encryption_provider", SYMMETRIC), ("encryption_type", "symmetric")] {
        let is = made("is-1", key, value);
        assert_eq!(toml(&is, "set-up-is", "is-1", "encryption-key-is-the-old-one").expect.len(), 1, "{value}");
        assert!(matches!(action(&is, "migrate-is", "is-1", "client-symmetric"), Some(Action::Yaml(_))), "{value}");
        assert_eq!(action(&is, "set-up-am", "cp-1", "encryption-key-is-the-old-one"), None);
        assert_eq!(fates(&is, "is-1")["encryption.internal_crypto_provider"], Fate::Dropped, "IS 5.11.0 does so in any case");
        let am = made("cp-1", key, value);
        assert_eq!(toml(&am, "set-up-am", "cp-1", "encryption-key-is-the-old-one").expect.len(), 1, "{value}");
        assert_eq!(action(&am, "migrate-is", "is-1", "client-symmetric"), None);
        assert_eq!(fates(&am, "cp-1")["encryption.internal_crypto_provider"], Fate::Carried, "4.0.0 does not");
    }
    // The provider that is named counts, whatever the type says.
    let named = plan(FLEET, |_, facts| {
        facts["old"]["conf"]["encryption_type"] = json!("symmetric");
        facts["old"]["conf"]["encryption_provider"] =
            json!("org.wso2.carbon.crypto.provider.KeyStoreBasedInternalCryptoProvider");
    });
    assert_eq!(action(&named, "set-up-is", "is-1", "encryption-key-is-the-old-one"), None);
}

#[test]
fn the_algorithm_of_the_old_server_goes_into_the_migration_client() {
    let of = |cipher: Value| plan(FLEET, move |_, facts| facts["old"]["values"]["cipher_transformation"] = cipher.clone());
    let plan = of(json!("RSA"));
    let Some(Action::Yaml(edit)) = action(&plan, "migrate-is", "is-1", "client-cipher") else { panic!("is an edit") };
    assert_eq!(edit.set.len(), 2);
    assert!(edit.set.values().all(|value| value == "RSA"), "{:?}", edit.set);
    assert_eq!(action(&of(json!(null)), "migrate-is", "is-1", "client-cipher"), None);
}

#[test]
fn a_windows_service_is_changed_where_the_fleet_file_says_that_there_is_one() {
    let of = |option: &str| plan(&with_more("options", option), |_, _| {});
    let with = of("  is_windows_service: true\n");
    let Some(Action::Text(edit)) = action(&with, "migrate-is", "is-1", "windows-service") else { panic!("is an edit") };
    assert_eq!(edit.file, "/opt/wso2/wso2is-5.11.0/bin/wso2server.bat");
    assert_eq!(edit.remove_arguments, ["-Dmigrate", "-Dcomponent=identity"]);
    assert_eq!(action(&of(""), "migrate-is", "is-1", "windows-service"), None);
}

#[test]
fn postgresql_gets_its_driver_its_types_and_a_validation_query() {
    let fleet = FLEET.replace("engine: mysql", "engine: postgresql");
    let of = |fleet: &str| {
        plan(fleet, |_, facts| {
            for name in ["apim_db", "shared_db"] {
                facts["old"]["databases"][name]["driver"] = json!("org.postgresql.Driver");
            }
        })
    };
    let postgresql = of(&fleet);
    for node in ["cp-1", "tm-1", "gw-2"] {
        for (step, database) in [("validation-query", "apim_db"), ("validation-query-shared", "shared_db")] {
            let edit = toml(&postgresql, "set-up-am", node, step);
            assert_eq!(edit.set[&format!("database.{database}.validationQuery")], "SELECT 1", "{node}");
        }
        let database = &toml(&postgresql, "set-up-am", node, "databases").merge["database.apim_db"];
        assert_eq!((&database["type"], &database["driver"]), (&json!("postgre"), &json!("org.postgresql.Driver")), "{node}");
    }
    assert_eq!(toml(&postgresql, "set-up-is", "is-1", "identity-database").merge["database.identity_db"]["type"], "postgre");
    assert_eq!(action(&of(FLEET), "set-up-am", "cp-1", "validation-query"), None, "MySQL has one of its own");
}

/// The example with a user database and a configuration registry of their own, on this engine.
pub(super) fn apart(engine: &str) -> String {
    let one = |name: &str| {
        format!(
            "  {name}:\n    engine: {engine}\n    host: db1.example.com\n    name: {name}\n    from: is-1\n    scratch: {name}_proof\n    \
             admin: {{ user: wso2_ddl, password: ddl_password }}\n    server: {{ user: wso2carbon, password: server_password }}\n"
        )
    };
    with_more("databases", &format!("{}{}", one("user_db"), one("config_db")))
}

pub(super) fn with_databases_apart(facts: &mut Value) {
    for name in ["user_db", "config_db"] {
        facts["databases"][name] = json!({ "bytes": 1, "asked": { "tenants": "0" } });
    }
    for name in ["user", "config"] {
        facts["old"]["databases"][name] = facts["old"]["databases"]["shared_db"].clone();
    }
}

#[test]
fn each_database_has_the_validation_query_of_its_own_engine() {
    let mixed = plan(&apart("postgresql"), |_, facts| with_databases_apart(facts));
    for (step, database) in [("validation-query-user", "user"), ("validation-query-config", "config")] {
        let edit = toml(&mixed, "set-up-am", "cp-1", step);
        assert_eq!(edit.set[&format!("database.{database}.validationQuery")], "SELECT 1");
    }
    for step in ["validation-query", "validation-query-shared"] {
        assert_eq!(action(&mixed, "set-up-am", "cp-1", step), None, "these are on MySQL");
    }
    let same = plan(&apart("mysql"), |_, facts| with_databases_apart(facts));
    for step in ["validation-query-user", "validation-query-config"] {
        assert_eq!(action(&same, "set-up-am", "cp-1", step), None);
    }
}

#[test]
fn a_configuration_registry_apart_is_one_on_every_server_and_loses_its_versions_too() {
    let script = "\nartifacts:\n  registry_versioning_script: { file: artifacts/versioning.sql }\n";
    let fleet = apart("mysql").replacen("\nartifacts:\n", script, 1);
    let of = |versioned: &'static str| {
        plan(&fleet, move |_, facts| {
            with_databases_apart(facts);
            facts["old"]["values"]["versioning_tags"] = json!(versioned);
        })
    };
    let with = of("true");
    for (stage, node) in [("set-up-is", "is-1"), ("set-up-am", "gw-1")] {
        assert!(toml(&with, stage, node, "config-database").merge.contains_key("database.config"), "{node}");
    }
    let Some(Action::Sql(sql)) = action(&with, "registry-versioning-config", "is-1", "versioning-script") else {
        panic!("is run")
    };
    assert_eq!(sql.database.name, "config_db");
    let without = of("false");
    assert_eq!(action(&without, "registry-versioning-config", "is-1", "versioning-script"), None);
    let Some(Action::Job(job)) = action(&without, "migrate-am", "cp-1", "migrate") else { panic!("is run") };
    assert_eq!(job.databases, ["am_db", "shared_db", "user_db", "config_db"], "a second run wants all of them restored");
}

#[test]
fn an_internal_keystore_of_its_own_goes_on_decrypting() {
    let fleet = with_more("artifacts", "  is_primary_keystore: { file: artifacts/new.jks }\n").replacen(
        "\nsecrets:\n",
        "\nsecrets:\n  is_primary_keystore_password: { file: /run/secrets/new }\n",
        1,
    );
    let of = |internal: Value| {
        plan(&fleet, move |_, facts| {
            facts["old"]["weak_key"] = json!(true);
            facts["old"]["conf"]["internal_keystore"] = internal.clone();
            facts["old"]["settings"] = json!([setting("keystore.internal.file_name", "added")]);
        })
    };
    let own = of(json!("internal.jks"));
    assert_eq!(action(&own, "set-up-is", "is-1", "internal-keystore"), None);
    assert_eq!(fates(&own, "is-1")["keystore.internal.file_name"], Fate::Carried);
    let edit = toml(&own, "set-up-is", "is-1", "primary-keystore");
    assert_eq!(edit.set["keystore.primary.file_name"], "new.jks", "the weak one is replaced all the same");
    assert!(action(&of(json!(null)), "set-up-is", "is-1", "internal-keystore").is_some());
}

#[test]
fn a_key_in_the_vault_is_taken_on_trust() {
    let of = |key: Value| {
        plan(FLEET, move |_, facts| {
            facts["old"]["conf"]["encryption_type"] = json!("symmetric");
            facts["old"]["conf"]["encryption_key"] = key.clone();
        })
    };
    let vaulted = of(json!("$secret{encryption_key}"));
    for (stage, node) in [("set-up-is", "is-1"), ("set-up-am", "cp-1")] {
        assert_eq!(action(&vaulted, stage, node, "encryption-key-is-the-old-one"), None, "{node}: the text differs in any case");
        assert!(action(&of(json!(true)), stage, node, "encryption-key-is-the-old-one").is_some(), "{node}");
    }
    assert!(vaulted.remarks.iter().any(|r| r.contains("$secret{encryption_key}")), "{:?}", vaulted.remarks);
}

#[test]
fn what_the_old_key_manager_alone_has_does_not_come_along_unseen() {
    let found = plan(FLEET, |_, facts| {
        let of = |key: &str, value: &str| json!({ "key": key, "change": "added", "hidden": false, "value": value });
        facts["old"]["settings"] = json!([
            of("oauth.grant_type.own", "org.wso2.carbon.apimgt.keymgt.handlers.ExtendedPasswordGrantHandler"),
            of("oauth.token_validation.own", "com.example.Validator"),
            of("apim.key_manager.own", "org.wso2.carbon.apimgt.X"),
        ]);
    });
    let is = fates(&found, "is-1");
    assert_eq!(is["oauth.grant_type.own"], Fate::Person);
    assert_eq!((is["oauth.token_validation.own"], is["apim.key_manager.own"]), (Fate::Carried, Fate::Dropped));
    assert_eq!(fates(&found, "cp-1")["oauth.grant_type.own"], Fate::Carried, "an API Manager has the class");
}

#[test]
fn only_what_a_step_does_on_the_node_is_called_done() {
    let keys = ["apim.throttling.event_duplicate_url", "apim.sync_runtime_artifacts.gateway.gateway_labels", "server.mode"];
    let found = plan(FLEET, |_, facts| {
        facts["old"]["settings"] = keys.map(|key| setting(key, "changed")).into();
    });
    let of = |node: &str| keys.map(|key| fates(&found, node)[key]);
    assert_eq!(of("gw-1"), [Fate::Person, Fate::Done, Fate::Carried]);
    assert_eq!(of("tm-1"), [Fate::Person, Fate::Dropped, Fate::Carried]);
    assert_eq!(of("is-1")[2], Fate::Dropped);
}

#[test]
fn what_nobody_compared_is_said() {
    let found = |shipped: &BTreeMap<String, Shipped>| {
        let plan = plan_knowing(FLEET, RECIPE, shipped, |_, facts| {
            facts["old"]["files"]["scripts"] = json!([{ "path": "bin/own.sh", "sha256": "cd".repeat(32), "bytes": 1 }]);
        });
        plan.unwrap_or_else(|f| panic!("{f}")).remarks.join("\n")
    };
    let unknown = found(&BTreeMap::new());
    assert!(unknown.contains("Name the artifact is_old_pack") && unknown.contains("Name the artifact am_old_pack"), "{unknown}");
    assert!(!found(&pack(json!({}))).contains("Nobody knows what the old pack shipped"));
}

#[test]
fn the_environment_of_an_old_key_manager_is_not_carried() {
    let fleet = |profile: &str| FLEET.replacen("profile: api-publisher }", &format!("profile: {profile} }}"), 1);
    assert_ne!(fleet("x"), FLEET, "the control plane was a publisher");
    let of = |profile: &str| plan(&fleet(profile), |_, _| {});
    let km = of("api-key-manager");
    assert_eq!(action(&km, "set-up-am", "cp-1", "gateway-environments"), None, "it has no URL, and 4.0.0 refuses that");
    let named = toml(&km, "set-up-am", "cp-1", "gateway-environment");
    assert_eq!(named.append[0].values["name"], "Production and Sandbox");
    assert!(action(&of("api-publisher"), "set-up-am", "cp-1", "gateway-environments").is_some());
}

#[test]
fn a_migration_runs_where_there_was_a_server() {
    let fleet = FLEET.replacen("    old: { home: /opt/wso2/wso2is-km-5.10.0 }\n", "", 1);
    assert_ne!(fleet, FLEET);
    let refused = plan_with(&fleet, RECIPE, |_, _| {}).expect_err("the first Identity Server is a new one").to_string();
    assert!(refused.contains("a migration runs on a node that has an old home"), "{refused}");
}

#[test]
fn only_the_key_that_encrypts_is_too_weak() {
    let fleet = with_more("artifacts", "  is_primary_keystore: { file: artifacts/new.jks }\n").replacen(
        "\nsecrets:\n",
        "\nsecrets:\n  is_primary_keystore_password: { file: /run/secrets/new }\n",
        1,
    );
    let store = |file: &str, kind: &str, bits: u64| json!({ "path": format!("repository/resources/security/{file}"), "type": kind, "bits": bits, "algorithm": "RSA" });
    let of = |stores: Value, weak: Value| {
        plan(&fleet, move |_, facts| {
            facts["old"]["conf"]["keystore_file"] = json!("own.p12");
            (facts["old"]["keystores"], facts["old"]["weak_key"]) = (stores.clone(), weak.clone());
            facts["old"]["files"]["pkcs12"] =
                json!([{ "path": "repository/resources/security/own.p12", "sha256": "ab".repeat(32) }]);
            facts["custom"] = json!({ "pkcs12": ["repository/resources/security/own.p12"] });
        })
    };
    let other = of(json!([store("leftover.jks", "JKS", 1024), store("own.p12", "PKCS12", 2048)]), json!(true));
    assert_eq!(action(&other, "set-up-is", "is-1", "internal-keystore"), None, "a leftover's key encrypts nothing");
    let own = of(json!([store("own.p12", "PKCS12", 1024), store("leftover.jks", "JKS", 2048)]), json!(true));
    let edit = toml(&own, "set-up-is", "is-1", "internal-keystore");
    assert_eq!(
        (&edit.set["keystore.internal.type"], &edit.set["keystore.internal.file_name"]),
        (&json!("PKCS12"), &json!("own.p12"))
    );
    assert!(action(&of(json!(null), json!(true)), "set-up-is", "is-1", "internal-keystore").is_some(), "nobody knows which");
    for (stage, node) in [("set-up-is", "is-1"), ("set-up-am", "gw-1")] {
        let Some(Action::Copy(copy)) = action(&own, stage, node, "keystores-pkcs12") else { panic!("is a copy") };
        assert_eq!(copy.paths, ["repository/resources/security/own.p12"], "{node}");
    }
}

#[test]
fn a_keystore_is_not_known_by_a_key_that_no_server_reads() {
    let fleet = with_more("artifacts", "  is_primary_keystore: { file: artifacts/new.jks }\n").replacen(
        "\nsecrets:\n",
        "\nsecrets:\n  is_primary_keystore_password: { file: /run/secrets/new }\n",
        1,
    );
    let store = |file: &str, bits: u64| json!({ "path": format!("repository/resources/security/{file}"), "type": "JKS", "bits": bits, "algorithm": "RSA" });
    let of = |file: Value, name: &'static str, bits: (u64, u64)| {
        plan(&fleet, move |_, facts| {
            (facts["old"]["conf"]["keystore_file"], facts["old"]["conf"]["keystore_name"]) = (file.clone(), json!(name));
            facts["old"]["keystores"] = json!([store("wso2carbon.jks", bits.0), store("own.jks", bits.1)]);
            facts["old"]["settings"] = json!([setting("keystore.primary.name", "changed")]);
        })
    };
    let fate = |plan: &Plan| fates(plan, "is-1")["keystore.primary.name"];
    let alone = of(json!(null), "own.jks", (2048, 1024));
    assert_eq!(fate(&alone), Fate::Person, "the old server ran on wso2carbon.jks");
    assert_eq!(action(&alone, "set-up-is", "is-1", "internal-keystore"), None, "and that key is long enough");
    assert_eq!(action(&alone, "set-up-is", "is-1", "old-settings"), None, "nothing of it is carried");
    let weak = of(json!(null), "own.jks", (1024, 2048));
    let edit = toml(&weak, "set-up-is", "is-1", "internal-keystore");
    assert_eq!(edit.set["keystore.internal.file_name"], "wso2carbon.jks");
    assert_eq!(fate(&of(json!("own.jks"), "own.jks", (2048, 2048))), Fate::Dropped);
    assert_eq!(fate(&of(json!(null), "wso2carbon.jks", (2048, 2048))), Fate::Dropped);
}

fn pack(settings: Value) -> BTreeMap<String, Shipped> {
    let known = json!({ "schema": "cavalcade.pack/1", "root": "r", "files": {}, "settings": settings });
    let known: Shipped = serde_json::from_value(known).expect("is a list");
    ["is_old_pack", "am_old_pack"].map(|name| (name.to_owned(), known.clone())).into()
}

#[test]
fn added_files_are_told_as_changed_ones_are() {
    let file = |path: &str| json!([{ "path": path, "sha256": "cd".repeat(32), "bytes": 1 }]);
    let found = plan_knowing(FLEET, RECIPE, &pack(json!({})), |id, facts| {
        facts["old"]["files"]["scripts"] = file("bin/own.sh");
        facts["old"]["files"]["configuration"] = file("repository/resources/conf/templates/own.j2");
        if id == "cp-1" {
            facts["old"]["files"]["sequences"] = file("repository/deployment/server/synapse-configs/default/sequences/own.xml");
            facts["old"]["files"]["templates"] = file("repository/resources/api_templates/own.xml");
            facts["old"]["files"]["deployment"] = file("repository/deployment/server/eventpublishers/own.xml");
            let portal =
                json!([{ "path": "repository/deployment/server/jaggeryapps/devportal", "sha256": "cd".repeat(32), "files": 9 }]);
            facts["old"]["folders"]["jaggery_apps"] = portal;
            facts["old"]["trees"]["published"]["files"] = json!(12);
            facts["old"]["trees"]["user_stores"] =
                json!({ "files": 1, "names": ["repository/deployment/server/userstores/P.xml"] });
        }
    });
    let remarks = found.unwrap_or_else(|f| panic!("{f}")).remarks.join("\n");
    for told in [
        "bin/own.sh",
        "templates/own.j2",
        "sequences/own.xml",
        "api_templates/own.xml",
        "userstores/P.xml",
        "jaggeryapps/devportal",
        "eventpublishers/own.xml",
        "12 files in endpoints",
    ] {
        assert!(remarks.contains(told), "{told} in {remarks}");
    }
}

#[test]
fn of_arrays_of_tables_only_what_the_pack_did_not_ship_is_carried() {
    let shipped = json!([{ "id": "mutual_tls_authenticator", "enable": false }]);
    let of = |kept: Value| {
        let found = plan_knowing(FLEET, RECIPE, &pack(json!({ "event_listener": shipped })), move |_, facts| {
            facts["old"]["settings"] = json!([{ "key": "event_listener", "change": "changed", "hidden": true, "kept": kept }]);
        });
        found.unwrap_or_else(|f| panic!("{f}"))
    };
    let carry = toml(&of(json!(true)), "set-up-is", "is-1", "old-settings").carry.clone().expect("carries");
    assert_eq!((carry.keys[0].to.as_str(), json!(carry.keys[0].without)), ("event_listener", shipped.clone()));
    for unknown in [json!(false), json!(null)] {
        let plan = of(unknown);
        assert_eq!(fates(&plan, "is-1")["event_listener"], Fate::Person);
        assert_eq!(action(&plan, "set-up-is", "is-1", "old-settings"), None);
    }
}

#[test]
fn what_no_step_does_is_not_called_done() {
    let of = |realm: Value| {
        plan(FLEET, move |_, facts| {
            facts["old"]["conf"]["realm"] = realm.clone();
            let keys = ["realm_manager.data_source", "realm_manager.properties.isCascadeDeleteEnabled", "config_data.path"];
            facts["old"]["settings"] = keys.map(|key| setting(key, "added")).into();
        })
    };
    for (realm, fate) in [("WSO2USER_DB", Fate::Done), ("SHARED_DB", Fate::Done), ("WSO2PEOPLE_DB", Fate::Person)] {
        let plan = of(json!(realm));
        for node in ["is-1", "cp-1"] {
            let fates = fates(&plan, node);
            assert_eq!(fates["realm_manager.data_source"], fate, "{realm} on {node}");
            assert_eq!(fates["realm_manager.properties.isCascadeDeleteEnabled"], Fate::Carried);
            assert_eq!(fates["config_data.path"], Fate::Carried, "{node}: the registry is mounted as it was");
        }
    }
}
