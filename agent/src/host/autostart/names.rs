//! Whether a text names a home: by its path, through a symlink, or through a small script that the text names.

use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use crate::host::files;

/// Scripts and files of settings are no larger, in bytes.
const SCRIPT: u64 = 64 << 10;
/// How many symlinks in a row are followed, as the kernel does.
const LINKS: u32 = 40;
/// What stands between the words of commands and settings.
const BETWEEN: &[char] =
    &[' ', '\t', '\n', '\r', '"', '\'', '`', '=', ';', ',', '(', ')', '<', '>', '|', '&', '{', '}', '$', ':'];
/// Folders of which no script names a home.
const SYSTEM: [&str; 9] = ["/bin", "/sbin", "/usr/bin", "/usr/sbin", "/lib", "/usr/lib", "/dev", "/proc", "/sys"];

/// The names of a home.
pub(super) struct HomeNames {
    root: PathBuf,
    given: String,
    real: Option<PathBuf>,
}

/// The end of a chain of symlinks; absolute ones stay below `root`. `None` where it leads nowhere.
pub(super) fn follow(root: &Path, path: &Path) -> Option<PathBuf> {
    let mut at = path.to_path_buf();
    for _ in 0..LINKS {
        if !std::fs::symlink_metadata(&at).ok()?.is_symlink() {
            return Some(at);
        }
        let to = std::fs::read_link(&at).ok()?;
        at = match to.strip_prefix("/") {
            Ok(below) if !to.starts_with(root) => root.join(below),
            Ok(_) | Err(_) => at.parent()?.join(to),
        };
    }
    None
}

impl HomeNames {
    pub(super) fn new(root: &Path, home: &Path) -> Self {
        let given = home.to_string_lossy().trim_end_matches('/').to_owned();
        Self { root: root.to_path_buf(), given, real: std::fs::canonicalize(home).ok() }
    }

    /// Whether the text names the home, or a small script or file of settings that does.
    pub(super) fn named_in(&self, text: &str) -> bool {
        self.named_directly(text) || words(text).any(|word| self.script(word).is_some_and(|inside| self.named_directly(&inside)))
    }

    fn named_directly(&self, text: &str) -> bool {
        let real = self.real.as_deref().and_then(Path::to_str).filter(|real| *real != self.given);
        holds(text, &self.given) || real.is_some_and(|real| holds(text, real)) || words(text).any(|word| self.leads_home(word))
    }

    /// Through symlinks anywhere in the path.
    fn leads_home(&self, word: &str) -> bool {
        let Some(home) = &self.real else { return false };
        let there = Path::new(word).ancestors().find_map(|at| std::fs::canonicalize(at).ok());
        there.is_some_and(|there| there.starts_with(home))
    }

    /// Content of a small text file that a word names.
    fn script(&self, word: &str) -> Option<String> {
        if SYSTEM.iter().any(|folder| Path::new(word).starts_with(folder)) {
            return None;
        }
        let path = follow(&self.root, &self.root.join(word.strip_prefix('/')?))?;
        let meta = std::fs::metadata(&path).ok()?;
        if meta.file_type().is_fifo() || !meta.is_file() || meta.len() > SCRIPT {
            return None;
        }
        String::from_utf8(files::read(&path).ok()??).ok()
    }

    /// The first line that names the home, itself if one does.
    pub(super) fn line<'t>(&self, text: &'t str) -> &'t str {
        let direct = text.lines().find(|line| self.named_directly(line));
        direct.or_else(|| text.lines().find(|line| self.named_in(line))).unwrap_or_default()
    }

    /// Names of variables whose setting in one of these lines names the home.
    pub(super) fn variables<'t>(&self, text: &'t str) -> Vec<&'t str> {
        let set = text.lines().filter_map(assignment);
        set.filter(|(_, value)| self.named_directly(value)).map(|(name, _)| name).collect()
    }
}

/// `NAME=VALUE`, with `export` or without.
pub(super) fn assignment(line: &str) -> Option<(&str, &str)> {
    let line = line.trim();
    let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
    let name = name.trim().trim_matches(['"', '\'']);
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    plain.then_some((name, value))
}

/// Whether a line uses one of the variables.
pub(super) fn uses(line: &str, variables: &[&str]) -> bool {
    variables.iter().any(|name| {
        let plain = format!("${name}");
        let ends = |at: usize| !line[at + plain.len()..].starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_');
        line.contains(&format!("${{{name}")) || line.match_indices(&plain).any(|(at, _)| ends(at))
    })
}

/// Absolute paths among the words of a text; systemd's marks before a path are no part of it.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(BETWEEN).map(|word| word.trim_start_matches(['-', '@', '+', '!'])).filter(|w| w.len() > 1 && w.starts_with('/'))
}

/// Whether a path stands in a text as a whole: neither as the end of a longer path nor as the beginning of a longer name.
fn holds(text: &str, path: &str) -> bool {
    let part_of_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-');
    text.match_indices(path).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let mut after = text[at + path.len()..].chars();
        let longer = match after.next() {
            Some('.') => after.next().is_some_and(|c| c.is_alphanumeric()),
            Some(c) => part_of_name(c),
            None => false,
        };
        !longer && !before.is_some_and(|c| part_of_name(c) || c == '.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_found_whole() {
        let home = "/opt/wso2is-5.10.0";
        for (text, found) in [
            ("ExecStart=/opt/wso2is-5.10.0/bin/wso2server.sh start", true),
            ("cd \"/opt/wso2is-5.10.0\" && bin/x", true),
            ("see /opt/wso2is-5.10.0.", true),
            ("/opt/wso2is-5.10.0-backup/bin", false),
            ("/opt/wso2is-5.10.0.1/bin", false),
            ("/opt/wso2is-5.10.01/bin", false),
            ("/data/opt/wso2is-5.10.0/bin", false),
        ] {
            assert_eq!(holds(text, home), found, "{text}");
        }
    }

    #[test]
    fn a_home_is_found_through_links_and_scripts() {
        let dir = tempfile::tempdir().expect("temp dir");
        let at = |path: &str| dir.path().join(path);
        std::fs::create_dir_all(at("opt/is 5.10/bin")).expect("makes");
        std::fs::create_dir_all(at("usr/local/bin")).expect("makes");
        std::os::unix::fs::symlink("is 5.10", at("opt/current")).expect("links");
        let home = at("opt/is 5.10");
        std::fs::write(at("usr/local/bin/start.sh"), format!("#!/bin/sh\n'{}'/bin/x\n", home.display())).expect("writes");
        std::fs::write(at("usr/local/bin/other.sh"), "#!/bin/sh\necho\n").expect("writes");
        let names = HomeNames::new(dir.path(), &home);
        assert!(names.named_in(&format!("x={}/bin/wso2server.sh", at("opt/current").display())));
        assert!(names.named_in("ExecStart=-/usr/local/bin/start.sh"));
        assert!(!names.named_in("ExecStart=/usr/local/bin/other.sh /opt/other"));
        assert!(names.named_in(&format!("cd '{}'", home.display())), "with a blank in it");
        let text = format!("A=1\nHOME_OF_IS={}\n", home.display());
        let variables = names.variables(&text);
        assert_eq!(variables, ["HOME_OF_IS"]);
        assert!(uses("${HOME_OF_IS}/bin/x", &variables) && uses("$HOME_OF_IS/bin/x", &variables));
        assert!(!uses("$HOME_OF_ISX/bin/x", &variables));
    }
}
