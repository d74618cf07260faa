//! Every file action done, then undone; strangers; killed at every write.

use std::collections::BTreeMap;
use std::io::{self, Cursor, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use cavalcade_common::action::{Action, Undo};
use cavalcade_common::codes::files as codes;
use cavalcade_common::id::{Digest, StepKey};
use cavalcade_common::report::Verdict;
use cavalcade_common::secret::SecretBook;
use serde_json::{Value, json};

use super::work;
use crate::action::testkit::{FileHost, Machine, fault, holds};
use crate::action::{self, Act, Applied, Context, Failure};
use crate::host::{files, keep};

const TOML: &[u8] = b"[server]\nhostname = \"old\"\npassword = \"canary-old\"\n";

fn key(step: &str) -> StepKey {
    step.parse().expect("a step")
}

/// A context of a step of a run; the undo's own is step 9.1 of run `back`.
fn context(machine: &Machine, host: std::sync::Arc<FileHost>, run: &str, step: &str, resumed: bool) -> Context {
    let cx = machine.context(host, run, resumed, SecretBook::default());
    let undo_dir = keep::folder(&cx.state_dir, &cx.attempt.run, &key(step));
    Context { undo_dir, ..cx }
}

fn undoing(machine: &Machine, host: std::sync::Arc<FileHost>, resumed: bool) -> Context {
    context(machine, host, "back", "9.1@is-1", resumed)
}

fn pack() -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [("r/bin/wso2server.sh", b"#!/bin/sh\n".as_slice()), ("r/conf/deployment.toml", TOML)] {
        zip.start_file(name, zip::write::SimpleFileOptions::default().unix_permissions(0o750)).expect("starts");
        zip.write_all(content).expect("writes");
    }
    zip.finish().expect("ends").into_inner()
}

/// The machine before: modes, owners and links of every kind.
fn before(machine: &Machine) {
    for (path, content) in [
        ("conf.toml", TOML),
        ("conf.txt", b"a b\n".as_slice()),
        ("conf.yaml", b"steps:\n  - name: \"one\"\n  - name: \"two\"\n"),
        ("a.jar", b"old"),
        ("dropins/client-3.9.jar", b"older"),
        ("old/tenants/1/a.xml", b"a"),
        ("old/tenants/1/deep/b.xml", b"b"),
        ("new/tenants/1/a.xml", b"mine"),
        ("new/tenants/1/own.xml", b"own"),
        ("m/migration-resources/a.sql", b"sql"),
        ("m/notes.txt", b"a note\n"),
    ] {
        machine.write(path, content);
    }
    let at = |path: &str| machine.dir.path().join("home").join(path);
    symlink("a.xml", at("old/tenants/1/link")).expect("links");
    symlink("own.xml", at("new/tenants/1/link")).expect("links");
    symlink("migration-resources", at("m/link")).expect("links");
    symlink(".", at("here")).expect("links");
    for (path, mode) in [("conf.txt", 0o640), ("a.jar", 0o705), ("m/migration-resources", 0o710), ("m/notes.txt", 0o604)] {
        std::fs::set_permissions(at(path), std::fs::Permissions::from_mode(mode)).expect("mode");
    }
    if crate::host::owner::is_root() {
        for path in ["conf.toml", "a.jar", "m/migration-resources/a.sql", "new/tenants/1/a.xml", "dropins"] {
            std::os::unix::fs::lchown(at(path), Some(4321), Some(4322)).expect("owner");
        }
    }
}

/// The steps of the run in their order, as the recipe has them.
fn steps(machine: &Machine) -> Vec<(StepKey, Action)> {
    let at = |path: &str| machine.at(path);
    let jar = machine.artifact("client-4.0.jar", b"new client");
    let a = machine.artifact("a.jar", b"new a");
    let pack = machine.artifact("pack.zip", &pack());
    let all: Vec<Value> = vec![
        json!({ "toml": { "file": at("conf.toml"), "set": { "server.hostname": "new", "server.password": "canary-new" } } }),
        json!({ "text": { "file": at("conf.txt"), "replace": [{ "find": "a", "with": "aa", "count": 0 }] } }),
        json!({ "text": { "file": at("here/conf.txt"), "lines": ["more"] } }),
        json!({ "text": { "file": at("conf.txt"), "remove_lines": ["aa b"] } }),
        json!({ "yaml": { "file": at("conf.yaml"), "remove_items": [{ "list": "steps", "contains": { "name": "two" } }] } }),
        json!({ "text": { "file": at("made.txt"), "content": "made\n" } }),
        json!({ "text": { "file": at("m/notes.txt"), "lines": ["another"] } }),
        json!({ "artifact": { "artifact": jar, "to": at("dropins/client-4.0.jar"), "only": "client-*.jar" } }),
        json!({ "artifact": { "artifact": a, "to": at("a.jar") } }),
        json!({ "unpack": { "artifact": pack, "to": at("deep/er/wso2is"), "strip": 1 } }),
        json!({ "toml": { "file": at("deep/er/wso2is/conf/deployment.toml"), "set": { "server.hostname": "new" } } }),
        json!({ "copy": { "from": at("old/tenants"), "into": at("new") } }),
        json!({ "copy": { "from": at("old/tenants/1"), "into": at("fresh/folder"), "as_name": "one" } }),
        json!({ "text": { "file": at("fresh/folder/one/a.xml"), "lines": ["edited"] } }),
        json!({ "remove": { "paths": [at("m/migration-resources"), at("m/link")] } }),
        json!({ "remove": { "paths": [at("m")] } }),
    ];
    let numbered = all.into_iter().enumerate();
    numbered.map(|(n, action)| (key(&format!("1.{}@is-1", n + 1)), serde_json::from_value(action).expect("an action"))).collect()
}

