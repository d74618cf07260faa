//! What the fleet is: six servers (or fewer) on hosts of 127.0.0.0/8, the old homes that are laid out for them, and the fleet
//! file that an operator would write.

use std::{
    collections::BTreeMap,
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use cavalcade_agent::host::machine::own_user;
use cavalcade_controller::recipe;
use serde_json::{Value, json};

use super::extent::{ENCRYPTION_KEY, Extent, VAULT, new_profile};
use crate::standin::{
    fleet::{Account, OldFleet, OldNode, Role},
    offsets::OffsetLease,
    packs,
    variant::OWN_PASSWORD,
};

/// The recipe.
const RECIPE: &str = "wso2-is-km-5.10.0-to-5.11.0";

/// Artifacts that the recipe may declare: the names that the files are published under, `*` for what changes with each
/// release, and which fleets need them.
const ARTIFACTS: [(&str, &[&str], Needed); 15] = [
    ("is_pack", &["wso2is-5.11.0*.zip"], Needed::Always),
    ("am_pack", &["wso2am-4.0.0*.zip"], Needed::Always),
    ("is_connector", &["wso2is-km-connector-*.zip", "wso2is-extensions-*.zip"], Needed::Always),
    ("is_migration", &["wso2is-migration-*.zip"], Needed::Always),
    ("am_migration_client", &["org.wso2.carbon.apimgt.migrate.client-*.jar"], Needed::Always),
    ("am_migration_resources", &["migration-resources.zip"], Needed::Always),
    ("am_script", &["am-3.1.0-to-4.0.0*.sql", "am-3.1.0-to-3.2.0*.sql"], Needed::Always),
    ("am_fixup_script", &["am-3.2.0-to-4.0.0*.sql"], Needed::WhereThere),
    ("jdbc_driver", packs::DRIVERS, Needed::Always),
    ("is_old_pack", &[packs::OLD_IS_PACK], Needed::Always),
    ("am_old_pack", &[packs::OLD_AM_PACK], Needed::Always),
    ("registry_versioning_script", &["registry-versioning*.sql"], Needed::WithAll),
    ("reg_index_script", &["reg-index.sql"], Needed::Always),
    ("tenantloader", &["tenantloader-*.jar"], Needed::WithAll),
    ("is_primary_keystore", &[packs::PRIMARY_STORE], Needed::WithAll),
];

/// Which fleets need an artifact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Needed {
    Always,
    /// One that uses everything.
    WithAll,
    /// None; it is used where it is there.
    WhereThere,
}

impl Needed {
    /// The file, none where this fleet does without it.
    fn find(self, folder: &Path, patterns: &[&str], extent: Extent) -> anyhow::Result<Option<PathBuf>> {
        let optional = match self {
            Self::Always => false,
            Self::WithAll => extent != Extent::Full,
            Self::WhereThere => true,
        };
        if optional && packs::matching(folder, patterns)?.is_empty() {
            return Ok(None);
        }
        packs::find(folder, patterns).map(Some)
    }
}

/// One server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// The node, which is its host too.
    pub name: String,
    /// What runs on it.
    pub role: Role,
    /// The profile before and after; `default` for an Identity Server too.
    pub profile: String,
    /// The host's address.
    pub address: String,
    /// The port offset, before and after.
    pub offset: u16,
}

impl Placed {
    /// The port of a server behind its offset.
    #[must_use]
    pub fn port(&self, base: u16) -> u16 {
        base + self.offset
    }
}

/// The database server of the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabasePlace {
    /// Its port on 127.0.0.1.
    pub port: u16,
    /// The folder with the vendor's clients.
    pub client_bin: PathBuf,
}

/// The fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// The folder that holds everything.
    pub folder: PathBuf,
    /// Packs and artifacts.
    pub packs: PathBuf,
    /// JAVA_HOME of the servers.
    pub java_home: PathBuf,
    /// The nodes, in the order in which the old servers start.
    pub nodes: Vec<Placed>,
    /// The database server.
    pub database: DatabasePlace,
    /// The name of the folder of the hosts' homes.
    pub hosts: &'static str,
    /// What the old fleet uses.
    pub extent: Extent,
    /// Options of the recipe, beside those that belong to the extent.
    pub options: BTreeMap<String, Value>,
    /// `http://ADDRESS:PORT` of the load balancer; none: servers have no hooks.
    pub balancer: Option<String>,
}

