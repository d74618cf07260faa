//! `artifact`, `unpack`, `copy`, `remove` on real files.

use std::io::{Cursor, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use cavalcade_common::action::{CopyFiles, PlaceArtifact, RemoveFiles, Unpack};
use cavalcade_common::codes::{artifact, files as codes};
use cavalcade_common::report::{Progress, Verdict};

use super::testkit::{FileHost, Machine, fault, holds};
use super::{Act, Context, OutputSink};

/// Previews, applies and verifies; a second time nothing may change.
async fn twice(machine: &Machine, act: &dyn Act, cx: &Context) -> usize {
    let preview = act.inspect(cx).await.expect("previews");
    assert_eq!(preview.verdict, Verdict::Change);
    let applied = act.apply(cx).await.expect("applies");
    assert!(applied.changed);
    assert_eq!(applied.diffs, preview.diffs, "the preview was true");
    let evidence = act.verify(cx).await.expect("verifies");
    assert!(holds(&evidence), "{evidence:?}");
    let stamps = machine.stamps();
    for resumed in [false, true] {
        let again = Context { resumed, ..cx.clone() };
        assert!(!act.apply(&again).await.expect("applies again").changed);
        assert_eq!(act.inspect(&again).await.expect("previews again").verdict, Verdict::Same);
        assert!(holds(&act.verify(&again).await.expect("verifies again")));
    }
    assert_eq!(machine.stamps(), stamps, "the second time wrote something");
    applied.diffs.len()
}

fn pack(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, mode, content) in files {
        let options = zip::write::SimpleFileOptions::default().unix_permissions(*mode);
        zip.start_file(*name, options).expect("starts");
        zip.write_all(content).expect("writes");
    }
    zip.finish().expect("ends").into_inner()
}

const PACK: &[(&str, u32, &[u8])] = &[
    ("wso2is-5.11.0/bin/wso2server.sh", 0o755, b"#!/bin/sh\n"),
    ("wso2is-5.11.0/repository/conf/deployment.toml", 0o644, b"[server]\n"),
];

fn unpack(machine: &Machine, bytes: &[u8]) -> Unpack {
    Unpack {
        artifact: machine.artifact("pack.zip", bytes),
        to: machine.at("wso2is-5.11.0"),
        strip: 1,
        owner: None,
        no_more_open_than: None,
        limit: 1 << 30,
    }
}

#[tokio::test]
async fn an_artifact_is_alone_among_its_versions() {
    let machine = Machine::new();
    machine.write("dropins/client-4.0.0.jar", b"old");
    machine.write("dropins/client-3.9.jar", b"older");
    machine.write("dropins/other.jar", b"other");
    let spec = PlaceArtifact {
        artifact: machine.artifact("client-4.0.0.4.jar", b"new"),
        to: machine.at("dropins/client-4.0.0.4.jar"),
        only: Some("client-*.jar".to_owned()),
    };
    let cx = machine.plain();
    assert_eq!(twice(&machine, &spec, &cx).await, 3);
    assert_eq!(machine.names("dropins"), ["client-4.0.0.4.jar", "other.jar"]);
    assert_eq!(machine.source.asked.load(Ordering::SeqCst), 1, "what is there is not fetched again");
    let kept = std::fs::read_dir(&cx.undo_dir).expect("there").map(|e| e.expect("entry").path());
    let kept = kept.filter(|p| p.extension().is_some_and(|e| e == "kept"));
    let mut kept: Vec<Vec<u8>> = kept.map(|p| std::fs::read(p).expect("reads")).collect();
    kept.sort_unstable();
    assert_eq!(kept, [b"old".to_vec(), b"older".to_vec()]);
}

#[tokio::test]
async fn another_content_of_the_same_name_is_replaced_and_kept() {
    let machine = Machine::new();
    let to = machine.write("a.jar", b"old");
    let spec = PlaceArtifact { artifact: machine.artifact("a.jar", b"new"), to, only: None };
    let cx = machine.plain();
    twice(&machine, &spec, &cx).await;
    assert_eq!(machine.read("a.jar").as_deref(), Some("new"));
}

#[tokio::test]
async fn a_wrong_content_never_reaches_the_target() {
    let machine = Machine::new();
    let to = machine.write("lib/a.jar", b"old");
    let spec = PlaceArtifact { artifact: machine.artifact("a.jar", b"new"), to, only: None };
    machine.source.content.lock().expect("no panic").insert("a.jar".to_owned(), b"tampered".to_vec());
    let (fault, changed) = fault(spec.apply(&machine.plain()).await);
    assert_eq!((fault.code, changed), (artifact::PLACED_DIGEST, false));
    assert_eq!((machine.names("lib"), machine.read("lib/a.jar").as_deref()), (vec!["a.jar".to_owned()], Some("old")));
}

