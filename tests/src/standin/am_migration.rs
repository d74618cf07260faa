//! The migration client of API Manager (`-DmigrateFromVersion=3.1.0`): a startup observer that catches everything and ends with
//! the same line whatever happened. Each run adds revisions again.

use std::{fs, ops::ControlFlow};

use serde_json::json;
use sqlx::MySqlConnection;

use super::{
    database,
    mishap::{Mishap, strike},
    server::{Server, Step},
};

const SERVICE: &str = "org.wso2.carbon.apimgt.migration.APIMMigrationService";
const FROM_310: &str = "org.wso2.carbon.apimgt.migration.client.MigrateFrom310";
const FROM_320: &str = "org.wso2.carbon.apimgt.migration.client.MigrateFrom320";

/// The steps from 3.1.0 on: what is logged before and after, and the work in between.
const STEPS: [(&str, &str, Work); 11] = [
    ("", "", Work::None),
    ("", "", Work::None),
    ("", "Migrated Successfully to 3.2", Work::None),
    (
        "Start moving UUIDs to DB from registry ..........",
        "Successfully moved the UUIDs to DB from registry ..........",
        Work::Uuids,
    ),
    ("Start identity scope migration ..........", "Successfully migrated the identity scopes. ", Work::None),
    ("Start migrating WebSocket APIs ..........", "Successfully migrated WebSocket APIs ..........", Work::None),
    ("Start migrating API Product Mappings  ..........", "Successfully migrated API Product Mappings ..........", Work::None),
    (
        "Start removing unnecessary fault handlers from fault sequences ..........",
        "Successfully removed the unnecessary fault handlers from fault sequences.",
        Work::None,
    ),
    ("Start API Revision related migration ..........", "Successfully done the API Revision related migration.", Work::Revisions),
    ("Start migrating Endpoint Certificates  ..........", "Successfully migrated Endpoint Certificates.", Work::None),
    ("Start replacing KM name by UUID  ..........", "Successfully replaced KM name by UUID.", Work::None),
];

#[derive(Debug, Clone, Copy)]
enum Work {
    None,
    Uuids,
    Revisions,
}

/// How the steps ended.
enum Outcome {
    Passed { errors: u32 },
    Failed { message: &'static str, exception: String },
    Exit(i32),
}

/// Runs the client, if its JAR is there; without `-DmigrateFromVersion` too, from version `null`.
///
/// # Errors
///
/// When the witness cannot be written.
pub async fn run(server: &Server) -> Step {
    let boot = &server.boot;
    if !has_client(server) {
        return Ok(ControlFlow::Continue(()));
    }
    let from = boot.launch.properties.get("migrateFromVersion").map_or("null", String::as_str);
    boot.log.info(SERVICE, &format!("Starting APIM Migration from APIM {from} .............."));
    boot.witness.record("migration-begin", json!({"migration": "api-manager", "from": from}))?;
    let mut ok = false;
    if matches!(from, "3.1.0" | "3.0.0") {
        match run_steps(server).await? {
            Outcome::Passed { errors } => {
                boot.log.info(SERVICE, "Migrated Successfully to 4.0.0");
                ok = errors == 0;
            }
            Outcome::Failed { message, exception } => {
                boot.log.exception(SERVICE, message, &exception, &["org.wso2.carbon.apimgt.migration.APIMMigrationService"]);
            }
            Outcome::Exit(status) => return Ok(ControlFlow::Break(status)),
        }
    }
    boot.log.info(SERVICE, "WSO2 API Manager migration component successfully activated.");
    boot.witness.record("migration-end", json!({"migration": "api-manager", "ok": ok}))?;
    Ok(ControlFlow::Continue(()))
}

fn has_client(server: &Server) -> bool {
    let Ok(entries) = fs::read_dir(server.boot.launch.home.join("repository/components/dropins")) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.starts_with("org.wso2.carbon.apimgt.migrate.client-") && name.ends_with(".jar")
    })
}

async fn run_steps(server: &Server) -> anyhow::Result<Outcome> {
    let boot = &server.boot;
    let mut errors = 0;
    for (order, (before, after, work)) in (1..).zip(STEPS) {
        if !before.is_empty() {
            boot.log.info(SERVICE, before);
        }
        boot.witness.record("migration-order", json!({"migration": "api-manager", "order": order}))?;
        match strike(boot, order).await? {
            Mishap::None => match do_work(server, work).await {
                Ok(failed) => errors += failed,
                Err(error) => {
                    let exception = format!("java.sql.SQLException: {error:#}");
                    return Ok(Outcome::Failed { message: "SQL exception occurred while migrating", exception });
                }
            },
            Mishap::Error => {
                errors += 1;
                let (class, message) = inner_error(order);
                let exception = "org.wso2.carbon.apimgt.migration.APIMigrationException: it is not there";
                boot.log.exception(class, message, exception, &[]);
            }
            Mishap::Exception => {
                let exception = "org.wso2.carbon.apimgt.migration.APIMigrationException: registry is not reachable".to_owned();
                return Ok(Outcome::Failed { message: "API Management  exception occurred while migrating", exception });
            }
            Mishap::Throwable => {
                let exception = "java.lang.OutOfMemoryError: Java heap space".to_owned();
                return Ok(Outcome::Failed { message: "Throwable error", exception });
            }
            Mishap::Exit(status) => return Ok(Outcome::Exit(status)),
        }
        if !after.is_empty() {
            boot.log.info(SERVICE, after);
        }
        if after == "Migrated Successfully to 3.2" {
            boot.log.info(SERVICE, "Starting Migration from API Manager 3.2 to 4.0");
        }
    }
    Ok(Outcome::Passed { errors })
}

