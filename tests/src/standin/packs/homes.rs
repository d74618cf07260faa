//! The homes: what the real packs ship, as far as an upgrade touches it.

use super::{
    archive::Archive,
    artifacts::{bundle, web_application},
};
use crate::standin::keystore::{Entry, KeyStore, SHIPPED_KEY, SHIPPED_PASSWORD};

const START_SCRIPT: &str = include_str!("../../../standin/bin/start-server.sh");
const PROFILE_SCRIPT: &str = include_str!("../../../standin/bin/profileSetup.sh");

const CIPHER_TOOL: &str = include_str!("../../../standin/bin/ciphertool.sh");
/// The registry's configuration as it is shipped: nothing is versioned.
pub const REGISTRY: &str = include_str!("../../../standin/conf/registry.xml");
/// The mails' texts as they are shipped.
pub const MAILS: &str = include_str!("../../../standin/conf/email-admin-config.xml");
/// The path of the mails' texts in a home.
pub const MAILS_PATH: &str = "repository/conf/email/email-admin-config.xml";

/// What an Identity Server ships among its deployed files, each version its own.
pub const DEPLOYED: [&str; 2] =
    ["repository/deployment/server/eventpublishers/mail.xml", "repository/deployment/server/eventstreams/mail.json"];
/// A Jaggery application that 5.10.0 ships and 5.11.0 does not.
pub const JAGGERY_APP: &str = "repository/deployment/server/jaggeryapps/portal";

const AM_400_WEBAPPS: [&str; 16] = [
    "am#sample#calculator#v1.war",
    "am#sample#pizzashack#v1.war",
    "api#am#admin.war",
    "api#am#devportal.war",
    "api#am#gateway#v2.war",
    "api#am#publisher.war",
    "api#am#service-catalog#v0.war",
    "api#identity#consent-mgt#v1.0.war",
    "api#identity#oauth2#dcr#v1.1.war",
    "api#identity#oauth2#v1.0.war",
    "api#identity#recovery#v0.9.war",
    "api#identity#user#v1.0.war",
    "client-registration#v0.17.war",
    "internal#data#v1.war",
    "keymanager-operations.war",
    "oauth2.war",
];

const AM_310_WEBAPPS: [&str; 10] = [
    "am#sample#pizzashack#v1.war",
    "api#am#admin.war",
    "api#am#devportal.war",
    "api#am#gateway#v1.war",
    "api#am#publisher.war",
    "api#identity#recovery#v0.9.war",
    "api#identity#user#v1.0.war",
    "client-registration#v0.16.war",
    "internal#data#v1.war",
    "oauth2.war",
];

const IS_WEBAPPS: [&str; 6] = [
    "api#health-check#v1.0.war",
    "api#identity#consent-mgt#v1.0.war",
    "api#identity#recovery#v0.9.war",
    "api#identity#user#v1.0.war",
    "oauth2.war",
    "scim2.war",
];

/// WSO2 Identity Server 5.11.0.
#[must_use]
pub fn identity_server() -> Archive {
    let archive = common("wso2is-5.11.0", "WSO2 Identity Server v5.11.0", "4.6.1", "wso2server.sh", false)
        .file("repository/conf/deployment.toml", include_str!("../../../standin/conf/wso2is-5.11.0.toml"));
    with_webapps(deployed(archive, "5.11.0"), &IS_WEBAPPS)
}

fn deployed(archive: Archive, version: &str) -> Archive {
    DEPLOYED.iter().fold(archive, |archive, path| archive.file(path, format!("of {version}\n")))
}

/// WSO2 Identity Server 5.10.0 as Key Manager, whose version.txt reads like plain Identity Server.
#[must_use]
pub fn old_identity_server() -> Archive {
    let archive = common("wso2is-km-5.10.0", "WSO2 Identity Server v5.10.0", "4.6.0", "wso2server.sh", false)
        .file("repository/conf/deployment.toml", include_str!("../../../standin/conf/wso2is-km-5.10.0.toml"));
    let archive = archive.file(&format!("{JAGGERY_APP}/jaggery.conf"), "{}\n");
    with_webapps(deployed(archive, "5.10.0"), &IS_WEBAPPS)
}

