//! The migration client of Identity Server (`-Dmigrate -Dcomponent=identity`), as identity-migration-resources 1.0.147 behaves:
//! it runs what `migration-config.yaml` says, logs errors, and ends with the same sentence whatever happened.

use std::{fs, ops::ControlFlow};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::json;
use serde_yaml::Value;
use sqlx::MySqlConnection;

use super::{
    config::Config,
    crypto::{self, Keys},
    database,
    jvm::Boot,
    mishap::{Mishap, strike},
    server::Step,
    user_stores,
};

const CLIENT: &str = "org.wso2.carbon.is.migration.MigrationClientImpl";
const IDENTITY_CORE: &str = "org.wso2.carbon.identity.core.internal.IdentityCoreServiceComponent";
const PREFIX: &str = " WSO2 Product Migration Service Task : ";

/// Pairs of versions, in the client's order.
const VERSIONS: [&str; 14] = [
    "5.0.0",
    "5.0.0-SP1",
    "5.1.0",
    "5.2.0",
    "5.3.0",
    "5.4.0",
    "5.5.0",
    "5.6.0",
    "5.7.0",
    "5.8.0",
    "5.9.0",
    "5.10.0",
    "5.11.0",
    "5.12.0",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct MigrationConfig {
    migration_enable: Value,
    current_version: Value,
    migrate_version: Value,
    #[serde(default)]
    continue_on_error: Value,
    versions: Vec<Version>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    version: Value,
    migrator_configs: Vec<Migrator>,
}

#[derive(Debug, Deserialize)]
struct Migrator {
    name: String,
    order: u32,
    #[serde(default)]
    parameters: Option<serde_yaml::Mapping>,
}

/// What the server read: its configuration and its keys.
type Read<'s> = (&'s Config, &'s Keys);

/// How a block of versions ended.
enum Outcome {
    /// All orders were passed, `errors` of them badly.
    Passed { errors: u32 },
    /// An exception: nothing more runs.
    Stopped(String),
    /// The process ends.
    Exit(i32),
}

/// Runs the client inside the server's start. Without its JAR two lines are logged, and the server starts without it.
///
/// # Errors
///
/// When the witness cannot be written.
pub async fn run(boot: &Boot, config: &Config, keys: &Keys) -> Step {
    if !has_client(boot) {
        boot.log.warn(IDENTITY_CORE, "Waiting for migration client.");
        boot.log.exception(
            IDENTITY_CORE,
            "Error occurred while populating identity configuration properties",
            "org.wso2.carbon.identity.core.migrate.MigrationClientException: Migration client not found",
            &["org.wso2.carbon.identity.core.internal.IdentityCoreServiceComponent.activate"],
        );
        return Ok(ControlFlow::Continue(()));
    }
    boot.log.info(IDENTITY_CORE, &format!("Executing Migration client : {CLIENT}"));
    boot.witness.record("migration-begin", json!({"migration": "identity"}))?;
    let (errors, ran) = match read_config(boot) {
        Err(error) => {
            stopped(boot, &format!("{error:#}"));
            (1, false)
        }
        Ok(migration) if !is_true(&migration.migration_enable) => (0, false),
        Ok(migration) => match run_versions(boot, (config, keys), &migration).await? {
            (Outcome::Passed { errors }, ran) => {
                let issues = "Execution was done through all the requested version list without having unexpected issues.";
                boot.log.info(CLIENT, &format!("{PREFIX}{issues} There may be steps that were bypassed ('continueOnError')."));
                (errors, ran)
            }
            (Outcome::Stopped(why), ran) => {
                stopped(boot, &why);
                (1, ran)
            }
            (Outcome::Exit(status), _) => return Ok(ControlFlow::Break(status)),
        },
    };
    boot.witness
        .record("migration-end", json!({"migration": "identity", "ok": errors == 0 && ran, "errors": errors, "ran": ran}))?;
    Ok(ControlFlow::Continue(()))
}

fn stopped(boot: &Boot, why: &str) {
    let exception = format!("org.wso2.carbon.identity.core.migrate.MigrationClientException: {why}");
    boot.log.exception(
        CLIENT,
        "Migration process was stopped.",
        &exception,
        &["org.wso2.carbon.is.migration.MigrationClientImpl.execute"],
    );
}

fn has_client(boot: &Boot) -> bool {
    let Ok(entries) = fs::read_dir(boot.launch.home.join("repository/components/dropins")) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("org.wso2.carbon.is.migration-") && name.ends_with(".jar")
    })
}

