//! The policies of the module, each on a real file system.

use std::os::unix::fs::symlink;

use super::*;

fn dir() -> tempfile::TempDir {
    tempfile::tempdir().expect("temp dir")
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).expect("there").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("sets the mode");
}

/// Skips by name where the process is not root.
fn root(test: &str) -> bool {
    let is = owner::is_root();
    if !is {
        eprintln!("skipped, needs root: {test}");
    }
    is
}

#[test]
fn read_tells_a_missing_file_from_what_is_no_file() {
    let dir = dir();
    assert_eq!(read(&dir.path().join("none")).expect("no error"), None);
    assert!(read(dir.path()).is_err(), "a folder");
    assert!(read(Path::new("/dev/zero")).is_err(), "a device");
    let pipe = dir.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("makes a pipe");
    assert!(read(&pipe).is_err(), "a pipe, without waiting for a writer");
    assert!(replace(&pipe, b"x").is_err(), "a pipe is never replaced");
}

#[test]
fn read_refuses_a_file_above_the_limit() {
    let dir = dir();
    let path = dir.path().join("big");
    let file = File::create(&path).expect("makes");
    file.set_len(READ_LIMIT).expect("sparse");
    assert_eq!(read(&path).expect("reads").expect("there").len() as u64, READ_LIMIT);
    file.set_len(READ_LIMIT + 1).expect("sparse");
    assert_eq!(read(&path).expect_err("too large").kind(), io::ErrorKind::FileTooLarge);
}

#[test]
fn replace_keeps_mode_and_extended_attributes() {
    let dir = dir();
    let path = dir.path().join("deployment.toml");
    std::fs::write(&path, b"old").expect("writes");
    set_mode(&path, 0o4640);
    let file = File::open(&path).expect("opens");
    let big = vec![b'v'; 3000];
    rustix::fs::fsetxattr(&file, "user.cavalcade", &big, XattrFlags::empty()).expect("sets an attribute");
    replace(&path, b"new").expect("replaces");
    assert_eq!(std::fs::read(&path).expect("reads"), b"new");
    assert_eq!(mode(&path), 0o4640);
    let mut buffer = vec![0; 4000];
    let len = rustix::fs::getxattr(&path, "user.cavalcade", &mut buffer[..]).expect("still there");
    assert_eq!(buffer[..len], big);
    assert_eq!(list(dir.path()).expect("lists"), ["deployment.toml"], "no temp file stays");
}

#[test]
fn replace_keeps_the_owner() {
    if !root("replace_keeps_the_owner") {
        return;
    }
    let dir = dir();
    let path = dir.path().join("deployment.toml");
    std::fs::write(&path, b"old").expect("writes");
    std::os::unix::fs::chown(&path, Some(1234), Some(2345)).expect("gives away");
    replace(&path, b"new").expect("replaces");
    assert_eq!(Owner::of(&std::fs::metadata(&path).expect("there")), Owner { uid: 1234, gid: 2345 });
}

#[test]
fn a_new_file_takes_after_its_folder() {
    let dir = dir();
    let closed = dir.path().join("closed");
    create_dirs(&closed).expect("makes");
    set_mode(&closed, 0o700);
    replace(&closed.join("a"), b"x").expect("makes");
    assert_eq!(mode(&closed.join("a")), 0o600, "no more open than its folder");
    create_dirs(&closed.join("deep/deeper")).expect("makes");
    assert_eq!(mode(&closed.join("deep/deeper")), 0o700);
    set_mode(&closed, 0o755);
    replace(&closed.join("b"), b"x").expect("makes");
    assert_eq!(mode(&closed.join("b")), 0o644);
    if root("owner in a_new_file_takes_after_its_folder") {
        std::os::unix::fs::chown(&closed, Some(1234), Some(2345)).expect("gives away");
        replace(&closed.join("c"), b"x").expect("makes");
        create_dirs(&closed.join("sub")).expect("makes");
        for made in ["c", "sub"] {
            let meta = std::fs::metadata(closed.join(made)).expect("there");
            assert_eq!(Owner::of(&meta), Owner { uid: 1234, gid: 2345 }, "{made}");
        }
    }
}

