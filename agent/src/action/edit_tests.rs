//! Edits on real files: twice, killed at every write, with secrets.

use cavalcade_common::action::{TextEdit, TextReplace, TomlEdit, YamlEdit};
use cavalcade_common::codes::files as codes;
use cavalcade_common::report::Verdict;
use cavalcade_common::secret::{SecretBook, SecretValue, marker};
use serde_json::json;

use super::edited::{Edited, FileEdit};
use super::testkit::{FileHost, Machine, fault, holds};
use super::{Act, Applied};
use crate::host::keep;

const TOML: &str = "# ours\n[server]\nhostname = \"old\"\n\n[database.apim_db]\npassword = \"old-one\"\n";
const YAML: &str = "steps:\n  - name: \"one\"\n    order: 1\n  - name: \"two\"\n    order: 2\n";

fn toml(machine: &Machine) -> Edited<TomlEdit> {
    let edit = json!({"file": machine.at("conf.toml"), "set": {"server.hostname": "new"}});
    Edited(serde_json::from_value(edit).expect("an edit"))
}

/// An edit that fails with "not found" when it is made a second time.
fn yaml(machine: &Machine) -> Edited<YamlEdit> {
    let edit = json!({"file": machine.at("conf.yaml"), "remove_items": [{"list": "steps", "contains": {"name": "two"}}]});
    Edited(serde_json::from_value(edit).expect("an edit"))
}

/// An edit that grows the file each time it is made.
fn text(machine: &Machine) -> Edited<TextEdit> {
    let replace = vec![TextReplace { find: "a".into(), with: "aa".into(), count: 0 }];
    Edited(TextEdit { file: machine.at("conf.txt"), replace, ..TextEdit::default() })
}

fn files(machine: &Machine) {
    machine.write("conf.toml", TOML.as_bytes());
    machine.write("conf.yaml", YAML.as_bytes());
    machine.write("conf.txt", b"a b\n");
}

/// The original, as kept in the undo folder of a run.
fn kept(machine: &Machine, run: &str, file: &str) -> Option<Vec<u8>> {
    let key = keep::key(machine.at(file).as_ref());
    std::fs::read(machine.undo_dir(run).join(format!("{key}.kept"))).ok()
}

async fn twice(machine: &Machine, act: &dyn Act) {
    let cx = machine.plain();
    let preview = act.inspect(&cx).await.expect("previews");
    assert_eq!(preview.verdict, Verdict::Change);
    let Applied { changed, diffs, .. } = act.apply(&cx).await.expect("applies");
    assert!(changed && diffs == preview.diffs && !diffs[0].diff.is_empty());
    assert!(holds(&act.verify(&cx).await.expect("verifies")));
    let stamps = machine.stamps();
    assert!(!act.apply(&cx).await.expect("applies again").changed);
    // Another run knows nothing of the first one's undo folder.
    let later = machine.context(FileHost::new(), "r2", false, SecretBook::default());
    assert!(!act.apply(&later).await.expect("applies in another run").changed);
    assert_eq!(act.inspect(&later).await.expect("previews").verdict, Verdict::Same);
    assert!(holds(&act.verify(&later).await.expect("verifies")));
    assert_eq!(machine.stamps(), stamps, "the second time wrote something");
}

#[tokio::test]
async fn every_edit_made_twice_changes_nothing_the_second_time() {
    let machine = Machine::new();
    files(&machine);
    twice(&machine, &toml(&machine)).await;
    twice(&machine, &yaml(&machine)).await;
    twice(&machine, &text(&machine)).await;
    assert_eq!(machine.read("conf.txt").as_deref(), Some("aa b\n"));
    assert_eq!(machine.read("conf.toml"), Some(TOML.replace("old\"\n\n", "new\"\n\n")));
    assert_eq!(kept(&machine, "r1", "conf.toml").as_deref(), Some(TOML.as_bytes()));
}

