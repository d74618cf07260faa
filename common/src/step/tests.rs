//! Steps as people write them, and what becomes of them.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::action::{ArtifactRef, Autostart, AutostartOp, Class, Engine, Ready, Runtime, SqlScript};
use crate::id::{Digest, HostId, NodeId};

fn names() -> Names {
    let values = json!({
        "name": "is-1",
        "node": { "id": "is-1", "role": "identity-server", "offset": 0, "new": { "home": "/opt/is" }, "old": { "home": "/opt/km" } },
        "facts": { "user_store": { "type": "jdbc" } },
        "options": { "apart": "30s", "databases": ["am_db", "reg_db"], "none": [] },
        "secrets": secret_values(["am"].into_iter()),
    });
    let serde_json::Value::Object(values) = values else { panic!("is a mapping") };
    let database = |name: &str| DbTarget {
        name: name.to_owned(),
        engine: Engine::Mysql,
        host: "db1".to_owned(),
        port: 3306,
        socket: None,
        database: name.to_uppercase(),
        scratch: Some(format!("{name}_proof")),
        user: "ddl".to_owned(),
        password: crate::secret::marker("am"),
        server_accounts: Vec::new(),
        tls: false,
        ca: None,
        client_bin: None,
    };
    let pack = ArtifactRef { name: "pack".to_owned(), sha256: Digest::of(b"pack"), size: 4, file: "is.zip".to_owned() };
    let node = NodeId::new("is-1").expect("is a name");
    Names {
        host: HostId::new("host-1").expect("is a name"),
        values,
        homes: vec![HomeNames {
            home: "/opt/is".to_owned(),
            service: Some("wso2is.service".to_owned()),
            script: Some("bin/wso2server.sh".to_owned()),
            ready: Ready {
                log: Some("repository/logs/wso2carbon.log".to_owned()),
                started: Some("started in".to_owned()),
                ..Ready::default()
            },
        }],
        runtime: Runtime { run_as: Some("wso2".to_owned()), ..Runtime::default() },
        artifacts: [("pack".to_owned(), pack)].into(),
        databases: ["am_db", "reg_db"].map(|n| (n.to_owned(), database(n))).into(),
        backup_to: ["am_db", "reg_db"].map(|n| (n.to_owned(), format!("/backup/{n}"))).into(),
        needs: [("old-servers-down".to_owned(), Need::Down { nodes: vec![node.clone()] })].into(),
        hooks: std::collections::BTreeMap::new(),
        node,
    }
}

fn read_all(text: &str) -> StepList {
    read_steps(text.as_bytes(), "s.yaml", &names()).unwrap_or_else(|faults| panic!("{faults}"))
}

fn faults(text: &str) -> Vec<(u16, u32, u32, String)> {
    let found = read_steps(text.as_bytes(), "s.yaml", &names()).expect_err("must be refused");
    found
        .0
        .into_iter()
        .map(|f| {
            let p = f.place.expect("has a place");
            (f.code.0, p.line, p.column, f.help.unwrap_or_default())
        })
        .collect()
}

fn first_fault(text: &str) -> (u16, u32, u32) {
    let (code, line, column, _) = faults(text).remove(0);
    (code, line, column)
}

const ALL_ACTIONS: &str = r#"
- step: edit
  row: C2
  note: "on {{ name }}"
  when: { user_store.type: jdbc }
  timeout: 2min
  retry: { times: 2, wait: 5s }
  toml:
    file: "{{ node.new.home }}/repository/conf/deployment.toml"
    comment_out: [user_store]
    merge: { database.identity_db: { password: "{{ secrets.am }}", pool_options.maxActive: 50 } }
    set: { server.offset: "{{ node.offset }}" }
    append: [{ table: event_listener, identity: [id], values: { id: token_revocation, order: 1 } }]
- step: yaml
  yaml:
    file: /opt/is/migration-config.yaml
    set: { migrationEnable: "true" }
    remove_items: [{ list: "versions[version=5.10.0].migratorConfigs", contains: { name: MigrationValidator, order: 2 } }]
