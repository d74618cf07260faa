//! The life of a server, in the kernel's order: PID file, configuration, databases, (IS) migration client, transports, startup
//! observers with the migration client of API-M among them, `WSO2 Carbon started`.

use std::{
    fs, io,
    ops::ControlFlow,
    path::Path,
    sync::{Arc, Mutex},
    time::Duration,
};

use anyhow::Context as _;
use serde_json::json;
use tokio::time::sleep;

use super::{
    am_migration,
    apis::{self, Api},
    config::Config,
    crypto::{self, Keys},
    event_hub, gateway, is_migration,
    jvm::Boot,
    libraries,
    product::{Kind, Listener},
    reading,
    schema::{self, Databases},
    settings::Fault,
    transports, user_stores, vault,
};

const CORE: &str = "org.wso2.carbon.core.internal.CarbonCoreActivator";
const MANAGER: &str = "org.wso2.carbon.core.init.CarbonServerManager";
const KEYSTORES: &str = "org.wso2.carbon.core.util.KeyStoreManager";
const VAULT: &str = "org.wso2.carbon.securevault.SecretManagerInitializer";
const FINALIZER: &str = "org.wso2.carbon.core.internal.StartupFinalizerServiceComponent";

/// A server that has read its configuration.
#[derive(Debug)]
pub struct Server {
    /// What it was launched with.
    pub boot: Arc<Boot>,
    /// Its deployment.toml.
    pub config: Config,
    /// The APIs that its gateway serves now.
    pub deployed: Mutex<Vec<Api>>,
    /// Whether the Key Manager answered at the start; true where none is configured.
    pub key_manager: bool,
    /// What it encrypts and signs with.
    pub keys: Keys,
    /// Whether there was no `solr` when it started.
    pub fresh_index: bool,
}

/// `ControlFlow::Break` ends the process with a status.
pub type Step = anyhow::Result<ControlFlow<i32>>;

/// Plays a server. Returns only when it ends by itself.
///
/// # Errors
///
/// When the witness file or the home cannot be written.
pub async fn live(boot: &Arc<Boot>) -> anyhow::Result<i32> {
    let settings = &boot.settings;
    if settings.fault == Some(Fault::CrashEarly) {
        return Ok(1);
    }
    pause(settings.pid_file_after).await;
    write_pid_file(&boot.launch.home).context("the PID file cannot be written")?;
    boot.witness.record("pid-file", json!({}))?;
    libraries::make_bundles(&boot.launch.home)?;

    let config = match Config::of_home(&boot.launch.home) {
        Ok(config) => config,
        Err(error) => {
            // Before the log exists: java.util.logging on the console, and the end.
            eprintln!("SEVERE {{org.wso2.carbon.server.Main}} - Error while performing configuration changes\n{error:#}");
            return Ok(1);
        }
    };
    let config = match boot.launch.properties.get("portOffset").and_then(|offset| offset.parse().ok()) {
        Some(offset) => config.with_offset(offset),
        None => config,
    };
    greet(boot);
    let config = open_secrets(boot, config)?;
    if settings.fault == Some(Fault::Crash) {
        boot.log.fatal(MANAGER, "WSO2 Carbon initialization Failed");
        return Ok(1);
    }
    if settings.fault == Some(Fault::Exit121) && once(&boot.launch.home, "standin-121")? {
        return Ok(121);
    }
    let _monitoring = monitoring_port(boot).await;
    let remaining = (settings.start - settings.pid_file_after).max(0.0);
    pause(remaining * 0.2).await;
    match start(boot, config, remaining).await? {
        ControlFlow::Break(status) => Ok(status),
        ControlFlow::Continue(server) => serve(&server).await,
    }
}

/// From the databases to `WSO2 Carbon started`.
async fn start(boot: &Arc<Boot>, config: Config, remaining: f64) -> anyhow::Result<ControlFlow<i32, Arc<Server>>> {
    let settings = &boot.settings;
    let keys = crypto::keys(&boot.launch.home, &config, &boot.product);
    boot.witness.record("settings", reading::settings(&boot.launch.home, &config, &keys))?;
    if !keys.problems.is_empty() {
        for problem in &keys.problems {
            let exception = format!("org.wso2.carbon.CarbonException: {problem}");
            boot.log.exception(KEYSTORES, "Error while loading the key store", &exception, &[]);
        }
        boot.log.fatal(MANAGER, "WSO2 Carbon initialization Failed");
        wait_for_services(boot, "org.wso2.carbon.base.api.ServerConfigurationService,").await;
    }
    if schema::check(boot, &config).await == Databases::Unusable {
        boot.log.fatal(MANAGER, "WSO2 Carbon initialization Failed");
        wait_for_services(boot, "org.wso2.carbon.registry.core.service.RegistryService,").await;
    }
    if settings.fault == Some(Fault::Hang) {
        wait_for_services(boot, "org.wso2.carbon.identity.core.util.IdentityCoreInitializedEvent,").await;
    }
    pause(remaining * 0.6).await;
    if boot.product.kind == Kind::IdentityServer && boot.launch.migrates_identity() {
        // Within the activation of identity.core: before any transport.
        if let ControlFlow::Break(status) = is_migration::run(boot, &config, &keys).await? {
            return Ok(ControlFlow::Break(status));
        }
    }
    crypto::check(boot, &config, &keys).await?;
    user_stores::check(boot, &keys)?;
    let key_manager = gateway::key_manager_answers(boot, &config).await?;
    let fresh_index = !boot.launch.home.join("solr").exists();
    let deployed = Mutex::new(Vec::new());
    let server = Arc::new(Server { boot: Arc::clone(boot), config, deployed, key_manager, keys, fresh_index });
    transports::open(&server).await?;
    pause(remaining * 0.2).await;
    if boot.product.kind == Kind::ApiManager {
        // The first start makes an index that knows nothing.
        fs::create_dir_all(boot.launch.home.join("solr/data")).context("solr cannot be made")?;
        gateway::wait_for_brokers(&server).await?;
        if let ControlFlow::Break(status) = am_migration::run(&server).await? {
            return Ok(ControlFlow::Break(status));
        }
    }
    let product = &boot.product;
    boot.log.info(FINALIZER, &format!("Server           :  {}-{}", product.full_name(), product.version));
    boot.log.info(FINALIZER, &format!("WSO2 Carbon started in {} sec", boot.began.elapsed().as_secs()));
    let role = server.config.text("server.server_role");
    boot.witness.record("ready", json!({"server_role": role, "offset": server.config.offset(), "key_manager": key_manager}))?;
    Ok(ControlFlow::Continue(server))
}