/// Kills the agent at its nth write, before and after the write, and lets it go on.
async fn killed_everywhere<E: FileEdit>(file: &str, edit: fn(&Machine) -> Edited<E>) {
    let mut points = 0;
    for late in [false, true] {
        for nth in 0.. {
            let machine = Machine::new();
            files(&machine);
            let original = machine.read(file);
            let act = edit(&machine);
            let dying = machine.context(FileHost::dying(nth, late), "r1", false, SecretBook::default());
            let first = act.apply(&dying).await;
            let now = machine.read(file);
            if first.is_ok() {
                break;
            }
            points += 1;
            let resumed = machine.context(FileHost::new(), "r1", true, SecretBook::default());
            let applied = act.apply(&resumed).await.expect("goes on");
            assert!(applied.changed && !applied.diffs[0].diff.is_empty(), "{file}, write {nth}, late {late}");
            assert!(holds(&act.verify(&resumed).await.expect("verifies")));
            assert_eq!(kept(&machine, "r1", file), original.clone().map(String::into_bytes), "the first original is kept");
            let after = machine.read(file);
            assert_ne!(after, original);
            assert!(now == original || now == after, "a mix at write {nth}, late {late}");
            assert!(!act.apply(&machine.plain()).await.expect("once more").changed);
            assert_eq!(machine.read(file), after, "made twice at write {nth}, late {late}");
        }
    }
    assert!(points >= 8, "only {points} points were tried");
}

#[tokio::test]
async fn an_edit_killed_at_any_write_goes_on() {
    killed_everywhere("conf.toml", toml).await;
    killed_everywhere("conf.yaml", yaml).await;
    killed_everywhere("conf.txt", text).await;
}

#[tokio::test]
async fn what_somebody_else_changed_meanwhile_is_not_overwritten() {
    let machine = Machine::new();
    files(&machine);
    let act = toml(&machine);
    // Dies at the replacement of the file itself: everything about it is noted by then.
    let mut nth = 0;
    while kept(&machine, "r1", "conf.toml").is_none() || machine.read("conf.toml").as_deref() != Some(TOML) || nth < 5 {
        let dying = machine.context(FileHost::dying(nth, false), "r1", false, SecretBook::default());
        assert!(act.apply(&dying).await.is_err());
        nth += 1;
    }
    machine.write("conf.toml", b"# by hand\n");
    let resumed = machine.context(FileHost::new(), "r1", true, SecretBook::default());
    let (failed, changed) = fault(act.apply(&resumed).await);
    assert_eq!((failed.code, changed), (codes::CHANGED_MEANWHILE, false));
    assert_eq!(machine.read("conf.toml").as_deref(), Some("# by hand\n"));
    assert_eq!(kept(&machine, "r1", "conf.toml").as_deref(), Some(TOML.as_bytes()));
}

#[tokio::test]
async fn no_secret_is_shown_and_another_value_is_set() {
    let machine = Machine::new();
    files(&machine);
    let edit = json!({
        "file": machine.at("conf.toml"),
        "set": {"database.apim_db.password": marker("db"), "server.note": format!("uses {}", marker("db"))},
    });
    let act: Edited<TomlEdit> = Edited(serde_json::from_value(edit).expect("an edit"));
    let with = |value: &str, run: &str| {
        let mut book = SecretBook::default();
        book.insert("db", SecretValue::new(value.to_owned()));
        machine.context(FileHost::new(), run, false, book)
    };
    assert_eq!(fault(act.apply(&machine.plain()).await).0.code, codes::SECRET_MISSING);
    let cx = with("s3cr3t-canary", "r1");
    let shown = format!("{:?} {:?}", act.inspect(&cx).await.expect("previews"), act.apply(&cx).await.expect("applies"));
    assert!(!shown.contains("s3cr3t-canary") && !shown.contains("old-one") && shown.contains("(secret"), "{shown}");
    assert!(machine.read("conf.toml").expect("there").contains("password = \"s3cr3t-canary\""));
    let note =
        std::fs::read_dir(machine.dir.path().join("state/undo/.edits")).expect("there").next().expect("one").expect("entry");
    assert!(!String::from_utf8_lossy(&std::fs::read(note.path()).expect("reads")).contains("s3cr3t-canary"));
    assert!(!act.apply(&cx).await.expect("again").changed);
    // The note of the old value must not hide that another one is to be set.
    assert!(act.apply(&with("another-value", "r2")).await.expect("applies").changed);
    assert!(machine.read("conf.toml").expect("there").contains("password = \"another-value\""));
}

