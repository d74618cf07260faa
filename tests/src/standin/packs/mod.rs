//! Packs, connector, migration clients, driver and SQL scripts of the stand-ins, with the real names and layout. The same
//! files come out byte for byte the same, so that their digests can be pinned.

pub mod archive;
pub mod artifacts;
pub mod homes;
pub mod jdk;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};

use super::keystore::{Entry, KeyStore};

/// `migration-config.yaml` of the IS migration client: the real shape, uneven indentation and comments.
pub const MIGRATION_CONFIG: &str = include_str!("../../../standin/migration/migration-config.yaml");
/// The script that upgrades the API Manager database from 3.1.0 to 4.0.0.
pub const AM_UPGRADE_SQL: &str = include_str!("../../../standin/sql/am-3.1.0-to-4.0.0-mysql.sql");
/// A small API Manager database of 3.1.0 with rows.
pub const AM_DB_SQL: &str = include_str!("../../../standin/sql/am_db-3.1.0.sql");
/// A small registry of 3.1.0 with rows.
pub const REGISTRY_SQL: &str = include_str!("../../../standin/sql/registry-3.1.0.sql");
/// Users and roles of 3.1.0, of the first tenant alone.
pub const USERS_SQL: &str = include_str!("../../../standin/sql/users-3.1.0.sql");
/// A small shared database of 3.1.0: registry and users in one.
pub const SHARED_DB_SQL: &str =
    concat!(include_str!("../../../standin/sql/registry-3.1.0.sql"), include_str!("../../../standin/sql/users-3.1.0.sql"));
/// A second tenant in the database of users, in the registry, and with an API in AM_DB.
pub const TENANT_SQL: [&str; 3] = [
    include_str!("../../../standin/sql/tenant-users.sql"),
    include_str!("../../../standin/sql/tenant-registry.sql"),
    include_str!("../../../standin/sql/tenant-apis.sql"),
];
/// Makes a registry one that kept versions.
pub const VERSIONED_SQL: &str = include_str!("../../../standin/sql/registry-versioned.sql");
/// The script that takes the versions out again (row B3).
pub const VERSIONING_SQL: &str = include_str!("../../../standin/sql/registry-versioning-mysql.sql");
/// The script that asks for a new index of the registry.
pub const REG_INDEX_SQL: &str = include_str!("../../../standin/sql/reg-index.sql");

/// The new Identity Server.
pub const IS_PACK: &str = "wso2is-5.11.0.zip";
/// The new API Manager.
pub const AM_PACK: &str = "wso2am-4.0.0.zip";
/// The old Identity Server as Key Manager.
pub const OLD_IS_PACK: &str = "wso2is-km-5.10.0.zip";
/// The old API Manager.
pub const OLD_AM_PACK: &str = "wso2am-3.1.0.zip";
/// The Key Manager connector of the guide.
pub const CONNECTOR: &str = "wso2is-km-connector-1.0.15.zip";
/// The IS migration client.
pub const IS_MIGRATION: &str = "wso2is-migration-1.0.147.zip";
/// The API-M migration client.
pub const AM_MIGRATION: &str = "org.wso2.carbon.apimgt.migrate.client-4.0.0.jar";
/// The API-M migration client's resources.
pub const AM_MIGRATION_RESOURCES: &str = "migration-resources.zip";
/// The bundle that loads every tenant at a start, so that its registry is indexed.
pub const TENANT_LOADER: &str = "tenantloader-1.0.jar";
/// The names that JDBC drivers for MySQL are published under.
pub const DRIVERS: &[&str] = &["mysql-connector-j*.jar"];
/// The JDBC driver of the stand-ins.
pub const DRIVER: &str = "mysql-connector-java-8.0.28.jar";

/// A key store with a strong key, for an Identity Server whose old key is weak.
pub const PRIMARY_STORE: &str = "is-primary.jks";
/// Its password. It guards nothing.
pub const PRIMARY_PASSWORD: &str = "is-primary-store";

fn primary_store() -> KeyStore {
    KeyStore::new(PRIMARY_PASSWORD, vec![Entry::private("wso2carbon", "primary", 3072)])
}

