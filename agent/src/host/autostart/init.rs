//! Scripts of SysV init with their links, and rc.local.

use std::path::{Path, PathBuf};

use super::change::Change;
use super::names::uses;
use super::{Kind, MARK, Off, Search, file_name};

/// Folders of init scripts.
const SCRIPTS: [&str; 2] = ["etc/init.d", "etc/rc.d/init.d"];
/// Folders that hold the folders of links.
const LINK_FOLDERS: [&str; 3] = ["etc", "etc/rc.d", "etc/init.d"];
/// Runlevels in which a server is started.
const RUNLEVELS: [&str; 6] = ["rc1.d", "rc2.d", "rc3.d", "rc4.d", "rc5.d", "rcS.d"];
/// Settings of an init script, by its name.
const SETTINGS: [&str; 2] = ["etc/default", "etc/sysconfig"];
/// Scripts that run at the end of the boot.
const RC_LOCAL: [&str; 4] = ["etc/rc.local", "etc/rc.d/rc.local", "etc/init.d/boot.local", "etc/init.d/after.local"];
/// Words that begin or go on with something that is longer than its line.
const COMPOUND: [&str; 13] =
    ["if", "then", "elif", "else", "fi", "for", "while", "until", "do", "done", "case", "esac", "function"];
/// Ends of lines that go on.
const GOES_ON: [&str; 10] = ["\\", "&&", "||", "|", "{", "(", "then", "do", "else", ";;"];

impl Search {
    pub(super) fn init(&mut self) {
        for folder in self.folders(&SCRIPTS) {
            for script in self.entries(&folder) {
                self.init_script(&script);
            }
        }
        for script in self.folders(&RC_LOCAL) {
            self.rc_local(&script);
        }
        let table = self.at("etc/inittab");
        if let Some(text) = self.text(&table) {
            for line in text.lines().filter(|l| !l.trim_start().starts_with('#')) {
                if self.names.named_in(line) {
                    self.add(
                        Kind::Init,
                        &table,
                        "inittab",
                        true,
                        line,
                        Off::Person("init has to be told to read its table again"),
                    );
                }
            }
        }
    }

    fn init_script(&mut self, script: &Path) {
        let Some(text) = self.text(script) else { return };
        let name = file_name(script).to_owned();
        let settings: Vec<PathBuf> = SETTINGS.iter().map(|folder| self.at(folder).join(&name)).collect();
        let settings: Vec<String> = settings.iter().filter_map(|path| self.text(path)).collect();
        let code = without_comments(&text);
        let Some(by) = [code].into_iter().chain(settings).find(|t| self.names.named_in(t)) else { return };
        let line = self.names.line(&by).to_owned();
        let mut changes = Vec::new();
        let folders: Vec<String> = LINK_FOLDERS.iter().flat_map(|f| RUNLEVELS.map(|level| format!("{f}/{level}"))).collect();
        let folders: Vec<&str> = folders.iter().map(String::as_str).collect();
        for folder in self.folders(&folders) {
            for link in self.entries(&folder) {
                if let Some(number) = start_number(file_name(&link), &name) {
                    let stop = folder.join(format!("K{:02}{name}", 100_u8.saturating_sub(number).min(99)));
                    changes.extend(Change::switched_to(&link, &stop));
                }
            }
        }
        self.add(Kind::Init, script, &name, !changes.is_empty(), &line, Off::Changes(changes));
    }

    fn rc_local(&mut self, script: &Path) {
        let Some(text) = self.text(script) else { return };
        let runs = self.resolved(script).is_some_and(|real| Change::is_executable(&real));
        let variables = self.names.variables(&text);
        let lines: Vec<&str> = text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let was = line.trim_start().strip_prefix(": ").and_then(|l| l.strip_prefix(MARK));
            let command = was.unwrap_or(line);
            let assigns = super::names::assignment(command).is_some_and(|(_, value)| !value.contains([' ', '\t']));
            if command.trim().is_empty() || command.trim_start().starts_with('#') || assigns {
                continue;
            }
            if !self.names.named_in(command) && !uses(command, &variables) {
                continue;
            }
            let before = at.checked_sub(1).and_then(|above| lines.get(above)).copied().unwrap_or_default();
            let off = if stands_alone(before, line) {
                // A command that does nothing: `then` with nothing but a comment behind it is an error of the shell.
                let after = format!(": {MARK}{line}");
                Off::Changes(vec![Change::Line { path: script.to_path_buf(), before: (*line).to_owned(), after }])
            } else {
                Off::Person("the command is longer than its line")
            };
            self.add(Kind::Rc, script, file_name(script), runs && was.is_none(), command, off);
        }
    }
}

fn without_comments(text: &str) -> String {
    text.lines().filter(|line| !line.trim_start().starts_with('#')).collect::<Vec<_>>().join("\n")
}

/// The number of `S20name`.
fn start_number(link: &str, name: &str) -> Option<u8> {
    let (number, rest) = link.strip_prefix('S')?.split_at_checked(2)?;
    (rest == name).then(|| number.parse().ok())?
}

/// Whether a line of a shell script is a whole command by itself, so that it can be taken out.
fn stands_alone(above: &str, line: &str) -> bool {
    let line = line.trim();
    let first = line.split([' ', '\t', ';']).next().unwrap_or_default();
    let goes_on = |line: &str| GOES_ON[..4].iter().any(|end| line.trim_end().ends_with(end));
    let quotes = |quote: char| line.matches(quote).count().is_multiple_of(2);
    !COMPOUND.contains(&first)
        && !first.starts_with(['{', '}', '(', ')'])
        && !GOES_ON.iter().any(|end| line.ends_with(end))
        && !goes_on(above)
        && !line.contains("<<")
        && quotes('"')
        && quotes('\'')
        && quotes('`')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_commands_are_taken_out() {
        for (above, line, alone) in [
            ("", "su - wso2 -c '/opt/is/bin/wso2server.sh start'", true),
            ("if true; then", "  /opt/is/bin/wso2server.sh start", true),
            ("", "[ -x /opt/is/bin/x ] && /opt/is/bin/x start", true),
            ("", "if [ -x /opt/is/bin/x ]; then", false),
            ("", "/opt/is/bin/x start \\", false),
            ("sudo -u wso2 \\", "/opt/is/bin/x start", false),
            ("", "su - wso2 -c '/opt/is/bin/x", false),
            ("", "cat <<END | /opt/is/bin/x", false),
            ("", "start() { /opt/is/bin/x; }", true),
        ] {
            assert_eq!(stands_alone(above, line), alone, "{line}");
        }
    }

    #[test]
    fn links_have_their_number() {
        assert_eq!(start_number("S20wso2is", "wso2is"), Some(20));
        assert_eq!((start_number("K20wso2is", "wso2is"), start_number("S20wso2is2", "wso2is")), (None, None));
        assert_eq!(start_number("Sé", "wso2is"), None);
    }
}
