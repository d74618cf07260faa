//! Fleet files as people write them.

use cavalcade_common::error::Fault;

use super::*;

const GOOD: &str = r#"
schema: cavalcade.fleet/1
fleet: emea
recipe: wso2-is-km-5.10.0-to-5.11.0
artifacts:
  is_pack: { file: packs/is.zip, sha256: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa }
secrets:
  am_db: { file: /run/secrets/am_db }
databases:
  am_db:
    engine: mariadb
    host: db1
    name: am
    from: is-1
    scratch: am_proof
    admin: { user: ddl, password: am_db }
    server: { user: wso2, password: am_db }
defaults: { run_as: wso2, java_home: /opt/java, env: { A: "1" }, backup_to: /backup }
nodes:
  is-[1:2]:
    role: identity-server
    host: "{{ name }}.example.com"
    old: { home: /opt/km }
    new: { home: /opt/is/ }
    env: { B: "{{ name }}" }
  gw-1:
    role: api-manager
    host: is-1.example.com
    offset: 1
    old: { home: /opt/gw31, profile: gateway-worker }
    new: retired
    old_offset: 3
answers: { user_store: { type: jdbc } }
options: { apart: 5s }
"#;

fn faults(text: &str) -> Vec<Fault> {
    read(text.as_bytes(), "fleet.yaml").expect_err("must be refused").0
}

/// The good file with one text replaced: its first fault as (code, line, column).
fn broken(find: &str, with: &str) -> (u16, u32, u32) {
    assert!(GOOD.contains(find), "{find}");
    let fault = faults(&GOOD.replacen(find, with, 1)).remove(0);
    let place = fault.place.expect("has a place");
    (fault.code.0, place.line, place.column)
}

#[test]
fn defaults_and_templates_are_applied() {
    let fleet = read(GOOD.as_bytes(), "fleet.yaml").unwrap_or_else(|f| panic!("{f}"));
    let ids: Vec<&str> = fleet.nodes.iter().map(|n| n.id.as_str()).collect();
    assert_eq!(ids, ["is-1", "is-2", "gw-1"]);
    let is2 = &fleet.nodes[1];
    assert_eq!((is2.host.as_str(), is2.address.as_str()), ("is-2.example.com", "is-2.example.com"));
    assert_eq!(is2.new.as_ref().map(|s| s.home.as_str()), Some("/opt/is"));
    assert_eq!(is2.runtime.env.get("B").map(String::as_str), Some("is-2"));
    assert_eq!(is2.runtime.run_as.as_deref(), Some("wso2"));
    assert_eq!((fleet.nodes[2].old_offset, fleet.nodes[2].offset), (3, 1));
    assert!(fleet.nodes[2].new.is_none());
    let db = &fleet.databases["am_db"];
    assert_eq!((db.target.port, db.target.password.as_str()), (3306, "\u{2039}secret:am_db\u{203a}"));
    assert_eq!(db.backup_to.as_deref(), Some("/backup/am_db"));
    assert_eq!(db.target.server_accounts, ["wso2"]);
}

#[test]
fn faults_have_places() {
    assert_eq!(broken("schema: cavalcade.fleet/1", "schema: cavalcade.fleet/2"), (1117, 2, 9));
    assert_eq!(broken("recipe:", "recip:"), (1108, 2, 1));
    assert_eq!(broken("sha256: aaaa", "sha256: zzzz").0, 1110);
    assert_eq!(broken("from: is-1", "from: is-3"), (1202, 10, 3));
    assert_eq!(broken("engine: mariadb", "engine: oracle"), (1110, 11, 13));
    assert_eq!(broken("scratch: am_proof", "scratch: am"), (1110, 10, 3));
    assert_eq!(broken("is-[1:2]:", "is-[2:1]:"), (1110, 20, 3));
    assert_eq!(broken("  gw-1:", "  is-2:"), (1104, 26, 3));
    assert_eq!(broken("role: api-manager", "role: gateway"), (1110, 27, 11));
    assert_eq!(broken("{{ name }}.example", "{{ nam }}.example"), (1107, 22, 15));
    assert_eq!(broken("new: retired", "new: retire"), (1109, 31, 10));
    assert_eq!(broken("    new: retired\n", "").0, 1108);
    assert_eq!(broken("home: /opt/km }", "home: /opt/km, profile: default }").0, 1110);
    assert_eq!(broken("home: /opt/is/", "home: /opt/km").0, 1203);
    assert_eq!(broken("am_db: { file: /run", "am-db: { file: /run").0, 1110);
    assert_eq!(broken("options: { apart: 5s }", "optiosn: {}"), (1106, 34, 1));
}

/// The good file with a second database behind the first.
fn with_second(second: &str) -> String {
    GOOD.replacen(
        "defaults: {",
        &format!(
            "  shared_db: {{ engine: mariadb, from: is-1, admin: {{ user: ddl, password: am_db }}, {second} }}\ndefaults: {{"
        ),
        1,
    )
}