/// WSO2 API Manager 4.0.0.
#[must_use]
pub fn api_manager() -> Archive {
    let mut archive = common("wso2am-4.0.0", "WSO2 API Manager v4.0.0", "4.6.2", "api-manager.sh", true)
        .script("bin/profileSetup.sh", conditional(PROFILE_SCRIPT, &["control-plane"]).replace("@OLD@", "-deprecated"))
        .file("repository/conf/deployment.toml", include_str!("../../../standin/conf/wso2am-4.0.0.toml"));
    for (profile, text) in [
        ("control-plane", include_str!("../../../standin/conf/wso2am-4.0.0.control-plane.toml")),
        ("gateway-worker", include_str!("../../../standin/conf/wso2am-4.0.0.gateway-worker.toml")),
        ("traffic-manager", include_str!("../../../standin/conf/wso2am-4.0.0.traffic-manager.toml")),
    ] {
        archive = archive.file(&format!("repository/resources/conf/deployment-templates/{profile}.toml"), text);
    }
    with_webapps(api_manager_files(archive), &AM_400_WEBAPPS)
}

/// WSO2 API Manager 3.1.0.
#[must_use]
pub fn old_api_manager() -> Archive {
    let archive = common("wso2am-3.1.0", "WSO2 API Manager v3.1.0", "4.6.0", "wso2server.sh", true)
        .script("bin/profileSetup.sh", conditional(PROFILE_SCRIPT, &[]).replace("@OLD@", ""))
        .file("repository/conf/deployment.toml", include_str!("../../../standin/conf/wso2am-3.1.0.toml"));
    with_webapps(api_manager_files(archive), &AM_310_WEBAPPS)
}

/// What every Carbon product ships.
fn common(root: &str, version: &str, kernel: &str, script: &str, api_manager: bool) -> Archive {
    let features: &[&str] = if api_manager { &["optimize"] } else { &[] };
    let endorsed = if api_manager { " \"$CARBON_HOME\"/lib/endorsed/*.jar" } else { "" };
    let start = conditional(START_SCRIPT, features).replace("@SCRIPT@", script).replace("@ENDORSED@", endorsed);
    let own = KeyStore::new(SHIPPED_PASSWORD, vec![Entry::private("wso2carbon", SHIPPED_KEY, 2048)]);
    let trusted = KeyStore::new(SHIPPED_PASSWORD, vec![Entry::trusted("wso2carbon"), Entry::trusted("publicroot")]);
    let mut archive = Archive::new(root)
        .script(&format!("bin/{script}"), start)
        .script("bin/ciphertool.sh", CIPHER_TOOL)
        .file("bin/version.txt", format!("{version}\n"))
        .file("bin/wso2carbon-version.txt", format!("WSO2 Carbon Framework v{kernel}\n"))
        .file("bin/tomcat-juli-8.5.57.jar", empty_bundle("tomcat-juli"))
        .file("lib/org.wso2.carbon.bootstrap.jar", empty_bundle("org.wso2.carbon.bootstrap"))
        .file(&format!("repository/components/plugins/org.wso2.carbon.core_{kernel}.jar"), empty_bundle("org.wso2.carbon.core"))
        .file("repository/components/lib/shipped-library-1.0.jar", empty_bundle("shipped-library"))
        .file("repository/components/dropins/shipped-bundle_1.0.0.jar", empty_bundle("shipped-bundle"))
        .file("repository/conf/carbon.xml", "<Server/>\n")
        .file("repository/conf/carbon.properties", include_str!("../../../standin/conf/carbon.properties"))
        .file("repository/conf/log4j2.properties", include_str!("../../../standin/conf/log4j2.properties"))
        .file("repository/conf/registry.xml", REGISTRY)
        .file(MAILS_PATH, MAILS)
        .file("repository/conf/etc/logging-bridge.properties", ".level=INFO\n")
        .file("repository/resources/conf/default.json", "{}\n")
        .file("repository/resources/security/wso2carbon.jks", own.bytes())
        .file("repository/resources/security/client-truststore.jks", trusted.bytes())
        .file("repository/database/WSO2CARBON_DB.mv.db", "stand-in for H2\n")
        .file("repository/database/WSO2SHARED_DB.mv.db", "stand-in for H2\n")
        .file("dbscripts/mysql.sql", "-- tables of the registry and of the users\n")
        .file("dbscripts/identity/mysql.sql", "-- tables of the identity database\n")
        .file("LICENSE.txt", "A stand-in for tests; no software of WSO2 is in it.\n");
    for folder in [
        "repository/components/extensions",
        "repository/components/patches",
        "repository/deployment/server/userstores",
        "repository/deployment/server/carbonapps",
        "repository/logs",
        "repository/tenants",
        "tmp",
    ] {
        archive = archive.folder(folder);
    }
    archive
}