/// Runs the steps and gives the undo of them.
async fn done(machine: &Machine, run: &str) -> Undo {
    let steps = steps(machine);
    for (key, action) in &steps {
        assert!(action.is_of_files());
        let cx = context(machine, FileHost::new(), run, &key.to_string(), false);
        assert!(action::of(action).apply(&cx).await.unwrap_or_else(|e| panic!("{key}: {e:?}")).changed, "{key}");
    }
    Undo { run: run.parse().expect("a run"), steps: steps.into_iter().map(|(key, _)| key).collect(), hides: Vec::new() }
}

/// Everything below `home`: kind, mode, owner, content or target.
fn inventory(machine: &Machine) -> BTreeMap<String, (u32, u32, u32, Vec<u8>)> {
    let root = machine.dir.path().join("home");
    let all = walkdir::WalkDir::new(&root).into_iter().map(|entry| {
        let entry = entry.expect("readable");
        let meta = entry.metadata().expect("there");
        let content = match () {
            () if meta.is_symlink() => std::fs::read_link(entry.path()).expect("reads").into_os_string().into_encoded_bytes(),
            () if meta.is_file() => std::fs::read(entry.path()).expect("reads"),
            () => Vec::new(),
        };
        let path = entry.path().strip_prefix(&root).expect("below").display().to_string();
        (path, (meta.mode(), meta.uid(), meta.gid(), content))
    });
    all.collect()
}

#[tokio::test]
async fn everything_done_is_undone_byte_for_byte() {
    let machine = Machine::new();
    before(&machine);
    let old = inventory(&machine);
    let undo = done(&machine, "r1").await;
    let new = inventory(&machine);
    assert_ne!(old, new);
    let cx = undoing(&machine, FileHost::new(), false);
    assert!(!holds(&undo.verify(&cx).await.expect("looks")));
    let preview = undo.inspect(&cx).await.expect("previews");
    assert_eq!((preview.verdict, inventory(&machine)), (Verdict::Change, new), "a preview changes nothing");
    let applied = undo.apply(&cx).await.expect("undoes");
    assert!(applied.changed);
    assert_eq!(applied.diffs, preview.diffs, "the preview was true");
    assert_eq!(inventory(&machine), old);
    let evidence = undo.verify(&cx).await.expect("looks");
    assert!(holds(&evidence), "{evidence:?}");
    // Twice: nothing is written.
    let stamps = machine.stamps();
    assert!(!undo.apply(&cx).await.expect("again").changed);
    assert_eq!(undo.inspect(&cx).await.expect("previews").verdict, Verdict::Same);
    assert!(holds(&undo.verify(&cx).await.expect("looks")));
    assert_eq!(machine.stamps(), stamps);
}

#[tokio::test]
async fn diffs_are_true_and_hide_secrets() {
    let machine = Machine::new();
    before(&machine);
    let undo = done(&machine, "r1").await;
    let applied = undo.apply(&undoing(&machine, FileHost::new(), false)).await.expect("undoes");
    let toml = applied.diffs.iter().find(|d| d.path.ends_with("conf.toml")).expect("told");
    assert!(toml.diff.contains("-hostname = \"new\"") && toml.diff.contains("+hostname = \"old\""), "{}", toml.diff);
    assert!(!format!("{applied:?}").contains("canary"), "{applied:?}");
    // What the undo replaced is kept in its own folder.
    let dir = undoing(&machine, FileHost::new(), false).undo_dir;
    let kept = |path: &str| std::fs::read(dir.join(format!("{}.kept", keep::key(Path::new(&machine.at(path)))))).expect("kept");
    assert_eq!((kept("a.jar"), kept("made.txt")), (b"new a".to_vec(), b"made\n".to_vec()));
    assert!(String::from_utf8_lossy(&kept("conf.toml")).contains("canary-new"));
}