#[test]
fn a_symlink_is_followed_and_stays() {
    let dir = dir();
    create_dirs(&dir.path().join("real")).expect("makes");
    std::fs::write(dir.path().join("real/conf"), b"old").expect("writes");
    symlink("real/conf", dir.path().join("one")).expect("links");
    symlink("one", dir.path().join("two")).expect("links");
    replace(&dir.path().join("two"), b"new").expect("replaces");
    assert_eq!(std::fs::read(dir.path().join("real/conf")).expect("reads"), b"new");
    assert!(std::fs::symlink_metadata(dir.path().join("two")).expect("there").is_symlink());
    symlink("real/later", dir.path().join("dangling")).expect("links");
    replace(&dir.path().join("dangling"), b"made").expect("makes the target");
    assert_eq!(std::fs::read(dir.path().join("real/later")).expect("reads"), b"made");
    symlink("loop", dir.path().join("loop")).expect("links");
    assert!(replace(&dir.path().join("loop"), b"x").is_err());
}

#[test]
fn a_strangers_symlink_is_not_followed() {
    if !root("a_strangers_symlink_is_not_followed") {
        return;
    }
    let dir = dir();
    let target = dir.path().join("target");
    std::fs::write(&target, b"old").expect("writes");
    let link = dir.path().join("link");
    symlink("target", &link).expect("links");
    std::os::unix::fs::lchown(&link, Some(1234), Some(1234)).expect("gives away");
    assert_eq!(replace(&link, b"new").expect_err("refused").kind(), io::ErrorKind::PermissionDenied);
    assert_eq!(std::fs::read(&target).expect("reads"), b"old");
    std::os::unix::fs::chown(&target, Some(1234), Some(1234)).expect("gives away");
    replace(&link, b"new").expect("the link's owner owns the target too");
}

#[test]
fn leftovers_of_the_dead_go_and_those_of_the_living_stay() {
    let dir = dir();
    let path = dir.path().join("conf");
    let leading = temp_prefix(OsStr::new("conf"));
    std::fs::write(dir.path().join(format!("{leading}dead")), b"half").expect("writes");
    let living = File::create(dir.path().join(format!("{leading}living"))).expect("makes");
    rustix::fs::flock(&living, FlockOperation::NonBlockingLockExclusive).expect("locks");
    replace(&path, b"new").expect("replaces");
    assert_eq!(list(dir.path()).expect("lists"), [format!("{leading}living"), "conf".to_owned()]);
}

#[test]
fn no_space_leaves_the_old_file_and_nothing_else() {
    if !root("no_space_leaves_the_old_file_and_nothing_else") {
        return;
    }
    let dir = dir();
    let at = dir.path().to_str().expect("UTF-8");
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs", at]).status();
    if !mounted.is_ok_and(|s| s.success()) {
        eprintln!("skipped, needs a tmpfs: no_space_leaves_the_old_file_and_nothing_else");
        return;
    }
    let path = dir.path().join("conf");
    let before = replace(&path, &[b'o'; 20_000]);
    let failed = replace(&path, &[b'n'; 60_000]);
    let (content, names) = (std::fs::read(&path), list(dir.path()));
    let mut record = crate::host::record_file::open(&dir.path().join("ledger")).expect("opens");
    let refused = record.reserve(1 << 20);
    drop(record);
    let gone = std::process::Command::new("umount").args(["-l", at]).status().expect("runs");
    assert!(gone.success());
    before.expect("has room");
    assert_eq!(failed.expect_err("no room").kind(), io::ErrorKind::StorageFull);
    assert_eq!(content.expect("reads"), [b'o'; 20_000]);
    assert_eq!(names.expect("lists"), ["conf"]);
    assert_eq!(refused.expect_err("no room").kind(), io::ErrorKind::StorageFull);
}

#[test]
fn readers_see_old_or_new_and_never_a_mix() {
    let dir = dir();
    let path = dir.path().join("conf");
    replace(&path, &[0; 50_000]).expect("writes");
    let done = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 1..60_u8 {
                replace(&path, &[n; 50_000]).expect("replaces");
            }
            done.store(true, std::sync::atomic::Ordering::SeqCst);
        });
        while !done.load(std::sync::atomic::Ordering::SeqCst) {
            let seen = read(&path).expect("reads").expect("always there");
            assert!(seen.len() == 50_000 && seen.iter().all(|b| *b == seen[0]), "a mix was seen");
        }
    });
}

#[test]
fn create_dirs_refuses_what_is_in_the_way() {
    let dir = dir();
    std::fs::write(dir.path().join("file"), b"x").expect("writes");
    assert!(create_dirs(&dir.path().join("file/sub")).is_err());
    create_dirs(&dir.path().join("a/b/c")).expect("makes");
    create_dirs(&dir.path().join("a/b/c")).expect("a second time");
    assert!(list(&dir.path().join("nowhere")).expect("no error").is_empty());
}
