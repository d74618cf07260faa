//! systemd units whose text names the home, the timers and sockets that start them, and the links that enable them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::change::Change;
use super::{Kind, Off, Search, file_name};

/// Folders of units below the root; the first that has a unit wins.
const FOLDERS: [&str; 5] =
    ["etc/systemd/system", "run/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system", "lib/systemd/system"];
/// Those of them whose links a machine's owner makes; the others belong to packages.
const OWN: usize = 2;
/// Folders of links that start a unit with another.
const LINKS: [&str; 3] = [".wants", ".requires", ".upholds"];
/// Units that start others.
const TRIGGERS: [&str; 3] = [".timer", ".path", ".socket"];

/// A link that starts a unit.
struct Link {
    path: PathBuf,
    /// Whether a package brought it.
    packaged: bool,
}

/// Units and links of a machine.
#[derive(Default)]
struct Units {
    /// Files by name; templates (`x@.service`) as such.
    files: BTreeMap<String, PathBuf>,
    /// By unit (of a template the instance, `x@1.service`): its links.
    links: BTreeMap<String, Vec<Link>>,
}

impl Search {
    pub(super) fn systemd(&mut self) {
        let units = self.units();
        let mut named: Vec<(String, PathBuf, String)> = Vec::new();
        for (unit, file) in &units.files {
            for name in units.instances(unit) {
                let text = self.unit_text(&name, unit, file);
                if self.names.named_in(&text) {
                    named.push((name, file.clone(), self.names.line(&text).to_owned()));
                }
            }
        }
        for (name, file, line) in &named {
            self.unit(&units, name, file, line);
        }
        for (trigger, file) in units.files.iter().filter(|(name, _)| TRIGGERS.iter().any(|end| name.ends_with(end))) {
            let text = self.unit_text(trigger, trigger, file);
            let stem = trigger.rsplit_once('.').map_or(trigger.as_str(), |(stem, _)| stem);
            let starts = |name: &str| {
                let said = text.lines().find_map(|l| l.trim().strip_prefix("Unit=").or(l.trim().strip_prefix("Service=")));
                said.map_or_else(|| name == format!("{stem}.service"), |unit| unit.trim() == name)
            };
            if let Some((name, _, _)) = named.iter().find(|(name, _, _)| starts(name) && name != trigger) {
                self.unit(&units, trigger, file, &format!("starts {name}"));
            }
        }
    }

    fn unit(&mut self, units: &Units, name: &str, file: &Path, line: &str) {
        let links = units.links.get(name).map(Vec::as_slice).unwrap_or_default();
        let off = if links.iter().any(|l| l.packaged) {
            Off::Person("a package links it to a target: mask the unit")
        } else {
            let removed = links.iter().filter_map(|l| Change::link_removed(&l.path));
            let trigger = !links.is_empty() && TRIGGERS.iter().any(|end| name.ends_with(end));
            let stopped = if trigger { Change::stopped(&self.root, name) } else { None };
            Off::Changes(removed.chain(stopped).collect())
        };
        self.add(Kind::Systemd, file, name, !links.is_empty(), line, off);
    }

    fn units(&mut self) -> Units {
        let mut units = Units::default();
        for (at, folder) in FOLDERS.iter().enumerate() {
            let folder = self.at(folder);
            // `lib` leads to `usr/lib` on most machines.
            let doubled = FOLDERS[..at].iter().any(|f| same(&self.at(f), &folder));
            for path in if doubled { Vec::new() } else { self.entries(&folder) } {
                let name = file_name(&path).to_owned();
                if LINKS.iter().any(|end| name.ends_with(end)) {
                    for link in self.entries(&path) {
                        // A link may bear another name than the unit that it leads to.
                        let leads_to = self.resolved(&link).map(|to| file_name(&to).to_owned());
                        let link_name = file_name(&link).to_owned();
                        let unit = leads_to.filter(|to| !to.contains("@.")).unwrap_or(link_name);
                        units.links.entry(unit).or_default().push(Link { path: link, packaged: at >= OWN });
                    }
                } else if name.ends_with(".service") || TRIGGERS.iter().any(|end| name.ends_with(end)) {
                    // An alias is no unit of its own.
                    let alias = self.resolved(&path).is_none_or(|to| file_name(&to) != name);
                    let masked = alias && std::fs::read_link(&path).is_ok_and(|to| to == Path::new("/dev/null"));
                    if !alias || masked {
                        units.files.entry(name).or_insert(path);
                    }
                }
            }
        }
        units
    }

    /// A unit with its drop-ins, without comments; `%i` filled in for an instance. A masked unit has no text.
    fn unit_text(&mut self, name: &str, unit: &str, file: &Path) -> String {
        let Some(mut text) = self.text(file) else { return String::new() };
        let names = if name == unit { vec![unit] } else { vec![unit, name] };
        for folder in FOLDERS {
            for name in &names {
                let drop_ins = self.at(folder).join(format!("{name}.d"));
                for part in self.entries(&drop_ins).iter().filter(|p| file_name(p).ends_with(".conf")) {
                    text.push('\n');
                    text.push_str(&self.text(part).unwrap_or_default());
                }
            }
        }
        let lines: Vec<&str> = text.lines().filter(|l| !l.trim_start().starts_with(['#', ';'])).collect();
        let text = lines.join("\n");
        match name.split_once('@').and_then(|(_, rest)| rest.rsplit_once('.')).filter(|(instance, _)| !instance.is_empty()) {
            Some((instance, _)) => text.replace("%i", instance).replace("%I", &instance.replace('-', "/")),
            None => text,
        }
    }
}

impl Units {
    /// The unit itself; of a template each instance that is linked, or the template where none is.
    fn instances(&self, unit: &str) -> Vec<String> {
        let Some((before, after)) = unit.split_once("@.") else { return vec![unit.to_owned()] };
        let (begin, end) = (format!("{before}@"), format!(".{after}"));
        let linked = self.links.keys().filter(|name| name.starts_with(&begin) && name.ends_with(&end));
        let instances: Vec<String> = linked.cloned().collect();
        if instances.is_empty() { vec![unit.to_owned()] } else { instances }
    }
}

fn same(one: &Path, other: &Path) -> bool {
    let (one, other) = (std::fs::canonicalize(one), std::fs::canonicalize(other));
    one.is_ok_and(|one| other.is_ok_and(|other| one == other))
}