/// Places nodes on addresses of their own with free ports. The offsets stay this caller's as long as the leases live.
///
/// # Errors
///
/// When no ports are free.
pub fn place(nodes: &[(&str, Role, &str)], numbers: &Range<u16>) -> anyhow::Result<(Vec<Placed>, Vec<OffsetLease>)> {
    let (mut placed, mut leases) = (Vec::new(), Vec::new());
    for (index, (name, role, profile)) in nodes.iter().enumerate() {
        let lease = OffsetLease::take_from(numbers.clone())?;
        placed.push(Placed {
            name: (*name).to_owned(),
            role: *role,
            profile: (*profile).to_owned(),
            address: format!("127.0.10.{}", 11 + index),
            offset: lease.offset(),
        });
        leases.push(lease);
    }
    Ok((placed, leases))
}

impl Layout {
    /// The folder of the hosts' homes: `hosts/is-1/wso2is-5.11.0` ...
    #[must_use]
    pub fn hosts(&self) -> PathBuf {
        self.folder.join(self.hosts)
    }

    /// One node.
    ///
    /// # Errors
    ///
    /// When the fleet has none of this name.
    pub fn node(&self, name: &str) -> anyhow::Result<&Placed> {
        self.nodes.iter().find(|node| node.name == name).with_context(|| format!("no node {name}"))
    }

    /// The old home of a node.
    #[must_use]
    pub fn old_home(&self, node: &Placed) -> PathBuf {
        let name = if node.role == Role::Is { "wso2is-km-5.10.0" } else { "wso2am-3.1.0" };
        self.hosts().join(&node.name).join(name)
    }

    /// The new home of a node.
    #[must_use]
    pub fn new_home(&self, node: &Placed) -> PathBuf {
        let name = if node.role == Role::Is { "wso2is-5.11.0" } else { "wso2am-4.0.0" };
        self.hosts().join(&node.name).join(name)
    }

    /// The folder for backups of databases.
    #[must_use]
    pub fn backups(&self) -> PathBuf {
        self.folder.join("backups")
    }

    /// The fleet file.
    #[must_use]
    pub fn fleet_file(&self) -> PathBuf {
        self.folder.join("fleet.yaml")
    }

    /// How servers reach a database.
    #[must_use]
    pub fn account(&self, database: &str) -> Account {
        Account {
            url: format!("jdbc:mysql://127.0.0.1:{}/{database}?autoReconnect=true&amp;useSSL=false", self.database.port),
            username: "wso2carbon".to_owned(),
            password: SERVER_PASSWORD.to_owned(),
        }
    }

    /// The old fleet, as it is laid out and started.
    ///
    /// # Errors
    ///
    /// When the fleet has no Identity Server.
    pub fn old_fleet(&self) -> anyhow::Result<OldFleet> {
        let first = self.nodes.iter().find(|node| node.role == Role::Is).context("a fleet has an Identity Server")?;
        let key_manager = format!("https://{}:{}/services/", first.address, first.port(9443));
        let databases: BTreeMap<String, Account> =
            self.extent.databases().iter().map(|(name, table)| ((*table).to_owned(), self.account(name))).collect();
        let node = |node: &Placed| OldNode {
            name: node.name.clone(),
            role: node.role,
            profile: node.profile.clone(),
            offset: node.offset,
            hostname: node.address.clone(),
            user_store: self.extent.user_store().to_owned(),
            key_manager: (node.role == Role::Am).then(|| key_manager.clone()),
            databases: databases.clone(),
            variant: self.extent.variant(node, &self.nodes),
            start: true,
        };
        Ok(OldFleet {
            packs: self.packs.clone(),
            jdk: self.java_home.clone(),
            into: self.hosts(),
            nodes: self.nodes.iter().map(node).collect(),
            start_within_seconds: 600,
        })
    }