/// What an API Manager ships beyond that.
fn api_manager_files(mut archive: Archive) -> Archive {
    for name in ["admin", "devportal", "publisher"] {
        archive = archive.file(&format!("repository/deployment/server/jaggeryapps/{name}/jaggery.conf"), "{}\n");
    }
    for folder in ["api", "endpoints", "event-sources", "local-entries", "proxy-services", "sequences", "tasks", "templates"] {
        archive = archive.folder(&format!("repository/deployment/server/synapse-configs/default/{folder}"));
    }
    let synapse = "repository/deployment/server/synapse-configs/default";
    let templates = "repository/resources/conf/templates/repository";
    for name in ["WebSocketInboundEndpoint", "SecureWebSocketInboundEndpoint"] {
        let endpoint = format!("<inboundEndpoint name=\"{name}\"/>\n");
        archive = archive
            .file(&format!("{synapse}/inbound-endpoints/{name}.xml"), &endpoint)
            .file(&format!("{templates}/deployment/server/synapse-configs/default/inbound-endpoints/{name}.xml.j2"), &endpoint);
    }
    for name in ["axis2", "axis2_TM", "axis2_KM", "axis2_Publisher", "axis2_Devportal", "axis2_blocking_client", "tenant-axis2"] {
        archive = archive.file(&format!("{templates}/conf/axis2/{name}.xml.j2"), format!("<axisconfig name=\"{name}\"/>\n"));
    }
    archive
        .file("repository/conf/axis2/axis2_blocking_client.xml", "<axisconfig/>\n")
        .file(&format!("{templates}/conf/registry.xml.j2"), "<wso2registry/>\n")
        .file(&format!("{templates}/conf/registry_TM.xml.j2"), "<wso2registry profile=\"traffic-manager\"/>\n")
        .file(&format!("{synapse}/synapse.xml"), "<definitions/>\n")
        .file(&format!("{synapse}/registry.xml"), "<registry/>\n")
        .file(&format!("{synapse}/sequences/main.xml"), "<sequence name=\"main\"/>\n")
        .file("lib/endorsed/xalan.jar", empty_bundle("xalan"))
        .file("dbscripts/apimgt/mysql.sql", "-- tables of API Manager\n")
        .file("repository/database/WSO2AM_DB.mv.db", "stand-in for H2\n")
        .file("repository/database/WSO2MB_DB.mv.db", "stand-in for H2\n")
        .file("repository/resources/api_templates/velocity_template.xml", "<api/>\n")
}

fn with_webapps(mut archive: Archive, names: &[&str]) -> Archive {
    for name in names {
        let content = web_application(name).unwrap_or_default();
        archive = archive.file(&format!("repository/deployment/server/webapps/{name}"), content);
    }
    archive.file("repository/deployment/server/webapps/authenticationendpoint/index.jsp", "<html/>\n")
}

fn empty_bundle(name: &str) -> Vec<u8> {
    bundle(name, "1.0.0").unwrap_or_default()
}

/// Keeps the lines between `#@if NAME` and `#@end` where NAME is a feature.
fn conditional(template: &str, features: &[&str]) -> String {
    let mut kept = String::new();
    let mut keeps = true;
    for line in template.lines() {
        if let Some(name) = line.strip_prefix("#@if ") {
            keeps = features.contains(&name);
        } else if line == "#@end" {
            keeps = true;
        } else if keeps {
            kept.push_str(line);
            kept.push('\n');
        }
    }
    kept
}
