//! Attacks, built byte by byte where the libraries would refuse to write them.

use std::io::{Cursor, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;

/// An entry of a zip as its bytes will say.
struct Item<'a> {
    name: &'a str,
    mode: u32,
    flags: u16,
    content: &'a [u8],
    says: u32,
}

fn item<'a>(name: &'a str, mode: u32, content: &'a [u8]) -> Item<'a> {
    Item { name, mode, flags: 1 << 11, content, says: u32::try_from(content.len()).expect("small") }
}

fn file<'a>(name: &'a str) -> Item<'a> {
    item(name, 0o100_644, b"x")
}

/// A zip without compression (APPNOTE 4.3.7, 4.3.12, 4.3.16).
fn zip_bytes(items: &[Item<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut directory = Vec::new();
    for item in items {
        let at = u32::try_from(out.len()).expect("small");
        let mut common = Vec::new();
        common.extend(20_u16.to_le_bytes());
        common.extend(item.flags.to_le_bytes());
        common.extend([0; 6]);
        common.extend(crc32fast::hash(item.content).to_le_bytes());
        common.extend(u32::try_from(item.content.len()).expect("small").to_le_bytes());
        common.extend(item.says.to_le_bytes());
        common.extend(u16::try_from(item.name.len()).expect("small").to_le_bytes());
        common.extend([0; 2]);
        out.extend(b"PK\x03\x04");
        out.extend(&common);
        out.extend(item.name.as_bytes());
        out.extend(item.content);
        directory.extend(b"PK\x01\x02");
        directory.extend(0x0314_u16.to_le_bytes());
        directory.extend(&common);
        directory.extend([0; 6]);
        directory.extend((item.mode << 16).to_le_bytes());
        directory.extend(at.to_le_bytes());
        directory.extend(item.name.as_bytes());
    }
    let (start, len) = (u32::try_from(out.len()).expect("small"), u32::try_from(directory.len()).expect("small"));
    let count = u16::try_from(items.len()).expect("few");
    out.extend(directory);
    out.extend(b"PK\x05\x06\0\0\0\0");
    out.extend(count.to_le_bytes());
    out.extend(count.to_le_bytes());
    out.extend(len.to_le_bytes());
    out.extend(start.to_le_bytes());
    out.extend([0; 2]);
    out
}

fn tar_bytes(items: &[(&str, u8, u32, &str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
    for (name, kind, mode, link, content) in items {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(tar::EntryType::new(*kind));
        header.set_mode(*mode);
        header.set_size(content.len() as u64);
        header.set_cksum();
        tar.append(&header, *content).expect("appends");
    }
    tar.into_inner().expect("ends").finish().expect("ends")
}

struct Tried {
    dir: tempfile::TempDir,
    file: File,
}

fn stored(bytes: &[u8]) -> Tried {
    let dir = tempfile::tempdir().expect("temp dir");
    let path = dir.path().join("archive");
    std::fs::write(&path, bytes).expect("writes");
    std::fs::create_dir(dir.path().join("new")).expect("makes");
    Tried { file: File::open(path).expect("opens"), dir }
}

fn scanned(bytes: &[u8], strip: u32) -> Result<Scan, ArchiveError> {
    scan(&mut stored(bytes).file, strip, 1 << 30)
}

fn rule(result: Result<Scan, ArchiveError>) -> Rule {
    match result {
        Err(ArchiveError::Refused { rule, .. }) => rule,
        other => panic!("not refused by a rule: {other:?}"),
    }
}

/// Scans and unpacks.
fn unpacked(bytes: &[u8], strip: u32) -> (Tried, Result<Manifest, ArchiveError>) {
    let mut tried = stored(bytes);
    let scan = scan(&mut tried.file, strip, 1 << 30).expect("allowed");
    let result = unpack(&mut tried.file, &scan, &tried.dir.path().join("new"), None, &mut |_| Ok(()));
    (tried, result)
}

#[test]
fn names_that_would_leave_are_refused() {
    for (name, wanted) in [
        ("../x", Rule::Parent),
        ("a/../../x", Rule::Parent),
        ("a/..", Rule::Parent),
        ("/etc/passwd", Rule::Absolute),
        ("C:\\x", Rule::Drive),
        ("c:/x", Rule::Drive),
        ("a\\..\\x", Rule::Backslash),
        ("a\nb", Rule::Control),
    ] {
        assert_eq!(rule(scanned(&zip_bytes(&[file("ok"), file(name)]), 0)), wanted, "zip {name:?}");
        assert_eq!(rule(scanned(&tar_bytes(&[(name, b'0', 0o644, "", b"x")]), 0)), wanted, "tar {name:?}");
    }
    assert_eq!(rule(scanned(&zip_bytes(&[file("a\0b")]), 0)), Rule::Nul);
    assert_eq!(rule(scanned(&zip_bytes(&[file(&"x".repeat(256))]), 0)), Rule::TooLong);
}

#[test]
fn two_entries_must_not_meet() {
    let case = |other: &str| Rule::Case { other: other.to_owned() };
    assert_eq!(rule(scanned(&zip_bytes(&[file("a"), file("a")]), 0)), Rule::Duplicate);
    assert_eq!(rule(scanned(&zip_bytes(&[file("a/b"), file("a//b")]), 0)), Rule::Duplicate);
    let twice = tar_bytes(&[("a", b'0', 0o644, "", b"1"), ("./a", b'0', 0o644, "", b"2")]);
    assert_eq!(rule(scanned(&twice, 0)), Rule::Duplicate);
    assert_eq!(rule(scanned(&zip_bytes(&[file("Read"), file("read")]), 0)), case("Read"));
    assert_eq!(rule(scanned(&zip_bytes(&[file("A/x"), file("a/y")]), 0)), case("A"));
    assert_eq!(rule(scanned(&zip_bytes(&[file("r1/x"), file("r2/x")]), 1)), Rule::Duplicate);
    for order in [["a", "a/b"], ["a/b", "a"]] {
        let through = Rule::ThroughFile { file: "a".to_owned() };
        assert_eq!(rule(scanned(&zip_bytes(&order.map(file)), 0)), through, "{order:?}");
    }
}

#[test]
fn links_stay_inside() {
    let out = |target: &str| Rule::SymlinkOut { target: target.to_owned() };
    for target in ["/etc", "..", "../x", "a/../../x", "l/..", "..\\x", ""] {
        let zip = zip_bytes(&[item("link", 0o120_777, target.as_bytes())]);
        assert_eq!(rule(scanned(&zip, 0)), out(target), "zip {target:?}");
        let tar = tar_bytes(&[("link", b'2', 0o777, target, b"")]);
        assert_eq!(rule(scanned(&tar, 0)), out(target), "tar {target:?}");
    }
    // What was inside before the root was dropped is outside then.
    let tar = tar_bytes(&[("root/link", b'2', 0o777, "../root/x", b"")]);
    assert_eq!(rule(scanned(&tar, 1)), out("../root/x"));
    scanned(&tar, 0).expect("inside");
    for order in [[0, 1], [1, 0]] {
        let both = [("link", b'2', 0o777, "d", &b""[..]), ("link/x", b'0', 0o644, "", &b"x"[..])];
        let tar = tar_bytes(&order.map(|i| both[i]));
        assert_eq!(rule(scanned(&tar, 0)), Rule::ThroughSymlink { link: "link".to_owned() });
    }
    for target in ["/etc/passwd", "../x", "later", "none"] {
        let tar = tar_bytes(&[("hard", b'1', 0o644, target, b""), ("later", b'0', 0o644, "", b"")]);
        assert_eq!(rule(scanned(&tar, 0)), Rule::HardLinkOut { target: target.to_owned() }, "{target:?}");
    }
}

#[test]
fn devices_and_setuid_are_refused() {
    for (kind, what) in [(b'3', "a device"), (b'4', "a device"), (b'6', "a pipe"), (b'V', "of a kind that is not unpacked")] {
        assert_eq!(rule(scanned(&tar_bytes(&[("x", kind, 0o644, "", b"")]), 0)), Rule::Special { what });
    }
    let device = zip_bytes(&[item("x", 0o020_644, b"")]);
    assert_eq!(rule(scanned(&device, 0)), Rule::Special { what: "a device, a pipe or a socket" });
    for mode in [0o4755, 0o2755] {
        assert_eq!(rule(scanned(&tar_bytes(&[("x", b'0', mode, "", b"")]), 0)), Rule::Setuid);
        assert_eq!(rule(scanned(&zip_bytes(&[item("x", 0o100_000 | mode, b"")]), 0)), Rule::Setuid);
    }
}

#[test]
fn an_encrypted_entry_is_named() {
    let zip = zip_bytes(&[file("a"), Item { flags: 1, ..file("secret") }]);
    assert!(matches!(scanned(&zip, 0), Err(ArchiveError::Encrypted { entry }) if entry == "secret"));
}

#[test]
fn sizes_that_lie_are_found_while_unpacking() {
    for says in [0, 2, 1000] {
        let lying = zip_bytes(&[Item { says, ..item("a", 0o100_644, b"12345") }]);
        let mut tried = stored(&lying);
        let Ok(scan) = scan(&mut tried.file, 0, 1 << 30) else { continue };
        let result = unpack(&mut tried.file, &scan, &tried.dir.path().join("new"), None, &mut |_| Ok(()));
        assert!(matches!(result, Err(ArchiveError::Damaged(_) | ArchiveError::Truncated)), "{says}: {result:?}");
    }
}

#[test]
fn a_wrong_checksum_is_damage() {
    let mut zip = zip_bytes(&[item("a", 0o100_644, b"12345")]);
    let at = zip.windows(5).position(|w| w == b"12345").expect("stored");
    zip[at] = b'9';
    let (_tried, result) = unpacked(&zip, 0);
    assert!(matches!(result, Err(ArchiveError::Damaged(_))), "{result:?}");
}

#[test]
fn every_cut_is_noticed() {
    let content: Vec<u8> = (0..3000_u32).map(|n| ((n * 7919) >> 5) as u8).collect();
    let zip = zip_bytes(&[item("a", 0o100_644, &content), file("b")]);
    let tar = tar_bytes(&[("a", b'0', 0o644, "", &content), ("b", b'0', 0o644, "", b"x")]);
    for whole in [zip, tar] {
        for cut in 0..whole.len() {
            let result = scanned(&whole[..cut], 0);
            assert!(
                matches!(result, Err(ArchiveError::Truncated | ArchiveError::Unknown | ArchiveError::Damaged(_))),
                "cut at {cut} of {}: {result:?}",
                whole.len()
            );
        }
        scanned(&whole, 0).expect("whole");
    }
}

#[test]
fn every_flipped_byte_is_refused_or_harmless() {
    let zip = zip_bytes(&[item("a/b", 0o100_644, b"12345"), item("l", 0o120_777, b"a")]);
    let tar = tar_bytes(&[("a/b", b'0', 0o644, "", b"12345"), ("l", b'2', 0o777, "a", b"")]);
    for whole in [zip, tar] {
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x2e;
            let mut tried = stored(&bytes);
            if let Ok(scan) = scan(&mut tried.file, 0, 1 << 20) {
                let _ = unpack(&mut tried.file, &scan, &tried.dir.path().join("new"), None, &mut |_| Ok(()));
            }
            let mut names: Vec<_> =
                std::fs::read_dir(tried.dir.path()).expect("lists").map(|e| e.expect("entry").file_name()).collect();
            names.sort();
            assert_eq!(names, ["archive", "new"], "byte {at}: something was written outside");
        }
    }
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let zeros = vec![0; 1 << 20];
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best()));
    for n in 0..200 {
        let mut header = tar::Header::new_gnu();
        header.set_size(zeros.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("z{n}"), zeros.as_slice()).expect("appends");
    }
    let tar = tar.into_inner().expect("ends").finish().expect("ends");
    assert!(matches!(scanned(&tar, 0), Err(ArchiveError::Bomb { .. })));

    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for n in 0..200 {
        zip.start_file(format!("z{n}"), zip::write::SimpleFileOptions::default()).expect("starts");
        zip.write_all(&zeros).expect("writes");
    }
    let zip = zip.finish().expect("ends").into_inner();
    assert!(matches!(scanned(&zip, 0), Err(ArchiveError::Bomb { .. })));
    assert!(matches!(scan(&mut stored(&zip).file, 0, 1 << 20), Err(ArchiveError::TooLarge { limit }) if limit == 1 << 20));

    // The same bytes for two entries.
    let mut overlap = zip_bytes(&[item("a", 0o100_644, b"12345"), item("b", 0o100_644, b"12345")]);
    let second = overlap.windows(4).rposition(|w| w == b"PK\x01\x02").expect("there");
    overlap[second + 42..second + 46].copy_from_slice(&0_u32.to_le_bytes());
    let result = scanned(&overlap, 0);
    assert!(matches!(result, Err(ArchiveError::Overlap | ArchiveError::Damaged(_))), "{result:?}");
}

