//! What lint says of recipes.

use super::*;
use crate::recipe::BUILT_IN;

const SOUND: &str = r#"
schema: cavalcade.recipe/1
recipe: small
title: A small one
options:
  within: { doc: how long, default: 5min }
artifacts:
  pack: { doc: the pack }
  script: { doc: the script }
databases:
  am_db: { doc: the database }
facts:
  - nodes: node.old.exists
    values: { versioning: { file: repository/conf/registry.xml, pattern: 'x(y)', otherwise: "false" } }
    files: { bundles: ["*.jar"] }
across:
  versions: { nodes: node.old.exists, value: facts.old.version }
values:
  versioned: '"1.0" in across.versions and facts.old.values.versioning == "true"'
needs:
  old-servers-down: { down: node.old.exists }
require:
  - that: facts.old.version == "1.0"
    says: only from 1.0
stages:
  - stage: first
    title: First
    nodes: values.versioned
    needs: [old-servers-down]
    steps:
      - step: unpack
        row: A1
        unpack: { artifact: pack, to: "{{ node.new.home }}" }
      - step: script
        when: { user_store.type: [jdbc] }
        for: facts.custom.bundles
        sql: { effect: the-script, database: am_db, script: script }
  - stage: second
    title: Second
    nodes: node.new.exists
    steps:
      - step: migrate
        row: C12
        job:
          effect: the-migration
          home: "{{ node.new.home }}"
          command: [bin/x.sh]
          ends: [started]
          evidence: { require: [done] }
      - step: wait
        server: { wait: "{{ node.new.home }}", within: "{{ options.within }}" }
"#;

/// Warnings as (code, line, column, step), sorted by place.
fn warned(text: &str) -> Vec<(u16, u32, u32, Option<String>)> {
    let linted = lint(text.as_bytes(), "small.yaml");
    assert!(linted.faults.is_empty(), "{}", linted.faults);
    let of = |f: Fault| {
        let place = f.place.expect("has a place");
        (f.code.0, place.line, place.column, f.step)
    };
    linted.warnings.into_iter().map(of).collect()
}

/// The one warning that a change of the sound recipe brings.
fn odd(from: &str, to: &str) -> (u16, u32, u32, Option<String>) {
    assert!(SOUND.contains(from), "{from}");
    let found = warned(&SOUND.replacen(from, to, 1));
    assert_eq!(found.len(), 1, "{to}: {found:?}");
    found.into_iter().next().expect("one")
}

#[test]
fn a_sound_recipe_has_no_warning() {
    assert_eq!(warned(SOUND), []);
}

#[test]
fn what_nothing_uses_is_named_at_its_place() {
    assert_eq!(odd("within: \"{{ options.within }}\"", "within: 5min"), (1250, 6, 3, None));
    assert_eq!(odd("artifacts:\n", "artifacts:\n  other: { doc: another }\n"), (1250, 8, 3, None));
    assert_eq!(odd("databases:\n", "databases:\n  um_db: { doc: another }\n"), (1250, 11, 3, None));
    assert_eq!(odd("values:\n  versioned", "values:\n  other: 1 + 1\n  versioned").0, 1250);
    assert_eq!(odd("    needs: [old-servers-down]\n", ""), (1250, 21, 3, None));
    assert_eq!(odd("\"1.0\" in across.versions and ", "").0, 1250);
    // A step that goes through all databases of its node uses every one of them.
    let all = SOUND.replacen("databases:\n", "databases:\n  um_db: { doc: another }\n", 1);
    assert_eq!(warned(&all.replacen("for: facts.custom.bundles", "for: node.databases", 1)), []);
}

#[test]
fn facts_that_nobody_delivers_are_named_with_their_step() {
    let step = Some("script".to_owned());
    let (code, _, _, of) = odd("user_store.type: [jdbc]", "user_stor.type: [jdbc]");
    assert_eq!((code, of), (1251, step.clone()));
    assert_eq!(odd("facts.custom.bundles", "facts.custom.libraries").3, step);
    assert_eq!(odd("facts.old.version ==", "facts.old.versoin ==").0, 1251);
    assert_eq!(odd("facts.old.values.versioning ==", "facts.old.values.other ==").0, 1251);
}

#[test]
fn stages_effects_and_jobs_are_looked_at() {
    assert_eq!(odd("        row: A1\n", "").0, 1252);
    assert_eq!(odd("effect: the-migration", "effect: the-script").0, 1253);
    assert_eq!(odd("          ends: [started]\n", ""), (1254, 45, 11, Some("migrate".to_owned())));
    assert_eq!(odd("nodes: node.new.exists", "nodes: 'false'").0, 1255);
    let circle = SOUND.replacen("    needs: [old-servers-down]\n", "    needs: [old-servers-down]\n    after: [second]\n", 1);
    let found = warned(&circle.replacen("    nodes: node.new.exists\n", "    nodes: node.new.exists\n    after: [first]\n", 1));
    assert_eq!(found.iter().map(|w| w.0).collect::<Vec<_>>(), [1255, 1255]);
}

#[test]
fn faults_come_first() {
    let linted = lint(SOUND.replace("title: First", "tilte: First").as_bytes(), "small.yaml");
    assert!(linted.recipe.is_none() && !linted.faults.is_empty() && linted.warnings.is_empty());
}

#[test]
fn the_built_in_recipes_have_no_warnings() {
    for (name, text) in BUILT_IN {
        let linted = lint(text.as_bytes(), name);
        let warnings: Vec<String> = linted.warnings.iter().map(ToString::to_string).collect();
        assert!(linted.faults.is_empty() && warnings.is_empty(), "{name}: {}{}", linted.faults, warnings.join("\n"));
    }
}