#[test]
fn two_databases_share_nothing_that_each_needs_for_itself() {
    let well = with_second("host: db1, name: shared, scratch: shared_proof");
    read(well.as_bytes(), "fleet.yaml").unwrap_or_else(|f| panic!("{f}"));
    // The same names on another server are others.
    read(with_second("host: db2, name: am, scratch: am_proof").as_bytes(), "fleet.yaml").unwrap_or_else(|f| panic!("{f}"));
    for (second, says) in [
        (
            "host: DB1, name: am, scratch: shared_proof",
            "am on db1:3306 is the database of `am_db` and the database of `shared_db`",
        ),
        ("host: db1, name: shared, scratch: am_proof", "is the scratch database of `am_db` and the scratch database of"),
        ("host: db1, name: shared, scratch: am", "is the database of `am_db` and the scratch database of"),
        ("host: db1, name: am_proof, scratch: shared_proof", "is the scratch database of `am_db` and the database of"),
        ("host: db1, name: shared, backup_to: /backup/am_db/", "go to one folder, /backup/am_db on is-1.example.com"),
    ] {
        let found = faults(&with_second(second)).remove(0);
        let place = found.place.as_ref().expect("has a place");
        assert_eq!((found.code.0, place.line, place.column), (1223, 18, 3), "{second}: {found}");
        assert!(found.message.contains(says), "{second}: {found}");
    }
}

#[test]
fn nodes_on_one_host_differ_in_home_and_offset() {
    assert_eq!(broken("home: /opt/gw31", "home: /opt/km"), (1203, 26, 3));
    assert_eq!(broken("old_offset: 3", "old_offset: 0"), (1204, 26, 3));
    assert_eq!(
        broken(
            "    offset: 1\n    old: { home: /opt/gw31, profile: gateway-worker }\n    new: retired",
            "    old: { home: /opt/gw31 }\n    offset: 0\n    new: { home: /opt/gw40 }"
        ),
        (1204, 26, 3)
    );
}

#[test]
fn a_secret_in_the_file_is_refused_and_never_shown() {
    for (find, with) in [
        ("am_db: { file: /run/secrets/am_db }", "am_db: hunter2-literal"),
        ("am_db: { file: /run/secrets/am_db }", "am_db: { value: hunter2-literal }"),
        ("admin: { user: ddl, password: am_db }", "admin: { user: ddl, password: hunter2-literal }"),
    ] {
        let text = GOOD.replacen(find, with, 1);
        let found = faults(&text);
        assert!(matches!(found[0].code.0, 1119 | 1118), "{found:?}");
        let sources = [("fleet.yaml".to_owned(), text)].into();
        let shown = cavalcade_common::render::faults(&found.into_iter().collect(), &sources, "Nothing was changed.", false);
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn a_secret_may_be_asked_or_generated() {
    let with = |place: &str| GOOD.replacen("am_db: { file: /run/secrets/am_db }", &format!("am_db: {place}"), 1);
    let place = |text: &str| read(with(text).as_bytes(), "fleet.yaml").expect("is valid").secrets["am_db"].clone();
    assert_eq!(place("{ generate: 32 }"), SecretRef::Generate { bytes: 32 });
    assert_eq!(place("{ prompt: the DBA }"), SecretRef::Prompt("the DBA".to_owned()));
    for bad in ["{ generate: 8 }", "{ generate: 257 }", "{ generate: 32, env: X }", "{ generate: many }"] {
        assert!(!faults(&with(bad)).is_empty(), "{bad}");
    }
}

#[test]
fn a_jdbc_url_may_hold_secrets() {
    let text = GOOD.replacen("name: am\n", "name: am\n    jdbc_url: \"jdbc:x?p={{ secrets.am_db }}\"\n", 1);
    let fleet = read(text.as_bytes(), "fleet.yaml").unwrap_or_else(|f| panic!("{f}"));
    assert_eq!(fleet.databases["am_db"].jdbc_url.as_deref(), Some("jdbc:x?p=\u{2039}secret:am_db\u{203a}"));
    let text = GOOD.replacen("name: am\n", "name: am\n    jdbc_url: \"{{ secrets.am }}\"\n", 1);
    assert_eq!(faults(&text)[0].code.0, 1107);
}

#[test]
fn all_faults_are_found_at_once() {
    let text = GOOD.replace("engine: mariadb", "engine: oracle").replace("role: api-manager", "role: gateway");
    let text = text.replace("options: {", "optoins: {");
    let codes: Vec<u16> = faults(&text).iter().map(|f| f.code.0).collect();
    assert_eq!(codes, [1110, 1110, 1106]);
}

#[test]
fn artifacts_are_pinned_and_compared() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("packs")).expect("a folder");
    std::fs::write(folder.path().join("packs/is.zip"), b"pack").expect("a file");
    let fleet = read(GOOD.as_bytes(), "fleet.yaml").expect("is valid");
    let fault = pin(&fleet, folder.path()).expect_err("another digest").0.remove(0);
    let place = fault.place.expect("has a place");
    assert_eq!((fault.code.0, place.line, place.column), (2101, 6, 42));
    let right = Digest::of(b"pack");
    let text = GOOD.replace(&"a".repeat(64), right.as_str());
    let fleet = read(text.as_bytes(), "fleet.yaml").expect("is valid");
    let pinned = pin(&fleet, folder.path()).expect("is right");
    assert_eq!((&pinned["is_pack"].sha256, pinned["is_pack"].size, pinned["is_pack"].file.as_str()), (&right, 4, "is.zip"));
    let missing = pin(&fleet, std::path::Path::new("/nowhere")).expect_err("is missing").0.remove(0);
    assert_eq!(missing.code.0, 1120);
}