- { step: text, text: { file: /opt/is/a.txt, replace: [{ find: a, with: b, count: 0 }], lines: [x] } }
- { step: place, artifact: { artifact: pack, to: /opt/is/lib/a.jar, only: "a-*.jar" } }
- { step: unpack, unpack: { artifact: pack, to: /opt/is, strip: 1 } }
- { step: copy, copy: { from: "/opt/km/*.jks", into: /opt/is/security, count: 2 } }
- { step: remove, remove: ["{{ node.new.home }}/migration-resources"] }
- { step: start, server: { start: "{{ node.new.home }}", within: 5min } }
- { step: down, server: { down: "{{ node.old.home }}", apart: "{{ options.apart }}" } }
- step: migrate
  needs: [old-servers-down]
  job:
    effect: is-migration
    home: "{{ node.new.home }}"
    command: [bin/wso2server.sh, -Dmigrate, -Dcomponent=identity]
    databases: [am_db]
    ends: ["WSO2 Carbon started in"]
    evidence: { require: [done], forbid: [ERROR], sequence: { pattern: 'order : (\d+)', to: 17 } }
    progress: { pattern: 'order : (?P<done>\d+)', total: 17 }
- { step: profile, command: { command: [/opt/is/bin/p.sh, -Dprofile=x], cwd: /opt/is/bin, repeatable: true } }
- { step: script, needs: [old-servers-down], sql: { effect: am-db-4.0.0, database: am_db, script: pack } }
- { step: check, query: { database: am_db, asserts: [{ says: revisions, table: AM_REVISION }] } }
- { step: back-up, for: options.databases, backup: { database: "{{ item }}" } }
- { step: http, http: { url: "https://is-1:9443/health", body: '.+', within: 90s } }
- { step: tcp, tcp: { address: "is-1:9443" } }
- { step: log, log: { file: /opt/is/log, pattern: started } }
- { step: asleep, row: B6, autostart: { disable: "{{ node.old.home }}" } }
- { step: script-in-am, row: D6, skip: "done in stage 3 on {{ name }}" }
- { step: ldap-only, row: C2, when: "facts.user_store.type == 'ldap'", remove: [/opt/is/x] }
- { step: none, for: options.none, remove: ["/opt/is/{{ item }}"] }
"#;

#[test]
fn every_action_is_read() {
    let list = read_all(ALL_ACTIONS);
    let kinds: Vec<&str> = list.steps.iter().map(|s| s.action.kind()).collect();
    let wanted = [
        "toml",
        "yaml",
        "text",
        "artifact",
        "unpack",
        "copy",
        "remove",
        "server",
        "server",
        "job",
        "command",
        "sql",
        "query",
        "backup",
        "backup",
        "http",
        "tcp",
        "log",
        "autostart",
    ];
    assert_eq!(kinds, wanted);
    let left: Vec<(&str, &str)> = list.left_out.iter().map(|l| (l.name.as_str(), l.reason.as_str())).collect();
    let wanted = [
        ("script-in-am", "done in stage 3 on is-1"),
        ("ldap-only", "facts.user_store.type = jdbc"),
        ("none", "`options.none` is empty"),
    ];
    assert_eq!(left, wanted);
}

#[test]
fn values_are_resolved_and_defaults_are_known() {
    let list = read_all(ALL_ACTIONS);
    let step = |name: &str| list.steps.iter().find(|s| s.name.as_str() == name).expect("is there");
    let Action::Toml(edit) = &step("edit").action else { panic!("is an edit") };
    assert_eq!(edit.file, "/opt/is/repository/conf/deployment.toml");
    assert_eq!(edit.set.get("server.offset"), Some(&json!(0)));
    assert_eq!(edit.merge["database.identity_db"]["password"], json!(crate::secret::marker("am")));
    assert_eq!(step("edit").note.as_deref(), Some("on is-1"));
    assert_eq!((step("edit").retry.times, step("edit").timeout), (2, Duration::from_secs(120)));
    let Action::Server(start) = &step("start").action else { panic!("is a server") };
    assert_eq!((start.service.as_deref(), start.script.as_str()), (Some("wso2is.service"), "bin/wso2server.sh"));
    assert_eq!(start.ready.started.as_deref(), Some("started in"));
    assert_eq!(start.runtime.run_as.as_deref(), Some("wso2"));
    let Action::Server(down) = &step("down").action else { panic!("is a server") };
    assert_eq!((down.op, down.apart), (ServerOp::Down, Duration::from_secs(30)));
    let Action::Backup(backup) = &step("back-up-reg_db").action else { panic!("is a backup") };
    assert_eq!(backup.to, "/backup/reg_db");
    assert_eq!(step("migrate").needs.len(), 1);
    assert_eq!(step("migrate").action.class(), Class::Operator);
}

