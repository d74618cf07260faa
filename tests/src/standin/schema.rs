//! What a server meets in its databases when it starts.

use std::{fs, path::Path};

use sqlx::MySqlConnection;

use super::{
    config::{Config, DatabaseTable},
    database,
    jvm::Boot,
    product::Kind,
};

const DATASOURCE: &str = "org.wso2.carbon.ndatasource.core.DataSourceManager";

/// Whether a server can go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Databases {
    /// It goes on, with errors in its log or without.
    Usable,
    /// The registry and user database cannot be reached: the server hangs.
    Unusable,
}

/// A table or column that a version needs.
struct Need {
    table: &'static str,
    column: Option<&'static str>,
}

const fn table(table: &'static str) -> Need {
    Need { table, column: None }
}

const fn column(table: &'static str, column: &'static str) -> Need {
    Need { table, column: Some(column) }
}

/// Connects to the databases of the product and looks for what it needs. What is missing becomes an error in the log.
pub async fn check(boot: &Boot, config: &Config) -> Databases {
    let mut result = Databases::Usable;
    let mut names = match boot.product.kind {
        Kind::IdentityServer if config.database("identity_db").is_some() => vec!["identity_db", "shared_db"],
        Kind::IdentityServer | Kind::ApiManager => vec!["apim_db", "shared_db"],
    };
    if config.user_database() == "user" {
        names.push("user");
    }
    if config.database("config").is_some() {
        names.push("config");
    }
    for name in names {
        let Some(table) = config.database(name).filter(|table| table.engine == "mysql") else { continue };
        if !check_one(boot, config, &table).await && name != "identity_db" && name != "apim_db" {
            result = Databases::Unusable;
        }
    }
    result
}

/// Returns whether the database could be reached.
async fn check_one(boot: &Boot, config: &Config, table: &DatabaseTable) -> bool {
    if !has_driver(&boot.launch.home) {
        let driver = "Cannot load JDBC driver class 'com.mysql.cj.jdbc.Driver'";
        boot.log.error(DATASOURCE, &format!("Error in initializing data source: {} - {driver}", table.name));
        return false;
    }
    let mut connection = match database::connect(table).await {
        Ok(connection) => connection,
        Err(error) => {
            boot.log.exception(
                DATASOURCE,
                &format!("Error in initializing data source: {}", table.name),
                &format!("com.mysql.cj.jdbc.exceptions.CommunicationsException: {error:#}"),
                &["com.mysql.cj.jdbc.ConnectionImpl.createNewIO(ConnectionImpl.java)"],
            );
            return false;
        }
    };
    for need in needs(boot, config, &table.name) {
        let found = match need.column {
            None => database::has_table(&mut connection, need.table).await,
            Some(column) => database::has_column(&mut connection, need.table, column).await,
        };
        let message = match (found, need.column) {
            (Ok(true), _) => continue,
            (Ok(false), None) => format!("Table '{}.{}' doesn't exist", table.name, need.table),
            (Ok(false), Some(column)) => format!("Unknown column '{}.{column}' in 'field list'", need.table),
            (Err(error), _) => error.to_string(),
        };
        boot.log.exception(
            "org.wso2.carbon.user.core.common.DefaultRealmService",
            &format!("Error while reading from {}", table.name),
            &format!("java.sql.SQLSyntaxErrorException: {message}"),
            &["com.mysql.cj.jdbc.ClientPreparedStatement.executeQuery(ClientPreparedStatement.java)"],
        );
    }
    if table.name == config.user_database() {
        add_admin_role(boot, config, &mut connection).await;
    }
    true
}

/// From 5.11.0 on a server that may create its admin account gives it an internal role of that name. The migration client
/// wants to add that role too, and stumbles (`30012 - RoleExisting`).
async fn add_admin_role(boot: &Boot, config: &Config, connection: &mut MySqlConnection) {
    let new_server = boot.product.kind == Kind::IdentityServer && boot.product.version.as_str() == "5.11.0";
    if !new_server || config.flag("super_admin.create_admin_account") == Some(false) {
        return;
    }
    let statement = "INSERT IGNORE INTO UM_HYBRID_ROLE (UM_ROLE_NAME, UM_TENANT_ID) VALUES ('admin', -1234)";
    if let Err(error) = database::execute(connection, statement).await {
        boot.log.error("org.wso2.carbon.user.core.common.AbstractUserStoreManager", &format!("Cannot add role admin: {error}"));
    }
}

fn needs(boot: &Boot, config: &Config, database: &str) -> Vec<Need> {
    let mut needs = Vec::new();
    // Before its migration client ran, Identity Server cannot expect the tables that this client makes.
    let migrated = !boot.launch.migrates_identity();
    let new = boot.product.is_new();
    match database {
        "identity_db" => {
            needs.extend([table("IDN_BASE_TABLE"), table("IDN_OAUTH_CONSUMER_APPS")]);
            if new && migrated {
                needs.extend([table("IDN_CORS_ORIGIN"), table("IDN_REMOTE_FETCH_CONFIG")]);
            }
        }
        "apim_db" => {
            needs.push(table("AM_API"));
            if new {
                needs.extend([table("AM_REVISION"), table("AM_GW_API_DEPLOYMENTS"), column("AM_API", "API_UUID")]);
                needs.push(column("AM_GW_API_DEPLOYMENTS", "VHOST"));
            }
        }
        "shared_db" | "config" => needs.push(table("REG_LOG")),
        _ => {}
    }
    if database == config.user_database() {
        needs.extend([table("UM_TENANT"), table("UM_DOMAIN"), table("UM_HYBRID_ROLE")]);
        if new && migrated {
            needs.extend([table("UM_HYBRID_GROUP_ROLE"), column("UM_TENANT", "UM_TENANT_UUID")]);
        }
    }
    needs
}

/// Whether a JAR of `components/lib` holds the driver's class.
fn has_driver(home: &Path) -> bool {
    let Ok(entries) = fs::read_dir(home.join("repository/components/lib")) else { return false };
    entries.flatten().any(|entry| {
        let Ok(file) = fs::File::open(entry.path()) else { return false };
        let Ok(archive) = zip::ZipArchive::new(file) else { return false };
        let mut names = archive.file_names();
        names.any(|name| {
            name.is_ok_and(|name| matches!(name.as_ref(), "com/mysql/cj/jdbc/Driver.class" | "com/mysql/jdbc/Driver.class"))
        })
    })
}