/// Writes everything into a folder and returns the names of the files, in order.
///
/// # Errors
///
/// When a file cannot be written.
pub fn write_all(folder: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(folder)?;
    let mut files = vec![
        (IS_PACK, homes::identity_server().finish()?),
        (AM_PACK, homes::api_manager().finish()?),
        (OLD_IS_PACK, homes::old_identity_server().finish()?),
        (OLD_AM_PACK, homes::old_api_manager().finish()?),
        (CONNECTOR, artifacts::connector()?),
        (IS_MIGRATION, artifacts::identity_migration()?),
        (AM_MIGRATION, artifacts::bundle("org.wso2.carbon.apimgt.migrate.client", "4.0.0")?),
        (AM_MIGRATION_RESOURCES, artifacts::api_manager_migration_resources()?),
        (DRIVER, artifacts::driver()?),
        (PRIMARY_STORE, primary_store().bytes()),
        (TENANT_LOADER, artifacts::bundle("tenantloader", "1.0")?),
    ];
    for (name, text) in [
        ("am-3.1.0-to-4.0.0-mysql.sql", AM_UPGRADE_SQL),
        ("am_db-3.1.0.sql", AM_DB_SQL),
        ("shared_db-3.1.0.sql", SHARED_DB_SQL),
        ("reg-index.sql", REG_INDEX_SQL),
        ("registry-versioning-mysql.sql", VERSIONING_SQL),
    ] {
        files.push((name, text.as_bytes().to_vec()));
    }
    let mut written = Vec::new();
    for (name, bytes) in files {
        let file = folder.join(name);
        fs::write(&file, bytes).with_context(|| format!("{} cannot be written", file.display()))?;
        written.push(file);
    }
    written.sort();
    Ok(written)
}

/// Unpacks a pack into a folder, with the files' modes.
///
/// # Errors
///
/// When the pack cannot be read or the folder cannot be written.
pub fn unpack(pack: &Path, folder: &Path) -> anyhow::Result<()> {
    let file = fs::File::open(pack).with_context(|| format!("{} cannot be read", pack.display()))?;
    let mut archive = zip::ZipArchive::new(io::BufReader::new(file))?;
    fs::create_dir_all(folder)?;
    archive.extract(folder)?;
    Ok(())
}

/// The files of a folder that one of the patterns fits; `*` stands for any characters, once.
///
/// # Errors
///
/// When the folder cannot be read.
pub fn matching(folder: &Path, patterns: &[&str]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if patterns.iter().any(|pattern| fits(pattern, &name)) {
            found.push(entry.path());
        }
    }
    Ok(found)
}

/// The one file of a folder that one of the patterns fits.
///
/// # Errors
///
/// When there is none, or several.
pub fn find(folder: &Path, patterns: &[&str]) -> anyhow::Result<PathBuf> {
    let found = matching(folder, patterns)?;
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => bail!("{} holds no {}", folder.display(), patterns.join(" and no ")),
        several => bail!("{} holds {} files that could be {}: leave one", folder.display(), several.len(), patterns.join(" or ")),
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == name,
        Some((start, end)) => name.len() >= start.len() + end.len() && name.starts_with(start) && name.ends_with(end),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_any_characters() {
        assert!(fits("wso2is-migration-*.zip", "wso2is-migration-1.0.147.zip"));
        assert!(!fits("wso2is-5.11.0*.zip", "wso2is-5.11.zip"));
        assert!(fits("migration-resources.zip", "migration-resources.zip"));
    }

    #[test]
    fn the_same_bytes_come_out_twice() {
        let one = tempfile::tempdir().unwrap();
        let two = tempfile::tempdir().unwrap();
        let names = write_all(one.path()).unwrap();
        write_all(two.path()).unwrap();
        assert_eq!(names.len(), 16);
        for name in names {
            let name = name.file_name().unwrap();
            assert!(fs::read(one.path().join(name)).unwrap() == fs::read(two.path().join(name)).unwrap(), "{name:?}");
        }
    }

    #[test]
    fn a_pack_unpacks_into_one_home_with_scripts_that_run() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        write_all(folder.path()).unwrap();
        let homes = folder.path().join("homes");
        for pack in [IS_PACK, AM_PACK, OLD_IS_PACK, OLD_AM_PACK] {
            unpack(&folder.path().join(pack), &homes).unwrap();
        }
        let mut names: Vec<String> =
            fs::read_dir(&homes).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["wso2am-3.1.0", "wso2am-4.0.0", "wso2is-5.11.0", "wso2is-km-5.10.0"]);
        let version = fs::read_to_string(homes.join("wso2is-km-5.10.0/bin/version.txt")).unwrap();
        assert_eq!(version.trim(), "WSO2 Identity Server v5.10.0");
        let script = homes.join("wso2am-4.0.0/bin/api-manager.sh");
        assert_eq!(fs::metadata(&script).unwrap().permissions().mode() & 0o777, 0o755);
        let text = fs::read_to_string(script).unwrap();
        assert!(text.contains("optimize") && !text.contains("#@") && !text.contains("@SCRIPT@"));
        let toml = fs::read_to_string(homes.join("wso2am-4.0.0/repository/conf/deployment.toml")).unwrap();
        assert!(toml.contains("[event_listener.properties]") && !toml.ends_with('\n'));
        assert!(
            !homes
                .join("wso2is-5.11.0/repository/components/dropins")
                .read_dir()
                .unwrap()
                .any(|entry| { entry.unwrap().file_name().to_string_lossy().contains("key.manager") })
        );
    }
}
