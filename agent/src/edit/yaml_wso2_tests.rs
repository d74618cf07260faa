//! The recipe's edits on the real migration-config.yaml (rows of the procedure: C7, C10, C11).

use cavalcade_common::action::YamlEdit;
use serde_json::{Value, json};

use super::error::EditError;
use super::fixture::{changes, wso2};
use super::yaml;

const LIST: &str = "versions[version=5.10.0].migratorConfigs";

fn edit(fields: Value) -> YamlEdit {
    let mut all = json!({"file": "/migration-config.yaml"});
    if let (Some(all), Some(fields)) = (all.as_object_mut(), fields.as_object()) {
        all.extend(fields.clone());
    }
    serde_json::from_value(all).expect("a YAML edit")
}

fn removals() -> Value {
    json!({"remove_items": [
        {"list": LIST, "contains": {"name": "MigrationValidator", "order": 2}},
        {"list": LIST, "contains": {"name": "SchemaMigrator", "order": 5, "parameters": {"location": "step2", "schema": "identity"}}},
        {"list": LIST, "contains": {"name": "TenantPortalMigrator", "order": 11}}]})
}

#[test]
fn c10_versions() {
    let Some(source) = wso2("migration-config.yaml") else { return };
    let edit = edit(json!({"set": {"migrationEnable": "true", "currentVersion": "5.10.0", "migrateVersion": "5.11.0"}}));
    let once = yaml(&source, &edit).expect("first run");
    assert_eq!(yaml(&once, &edit).expect("second run"), once);
    let (gone, new) = changes(&source, &once);
    assert_eq!(gone, ["currentVersion: \"5.x.x\"", "migrateVersion: \"5.x.x\""]);
    assert_eq!(new, ["currentVersion: \"5.10.0\"", "migrateVersion: \"5.11.0\""]);
}

#[test]
fn c7_symmetric() {
    let Some(source) = wso2("migration-config.yaml") else { return };
    let path = "versions[version=5.5.0].migratorConfigs[name=KeyStorePasswordMigrator].parameters.transformToSymmetric";
    let once = yaml(&source, &edit(json!({"set": {path: "true"}}))).expect("first run");
    let (gone, new) = changes(&source, &once);
    assert_eq!(gone, ["      transformToSymmetric: \"false\""]);
    assert_eq!(new, ["      transformToSymmetric: \"true\""]);
}

#[test]
fn c11_three_migrators_go_and_nothing_else() {
    let Some(source) = wso2("migration-config.yaml") else { return };
    let edit = edit(removals());
    let once = yaml(&source, &edit).expect("first run");
    let (gone, new) = changes(&source, &once);
    assert_eq!(new, Vec::<String>::new());
    assert_eq!(gone.len(), 3 + 6 + 3);
    let text = String::from_utf8(source).expect("UTF-8");
    let block = text.find("version: \"5.10.0\"").expect("block");
    let mut expected = text[block..].to_owned();
    for item in [
        "   -\n     name: \"MigrationValidator\"\n     order: 2\n",
        "   -\n     name: \"SchemaMigrator\"\n     order: 5\n     parameters:\n       location: \"step2\"\n       schema: \"identity\"\n",
        "   -\n     name: \"TenantPortalMigrator\"\n     order: 11\n",
    ] {
        expected = expected.replacen(item, "", 1);
    }
    assert_eq!(String::from_utf8(once.clone()).expect("UTF-8"), format!("{}{expected}", &text[..block]));
    assert!(matches!(yaml(&once, &edit), Err(EditError::NotFound { .. })));
}

#[test]
fn every_item_of_every_list_can_be_removed() {
    let Some(source) = wso2("migration-config.yaml") else { return };
    let text = String::from_utf8(source.clone()).expect("UTF-8");
    let config: Value = serde_yaml::from_str(&text).expect("YAML");
    let versions = config["versions"].as_array().expect("versions");
    let mut count = 0;
    for version in versions {
        let list = format!("versions[version={}].migratorConfigs", version["version"].as_str().expect("version"));
        for item in version["migratorConfigs"].as_array().expect("migrators") {
            let fields = json!({"remove_items": [{"list": list, "contains": {"order": item["order"]}}]});
            let out = yaml(&source, &edit(fields)).unwrap_or_else(|e| panic!("{e}: {item}"));
            let (gone, new) = changes(&source, &out);
            // A list that loses its only item stays a list.
            assert!(new.is_empty() || new[0].trim() == "migratorConfigs: []", "{new:?}");
            assert!(gone.iter().any(|l| l.trim().starts_with("order:")), "{gone:?}");
            count += 1;
        }
    }
    assert!(count > 60);
}

#[test]
fn the_comments_of_a_removed_item_go_with_it() {
    let Some(source) = wso2("migration-config.yaml") else { return };
    let fields = json!({"remove_items": [{"list": LIST, "contains": {"name": "UserIDMigrator"}},
        {"list": "versions[version=5.11.0].migratorConfigs", "contains": {"name": "TokenBindingValidationMigrator"}}]});
    let out = yaml(&source, &edit(fields)).expect("first run");
    let (gone, new) = changes(&source, &out);
    assert_eq!(new, Vec::<String>::new());
    assert!(gone[0].trim() == "-" || gone[0].trim().starts_with("name: \"UserIDMigrator\""), "{gone:?}");
    assert_eq!(gone.iter().filter(|l| l.trim_start().starts_with('#')).count(), 17 + 3);
}
