//! What `/proc` tells of one process beyond its command line, where this user may see it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Longest environment that is read, in bytes.
const ENVIRONMENT: u64 = 1 << 20;

/// Folder of the JDK that a Java process runs from: that of its program, or else its JAVA_HOME.
#[must_use]
pub(crate) fn java_home(pid: u32) -> Option<PathBuf> {
    let program = fs::read_link(format!("/proc/{pid}/exe")).ok().as_deref().and_then(home_of_program);
    program.or_else(|| variable(pid, "JAVA_HOME").map(PathBuf::from).filter(|home| home.join("bin/java").exists()))
}

/// `HOME/bin/java`; up to Java 8 `HOME/jre/bin/java` too.
fn home_of_program(program: &Path) -> Option<PathBuf> {
    let bin = program.parent().filter(|_| program.file_name().is_some_and(|name| name == "java"))?;
    let home = bin.parent().filter(|_| bin.file_name().is_some_and(|name| name == "bin"))?;
    let above = home.parent().filter(|above| home.file_name().is_some_and(|n| n == "jre") && above.join("bin/java").exists());
    Some(above.unwrap_or(home).to_path_buf())
}

fn variable(pid: u32, name: &str) -> Option<String> {
    let mut bytes = Vec::new();
    fs::File::open(format!("/proc/{pid}/environ")).ok()?.take(ENVIRONMENT).read_to_end(&mut bytes).ok()?;
    let value = bytes.split(|b| *b == 0).find_map(|pair| pair.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
    String::from_utf8(value.to_vec()).ok().filter(|value| !value.is_empty())
}

/// Soft limit on open files of a process, this one where none is named.
#[must_use]
pub(crate) fn open_files(pid: Option<u32>) -> Option<u64> {
    let whose = pid.map_or_else(|| "self".to_owned(), |pid| pid.to_string());
    open_files_in(&fs::read_to_string(format!("/proc/{whose}/limits")).ok()?)
}

/// `Max open files            1024                 524288               files`
fn open_files_in(limits: &str) -> Option<u64> {
    limits.lines().find_map(|l| l.strip_prefix("Max open files"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let text =
            "Limit   Soft Limit   Hard Limit   Units\nMax processes  7  8  processes\nMax open files   1024   524288   files\n";
        assert_eq!(open_files_in(text), Some(1024));
        assert_eq!(open_files_in("Max open files   unlimited   unlimited   files\n"), None);
        assert!(open_files(None).is_some_and(|n| n > 0));
        assert_eq!(open_files(None), open_files(Some(std::process::id())));
    }

    #[test]
    fn a_jre_inside_a_jdk_is_the_jdk() {
        let dir = tempfile::tempdir().expect("temp dir");
        let jdk = dir.path().join("jdk8");
        fs::create_dir_all(jdk.join("bin")).expect("makes");
        assert_eq!(home_of_program(&jdk.join("jre/bin/java")), Some(jdk.join("jre")));
        fs::write(jdk.join("bin/java"), b"").expect("writes");
        assert_eq!(home_of_program(&jdk.join("jre/bin/java")), Some(jdk.clone()));
        assert_eq!(home_of_program(&jdk.join("bin/java")), Some(jdk.clone()));
        assert_eq!(home_of_program(&jdk.join("bin/jsvc")), None);
        assert_eq!(home_of_program(&jdk.join("sbin/java")), None);
    }
}