#[tokio::test]
async fn a_home_goes_aside_with_its_logs_and_with_what_was_changed_in_it() {
    let machine = Machine::new();
    before(&machine);
    let undo = done(&machine, "r1").await;
    machine.write("deep/er/wso2is/repository/logs/wso2carbon.log", b"a line\n");
    machine.write("deep/er/wso2is/conf/deployment.toml", b"# by hand\n");
    let cx = undoing(&machine, FileHost::new(), false);
    undo.apply(&cx).await.expect("undoes");
    assert!(holds(&undo.verify(&cx).await.expect("looks")));
    assert!(!Path::new(&machine.at("deep")).exists());
    let aside = cx.undo_dir.join(format!("{}.kept", keep::key(Path::new(&machine.at("deep/er/wso2is")))));
    assert_eq!(std::fs::read(aside.join("repository/logs/wso2carbon.log")).expect("kept"), b"a line\n");
    assert_eq!(std::fs::read(aside.join("conf/deployment.toml")).expect("kept"), b"# by hand\n");
}

#[tokio::test]
async fn a_folder_that_others_use_stays() {
    let machine = Machine::new();
    before(&machine);
    let undo = done(&machine, "r1").await;
    machine.write("deep/other", b"x");
    let cx = undoing(&machine, FileHost::new(), false);
    undo.apply(&cx).await.expect("undoes");
    assert!(holds(&undo.verify(&cx).await.expect("looks")));
    assert_eq!(machine.names("deep"), ["other"]);
}

/// One thing that a stranger does.
type Stranger = fn(&Machine);

#[tokio::test]
async fn what_a_stranger_changed_is_refused_with_path_and_step() {
    let cases: [(&str, &str, Stranger); 7] = [
        ("conf.toml", "1.1@is-1", |m| drop(m.write("conf.toml", b"# by hand\n"))),
        ("conf.txt", "1.4@is-1", |m| std::fs::remove_file(m.at("conf.txt")).expect("removes")),
        ("a.jar", "1.9@is-1", |m| drop(m.write("a.jar", b"by hand"))),
        ("made.txt", "1.6@is-1", |m| drop(m.write("made.txt", b"by hand"))),
        ("m", "1.16@is-1", |m| drop(m.write("m/new", b"by hand"))),
        ("new/tenants/1/link", "1.12@is-1", |m| {
            std::fs::remove_file(m.at("new/tenants/1/link")).expect("removes");
            symlink("elsewhere", m.at("new/tenants/1/link")).expect("links");
        }),
        ("deep/er/wso2is", "1.10@is-1", |m| {
            std::fs::remove_dir_all(m.at("deep/er/wso2is")).expect("removes");
            std::fs::create_dir(m.at("deep/er/wso2is")).expect("makes");
        }),
    ];
    for (path, step, stranger) in cases {
        let machine = Machine::new();
        before(&machine);
        let undo = done(&machine, "r1").await;
        stranger(&machine);
        let stamps = machine.stamps();
        let cx = undoing(&machine, FileHost::new(), false);
        let (told, changed) = fault(undo.apply(&cx).await);
        assert_eq!((told.code, changed), (codes::UNDO_CHANGED, false), "{told}");
        assert!(told.message.contains(&machine.at(path)) && told.message.contains(step), "{told}");
        assert_eq!(told.message.matches(" as step ").count(), 1, "one change is told once: {told}");
        assert_eq!(fault(undo.inspect(&cx).await).0.code, codes::UNDO_CHANGED);
        assert_eq!(machine.stamps(), stamps, "{path}");
        assert!(!cx.undo_dir.exists());
    }
}

#[tokio::test]
async fn some_steps_alone_and_not_out_of_turn() {
    let machine = Machine::new();
    before(&machine);
    let undo = done(&machine, "r1").await;
    let of = |steps: &[&str]| Undo { run: undo.run.clone(), steps: steps.iter().map(|s| key(s)).collect(), hides: Vec::new() };
    let cx = undoing(&machine, FileHost::new(), false);
    // An edit under another one.
    assert_eq!(fault(of(&["1.2@is-1"]).apply(&cx).await).0.code, codes::UNDO_CHANGED);
    of(&["1.3@is-1", "1.4@is-1"]).apply(&cx).await.expect("undoes");
    assert_eq!(machine.read("conf.txt").as_deref(), Some("aa b\n"));
    // Steps of a node that changed nothing here.
    let none = of(&["7.7@is-9"]);
    assert!(!none.apply(&cx).await.expect("nothing to do").changed);
    assert!(holds(&none.verify(&cx).await.expect("looks")));
    // The rest, in an undo that a person ordered later.
    let later = context(&machine, FileHost::new(), "back-2", "9.1@is-1", false);
    undo.apply(&later).await.expect("undoes");
    assert!(holds(&undo.verify(&later).await.expect("looks")));
}