fn read_config(boot: &Boot) -> anyhow::Result<MigrationConfig> {
    let file = boot.launch.home.join("migration-resources/migration-config.yaml");
    let text = fs::read_to_string(&file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_yaml::from_str(&text).context("migration-config.yaml is not as it should be")
}

/// Returns how it ended and whether any block ran: a `currentVersion` that fits no block runs nothing.
async fn run_versions(boot: &Boot, read: Read<'_>, migration: &MigrationConfig) -> anyhow::Result<(Outcome, bool)> {
    let (from, to) = (text(&migration.current_version), text(&migration.migrate_version));
    let (mut ran, mut all_errors) = (false, 0);
    for pair in VERSIONS.windows(2) {
        let &[previous, current] = pair else { continue };
        // Logged before it is known whether the block runs.
        boot.log.info(CLIENT, &format!("{PREFIX}Start Version : {previous} to {current}"));
        if !ran && previous != from {
            continue;
        }
        ran = true;
        match run_block(boot, read, migration, current).await? {
            Outcome::Passed { errors } => all_errors += errors,
            other => return Ok((other, ran)),
        }
        if current == to {
            break;
        }
    }
    Ok((Outcome::Passed { errors: all_errors }, ran))
}

async fn run_block(boot: &Boot, read: Read<'_>, migration: &MigrationConfig, version: &str) -> anyhow::Result<Outcome> {
    let Some(block) = migration.versions.iter().find(|block| text(&block.version) == version) else {
        return Ok(Outcome::Stopped(format!("no block for version {version}")));
    };
    let mut errors = 0;
    for migrator in &block.migrator_configs {
        let (name, order) = (&migrator.name, migrator.order);
        let step = format!("Version : {version}, Migration Step : {name} of order : {order} is starting");
        boot.log.info("org.wso2.carbon.is.migration.VersionMigration", &format!("{PREFIX}{step}........................... "));
        boot.witness.record("migration-order", json!({"migration": "identity", "version": version, "order": order}))?;
        let failure = match strike(boot, order).await? {
            Mishap::None => run_migrator(boot, read, version, migrator).await?,
            Mishap::Error => Some("Error while migrating the data of this step".to_owned()),
            Mishap::Exception => return Ok(Outcome::Stopped("Error while migrating the data of this step".to_owned())),
            Mishap::Throwable => return Ok(Outcome::Stopped("java.lang.OutOfMemoryError: Java heap space".to_owned())),
            Mishap::Exit(status) => return Ok(Outcome::Exit(status)),
        };
        if let Some(why) = failure {
            errors += 1;
            let package = version.replace('.', "");
            let class = format!("org.wso2.carbon.is.migration.service.v{package}.migrator.{name}");
            boot.log.exception(&class, &format!("{PREFIX}Error in {name}."), &why, &["java.lang.Thread.run(Thread.java)"]);
            if !is_true(&migration.continue_on_error) {
                return Ok(Outcome::Stopped(why));
            }
        }
    }
    Ok(Outcome::Passed { errors })
}

/// Does the work of one order; returns what went wrong.
async fn run_migrator(boot: &Boot, read: Read<'_>, version: &str, migrator: &Migrator) -> anyhow::Result<Option<String>> {
    let (config, keys) = read;
    let parameter = |name: &str| migrator.parameters.as_ref().and_then(|all| all.get(name)).map(text);
    match migrator.name.as_str() {
        "SchemaMigrator" | "ConfigurationManagementSchemaMigrator" | "UserPortalDataMigrator" => {
            let (Some(location), Some(schema)) = (parameter("location"), parameter("schema")) else {
                return Ok(Some("the step names no script".to_owned()));
            };
            run_script(boot, config, version, &location, &schema).await
        }
        "EncryptionAdminFlowMigrator" => {
            let algorithm = parameter("currentEncryptionAlgorithm").unwrap_or_default();
            if let Some(lost) = user_stores::migrate(boot, keys, &algorithm)? {
                return Ok(Some(lost));
            }
            let Some(mut connection) = open(config, "identity").await? else { return Ok(None) };
            Ok(crypto::migrate(boot, &mut connection, keys, &algorithm).await.err().map(|error| format!("{error:#}")))
        }
        "GroupsAndRolesMigrator" => {
            boot.log.info(
                "org.wso2.carbon.is.migration.service.v5110.migrator.GroupsAndRolesMigrator",
                &format!("{PREFIX}Started the groups and roles migration."),
            );
            let Some(mut connection) = open(config, "um").await? else { return Ok(None) };
            Ok(migrate_roles(&mut connection).await.err().map(|error| format!("{error:#}")))
        }
        _ => Ok(None),
    }
}

async fn run_script(boot: &Boot, config: &Config, version: &str, location: &str, schema: &str) -> anyhow::Result<Option<String>> {
    const SCHEMA_MIGRATOR: &str = "org.wso2.carbon.is.migration.service.SchemaMigrator";
    boot.log.info(SCHEMA_MIGRATOR, &format!("{PREFIX}Executing Identity Migration Scripts."));
    let folder = boot.launch.home.join("migration-resources").join(version).join("dbscripts").join(location);
    let file = folder.join(schema).join("mysql.sql");
    let Ok(script) = fs::read_to_string(&file) else {
        boot.log.info(SCHEMA_MIGRATOR, &format!("DB script: {} is not available for this migration", file.display()));
        return Ok(None);
    };
    let mut connection = match open(config, schema).await {
        Ok(Some(connection)) => connection,
        Ok(None) => return Ok(None),
        Err(error) => return Ok(Some(format!("{error:#}"))),
    };
    if script.contains("UM_HYBRID_GROUP_ROLE") && database::has_table(&mut connection, "UM_HYBRID_GROUP_ROLE").await? {
        let rows = database::number(&mut connection, "SELECT COUNT(*) FROM UM_HYBRID_GROUP_ROLE").await?;
        boot.witness.record("migration-destroyed", json!({"table": "UM_HYBRID_GROUP_ROLE", "rows": rows}))?;
    }
    for statement in database::statements(&script) {
        if let Err(error) = database::execute(&mut connection, &statement).await {
            boot.log.error(SCHEMA_MIGRATOR, "Error occurred while executing SQL script for migrating database");
            boot.log.error(SCHEMA_MIGRATOR, "An error occurred while rolling back transactions. ");
            return Ok(Some(format!("java.sql.SQLException: {error}")));
        }
    }
    boot.log.info(SCHEMA_MIGRATOR, &format!("{PREFIX}Identity DB Migration script executed successfully."));
    Ok(None)
}

/// Gives every group of the user store an internal role.
async fn migrate_roles(connection: &mut MySqlConnection) -> anyhow::Result<()> {
    let admin = "SELECT COUNT(*) FROM UM_HYBRID_ROLE WHERE UM_ROLE_NAME = 'admin' AND UM_TENANT_ID = -1234";
    if database::number(connection, admin).await? > 0 {
        anyhow::bail!(
            "org.wso2.carbon.user.core.UserStoreException: 30012 - RoleExisting: Role name: Internal/admin in the system already exists"
        );
    }
    let add = "INSERT INTO UM_HYBRID_ROLE (UM_ROLE_NAME, UM_TENANT_ID) SELECT UM_ROLE_NAME, UM_TENANT_ID FROM UM_ROLE r WHERE NOT \
               EXISTS (SELECT 1 FROM UM_HYBRID_ROLE h WHERE h.UM_ROLE_NAME = r.UM_ROLE_NAME AND h.UM_TENANT_ID = r.UM_TENANT_ID)";
    database::execute(connection, add).await?;
    let assign = "INSERT INTO UM_HYBRID_GROUP_ROLE (UM_GROUP_NAME, UM_ROLE_ID, UM_TENANT_ID, UM_DOMAIN_ID) SELECT r.UM_ROLE_NAME, \
                  h.UM_ID, h.UM_TENANT_ID, (SELECT MIN(UM_DOMAIN_ID) FROM UM_DOMAIN d WHERE d.UM_TENANT_ID = h.UM_TENANT_ID) FROM \
                  UM_ROLE r JOIN UM_HYBRID_ROLE h ON h.UM_ROLE_NAME = r.UM_ROLE_NAME AND h.UM_TENANT_ID = r.UM_TENANT_ID";
    database::execute(connection, assign).await?;
    Ok(())
}

/// The database of a schema: `identity` is `identity_db`, `um` is that of the users. None where it is not MySQL.
async fn open(config: &Config, schema: &str) -> anyhow::Result<Option<MySqlConnection>> {
    let name = if schema == "um" { config.user_database() } else { "identity_db" };
    match config.database(name).filter(|table| table.engine == "mysql") {
        Some(table) => Ok(Some(database::connect(&table).await?)),
        None => Ok(None),
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::Null | Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => String::new(),
    }
}

fn is_true(value: &Value) -> bool {
    text(value).eq_ignore_ascii_case("true")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shipped_configuration_has_the_seventeen_orders() {
        let migration: MigrationConfig = serde_yaml::from_str(crate::standin::packs::MIGRATION_CONFIG).unwrap();
        assert!(is_true(&migration.migration_enable) && is_true(&migration.continue_on_error));
        let block = migration.versions.iter().find(|block| text(&block.version) == "5.11.0").unwrap();
        let orders: Vec<u32> = block.migrator_configs.iter().map(|migrator| migrator.order).collect();
        assert_eq!(orders, (1..=17).collect::<Vec<_>>());
        let before = migration.versions.iter().find(|block| text(&block.version) == "5.10.0").unwrap();
        let named = |order: u32| before.migrator_configs.iter().find(|migrator| migrator.order == order).unwrap().name.as_str();
        assert_eq!((named(2), named(5), named(11)), ("MigrationValidator", "SchemaMigrator", "TenantPortalMigrator"));
    }
}