#[tokio::test]
async fn an_archive_becomes_a_home() {
    let machine = Machine::new();
    let spec = unpack(&machine, &pack(PACK));
    // What a dead attempt left.
    machine.write(".wso2is-5.11.0.cavalcade-new-0123456789ab/bin/half", b"h");
    twice(&machine, &spec, &machine.plain()).await;
    assert_eq!(machine.names(""), [".wso2is-5.11.0.cavalcade.json", "wso2is-5.11.0"]);
    assert_eq!(machine.read("wso2is-5.11.0/bin/wso2server.sh").as_deref(), Some("#!/bin/sh\n"));
    let total = PACK.iter().map(|(_, _, c)| c.len() as u64).sum::<u64>();
    assert_eq!(machine.heard.0.lock().expect("no panic").last(), Some(&(total, total)), "progress has the true total");
    // Another run later, after the home was configured: still this step's work, and it says what changed.
    machine.write("wso2is-5.11.0/repository/conf/deployment.toml", b"[server]\nhostname = \"x\"\n");
    let later = machine.context(FileHost::new(), "r2", false, Default::default());
    assert!(!spec.apply(&later).await.expect("applies").changed);
    let evidence = spec.verify(&later).await.expect("verifies");
    assert!(holds(&evidence) && evidence[1].found.contains("deployment.toml"), "{evidence:?}");
    // The attempt that made it may not call that its own work.
    assert!(!holds(&spec.verify(&machine.plain()).await.expect("verifies")));
}

/// 10, rule 29: "the folder exists" is no proof.
#[tokio::test]
async fn a_gutted_home_is_not_done() {
    let machine = Machine::new();
    let files = ["bin/a.sh", "bin/b.sh", "lib/a.jar", "lib/b.jar", "conf/a.toml", "conf/b.toml"].map(|p| format!("r/{p}"));
    let files: Vec<(&str, u32, &[u8])> = files.iter().map(|p| (p.as_str(), 0o644, &b"x"[..])).collect();
    let spec = unpack(&machine, &pack(&files));
    spec.apply(&machine.plain()).await.expect("applies");
    let at = |path: &str| machine.at(&format!("wso2is-5.11.0/{path}"));
    let later = |run: &str| machine.context(FileHost::new(), run, false, Default::default());
    // What a later step took away, its kept copy tells.
    RemoveFiles { paths: vec![at("conf/a.toml")] }.apply(&later("r2")).await.expect("removes");
    assert!(!spec.apply(&later("r3")).await.expect("is done").changed);
    assert!(holds(&spec.verify(&later("r3")).await.expect("verifies")));
    // What somebody else took away, nothing tells.
    std::fs::remove_file(at("lib/a.jar")).expect("removes");
    for failed in [fault(spec.apply(&later("r3")).await).0, fault(spec.inspect(&later("r3")).await).0] {
        assert!(failed.code == codes::NOT_WHOLE && failed.message.ends_with("Gone from it: 1 path (lib/a.jar)"), "{failed}");
    }
    assert!(!holds(&spec.verify(&later("r3")).await.expect("verifies")));
    // A product that ran there removes files of its own home, but not the half of it, and nothing right below it.
    crate::host::new_home::used(at("bin").as_ref()).expect("is noted");
    assert!(!spec.apply(&later("r3")).await.expect("is done").changed);
    assert!(holds(&spec.verify(&later("r3")).await.expect("verifies")));
    std::fs::remove_dir_all(at("bin")).expect("removes");
    assert_eq!(fault(spec.apply(&later("r3")).await).0.code, codes::NOT_WHOLE, "bin is gone");
    std::fs::create_dir(at("bin")).expect("makes");
    assert_eq!(fault(spec.apply(&later("r3")).await).0.code, codes::NOT_WHOLE, "three of its five files are gone");
    std::fs::write(at("bin/a.sh"), "changed").expect("writes");
    assert!(!spec.apply(&later("r3")).await.expect("is done").changed);
}