#[test]
fn effects_are_named_by_what_they_change() {
    let list = read_all(ALL_ACTIONS);
    let effects: Vec<(&str, &str)> =
        list.steps.iter().filter_map(|s| Some((s.name.as_str(), s.effect.as_ref()?.0.as_str()))).collect();
    let wanted = [("migrate", "is-migration|db:db1:3306/AM_DB|home:host-1:/opt/is"), ("script", "am-db-4.0.0|db:db1:3306/AM_DB")];
    assert_eq!(effects, wanted);
}

#[test]
fn a_plan_step_survives_json() {
    for step in read_all(ALL_ACTIONS).steps {
        let text = serde_json::to_string(&step).expect("is written");
        assert_eq!(serde_json::from_str::<PlanStep>(&text).expect("is read"), step);
    }
}

#[test]
fn names_survive_json() {
    let text = serde_json::to_string(&names()).expect("is written");
    assert_eq!(serde_json::from_str::<Names>(&text).expect("is read"), names());
}

#[test]
fn a_step_does_one_thing() {
    assert_eq!(first_fault("- { step: a }"), (1115, 1, 11));
    assert_eq!(first_fault("- step: a\n  remove: [/a/b]\n  copy: { from: /a, into: /b }\n"), (1115, 3, 3));
    assert_eq!(first_fault("- step: a\n  remov: [/a/b]\n").0, 1106);
}

#[test]
fn unknown_keys_and_names_are_found_with_the_nearest_one() {
    let text = "- step: a\n  toml:\n    fil: /a/b\n    sett: { a: 1 }\n";
    let found = faults(text);
    assert!(found.contains(&(1106, 3, 5, "`file` exists".to_owned())), "{found:?}");
    assert!(found.contains(&(1106, 4, 5, "`set` exists".to_owned())), "{found:?}");
    let text = "- step: a\n  sql: { effect: e, database: am_bd, script: pak }\n";
    let found = faults(text);
    assert!(found.contains(&(1118, 2, 31, "`am_db` exists".to_owned())), "{found:?}");
    assert!(found.contains(&(1118, 2, 46, "`pack` exists".to_owned())), "{found:?}");
    assert_eq!(first_fault("- step: a\n  needs: [old-server-down]\n  remove: [/a/b]\n"), (1118, 2, 11));
}

#[test]
fn sql_comes_from_an_artifact_or_from_the_recipe_and_never_from_both() {
    let text = "- step: a\n  sql: { effect: e, database: am_db, statements: \"ALTER TABLE A ADD B INT\" }\n";
    let Action::Sql(sql) = &read_all(text).steps[0].action else { panic!("is sql") };
    assert_eq!((sql.statements.as_deref(), &sql.script), (Some("ALTER TABLE A ADD B INT"), &None));
    let json = serde_json::to_value(sql).expect("is JSON");
    assert!(json.get("script").is_none(), "{json}");
    assert_eq!(serde_json::from_value::<SqlScript>(json).expect("reads"), *sql);
    for keys in ["", ", script: pack, statements: SELECT 1", ", statements: \" \"", ", statements: \"SELECT '{{ secrets.am }}'\""]
    {
        assert_eq!(first_fault(&format!("- step: a\n  sql: {{ effect: e, database: am_db{keys} }}\n")).0, 1110, "{keys}");
    }
}

