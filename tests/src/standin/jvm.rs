//! The program in place of the JVM: reads the command line and plays the server until it ends.

use std::{path::Path, process, sync::Arc};

use anyhow::Context as _;
use serde_json::{Map, json};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    carbon_log::{CarbonLog, Console},
    cipher_tool,
    launch::{Command, Launch, parse},
    product::{Kind, Product},
    server,
    settings::{self, Settings},
    witness::Witness,
};

/// Where a home says that its stand-in is not set up.
pub const ERROR_FILE: &str = "standin-error.txt";

/// What a launch has from its first moment on.
#[derive(Debug)]
pub struct Boot {
    /// The command line.
    pub launch: Launch,
    /// What the home holds.
    pub product: Product,
    /// How this launch behaves.
    pub settings: Settings,
    /// Where it is witnessed.
    pub witness: Witness,
    /// Its log.
    pub log: CarbonLog,
    /// When it began.
    pub began: std::time::Instant,
}

/// Runs a JVM's command line and returns its exit status.
///
/// `jdk` is the folder of the stand-in JDK, which holds `bin/java` and `standin.json`.
///
/// # Errors
///
/// When the stand-in itself is not set up: settings, witness file, home.
pub fn run(jdk: &Path, arguments: &[String]) -> anyhow::Result<i32> {
    match parse(arguments) {
        Command::Version => {
            let version = settings::load(jdk, None)?.java_version;
            // To stderr, as a JVM says it: the start scripts look for the quoted word.
            eprintln!("openjdk version \"{version}\"\nStand-in Runtime Environment (no JVM)");
            Ok(0)
        }
        Command::Refused(sentence) => {
            eprintln!("{sentence}");
            Ok(1)
        }
        Command::Encrypt(launch) => {
            let (status, said) = cipher_tool::run(&launch.home, &launch.arguments);
            print!("{said}");
            Ok(status)
        }
        Command::Serve(launch) => {
            let home = launch.home.clone();
            serve(jdk, launch).inspect_err(|error| {
                // The start script throws the console away.
                let _written = std::fs::write(home.join(ERROR_FILE), format!("{error:#}\n"));
            })
        }
    }
}

fn serve(jdk: &Path, launch: Launch) -> anyhow::Result<i32> {
    let settings = settings::load(jdk, Some(&launch.home))?;
    let product = Product::of_home(&launch.home)?;
    let mut common = Map::new();
    common.insert("pid".to_owned(), json!(process::id()));
    common.insert("launch".to_owned(), json!(uuid::Uuid::new_v4().to_string()));
    common.insert("home".to_owned(), json!(launch.home));
    common.insert("product".to_owned(), json!(product.short_name()));
    common.insert("version".to_owned(), json!(product.version));
    common.insert("profile".to_owned(), json!(launch.profile()));
    let witness = Witness::open(settings.witness.as_deref(), common).context("the witness file cannot be opened")?;
    witness.record("launch", json!({"args": launch.arguments, "parent": std::os::unix::process::parent_id()}))?;
    let console = if product.is_new() && product.kind == Kind::ApiManager { Console::Short } else { Console::Whole };
    let log = CarbonLog::open(&launch.home, console).context("the log cannot be opened")?;
    let began = std::time::Instant::now();
    let boot = Arc::new(Boot { launch, product, settings, witness, log, began });

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let status = runtime.block_on(async {
        let mut term = signal(SignalKind::terminate())?;
        tokio::select! {
            biased;
            _ = term.recv() => {
                boot.witness.record("term", json!({}))?;
                server::shut_down(&boot).await;
                Ok::<i32, anyhow::Error>(143)
            }
            ended = server::live(&boot) => ended,
        }
    })?;
    boot.witness.record("exit", json!({"status": status}))?;
    // Accept loops and held connections end with the process.
    runtime.shutdown_background();
    Ok(status)
}