/// What a step says of an error that it passes over.
fn inner_error(order: u32) -> (&'static str, &'static str) {
    match order {
        3 => (FROM_310, "Error while accessing API artifact in registry for tenant -1234(carbon.super)"),
        4 => ("org.wso2.carbon.apimgt.migration.client.MigrateUUIDToDB", "Error while intitiation the registry"),
        6 => (FROM_320, "Error while migrating WebSocket APIs"),
        _ => (FROM_320, "Error while Migrating Endpoint Certificates"),
    }
}

/// Returns how many errors were logged and passed over.
async fn do_work(server: &Server, work: Work) -> anyhow::Result<u32> {
    let of = |name: &str| server.config.database(name).filter(|table| table.engine == "mysql");
    let (Some(apim), Some(shared)) = (of("apim_db"), of("shared_db")) else { return Ok(0) };
    match work {
        Work::None => Ok(0),
        Work::Uuids => {
            let mut apim = database::connect(&apim).await?;
            let mut registry = database::connect(&shared).await?;
            move_uuids(&mut registry, &mut apim).await?;
            Ok(0)
        }
        Work::Revisions => {
            let mut apim = database::connect(&apim).await?;
            let mut registry = database::connect(&shared).await?;
            let (labels, errors) = labels(server, &mut registry).await?;
            add_revisions(&mut apim, &labels).await?;
            Ok(errors)
        }
    }
}

/// The registry names an API's artifact `NAME/VERSION`.
async fn move_uuids(registry: &mut MySqlConnection, apim: &mut MySqlConnection) -> anyhow::Result<()> {
    let artifacts: Vec<(String, String)> =
        sqlx::query_as("SELECT REG_NAME, REG_UUID FROM REG_RESOURCE").fetch_all(registry).await?;
    for (name, uuid) in artifacts {
        sqlx::query("UPDATE AM_API SET API_UUID = ?, STATUS = 'PUBLISHED' WHERE CONCAT(API_NAME, '/', API_VERSION) = ?")
            .bind(uuid)
            .bind(name)
            .execute(&mut *apim)
            .await?;
    }
    Ok(())
}

/// The gateway environments that the registry's APIs are deployed in, as far as the configuration knows them: 4.0.0 calls its
/// default one `Default`, and another name is an error for each.
async fn labels(server: &Server, registry: &mut MySqlConnection) -> anyhow::Result<(Vec<String>, u32)> {
    // 4.0.0 keeps no versions: it finds what belongs to a resource by the path and sees nothing else.
    let query = "SELECT DISTINCT p.REG_VALUE FROM REG_PROPERTY p JOIN REG_RESOURCE_PROPERTY r ON r.REG_PROPERTY_ID = p.REG_ID \
                 AND r.REG_TENANT_ID = p.REG_TENANT_ID WHERE p.REG_NAME = 'environments' AND r.REG_PATH_ID IS NOT NULL";
    let wanted: Vec<String> = sqlx::query_scalar(query).fetch_all(&mut *registry).await?;
    let versioned = "SELECT COUNT(*) FROM REG_RESOURCE_PROPERTY WHERE REG_PATH_ID IS NULL";
    let unread = database::number(registry, versioned).await?;
    if unread > 0 {
        server.boot.log.error(FROM_320, "Error while Reading Labels");
        server.boot.witness.record("registry-unread", json!({"rows": unread}))?;
    }
    let known = server.config.in_each("apim.gateway.environment", "name");
    let (labels, unknown): (Vec<String>, Vec<String>) = wanted.into_iter().partition(|name| known.contains(name));
    for name in &unknown {
        server.boot.log.error(FROM_320, &format!("Configured read only environment not found: {name}"));
    }
    Ok((labels, u32::try_from(unknown.len())? + u32::from(unread > 0)))
}

async fn add_revisions(apim: &mut MySqlConnection, labels: &[String]) -> anyhow::Result<()> {
    let apis: Vec<(String, String, String, String, i64)> = sqlx::query_as(
        "SELECT API_UUID, API_PROVIDER, API_NAME, API_VERSION, CAST(IFNULL(REVISIONS_CREATED, 0) AS SIGNED) FROM AM_API WHERE \
         API_UUID IS NOT NULL",
    )
    .fetch_all(&mut *apim)
    .await?;
    for (api, provider, name, version, created) in apis {
        let revision = uuid::Uuid::new_v4().to_string();
        sqlx::query("INSERT INTO AM_REVISION (ID, API_UUID, REVISION_UUID, DESCRIPTION, CREATED_BY) VALUES (?, ?, ?, ?, ?)")
            .bind(created + 1)
            .bind(&api)
            .bind(&revision)
            .bind("Initial revision created in migration process")
            .bind(&provider)
            .execute(&mut *apim)
            .await?;
        sqlx::query("UPDATE AM_API SET REVISIONS_CREATED = ? WHERE API_UUID = ?")
            .bind(created + 1)
            .bind(&api)
            .execute(&mut *apim)
            .await?;
        sqlx::query(
            "INSERT IGNORE INTO AM_GW_PUBLISHED_API_DETAILS (API_ID, API_PROVIDER, API_NAME, API_VERSION) VALUES (?, ?, ?, ?)",
        )
        .bind(&api)
        .bind(&provider)
        .bind(&name)
        .bind(&version)
        .execute(&mut *apim)
        .await?;
        for label in labels {
            sqlx::query("INSERT INTO AM_GW_API_DEPLOYMENTS (API_ID, REVISION_ID, LABEL, VHOST) VALUES (?, ?, ?, 'localhost')")
                .bind(&api)
                .bind(&revision)
                .bind(label)
                .execute(&mut *apim)
                .await?;
        }
    }
    Ok(())
}