#[tokio::test]
async fn a_home_of_somebody_else_is_not_touched() {
    let machine = Machine::new();
    machine.write("wso2is-5.11.0/mine", b"x");
    let spec = unpack(&machine, &pack(PACK));
    let stamps = machine.stamps();
    let (failed, changed) = fault(spec.apply(&machine.plain()).await);
    assert_eq!((failed.code, changed), (codes::TARGET_EXISTS, false));
    assert_eq!(fault(spec.inspect(&machine.plain()).await).0.code, codes::TARGET_EXISTS);
    assert!(!holds(&spec.verify(&machine.plain()).await.expect("verifies")));
    assert_eq!(machine.stamps(), stamps);
}

#[tokio::test]
async fn a_note_does_not_vouch_for_another_folder_or_archive() {
    let machine = Machine::new();
    let spec = unpack(&machine, &pack(PACK));
    spec.apply(&machine.plain()).await.expect("applies");
    let other = unpack(&machine, &pack(&[("r/x", 0o644, b"other")]));
    assert_eq!(fault(other.apply(&machine.plain()).await).0.code, codes::TARGET_EXISTS, "another archive");
    // Restored from a backup: another inode, the same content.
    let copy = machine.at("copy");
    let cp = std::process::Command::new("cp").args(["-a", &spec.to, &copy]).status().expect("runs");
    assert!(cp.success());
    std::fs::remove_dir_all(&spec.to).expect("removes");
    std::fs::rename(&copy, &spec.to).expect("renames");
    assert!(!spec.apply(&machine.plain()).await.expect("applies").changed);
    // Somebody else's folder, be its inode number the old one.
    std::fs::remove_dir_all(&spec.to).expect("removes");
    std::fs::create_dir(&spec.to).expect("makes");
    assert_eq!(fault(spec.apply(&machine.plain()).await).0.code, codes::TARGET_EXISTS);
}

#[tokio::test]
async fn a_bad_archive_leaves_nothing() {
    let machine = Machine::new();
    let good = pack(PACK);
    for (bytes, code) in [
        (pack(&[("r/ok", 0o644, b"x"), ("r/../../evil", 0o644, b"x")]), codes::ARCHIVE_REFUSED),
        (good[..good.len() - 30].to_vec(), codes::ARCHIVE_DAMAGED),
        (b"no archive".to_vec(), codes::ARCHIVE_DAMAGED),
    ] {
        let (failed, changed) = fault(unpack(&machine, &bytes).apply(&machine.plain()).await);
        assert_eq!((failed.code, changed), (code, false), "{failed}");
        assert!(machine.names("").is_empty(), "{:?}", machine.names(""));
    }
    let small = Unpack { limit: 3, ..unpack(&machine, &good) };
    assert_eq!(fault(small.apply(&machine.plain()).await).0.code, codes::ARCHIVE_TOO_LARGE);
    assert!(machine.names("").is_empty());
}