    /// Writes the fleet file and the secrets that it refers to.
    ///
    /// # Errors
    ///
    /// When an artifact is missing or a file cannot be written.
    pub fn write(&self) -> anyhow::Result<()> {
        let secrets = self.folder.join("secrets");
        fs::create_dir_all(&secrets)?;
        for (name, value) in self.secrets() {
            fs::write(secrets.join(name), value)?;
        }
        if self.extent == Extent::Full {
            let values = VAULT.map(|(key, value)| format!("{} = \"[{value}]\"\n", key.replace('.', "_")));
            fs::write(self.vault_file(), format!("[secrets]\n{}", values.concat()))?;
        }
        fs::create_dir_all(self.backups())?;
        let file = self.fleet_file();
        fs::write(&file, self.fleet_text()?).with_context(|| format!("{} cannot be written", file.display()))
    }

    /// The fleet file's text.
    ///
    /// # Errors
    ///
    /// When an artifact is missing.
    pub fn fleet_text(&self) -> anyhow::Result<String> {
        let recipe = recipe::load(RECIPE, Path::new(".")).map_err(|faults| anyhow::anyhow!("{faults:?}"))?;
        let mut artifacts = serde_json::Map::new();
        for (name, patterns, needed) in ARTIFACTS.into_iter().filter(|(name, _, _)| recipe.artifacts.contains_key(*name)) {
            if let Some(file) = needed.find(&self.packs, patterns, self.extent)? {
                artifacts.insert(name.to_owned(), json!({ "file": file }));
            }
        }
        let secret = |name: &str| json!({ "file": self.folder.join("secrets").join(name) });
        let mut secrets: BTreeMap<&str, Value> = self.secrets().into_iter().map(|(name, _)| (name, secret(name))).collect();
        secrets.entry("encryption_key").or_insert_with(|| json!({ "generate": 16 }));
        let from = &self.nodes.first().context("a fleet has nodes")?.name;
        let database = |name: &str| {
            json!({
                "engine": "mariadb",
                "host": "127.0.0.1",
                "port": self.database.port,
                "name": name,
                "from": from,
                "scratch": format!("{name}_proof"),
                "client_bin": self.database.client_bin,
                "admin": { "user": "wso2_ddl", "password": "ddl" },
                "server": { "user": "wso2carbon", "password": "server" },
            })
        };
        let databases: BTreeMap<&str, Value> = self.extent.databases().iter().map(|(name, _)| (*name, database(name))).collect();
        let mut options = self.options.clone();
        for (name, value) in self.own_options() {
            if recipe.options.contains_key(name) {
                options.entry(name.to_owned()).or_insert(value);
            }
        }
        let nodes: serde_json::Map<String, Value> =
            self.nodes.iter().map(|node| (node.name.clone(), self.fleet_node(node))).collect();
        let fleet = json!({
            "schema": "cavalcade.fleet/1",
            "fleet": "demo",
            "recipe": RECIPE,
            "artifacts": artifacts,
            "secrets": secrets,
            "databases": databases,
            // Who runs this may be root, and then a person has to say so.
            "defaults": { "run_as": own_user(), "java_home": self.java_home, "backup_to": self.backups() },
            "nodes": nodes,
            "options": options,
        });
        Ok(serde_yaml::to_string(&fleet)?)
    }