#[test]
fn who_may_be_in_a_database_is_read_from_names_and_servers() {
    let read = |from: &str| {
        let text =
            format!("- step: a\n  query: {{ database: am_db, asserts: [{{ says: alone, no_sessions: {{ {from} }} }}] }}\n");
        let Action::Query(query) = &read_all(&text).steps[0].action else { panic!("is a query") };
        query.asserts[0].no_sessions.clone().expect("is there").but_from
    };
    assert_eq!(read(""), [""; 0]);
    assert_eq!(read("but_from: [10.0.0.1, is-1]"), ["10.0.0.1", "is-1"]);
    assert_eq!(read("but_from: [{ id: is-1, address: is-1.example.com, offset: 0 }, is-2]"), ["is-1.example.com", "is-2"]);
    let text = "- step: a\n  query: { database: am_db, asserts: [{ says: x, no_sessions: { but_from: [{ id: is-1 }] } }] }\n";
    assert_eq!(first_fault(text).0, 1110);
    let both = "- step: a\n  query: { database: am_db, asserts: [{ says: x, table: A, no_sessions: {} }] }\n";
    assert_eq!(first_fault(both).0, 1110);
}

#[test]
fn a_step_is_checked_even_where_its_condition_is_false() {
    let text = "- step: a\n  when: \"facts.user_store.type == 'ldap'\"\n  toml: { file: \"{{ node.nw.home }}/x\", st: {} }\n";
    let found: Vec<u16> = faults(text).into_iter().map(|f| f.0).collect();
    assert!(found.contains(&1107) && found.contains(&1106), "{found:?}");
}

#[test]
fn braces_in_a_condition_are_refused_with_the_corrected_line() {
    let found = faults("- step: a\n  when: \"{{ facts.user_store.type == 'jdbc' }}\"\n  remove: [/a/b]\n");
    assert_eq!(found, [(1111, 2, 9, "write: \"facts.user_store.type == 'jdbc'\"".to_owned())]);
}

#[test]
fn stages_are_no_steps() {
    assert_eq!(first_fault("stages: []\n"), (1116, 1, 1));
    assert_eq!(first_fault("- stage: a\n  steps: []\n"), (1116, 1, 3));
    assert_eq!(first_fault("steps: []\nbatch: 1\n"), (1116, 2, 1));
    assert_eq!(first_fault("a: 1\n"), (1106, 1, 1));
}

#[test]
fn values_that_cannot_be_meant_are_refused() {
    for (text, code) in [
        ("- { step: a, remove: [relative/path] }", 1110),
        ("- { step: a, remove: [/a/../b] }", 1110),
        ("- { step: a, remove: [/] }", 1110),
        ("- { step: a, remove: [] }", 1110),
        ("- { step: a, timeout: 10, remove: [/a/b] }", 1110),
        ("- { step: a, server: { start: /opt/other } }", 1108),
        ("- { step: a, server: { start: /opt/is, stop: /opt/is } }", 1110),
        ("- { step: a, tcp: { address: nohost } }", 1110),
        ("- { step: a, http: { url: 'ftp://x' } }", 1110),
        ("- { step: a, log: { file: /a/b, pattern: '(' } }", 1110),
        ("- { step: a, command: { command: [sh], cwd: /a } }", 1110),
        ("- { step: a, toml: { file: /a/b, set: { x: ~ } } }", 1110),
        ("- { step: a, toml: { file: /a/b, merge: { x: 1 } } }", 1109),
        ("- { step: a, query: { database: am_db, asserts: [{ says: x }] } }", 1110),
        ("- { step: '../a', remove: [/a/b] }", 1110),
        ("[{ step: a, remove: [/a/b] }, { step: a, remove: [/a/c] }]", 1110),
    ] {
        assert_eq!(first_fault(text).0, code, "{text}");
    }
}

