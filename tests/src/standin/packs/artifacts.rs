//! What a run adds to the packs: connector, migration clients, driver.

use super::{MIGRATION_CONFIG, archive::Archive};

/// A bundle: a JAR with a manifest and one class of no content.
///
/// # Errors
///
/// When the archive cannot be written.
pub fn bundle(name: &str, version: &str) -> anyhow::Result<Vec<u8>> {
    let manifest = format!(
        "Manifest-Version: 1.0\r\nBundle-ManifestVersion: 2\r\nBundle-SymbolicName: {name}\r\nBundle-Version: {version}\r\n\r\n"
    );
    Archive::new("").file("META-INF/MANIFEST.MF", manifest).file("standin/Placeholder.class", class()).finish()
}

/// The JDBC driver: the class that a preflight looks for, without code.
///
/// # Errors
///
/// When the archive cannot be written.
pub fn driver() -> anyhow::Result<Vec<u8>> {
    Archive::new("")
        .file("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\nBundle-SymbolicName: com.mysql.cj\r\n\r\n")
        .file("META-INF/services/java.sql.Driver", "com.mysql.cj.jdbc.Driver\n")
        .file("com/mysql/cj/jdbc/Driver.class", class())
        .finish()
}

/// The Key Manager connector, in the folder that its assembly names it by.
///
/// # Errors
///
/// When the archive cannot be written.
pub fn connector() -> anyhow::Result<Vec<u8>> {
    Archive::new("wso2is-extensions-1.0.15")
        .file("dropins/wso2is.key.manager.core-1.0.15.jar", bundle("wso2is.key.manager.core", "1.0.15")?)
        .file("dropins/wso2is.notification.event.handlers-1.0.15.jar", bundle("wso2is.notification.event.handlers", "1.0.15")?)
        .file("webapps/keymanager-operations.war", web_application("keymanager-operations")?)
        .finish()
}

/// The IS migration client: its JAR, its configuration, and scripts for MySQL.
///
/// # Errors
///
/// When the archive cannot be written.
pub fn identity_migration() -> anyhow::Result<Vec<u8>> {
    let mut archive = Archive::new("wso2is-migration-1.0.147")
        .file("dropins/org.wso2.carbon.is.migration-1.0.147.jar", bundle("org.wso2.carbon.is.migration", "1.0.147")?)
        .file("migration-resources/migration-config.yaml", MIGRATION_CONFIG)
        .file("migration-resources/5.11.0/data/claim-config.xml", "<ClaimConfig/>\n")
        .file("migration-resources/5.11.0/data/email-admin-config.xml", "<configurations/>\n");
    for (script, text) in [
        ("step1/um", include_str!("../../../standin/sql/is-step1-um.sql")),
        ("step1/identity", include_str!("../../../standin/sql/is-step1-identity.sql")),
        ("step2/identity", include_str!("../../../standin/sql/is-step2-identity.sql")),
        ("step3/identity", include_str!("../../../standin/sql/is-step3-identity.sql")),
        ("step4/identity", include_str!("../../../standin/sql/is-step4-identity.sql")),
        ("step4/um", include_str!("../../../standin/sql/is-step4-um.sql")),
        ("step5/identity", include_str!("../../../standin/sql/is-step5-identity.sql")),
        ("step5/um", include_str!("../../../standin/sql/is-step5-um.sql")),
        ("step6/identity", include_str!("../../../standin/sql/is-step6-identity.sql")),
        ("step6/um", include_str!("../../../standin/sql/is-step6-um.sql")),
    ] {
        archive = archive.file(&format!("migration-resources/5.11.0/dbscripts/{script}/mysql.sql"), text);
    }
    archive.finish()
}

/// The API-M migration client's resources: a folder of the same name as that of the IS client.
///
/// # Errors
///
/// When the archive cannot be written.
pub fn api_manager_migration_resources() -> anyhow::Result<Vec<u8>> {
    Archive::new("migration-resources")
        .file("rxts/api.rxt", "<artifactType/>\n")
        .file("rxts/documentation.rxt", "<artifactType/>\n")
        .finish()
}

/// A web application with a deployment descriptor.
///
/// # Errors
///
/// When the archive cannot be written.
pub fn web_application(name: &str) -> anyhow::Result<Vec<u8>> {
    let descriptor = format!("<web-app><display-name>{name}</display-name></web-app>\n");
    Archive::new("").file("WEB-INF/web.xml", descriptor).finish()
}

/// The magic number of a class file and nothing that could run.
fn class() -> Vec<u8> {
    vec![0xCA, 0xFE, 0xBA, 0xBE, 0, 0, 0, 52]
}