#[tokio::test]
async fn another_runs_copies_are_its_own() {
    let machine = Machine::new();
    before(&machine);
    let old = inventory(&machine);
    let first = done(&machine, "r1").await;
    first.apply(&undoing(&machine, FileHost::new(), false)).await.expect("undoes");
    machine.write("conf.toml", b"[server]\nhostname = \"third\"\n");
    let between = inventory(&machine);
    assert_ne!(old, between);
    let second = done(&machine, "r2").await;
    let cx = context(&machine, FileHost::new(), "back-2", "9.1@is-1", false);
    assert!(!first.apply(&cx).await.expect("has nothing left").changed, "the first run's copies do not win over the second's");
    assert!(second.apply(&cx).await.expect("undoes").changed);
    assert_eq!(inventory(&machine), between);
}

#[tokio::test]
async fn a_lost_copy_is_refused_by_name() {
    let machine = Machine::new();
    before(&machine);
    let undo = done(&machine, "r1").await;
    let dir = keep::folder(&machine.dir.path().join("state"), &undo.run, &key("1.9@is-1"));
    let name = keep::key(Path::new(&machine.at("a.jar")));
    let stamps = machine.stamps();
    for (file, content) in [(format!("{name}.kept"), None), (format!("{name}.json"), Some("{"))] {
        let whole = std::fs::read(dir.join(&file)).expect("kept");
        match content {
            Some(content) => std::fs::write(dir.join(&file), content).expect("writes"),
            None => std::fs::remove_file(dir.join(&file)).expect("removes"),
        }
        let (told, changed) = fault(undo.apply(&undoing(&machine, FileHost::new(), false)).await);
        assert_eq!((told.code, changed), (codes::UNDO_LOST, false), "{told}");
        assert!(told.message.contains("1.9@is-1"), "{told}");
        assert_eq!(machine.stamps(), stamps);
        std::fs::write(dir.join(&file), whole).expect("writes");
    }
}

/// The folders' clocks tell whether the machine is done: applies until it is dead or done.
fn killed(machine: &Machine, undo: &Undo, host: std::sync::Arc<FileHost>, mut left: usize) -> Result<Applied, Failure> {
    let cx = undoing(machine, host, false);
    work::apply(undo, &cx, &mut || {
        left = left.checked_sub(1).ok_or_else(|| io::Error::other("killed"))?;
        Ok(())
    })
}

#[tokio::test]
async fn an_undo_killed_at_any_write_goes_on() {
    let mut points = 0;
    let mut first = None;
    // Between any two writes of its own, then before and after each write through the host.
    for (aside, late) in [(true, false), (false, false), (false, true)] {
        for nth in 0.. {
            let machine = Machine::new();
            before(&machine);
            let old = inventory(&machine);
            let undo = done(&machine, "r1").await;
            let ended = match aside {
                true => killed(&machine, &undo, FileHost::new(), nth),
                false => {
                    let host = FileHost::dying(i64::try_from(nth).expect("small"), late);
                    killed(&machine, &undo, host, usize::MAX)
                }
            };
            if ended.is_ok() {
                break;
            }
            points += 1;
            let resumed = undoing(&machine, FileHost::new(), true);
            let applied = undo.apply(&resumed).await.unwrap_or_else(|e| panic!("{aside} {late} {nth}: {e:?}"));
            assert!(applied.changed);
            assert_eq!(inventory(&machine), old, "{aside} {late} {nth}");
            assert!(holds(&undo.verify(&resumed).await.expect("looks")));
            assert!(!undo.apply(&undoing(&machine, FileHost::new(), false)).await.expect("once more").changed);
            // What the undo replaced is kept, whatever the kill: the same set of contents each time.
            let kept = contents(&resumed.undo_dir);
            assert_eq!(first.get_or_insert_with(|| kept.clone()), &kept, "{aside} {late} {nth}");
        }
    }
    assert!(points > 100, "only {points} points were tried");
}

/// Digests of all contents that an undo folder keeps.
fn contents(dir: &Path) -> std::collections::BTreeSet<Digest> {
    let kept = files::list(dir).expect("lists").into_iter().filter(|name| name.ends_with(".kept"));
    let below = kept.flat_map(|name| walkdir::WalkDir::new(dir.join(name)).follow_root_links(false));
    let files = below.map(|entry| entry.expect("readable")).filter(|entry| entry.file_type().is_file());
    // The note beside a home tells when the home was made.
    let all = files.map(|entry| std::fs::read(entry.path()).expect("reads"));
    all.filter(|bytes| !bytes.starts_with(b"{\"archive\"")).map(|bytes| Digest::of(&bytes)).collect()
}