#[test]
fn an_exchange_is_read_and_its_faults_have_places() {
    let text = "- step: verify\n  exchange:\n    within: 90s\n    calls:\n      - name: token\n        url: https://is/oauth2/token\n        \
                method: POST\n        basic: { user: id, password: \"{{ secrets.am }}\" }\n        form: { grant_type: x }\n        \
                capture: { token: '\"t\":\"(.+)\"', n: '(\\d+)' }\n      - name: menu\n        url: https://gw/menu\n        \
                headers: { Authorization: Bearer $(token) }\n        status: 204\n    \
                query: { database: am_db, select: SELECT COUNT(*) FROM AM_API, equals: n }\n";
    let Action::Exchange(read) = read_all(text).steps.remove(0).action else { panic!("is an exchange") };
    assert_eq!((read.calls.len(), read.within), (2, Duration::from_secs(90)));
    assert_eq!(read.calls[0].basic.as_deref(), Some(format!("id:{}", crate::secret::marker("am")).as_str()));
    assert_eq!((read.calls[1].status.as_slice(), read.calls[1].insecure), (&[204][..], true));
    assert_eq!(read.query.as_ref().map(|q| (q.database.name.as_str(), q.equals.as_str())), Some(("am_db", "n")));
    assert_eq!(Action::Exchange(read).class(), Class::Redo);
    let broken = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        first_fault(&text.replacen(from, to, 1))
    };
    assert_eq!(broken("$(token)", "$(tokn)"), (1118, 11, 9));
    assert_eq!(broken("equals: n", "equals: m").0, 1118);
    assert_eq!(broken("method: POST", "method: SEND"), (1110, 7, 17));
    assert_eq!(broken("        method: POST\n", "").0, 1110);
    assert_eq!(broken("name: menu", "name: token"), (1110, 11, 9));
    assert_eq!(broken("https://gw", "gw"), (1110, 12, 14));
    assert_eq!(broken("status: 204", "status: [204, 1000]"), (1110, 14, 23));
    assert_eq!(broken("'(\\d+)'", "'\\d+'").0, 1110);
    assert_eq!(broken("Authorization:", "Content-Length:").0, 1110);
    assert_eq!(broken("headers:", "heders:").0, 1106);
    assert_eq!(first_fault("- { step: x, exchange: { calls: [] } }").0, 1108);
    // The form is checked without a node too, where templates are still open.
    let open =
        text.replace("status: 204", "status: \"{{ options.apart }}\"").replace("https://gw/menu", "\"{{ options.apart }}\"");
    assert!(faults(&open).iter().all(|f| f.1 > 11), "only what the templates gave is wrong");
}

#[test]
fn a_secret_in_the_arguments_is_refused_at_its_place() {
    let text = |env: &str, argument: &str| {
        format!(
            "- step: ask\n  command:\n    command: [/usr/bin/x, \"{argument}\"]\n    cwd: /opt/is\n    env: {{ P: \"{env}\" }}\n"
        )
    };
    read_all(&text("{{ secrets.am }}", "plain"));
    let found = faults(&text("x", "p={{ secrets.am }}"));
    assert_eq!(found.iter().map(|f| (f.0, f.1, f.2)).collect::<Vec<_>>(), [(1125, 3, 27)]);
    assert!(found[0].3.contains("env: { NAME: \"{{ secrets.am }}\" }"), "{found:?}");
}

#[test]
fn a_secret_in_the_arguments_of_a_server_is_refused_at_its_place() {
    let text = |argument: &str| format!("- step: up\n  server:\n    start: /opt/is\n    args: [\"-Da=b\", \"{argument}\"]\n");
    let found = faults(&text("-Dp={{ secrets.am }}"));
    assert!(found.iter().any(|f| (f.0, f.1, f.2) == (1125, 4, 21)), "{found:?}");
    assert_eq!(read_all(&text("-Dp=plain")).steps.len(), 1);
}

#[test]
fn autostart_is_switched_off_or_restored_and_not_both() {
    let one = |text: &str| read_all(text).steps.remove(0).action;
    let home = |op| Autostart { op, home: "/opt/km".to_owned(), under: "/".to_owned() };
    let off = one("- { step: a, autostart: { disable: \"{{ node.old.home }}\" } }\n");
    assert_eq!(off, Action::Autostart(home(AutostartOp::Disable)));
    assert_eq!((off.class(), off.only_looks(), off.kind()), (Class::Redo, false, "autostart"));
    let on = one("- { step: a, autostart: { enable: /opt/km, under: /srv/root } }\n");
    assert_eq!(on, Action::Autostart(Autostart { under: "/srv/root".to_owned(), ..home(AutostartOp::Enable) }));
    for wrong in
        ["{}", "{ under: /srv }", "{ disable: /opt/km, enable: /opt/km }", "{ disable: km }", "{ disable: /opt/km, x: 1 }"]
    {
        assert!(!faults(&format!("- {{ step: a, autostart: {wrong} }}\n")).is_empty(), "{wrong}");
    }
}