    /// Secrets of the fleet file that stand in files.
    fn secrets(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("ddl", DDL_PASSWORD.to_owned()),
            ("server", SERVER_PASSWORD.to_owned()),
            ("verify_client", "portalKey:portalSecret".to_owned()),
            ("verify_admin", "admin:admin".to_owned()),
        ];
        if self.extent == Extent::Full {
            all.extend([
                ("encryption_key", ENCRYPTION_KEY.to_owned()),
                ("keystore_password", OWN_PASSWORD.to_owned()),
                ("is_primary_keystore_password", packs::PRIMARY_PASSWORD.to_owned()),
            ]);
        }
        all
    }

    fn vault_file(&self) -> PathBuf {
        self.folder.join("secrets/vault.toml")
    }

    /// Options that belong to the site.
    fn own_options(&self) -> Vec<(&'static str, Value)> {
        let mut all = vec![("verify_path", json!("/orders/1.0.0/42"))];
        if self.extent == Extent::Full {
            // Tenants are indexed with the first one.
            all.push(("index_seconds", json!(1)));
            all.push(("vault_file", json!(self.vault_file())));
        }
        all
    }

    fn fleet_node(&self, node: &Placed) -> Value {
        let (old, new) = (self.old_home(node), self.new_home(node));
        let (role, old, new) = match node.role {
            Role::Is => ("identity-server", json!({ "home": old }), json!({ "home": new })),
            Role::Am => {
                let new = match new_profile(&node.name, &node.profile) {
                    Some(profile) => json!({ "home": new, "profile": profile }),
                    None => json!("retired"),
                };
                ("api-manager", json!({ "home": old, "profile": node.profile }), new)
            }
        };
        let mut fleet_node = json!({ "role": role, "address": node.address, "old_offset": node.offset, "old": old, "new": new });
        if let Some(hooks) = self.balancer.as_ref().and_then(|url| self.hooks(node, url)) {
            fleet_node["hooks"] = hooks;
        }
        fleet_node
    }

    /// Identity Servers are drained and enrolled by a command, gateways by a call; nothing balances the others.
    fn hooks(&self, node: &Placed, url: &str) -> Option<Value> {
        let hook = |word: &str| {
            let url = format!("{url}/{word}/{{{{ name }}}}");
            match (node.role, new_profile(&node.name, &node.profile)) {
                (Role::Is, _) => {
                    let program = self.folder.join("bin/standin-packs");
                    Some(json!({ "command": { "command": [program, "tell", url], "cwd": self.folder, "within": "1min" } }))
                }
                (Role::Am, Some("gateway-worker" | "default")) => {
                    Some(json!({ "exchange": { "within": "1min", "calls": [{ "name": word, "url": url, "method": "POST" }] } }))
                }
                (Role::Am, _) => None,
            }
        };
        Some(json!({ "drain": hook("drain")?, "enrol": hook("enrol")? }))
    }
}

/// The password of the account for DDL. It guards nothing: the database server listens on 127.0.0.1 and goes with its folder.
pub const DDL_PASSWORD: &str = "demo-ddl";
/// The password of the servers' account.
pub const SERVER_PASSWORD: &str = "demo-server";

/// The accounts that the fleet file names, and the databases, for the vendor's client.
#[must_use]
pub fn accounts_sql(extent: Extent) -> String {
    let mut sql = String::new();
    for (database, _) in extent.databases() {
        for name in [database, format!("{database}_proof").as_str()] {
            sql.push_str(&format!("CREATE DATABASE {name} CHARACTER SET latin1;\n"));
        }
    }
    for host in ["%", "localhost", "127.0.0.1"] {
        for (user, password, rights) in [("wso2_ddl", DDL_PASSWORD, "ALL ON *.*"), ("wso2carbon", SERVER_PASSWORD, "")] {
            sql.push_str(&format!("CREATE USER {user}@'{host}' IDENTIFIED BY '{password}';\n"));
            if !rights.is_empty() {
                sql.push_str(&format!("GRANT {rights} TO {user}@'{host}' WITH GRANT OPTION;\n"));
            }
        }
        for (database, _) in extent.databases() {
            sql.push_str(&format!("GRANT ALL ON {database}.* TO wso2carbon@'{host}';\n"));
        }
    }
    sql
}

/// Whether every artifact that a fleet needs is there; names the first that is not.
///
/// # Errors
///
/// When one is missing or there are several.
pub fn check_packs(folder: &Path, extent: Extent) -> anyhow::Result<()> {
    for (_, patterns, needed) in ARTIFACTS {
        needed.find(folder, patterns, extent)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_without_packs_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let missing = |extent| check_packs(folder.path(), extent).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(missing(Extent::Ldap).contains("wso2is-5.11.0"), "{}", missing(Extent::Ldap));
        packs::write_all(folder.path()).unwrap();
        std::fs::remove_file(folder.path().join(packs::TENANT_LOADER)).unwrap();
        assert_eq!(missing(Extent::Ldap), "", "it has one tenant");
        assert!(missing(Extent::Full).contains("tenantloader"), "{}", missing(Extent::Full));
        for name in ["am-3.2.0-to-4.0.0.sql", "am-3.2.0-to-4.0.0-mysql.sql"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert!(missing(Extent::Ldap).contains("2 files"), "{}", missing(Extent::Ldap));
    }
}
