//! Rows C15 and B3: settings that mean something else, or nothing, to the new servers.

use cavalcade_common::action::Action;
use cavalcade_common::plan::{Fate, Plan};
use serde_json::{Value, json};

use super::tests::{FLEET, RECIPE, plan_with};

const PROCESSOR: &str = "oauth.extensions.token_persistence_processor";
const CLASSES: &str = "org.wso2.carbon.identity.oauth.tokenprocessor";

fn plan(encryption: &Value, hashing: &Value, processor: &Value) -> Plan {
    let found = plan_with(FLEET, RECIPE, |_, facts| {
        let conf = &mut facts["old"]["conf"];
        (conf["token_encryption"], conf["token_hashing"]) = (encryption.clone(), hashing.clone());
        conf["token_processor"] = processor.clone();
        let of = |key: &str| json!({ "key": key, "change": "added", "hidden": false, "value": true });
        facts["old"]["settings"] =
            json!([of("apim.oauth_config.enable_token_encryption"), of("apim.oauth_config.auth_header"), of(PROCESSOR)]);
    });
    found.unwrap_or_else(|f| panic!("{f}"))
}

/// What the steps on this node set, by key.
fn set(plan: &Plan, node: &str) -> Value {
    let steps = plan.steps().filter(|(_, s)| s.key.node.as_str() == node && s.name.as_str().ends_with("-tokens"));
    let sets = steps.filter_map(|(_, s)| match &s.action {
        Action::Toml(edit) => Some(edit.set.clone()),
        _ => None,
    });
    sets.flatten().collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn tokens_are_kept_as_the_old_key_manager_kept_them() {
    let (on, off, unset) = (json!(true), json!(false), Value::Null);
    let encrypted = json!({ PROCESSOR: format!("{CLASSES}.EncryptionDecryptionPersistenceProcessor") });
    let hashed = json!({
        PROCESSOR: format!("{CLASSES}.HashingPersistenceProcessor"), "oauth.hash_tokens_and_secrets": true,
    });
    for (encryption, hashing, processor, wanted) in [
        (&on, &unset, &unset, &encrypted),
        (&json!("true"), &off, &unset, &encrypted),
        (&unset, &on, &unset, &hashed),
        (&off, &unset, &unset, &json!({})),
        (&unset, &unset, &unset, &json!({})),
        (&on, &unset, &json!("com.example.Processor"), &json!({})),
    ] {
        let plan = plan(encryption, hashing, processor);
        for node in ["is-1", "is-2"] {
            assert_eq!(&set(&plan, node), wanted, "{node}: {encryption} {hashing} {processor}");
        }
        assert_eq!(set(&plan, "cp-1"), json!({}), "API-M 4.0.0 knows both settings");
    }
    let fate = |node: &str, key: &str| {
        let plan = plan(&on, &unset, &unset);
        plan.settings.iter().find(|s| s.node.as_str() == node && s.key == key).map(|s| s.fate)
    };
    assert_eq!(fate("is-1", "apim.oauth_config.enable_token_encryption"), Some(Fate::Done));
    assert_eq!(fate("is-1", "apim.oauth_config.auth_header"), Some(Fate::Dropped));
    assert_eq!(fate("cp-1", "apim.oauth_config.enable_token_encryption"), Some(Fate::Carried));
    assert_eq!(fate("is-1", PROCESSOR), Some(Fate::Carried));
}

#[test]
fn no_new_server_keeps_versions_of_the_registry() {
    let keys = ["static_configuration.versioning_tags.enable", "registry.versioning_configuration.enable"];
    let plan = plan_with(FLEET, RECIPE, |_, facts| {
        facts["old"]["settings"] =
            keys.map(|key| json!({ "key": key, "change": "added", "hidden": false, "value": true })).into();
    });
    let plan = plan.unwrap_or_else(|f| panic!("{f}"));
    for node in ["is-1", "cp-1"] {
        let fates: Vec<Fate> = plan.settings.iter().filter(|s| s.node.as_str() == node).map(|s| s.fate).collect();
        assert_eq!(fates, [Fate::Dropped; 2], "{node}");
    }
}