#[test]
fn an_extension_header_is_not_taken_into_memory_whole() {
    let mut tar = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best()));
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(2 << 20);
    header.set_cksum();
    tar.append(&header, vec![b'x'; 2 << 20].as_slice()).expect("appends");
    let bytes = tar.into_inner().expect("ends").finish().expect("ends");
    assert!(matches!(scanned(&bytes, 0), Err(ArchiveError::Damaged(_))));
}

#[test]
fn what_is_no_archive_is_unknown() {
    assert!(matches!(scanned(b"#!/bin/sh\n", 0), Err(ArchiveError::Unknown)));
    assert!(matches!(scanned(b"", 0), Err(ArchiveError::Truncated)));
    let gzip_of_text = {
        let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gz.write_all(&b"no tar at all ".repeat(100)).expect("writes");
        gz.finish().expect("ends")
    };
    assert!(scanned(&gzip_of_text, 0).is_err());
}

#[test]
fn a_good_archive_arrives_whole() {
    let zip = zip_bytes(&[
        item("wso2is-5.11.0/", 0o040_755, b""),
        item("wso2is-5.11.0/bin/wso2server.sh", 0o100_755, b"#!/bin/sh\n"),
        item("wso2is-5.11.0/repository/conf/deployment.toml", 0o100_666, b"[server]\n"),
        item("wso2is-5.11.0/latest", 0o120_777, b"bin/wso2server.sh"),
        item("wso2is-5.11.0/no-mode", 0, b"y"),
    ]);
    let tar = tar_bytes(&[
        ("pax_global_header", b'g', 0o644, "", b"20 comment=123456789\n"),
        ("wso2is-5.11.0/", b'5', 0o755, "", b""),
        ("wso2is-5.11.0/bin/wso2server.sh", b'0', 0o755, "", b"#!/bin/sh\n"),
        ("wso2is-5.11.0/repository/conf/deployment.toml", b'0', 0o666, "", b"[server]\n"),
        ("wso2is-5.11.0/latest", b'2', 0o777, "bin/wso2server.sh", b""),
        ("wso2is-5.11.0/no-mode", b'1', 0o644, "wso2is-5.11.0/bin/wso2server.sh", b""),
    ]);
    for bytes in [zip, tar] {
        let (tried, result) = unpacked(&bytes, 1);
        let manifest = result.expect("unpacks");
        let new = tried.dir.path().join("new");
        let mode = |path: &str| std::fs::metadata(new.join(path)).expect("there").permissions().mode() & 0o7777;
        assert_eq!(std::fs::read(new.join("bin/wso2server.sh")).expect("reads"), b"#!/bin/sh\n");
        assert_eq!(mode("bin/wso2server.sh"), 0o755, "the executable bit is kept");
        assert_eq!(mode("repository/conf/deployment.toml"), 0o644, "others cannot write");
        assert_eq!(std::fs::read_link(new.join("latest")).expect("a link").to_str(), Some("bin/wso2server.sh"));
        assert!(new.join("no-mode").metadata().expect("there").nlink() >= 1);
        assert!(manifest.differences(&new).expect("compares").is_empty());
        assert_eq!(manifest.files().0, 3);
        std::fs::write(new.join("no-mode"), b"changed").expect("writes");
        assert!(manifest.differences(&new).expect("compares").contains(&"no-mode".to_owned()));
    }
}

#[test]
fn progress_ends_near_the_true_total() {
    let content = vec![7; 9 << 20];
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    zip.start_file("big", options).expect("starts");
    zip.write_all(&content).expect("writes");
    let mut tried = stored(&zip.finish().expect("ends").into_inner());
    let scan = scan(&mut tried.file, 0, 1 << 30).expect("allowed");
    assert_eq!(scan.bytes, 9 << 20);
    let mut heard = Vec::new();
    unpack(&mut tried.file, &scan, &tried.dir.path().join("new"), None, &mut |n| {
        heard.push(n);
        Ok(())
    })
    .expect("unpacks");
    assert!(heard.len() == 2 && heard.is_sorted() && heard.iter().all(|n| *n <= scan.bytes), "{heard:?}");
}

#[test]
fn a_file_without_a_name_left_is_refused() {
    assert_eq!(rule(scanned(&zip_bytes(&[file("root/a"), file("readme")]), 1)), Rule::StrippedAway);
    scanned(&zip_bytes(&[item("root/", 0o040_755, b""), file("root/a")]), 1).expect("a folder may vanish");
}