/// Puts the plain values of secrets in. What cannot be decrypted stays as it stands, and whatever needs it fails.
fn open_secrets(boot: &Boot, config: Config) -> anyhow::Result<Config> {
    let vault = vault::unlock(&boot.launch.home, &config)?;
    for problem in &vault.problems {
        let exception = format!("org.wso2.securevault.SecureVaultException: {problem}");
        boot.log.exception(VAULT, "Error while reading the secrets of deployment.toml", &exception, &[]);
    }
    Ok(config.with_secrets(vault.values))
}

/// A started server: deploys APIs and answers until a signal ends it.
async fn serve(server: &Arc<Server>) -> anyhow::Result<i32> {
    event_hub::publish(server);
    if server.boot.product.kind == Kind::ApiManager && matches!(server.boot.launch.profile(), "default" | "control-plane") {
        tokio::spawn(index_later(Arc::clone(server)));
    }
    if server.boot.product.serves_apis(server.boot.launch.profile()) {
        pause(server.boot.settings.deploy_after).await;
        loop {
            // A gateway that started without its Key Manager never gets so far.
            if server.key_manager {
                let found = apis::deployable(server).await;
                if let (Ok(found), Ok(mut deployed)) = (found, server.deployed.lock()) {
                    *deployed = found;
                }
            }
            sleep(Duration::from_secs(1)).await;
        }
    }
    std::future::pending().await
}

/// A server is ready long before it has indexed anything: one that is stopped early has no index.
async fn index_later(server: Arc<Server>) {
    pause(server.boot.settings.index_after).await;
    if let Err(error) = apis::index(&server).await {
        server.boot.log.error("org.wso2.carbon.registry.indexing.AsyncIndexer", &format!("Error while indexing: {error:#}"));
    }
}

/// What a JVM's shutdown hook does on TERM.
pub async fn shut_down(boot: &Boot) {
    pause(boot.settings.ignore_term).await;
    let name = boot.product.full_name();
    boot.log.info(MANAGER, "Shutdown hook triggered....");
    boot.log.info(MANAGER, &format!("Gracefully shutting down {name}..."));
    pause(boot.settings.stop).await;
    boot.log.info(MANAGER, &format!("Shutting down {name}..."));
    boot.log.info(MANAGER, "Shutting down OSGi framework...");
    boot.log.info(MANAGER, "Shutdown complete");
    boot.log.info(MANAGER, "Halting JVM");
}

/// Sleeps for seconds of a settings file.
pub async fn pause(seconds: f64) {
    sleep(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO)).await;
}

/// True at the first call between two runs of the start script, which empties `tmp`.
///
/// # Errors
///
/// When `tmp` cannot be written.
pub fn once(home: &Path, name: &str) -> io::Result<bool> {
    fs::create_dir_all(home.join("tmp"))?;
    match fs::OpenOptions::new().write(true).create_new(true).open(home.join("tmp").join(name)) {
        Ok(_made) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
        Err(error) => Err(error),
    }
}

/// The PID, a newline, then NUL bytes: the server writes the whole of a buffer of 100 bytes.
fn write_pid_file(home: &Path) -> io::Result<()> {
    let mut content = format!("{}\n", std::process::id()).into_bytes();
    content.resize(100, 0);
    fs::write(home.join("wso2carbon.pid"), content)
}

fn greet(boot: &Boot) {
    boot.log.info(CORE, "Starting WSO2 Carbon...");
    boot.log.info(CORE, "Operating System : Linux");
    boot.log.info(CORE, &format!("Java Version     : {}", boot.settings.java_version));
    boot.log.info(CORE, &format!("Carbon Home      : {}", boot.launch.home.display()));
}

/// `-Dcom.sun.management.jmxremote` takes one port that the system chooses, on all interfaces.
async fn monitoring_port(boot: &Boot) -> Option<tokio::net::TcpListener> {
    boot.launch.properties.get("com.sun.management.jmxremote")?;
    tokio::net::TcpListener::bind(("0.0.0.0", 0)).await.ok()
}

async fn wait_for_services(boot: &Boot, services: &str) -> ! {
    loop {
        pause(boot.settings.waiting_interval.max(0.01)).await;
        boot.log.warn(FINALIZER, &format!("Waiting for required OSGi services: {services}"));
    }
}

impl Server {
    /// The port of a listener with the offset, none where there is no such port.
    #[must_use]
    pub fn port(&self, base: u16) -> Option<u16> {
        base.checked_add(self.config.offset())
    }

    /// The ports of this launch's profile, with the offset.
    #[must_use]
    pub fn ports(&self) -> Vec<(u16, Listener)> {
        let ports = self.boot.product.ports(self.boot.launch.profile());
        ports.into_iter().filter_map(|(base, listener)| Some((self.port(base)?, listener))).collect()
    }
}
