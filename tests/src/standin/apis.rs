//! The APIs of an API Manager: which of them a portal lists and a gateway serves.

use std::{fs, io, path::PathBuf};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::MySqlConnection;

use super::{database, peer::Address, reading, server::Server};

/// One API.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Api {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The path that it is called under.
    pub context: String,
    /// The gateway environment that it is deployed in; empty before 4.0.0.
    #[serde(default)]
    pub label: String,
}

/// The tenant that every server has.
pub const SUPER_TENANT: &str = "carbon.super";

impl Api {
    /// The domain of the tenant that it belongs to.
    #[must_use]
    pub fn tenant(&self) -> &str {
        self.context.strip_prefix("/t/").and_then(|rest| rest.split('/').next()).unwrap_or(SUPER_TENANT)
    }
}

/// The context of APIs whose artifact no gateway can deploy, as some are whose definition is broken.
pub const UNDEPLOYABLE: &str = "/undeployable";

/// What this gateway serves: before 4.0.0 every API, from then on those deployed under one of its labels.
///
/// # Errors
///
/// When neither the database nor the event hub can be asked.
pub async fn deployable(server: &Server) -> anyhow::Result<Vec<Api>> {
    let labels = server.config.texts("apim.sync_runtime_artifacts.gateway.gateway_labels");
    let all = match server.config.database("apim_db").filter(|table| table.engine == "mysql") {
        Some(_) => deployments(server).await?,
        None => from_event_hub(server).await?,
    };
    let mut found: Vec<Api> = all.into_iter().filter(|api| api.label.is_empty() || labels.contains(&api.label)).collect();
    found.retain(|api| !api.context.starts_with(UNDEPLOYABLE));
    found.sort();
    found.dedup();
    Ok(found)
}

/// Every API with the environment that it is deployed in, from the database.
///
/// # Errors
///
/// When the database cannot be asked.
pub async fn deployments(server: &Server) -> anyhow::Result<Vec<Api>> {
    let Some(mut connection) = connect(server, "apim_db").await? else { return Ok(Vec::new()) };
    let query = if server.boot.product.version == "4.0.0" {
        "SELECT a.API_NAME, a.API_VERSION, a.CONTEXT, d.LABEL FROM AM_API a JOIN AM_GW_API_DEPLOYMENTS d ON d.API_ID = a.API_UUID"
    } else {
        "SELECT API_NAME, API_VERSION, CONTEXT, '' FROM AM_API"
    };
    rows(&mut connection, query).await
}

/// The APIs that the portals list for a tenant: those of the database, once the registry was indexed.
///
/// # Errors
///
/// When the database cannot be asked.
pub async fn visible(server: &Server, tenant: Option<&str>) -> anyhow::Result<Vec<Api>> {
    let index = index_of(server);
    if server.boot.product.is_new() && index.is_none_or(|index| tenant.is_some() && !index.tenants) {
        return Ok(Vec::new());
    }
    let Some(mut connection) = connect(server, "apim_db").await? else { return Ok(Vec::new()) };
    let mut all = rows(&mut connection, "SELECT API_NAME, API_VERSION, CONTEXT, '' FROM AM_API").await?;
    all.retain(|api| api.tenant() == tenant.unwrap_or(SUPER_TENANT));
    Ok(all)
}

/// What an index holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Index {
    /// Documents.
    pub documents: i64,
    /// Whether those of other tenants are among them: a tenant is indexed when it is loaded, and only a bundle loads all.
    pub tenants: bool,
}

/// Indexes the registry, if `[indexing] re_indexing` asks for it and the registry's log has something to index.
///
/// # Errors
///
/// When the database cannot be asked, or `solr` or the witness cannot be written.
pub async fn index(server: &Server) -> anyhow::Result<()> {
    let number = server.config.text("indexing.re_indexing").and_then(|number| number.parse::<u32>().ok()).unwrap_or_default();
    if number == 0 || index_mark(server).exists() {
        return Ok(());
    }
    let Some(mut connection) = connect(server, "shared_db").await? else { return Ok(()) };
    let tenants = reading::has_tenant_loader(&server.boot.launch.home);
    let query = if tenants {
        "SELECT COUNT(*) FROM REG_LOG WHERE REG_ACTION = 1"
    } else {
        "SELECT COUNT(*) FROM REG_LOG WHERE REG_ACTION = 1 AND REG_TENANT_ID = -1234"
    };
    let documents = database::number(&mut connection, query).await?;
    if documents > 0 {
        let mark = index_mark(server);
        fs::create_dir_all(mark.parent().ok_or_else(|| io::Error::other("no folder"))?)?;
        fs::write(mark, serde_json::to_vec(&Index { documents, tenants })?)?;
        server.boot.log.info("org.wso2.carbon.registry.indexing.AsyncIndexer", "Indexing of the registry is done");
        let detail = json!({"number": number, "documents": documents, "tenants": tenants, "fresh": server.fresh_index});
        server.boot.witness.record("reindexed", detail)?;
    }
    Ok(())
}

fn index_of(server: &Server) -> Option<Index> {
    serde_json::from_slice(&fs::read(index_mark(server)).ok()?).ok()
}

fn index_mark(server: &Server) -> PathBuf {
    server.boot.launch.home.join("solr/data/index/segments_1")
}

async fn connect(server: &Server, name: &str) -> anyhow::Result<Option<MySqlConnection>> {
    match server.config.database(name).filter(|table| table.engine == "mysql") {
        Some(table) => Ok(Some(database::connect(&table).await?)),
        None => Ok(None),
    }
}

async fn rows(connection: &mut MySqlConnection, query: &'static str) -> anyhow::Result<Vec<Api>> {
    let rows: Vec<(String, String, String, String)> = sqlx::query_as(query).fetch_all(connection).await?;
    Ok(rows.into_iter().map(|(name, version, context, label)| Api { name, version, context, label }).collect())
}

/// A gateway without the database asks the event hub, which is a control plane or a Traffic Manager.
async fn from_event_hub(server: &Server) -> anyhow::Result<Vec<Api>> {
    #[derive(Deserialize)]
    struct Answer {
        list: Vec<Api>,
    }
    let config = &server.config;
    let Some(url) = config.text("apim.event_hub.service_url").or_else(|| config.text("apim.throttling.service_url")) else {
        return Ok(Vec::new());
    };
    let hub = Address::of_url(&url).with_context(|| format!("{url} is no URL"))?;
    let login = ["Authorization: Basic c3RhbmQ6aW4=".to_owned()];
    let (status, body) = hub.ask("GET", "/internal/data/v1/apis", &login, "").await?;
    anyhow::ensure!(status == 200, "the event hub answered {status}");
    Ok(serde_json::from_slice::<Answer>(&body)?.list)
}
