//! Copies, renames and kept copies, each on a real file system.

use std::os::unix::fs::{MetadataExt, symlink};

use super::*;
use crate::host::glob::Glob;
use crate::host::keep;

fn make(root: &Path) {
    std::fs::create_dir_all(root.join("a/b")).expect("makes");
    std::fs::write(root.join("a/1"), b"one").expect("writes");
    std::fs::write(root.join("a/b/2.log"), b"two").expect("writes");
    std::fs::set_permissions(root.join("a/1"), std::fs::Permissions::from_mode(0o4751)).expect("mode");
    symlink("1", root.join("a/link")).expect("links");
}

fn paths(manifest: &Manifest) -> Vec<&str> {
    manifest.iter().map(|(path, _)| path).collect()
}

#[test]
fn a_copy_equals_its_source() {
    let dir = tempfile::tempdir().expect("temp dir");
    make(dir.path());
    let (from, to) = (dir.path().join("a"), dir.path().join("copy"));
    let copied = copy(&from, &to, &LeftOut::default(), CopyOwner::Process, &mut |_| Ok(())).expect("copies");
    assert_eq!(paths(&copied), ["", "1", "b", "b/2.log", "link"]);
    assert_eq!(copied, Manifest::of(&to, &LeftOut::default()).expect("reads"));
    assert!(Manifest::of(&from, &LeftOut::default()).expect("reads").differences(&to).expect("compares").is_empty());
    assert_eq!(std::fs::metadata(to.join("1")).expect("there").mode() & 0o7777, 0o751, "setuid is not copied");
    assert!(std::fs::symlink_metadata(to.join("link")).expect("there").is_symlink());
    assert_eq!(
        copy(&from, &to, &LeftOut::default(), CopyOwner::Process, &mut |_| Ok(())).expect_err("there").kind(),
        io::ErrorKind::AlreadyExists
    );
}

#[test]
fn what_is_left_out_stays_out() {
    let dir = tempfile::tempdir().expect("temp dir");
    make(dir.path());
    let out = [Glob::relative("**/*.log").expect("a glob"), Glob::relative("link").expect("a glob")];
    let copied = copy(
        &dir.path().join("a"),
        &dir.path().join("c"),
        &LeftOut::new(out.into(), Default::default()),
        CopyOwner::Process,
        &mut |_| Ok(()),
    )
    .expect("copies");
    assert_eq!(paths(&copied), ["", "1", "b"]);
}

#[test]
fn a_pipe_is_refused() {
    let dir = tempfile::tempdir().expect("temp dir");
    make(dir.path());
    nix::unistd::mkfifo(&dir.path().join("a/pipe"), nix::sys::stat::Mode::S_IRWXU).expect("makes");
    let error = copy(&dir.path().join("a"), &dir.path().join("c"), &LeftOut::default(), CopyOwner::Process, &mut |_| Ok(()))
        .expect_err("refused");
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    assert!(error.to_string().contains("pipe"));
    assert!(Manifest::of(&dir.path().join("a"), &LeftOut::default()).is_err());
}

#[test]
fn a_rename_replaces_nothing_not_even_an_empty_folder() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (from, to) = (dir.path().join("from"), dir.path().join("to"));
    std::fs::create_dir(&from).expect("makes");
    std::fs::create_dir(&to).expect("makes");
    assert_eq!(rename_new(&from, &to).expect_err("there").kind(), io::ErrorKind::AlreadyExists);
    std::fs::remove_dir(&to).expect("removes");
    symlink("nowhere", &to).expect("links");
    assert_eq!(rename_new(&from, &to).expect_err("there").kind(), io::ErrorKind::AlreadyExists);
    std::fs::remove_file(&to).expect("removes");
    rename_new(&from, &to).expect("renames");
    assert!(to.is_dir() && !from.exists());
}

#[test]
fn the_first_kept_copy_wins_and_nothing_is_lost() {
    let dir = tempfile::tempdir().expect("temp dir");
    let (undo, path) = (dir.path().join("undo"), dir.path().join("a"));
    make(dir.path());
    keep::removed(&undo, &path).expect("removes");
    assert!(at(&path).expect("looks").is_none());
    let key = keep::key(&path);
    assert_eq!(std::fs::read(undo.join(format!("{key}.kept/1"))).expect("kept"), b"one");
    let record: keep::Kept =
        serde_json::from_slice(&std::fs::read(undo.join(format!("{key}.json"))).expect("there")).expect("a record");
    assert_eq!((record.what, record.content), (keep::What::Removed, Some(format!("{key}.kept"))));
    // What an interrupted removal leaves is a part of the kept copy: it goes, and nothing is kept twice.
    std::fs::create_dir_all(path.join("b")).expect("makes");
    std::fs::write(path.join("b/2.log"), b"two").expect("writes");
    keep::removed(&undo, &path).expect("removes");
    assert!(at(&path).expect("looks").is_none() && !undo.join(format!("{key}.2.kept")).exists());
    // Something else at the same path is kept beside it.
    std::fs::write(&path, b"other").expect("writes");
    keep::removed(&undo, &path).expect("removes");
    assert_eq!(std::fs::read(undo.join(format!("{key}.2.kept"))).expect("kept"), b"other");
    assert_eq!(std::fs::read(undo.join(format!("{key}.kept/1"))).expect("still"), b"one");
}

#[test]
fn a_removal_across_file_systems_copies_first() {
    let Ok(other) = tempfile::tempdir_in("/dev/shm") else {
        eprintln!("skipped, needs /dev/shm: a_removal_across_file_systems_copies_first");
        return;
    };
    let dir = tempfile::tempdir().expect("temp dir");
    let dev = |p: &Path| std::fs::metadata(p).expect("there").dev();
    if dev(dir.path()) == dev(other.path()) {
        eprintln!("skipped, needs two file systems: a_removal_across_file_systems_copies_first");
        return;
    }
    make(dir.path());
    let path = dir.path().join("a");
    let before = Manifest::of(&path, &LeftOut::default()).expect("reads");
    keep::removed(other.path(), &path).expect("removes");
    assert!(at(&path).expect("looks").is_none());
    let kept = other.path().join(format!("{}.kept", keep::key(&path)));
    assert!(before.differences(&kept).expect("compares").is_empty());
}