#[tokio::test]
async fn a_missing_file_is_a_maybe_and_then_an_error() {
    let machine = Machine::new();
    let act = toml(&machine);
    assert_eq!(act.inspect(&machine.plain()).await.expect("previews").verdict, Verdict::Maybe);
    assert_eq!(fault(act.apply(&machine.plain()).await).0.code, codes::FILE_ACCESS);
    let whole = Edited(TextEdit { file: machine.at("made.txt"), content: Some("x\n".into()), ..TextEdit::default() });
    twice(&machine, &whole).await;
    assert_eq!(machine.read("made.txt").as_deref(), Some("x\n"));
    let record = keep::record(FileHost::new().as_ref(), &machine.undo_dir("r1"), machine.at("made.txt").as_ref());
    assert_eq!(record.expect("reads").expect("there").what, keep::What::Made);
}

/// A product that copies its settings into XML as they are reads a value with `&` only when it is written as XML has it.
#[tokio::test]
async fn a_secret_is_written_as_xml_has_it_where_the_product_makes_xml_of_it() {
    let machine = Machine::new();
    let mut book = SecretBook::default();
    book.insert("db", SecretValue::new("s3cr3t&<canary>".to_owned()));
    let cx = machine.context(FileHost::new(), "r1", false, book);
    for (xml, written) in [(false, "s3cr3t&<canary>"), (true, "s3cr3t&amp;&lt;canary&gt;")] {
        files(&machine);
        let merge = json!({"database.apim_db": {"password": marker("db"), "url": "jdbc:mysql://db/am?a=b&amp;c=d"}});
        let edit = json!({"file": machine.at("conf.toml"), "merge": merge, "xml": xml});
        let act: Edited<TomlEdit> = Edited(serde_json::from_value(edit).expect("an edit"));
        let shown = format!("{:?} {:?}", act.inspect(&cx).await.expect("previews"), act.apply(&cx).await.expect("applies"));
        assert!(!shown.contains("canary"), "{shown}");
        let file = machine.read("conf.toml").expect("there");
        assert!(file.contains(&format!("password = \"{written}\"")), "{file}");
        assert!(file.contains("url = \"jdbc:mysql://db/am?a=b&amp;c=d\""), "what is no secret stays: {file}");
        assert!(holds(&act.verify(&cx).await.expect("verifies")));
    }
}

/// A file that an edit makes around a secret is read by its owner alone, in a home that everybody may read; one that is there
/// is closed to others than its group, whatever it was: packs ship files that everybody may read.
#[tokio::test]
async fn a_file_with_a_secret_is_not_for_everybody() {
    use std::os::unix::fs::PermissionsExt;
    let machine = Machine::new();
    let open = |path: &str, mode: u32| {
        std::fs::set_permissions(machine.at(path), std::fs::Permissions::from_mode(mode)).expect("sets the mode");
    };
    let mode = |path: &str| std::fs::metadata(machine.at(path)).expect("is there").permissions().mode() & 0o7777;
    open("", 0o755);
    for (path, mode) in [("there", 0o640), ("of-the-pack", 0o644), ("plain", 0o644)] {
        machine.write(path, b"old\n");
        open(path, mode);
    }
    let mut book = SecretBook::default();
    book.insert("keystore", SecretValue::new("s3cr3t-canary".to_owned()));
    let cx = machine.context(FileHost::new(), "r1", false, book);
    for (file, content, wanted) in [
        ("password-persist", format!("{}\n", marker("keystore")), 0o600),
        ("note", "nothing secret\n".to_owned(), 0o644),
        ("there", format!("{}\n", marker("keystore")), 0o640),
        ("of-the-pack", format!("{}\n", marker("keystore")), 0o640),
        ("plain", "nothing secret\n".to_owned(), 0o644),
    ] {
        let edit = TextEdit { file: machine.at(file), content: Some(content), ..TextEdit::default() };
        assert!(Edited(edit).apply(&cx).await.expect("applies").changed);
        assert_eq!(mode(file), wanted, "{file}");
    }
    assert_eq!(machine.read("password-persist").as_deref(), Some("s3cr3t-canary\n"));
}

#[tokio::test]
async fn a_long_diff_is_cut() {
    let machine = Machine::new();
    machine.write("conf.txt", "some line of text\n".repeat(20_000).as_bytes());
    let replace = vec![TextReplace { find: "text".into(), with: "words".into(), count: 0 }];
    let act = Edited(TextEdit { file: machine.at("conf.txt"), replace, ..TextEdit::default() });
    let diffs = act.apply(&machine.plain()).await.expect("applies").diffs;
    assert!(diffs[0].diff.len() <= 64 << 10 && diffs[0].note.contains("cut"), "{}", diffs[0].note);
}
