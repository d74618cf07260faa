//! Lines of crontabs, and the scripts that cron runs once an hour, a day, a week, a month.

use std::path::Path;

use super::change::Change;
use super::names::{assignment, uses};
use super::{Kind, MARK, Off, Search, file_name};

/// Tables with one line a command.
const TABLES: [&str; 2] = ["etc/crontab", "etc/anacrontab"];
/// Folders of such tables: packages' and users'.
const TABLE_FOLDERS: [&str; 4] = ["etc/cron.d", "var/spool/cron/crontabs", "var/spool/cron/tabs", "var/spool/cron"];
/// Folders of scripts.
const SCRIPT_FOLDERS: [&str; 4] = ["etc/cron.hourly", "etc/cron.daily", "etc/cron.weekly", "etc/cron.monthly"];

impl Search {
    pub(super) fn cron(&mut self) {
        let mut tables: Vec<_> = TABLES.iter().map(|t| self.at(t)).collect();
        for folder in self.folders(&TABLE_FOLDERS) {
            tables.extend(self.entries(&folder));
        }
        for table in tables {
            self.table(&table);
        }
        for folder in self.folders(&SCRIPT_FOLDERS) {
            for script in self.entries(&folder) {
                self.cron_script(&script);
            }
        }
    }

    fn table(&mut self, table: &Path) {
        let Some(text) = self.text(table) else { return };
        let variables = self.names.variables(&text);
        for line in text.lines() {
            let (enabled, command) = match line.trim_start().strip_prefix(MARK) {
                Some(command) => (false, command),
                None => (true, line),
            };
            let active = !command.trim().is_empty() && !command.trim_start().starts_with('#') && assignment(command).is_none();
            if active && (self.names.named_in(command) || uses(command, &variables)) {
                let after = format!("{MARK}{line}");
                let off = Off::Changes(vec![Change::Line { path: table.to_path_buf(), before: line.to_owned(), after }]);
                self.add(Kind::Cron, table, file_name(table), enabled, command, off);
            }
        }
    }

    fn cron_script(&mut self, script: &Path) {
        let Some(text) = self.text(script) else { return };
        let named_by = self.names.line(&text).to_owned();
        // A link into the home runs it, whatever the text says.
        if named_by.is_empty() && !self.names.named_in(&script_path(script)) {
            return;
        }
        let runs = self.resolved(script).is_some_and(|real| Change::is_executable(&real));
        let change = match std::fs::read_link(script) {
            Ok(_) => Change::link_removed(script),
            Err(_) => Change::not_executable(script),
        };
        let off = Off::Changes(change.into_iter().collect());
        self.add(Kind::Cron, script, file_name(script), runs, &named_by, off);
    }
}

fn script_path(script: &Path) -> String {
    script.display().to_string()
}