#[tokio::test]
async fn without_room_nothing_is_unpacked() {
    let machine = Machine::new();
    let at = machine.at("small");
    std::fs::create_dir(&at).expect("makes");
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=128k", "tmpfs", &at]).status();
    if !mounted.is_ok_and(|s| s.success()) {
        eprintln!("skipped, needs root and a tmpfs: without_room_nothing_is_unpacked");
        return;
    }
    let noise: Vec<u8> = (0..400_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let spec = Unpack { to: machine.at("small/home"), ..unpack(&machine, &pack(&[("r/noise", 0o644, &noise)])) };
    // Measured beforehand, and not: many small files need more blocks than bytes.
    let many: Vec<(String, u32, Vec<u8>)> = (0..200).map(|n| (format!("r/{n}"), 0o644, vec![b'x'; 10])).collect();
    let many: Vec<(&str, u32, &[u8])> = many.iter().map(|(n, m, c)| (n.as_str(), *m, c.as_slice())).collect();
    let blocks = Unpack { to: machine.at("small/many"), ..unpack(&machine, &pack(&many)) };
    let results = [fault(spec.apply(&machine.plain()).await), fault(blocks.apply(&machine.plain()).await)];
    let left = machine.names("small");
    let gone = std::process::Command::new("umount").args(["-l", &at]).status().expect("runs");
    assert!(gone.success());
    for (fault, changed) in results {
        assert_eq!((fault.code, changed), (codes::NO_SPACE, false), "{fault}");
    }
    assert!(left.is_empty(), "{left:?}");
}

fn copy(machine: &Machine, from: &str, into: &str) -> CopyFiles {
    CopyFiles {
        from: machine.at(from),
        into: machine.at(into),
        paths: Vec::new(),
        as_name: None,
        count: None,
        exclude: Vec::new(),
        without: Vec::new(),
        only: None,
    }
}

#[tokio::test]
async fn a_tree_is_copied_and_merged() {
    let machine = Machine::new();
    machine.write("old/tenants/1/a.xml", b"a");
    machine.write("old/tenants/1/b.xml", b"b");
    machine.write("old/tenants/logs/x.log", b"log");
    let fresh = CopyFiles { exclude: vec!["logs".to_owned()], ..copy(&machine, "old/tenants", "new/repository") };
    assert_eq!(twice(&machine, &fresh, &machine.plain()).await, 1);
    assert_eq!(machine.names("new/repository"), ["tenants"]);
    assert_eq!(machine.names("new/repository/tenants"), ["1"]);
    // Into what is there: what differs is replaced, what is missing comes, what is more stays.
    machine.write("new/repository/tenants/1/a.xml", b"other");
    machine.write("new/repository/tenants/1/own.xml", b"own");
    let whole = copy(&machine, "old/tenants", "new/repository");
    let cx = machine.context(FileHost::new(), "r2", false, Default::default());
    assert_eq!(twice(&machine, &whole, &cx).await, 2, "a file, and a folder as a whole");
    assert_eq!(machine.read("new/repository/tenants/1/a.xml").as_deref(), Some("a"));
    assert_eq!(machine.read("new/repository/tenants/1/own.xml").as_deref(), Some("own"));
    assert_eq!(machine.read("new/repository/tenants/logs/x.log").as_deref(), Some("log"));
    let kept =
        cx.undo_dir.join(format!("{}.kept", crate::host::keep::key(machine.at("new/repository/tenants/1/a.xml").as_ref())));
    assert_eq!(std::fs::read(kept).expect("kept"), b"other");
}

/// What a pack shipped stays out by name; a folder may stand elsewhere; what is there already stays.
#[tokio::test]
async fn a_folder_is_copied_without_what_is_named() {
    let machine = Machine::new();
    for path in ["pub/shipped.xml", "pub/own.xml", "apps/portal/a.jag", "apps/desk/a.jag", "stores/a[b]*.xml", "webapps/x.war"] {
        machine.write(&format!("shared/server/{path}"), b"old");
    }
    std::fs::create_dir_all(machine.at("old/deployment")).expect("makes");
    std::os::unix::fs::symlink(machine.at("shared/server"), machine.at("old/deployment/server")).expect("links");
    machine.write("new/deployment/server/pub/shipped.xml", b"new");
    machine.write("new/deployment/server/stores/README", b"new");
    let spec = CopyFiles {
        paths: vec!["deployment/server".to_owned()],
        exclude: vec!["webapps".to_owned()],
        without: ["deployment/server/pub/shipped.xml", "deployment/server/apps/portal", "deployment/server/stores/a?b?*.xml"]
            .map(str::to_owned)
            .into(),
        ..copy(&machine, "old", "new/deployment")
    };
    assert_eq!(twice(&machine, &spec, &machine.plain()).await, 3, "two files, and a folder as a whole");
    let server = |name: &str| machine.names(&format!("new/deployment/server{name}"));
    assert_eq!(server(""), ["apps", "pub", "stores"]);
    assert_eq!(
        (server("/apps"), server("/pub")),
        (vec!["desk".to_owned()], vec!["own.xml".to_owned(), "shipped.xml".to_owned()])
    );
    assert_eq!(server("/stores"), ["README", "a[b]*.xml"], "names are no globs");
    assert_eq!(machine.read("new/deployment/server/pub/shipped.xml").as_deref(), Some("new"));
    // What comes later comes along, and what stays out still does.
    machine.write("shared/server/apps/portal/b.jag", b"later");
    machine.write("shared/server/apps/desk/b.jag", b"later");
    assert_eq!(twice(&machine, &spec, &machine.plain()).await, 1);
    assert_eq!((server("/apps"), server("/apps/desk")), (vec!["desk".into()], vec!["a.jag".into(), "b.jag".into()]));
    let outside = CopyFiles { without: vec!["../new".to_owned()], ..spec };
    assert_eq!(fault(outside.apply(&machine.plain()).await).0.code, codes::BAD_PATH);
}

/// A trust store that a site keeps elsewhere: the new home gets a file of its own, over the one that its pack ships.
#[tokio::test]
async fn a_file_behind_a_symlink_is_copied_and_not_linked() {
    let machine = Machine::new();
    machine.write("etc/truststore.jks", b"of the site");
    machine.write("old/security/wso2carbon.jks", b"own");
    std::os::unix::fs::symlink(machine.at("etc/truststore.jks"), machine.at("old/security/client-truststore.jks"))
        .expect("links");
    machine.write("new/security/client-truststore.jks", b"shipped");
    let spec = copy(&machine, "old/security/*.jks", "new/security");
    assert_eq!(twice(&machine, &spec, &machine.plain()).await, 2);
    let there = std::fs::symlink_metadata(machine.at("new/security/client-truststore.jks")).expect("is there");
    assert!(there.is_file(), "no link");
    assert_eq!(machine.read("new/security/client-truststore.jks").as_deref(), Some("of the site"));
}

#[tokio::test]
async fn copies_count_their_sources_and_rename_one() {
    let machine = Machine::new();
    machine.write("old/j/mysql-1.jar", b"1");
    machine.write("old/j/mysql-2.jar", b"2");
    machine.write("lib/mysql-0.jar", b"0");
    let two = CopyFiles { count: Some(2), only: Some("mysql-*.jar".into()), ..copy(&machine, "old/j/mysql-*.jar", "lib") };
    twice(&machine, &two, &machine.plain()).await;
    assert_eq!(machine.names("lib"), ["mysql-1.jar", "mysql-2.jar"]);
    let one = CopyFiles { count: Some(1), ..two.clone() };
    assert_eq!(fault(one.apply(&machine.plain()).await).0.code, codes::MATCHES);
    let none = copy(&machine, "old/j/none-*", "lib");
    assert_eq!(fault(none.apply(&machine.plain()).await).0.code, codes::MATCHES);
    assert_eq!(none.inspect(&machine.plain()).await.expect("previews").verdict, Verdict::Maybe);
    let named = CopyFiles { as_name: Some("driver.jar".into()), ..copy(&machine, "old/j/mysql-1.jar", "lib") };
    twice(&machine, &named, &machine.plain()).await;
    assert_eq!(machine.read("lib/driver.jar").as_deref(), Some("1"));
}

#[tokio::test]
async fn copies_that_cannot_be_are_refused_whole() {
    let machine = Machine::new();
    machine.write("old/t/a", b"1");
    machine.write("old/t/z/f", b"2");
    machine.write("new/t/z", b"a file where a folder must be");
    let stamps = machine.stamps();
    let (fault1, changed) = fault(copy(&machine, "old/t", "new").apply(&machine.plain()).await);
    assert_eq!((fault1.code, changed), (codes::IN_THE_WAY, false));
    assert_eq!(fault(copy(&machine, "old/t", "old/t/z").apply(&machine.plain()).await).0.code, codes::IN_THE_WAY);
    let escape = CopyFiles { as_name: Some("../x".into()), ..copy(&machine, "old/t", "new") };
    assert_eq!(fault(escape.apply(&machine.plain()).await).0.code, codes::BAD_PATH);
    assert_eq!(machine.stamps(), stamps);
}

#[tokio::test]
async fn what_is_removed_is_kept() {
    let machine = Machine::new();
    machine.write("m/migration-resources/a.sql", b"a");
    machine.write("m/dropins/client-1.jar", b"j");
    machine.write("m/dropins/stays.jar", b"s");
    let paths = ["m/migration-resources", "m/dropins/client-*.jar", "m/none", "m/migration-resources/*"];
    let spec = RemoveFiles { paths: paths.map(|p| machine.at(p)).into() };
    let cx = machine.plain();
    assert_eq!(twice(&machine, &spec, &cx).await, 2);
    assert_eq!((machine.names("m"), machine.names("m/dropins")), (vec!["dropins".into()], vec!["stays.jar".into()]));
    let key = crate::host::keep::key(machine.at("m/migration-resources").as_ref());
    assert_eq!(std::fs::read(cx.undo_dir.join(format!("{key}.kept/a.sql"))).expect("kept"), b"a");
    for path in ["/", "/opt", "/*/x", "relative", "/opt/../etc"] {
        let spec = RemoveFiles { paths: vec![path.to_owned()] };
        assert_eq!(fault(spec.apply(&machine.plain()).await).0.code, codes::BAD_PATH, "{path}");
    }
}

/// Holds the work at its first progress until the other end is gone.
struct Stops {
    begun: AtomicBool,
    go_on: Mutex<mpsc::Receiver<()>>,
}

impl OutputSink for Stops {
    fn progress(&self, _: Progress) {
        self.begun.store(true, Ordering::SeqCst);
        let _gone = self.go_on.lock().expect("no panic").recv();
    }
    fn line(&self, _: &str, _: &str) {}
    fn work_ended(&self, _: &str) {}
}

#[tokio::test]
async fn work_that_nobody_waits_for_ends_without_effect() {
    let machine = Machine::new();
    let noise: Vec<u8> = (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8).collect();
    let spec = unpack(&machine, &pack(&[("r/noise", 0o644, &noise)]));
    let (go_on, waits) = mpsc::channel();
    let stops = Arc::new(Stops { begun: AtomicBool::new(false), go_on: Mutex::new(waits) });
    let mut cx = machine.plain();
    cx.out = stops.clone();
    // Polled until the work told its first progress, then dropped, as a timeout does.
    tokio::select! {
        biased;
        done = spec.apply(&cx) => panic!("went on: {done:?}"),
        () = async {
            while !stops.begun.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
        } => {}
    }
    drop((cx, go_on));
    // Its end is seen when it holds nothing any more; a step's turn bounds the wait in production, the test harness here.
    while Arc::strong_count(&stops) > 1 {
        tokio::task::yield_now().await;
    }
    assert!(machine.names("").is_empty(), "{:?}", machine.names(""));
    assert!(spec.apply(&machine.plain()).await.expect("a retry works").changed);
}

/// 10, rule 14: what an agent that is root makes in a home belongs to who runs the server. Another agent makes only files of
/// its own.
#[tokio::test]
async fn what_is_made_in_a_home_belongs_to_who_runs_it() {
    use std::os::unix::fs::MetadataExt;
    let machine = Machine::new();
    let is_root = crate::host::owner::is_root();
    let user = if is_root { "nobody".to_owned() } else { crate::host::machine::own_user() };
    let wanted = nix::unistd::User::from_name(&user).expect("asks").expect("is known").uid.as_raw();
    machine.write("old/lib/own.jar", b"own");
    let spec = Unpack { owner: Some(user), ..unpack(&machine, &pack(PACK)) };
    spec.apply(&machine.plain()).await.expect("unpacks");
    let jar = PlaceArtifact {
        artifact: machine.artifact("client.jar", b"new"),
        to: machine.at("wso2is-5.11.0/repository/components/dropins/client.jar"),
        only: None,
    };
    jar.apply(&machine.plain()).await.expect("brings");
    let copy = CopyFiles {
        from: machine.at("old/lib"),
        paths: Vec::new(),
        into: machine.at("wso2is-5.11.0"),
        as_name: None,
        count: None,
        exclude: Vec::new(),
        without: Vec::new(),
        only: None,
    };
    copy.apply(&machine.plain()).await.expect("copies");
    for made in
        ["", "bin/wso2server.sh", "repository/components/dropins", "repository/components/dropins/client.jar", "lib/own.jar"]
    {
        let path = std::path::Path::new(&machine.at("wso2is-5.11.0")).join(made);
        assert_eq!(std::fs::metadata(&path).expect("is there").uid(), wanted, "{}", path.display());
    }
    // Where it was copied from nothing has changed.
    let own = nix::unistd::geteuid().as_raw();
    assert_eq!(std::fs::metadata(machine.at("old/lib/own.jar")).expect("is there").uid(), own);
}

/// Keystores and passwords of the old home are for those whom its folder lets in; the pack's own modes let everybody in.
#[tokio::test]
async fn a_new_home_is_no_more_open_than_the_old_one() {
    use std::os::unix::fs::PermissionsExt;
    for (old, wanted) in [(Some(0o700), 0o700), (Some(0o750), 0o750), (Some(0o777), 0o755), (None, 0o755)] {
        let machine = Machine::new();
        if let Some(mode) = old {
            machine.write("old/lib/own.jar", b"own");
            std::fs::set_permissions(machine.at("old"), std::fs::Permissions::from_mode(mode)).expect("sets the mode");
        }
        let spec = Unpack { no_more_open_than: Some(machine.at("old")), ..unpack(&machine, &pack(PACK)) };
        assert!(spec.apply(&machine.plain()).await.expect("unpacks").changed);
        let mode = std::fs::metadata(machine.at("wso2is-5.11.0")).expect("is there").permissions().mode() & 0o7777;
        assert_eq!(mode, wanted, "beside {old:?}");
        assert!(!spec.apply(&machine.plain()).await.expect("unpacks again").changed);
    }
}
