//! Tools that start what they find down. Switching one of them off is a person's word: each has its own state, and Puppet
//! and Chef would bring their files back.

use std::path::{Path, PathBuf};

use super::{Kind, Off, Search, file_name};

/// Depth of a tool's folder of settings that is looked into.
const DEEP: u32 = 3;
const MONIT: &str = "monit watches over it: take it out of monit's control file, then `monit reload`";
const SUPERVISOR: &str = "supervisord starts it: take its program out of the configuration, then `supervisorctl update`";
const PUPPET: &str = "Puppet's catalog names it: disable the agent (`puppet agent --disable`) or change the manifest";
const PUPPET_CONFIG: [&str; 2] = ["etc/puppetlabs/puppet/puppet.conf", "etc/puppet/puppet.conf"];
const PUPPET_CATALOGS: [&str; 3] = [
    "opt/puppetlabs/puppet/cache/client_data/catalog",
    "var/lib/puppet/client_data/catalog",
    "var/cache/puppet/client_data/catalog",
];
const CHEF_CONFIG: &str = "etc/chef/client.rb";

impl Search {
    pub(super) fn watchers(&mut self) {
        let etc = self.at("etc");
        for path in self.entries(&etc) {
            let name = file_name(&path).to_owned();
            if name.starts_with("monit") {
                self.watched(Kind::Monit, &path, MONIT, DEEP);
            } else if name.starts_with("supervisor") {
                self.watched(Kind::Supervisor, &path, SUPERVISOR, DEEP);
            }
        }
        self.puppet();
        let chef = self.at(CHEF_CONFIG);
        if chef.exists() {
            let text = "a Chef client changes this machine; whether it starts the home is not known";
            self.add(Kind::Chef, &chef, "chef-client", false, text, Off::Changes(Vec::new()));
        }
    }

    /// Files at and below a path whose lines, comments left out, name the home.
    fn watched(&mut self, kind: Kind, path: &Path, why: &'static str, deep: u32) {
        if path.is_dir() {
            for inside in if deep == 0 { Vec::new() } else { self.entries(path) } {
                self.watched(kind, &inside, why, deep - 1);
            }
            return;
        }
        let Some(text) = self.text(path) else { return };
        let line = text.lines().find(|l| !l.trim_start().starts_with(['#', ';']) && self.names.named_in(l));
        if let Some(line) = line.map(str::to_owned) {
            self.add(kind, path, file_name(path), true, &line, Off::Person(why));
        }
    }

    /// The agent is told of; it counts where the catalog that it keeps names the home.
    fn puppet(&mut self) {
        let Some(config) = PUPPET_CONFIG.iter().map(|p| self.at(p)).find(|p| p.exists()) else { return };
        let mut catalogs: Vec<PathBuf> = Vec::new();
        for folder in PUPPET_CATALOGS {
            let folder = self.at(folder);
            catalogs.extend(self.entries(&folder));
        }
        let named = catalogs.iter().find(|path| self.text(path).is_some_and(|text| self.names.named_in(&text))).cloned();
        match named {
            Some(catalog) => {
                self.add(Kind::Puppet, &catalog, "puppet", true, "the catalog names the home", Off::Person(PUPPET));
            }
            None => {
                let text = "a Puppet agent changes this machine; the catalogs that it keeps here do not name the home";
                self.add(Kind::Puppet, &config, "puppet", false, text, Off::Changes(Vec::new()));
            }
        }
    }
}
