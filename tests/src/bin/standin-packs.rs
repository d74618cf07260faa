//! Writes the stand-ins' packs, artifacts and JDK, and lays out an old fleet. See `cavalcade_tests::standin`.

use std::{collections::BTreeMap, env, fs, net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, ensure};
use cavalcade_tests::standin::{
    balancer,
    fleet::{self, OldFleet},
    offsets::FREE,
    packs,
    peer::Address,
};
use cavalcade_tests::upgrade::{
    extent::Extent,
    layout::{self, DatabasePlace, Layout},
};
use clap::{Args, Parser, Subcommand};

/// Stand-ins for WSO2 packs: small, with the real names and layout.
#[derive(Debug, Parser)]
#[command(args_conflicts_with_subcommands = true, arg_required_else_help = true)]
struct Arguments {
    #[command(subcommand)]
    command: Option<What>,
    /// The folder to write packs, artifacts and `jdk/` into.
    folder: Option<PathBuf>,
    /// The witness file of the JDK's servers.
    #[arg(long, value_name = "FILE")]
    jdk_witness: Option<PathBuf>,
    /// Settings of the JDK's servers: a JSON file with the keys of `standin.json`.
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The program that plays the JVM, without it `standin-java` beside this one.
    #[arg(long, value_name = "FILE")]
    java: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Lay out an old fleet as a JSON file says, and start the nodes that are to be started.
    OldFleet {
        /// The file: packs, jdk, into, nodes.
        file: PathBuf,
    },
    /// Say which file is missing for an upgrade with the packs of a folder.
    Check {
        /// The folder.
        packs: PathBuf,
        /// For a fleet that uses everything.
        #[arg(long)]
        full: bool,
    },
    /// Stop every server of an old fleet, and wait until it is gone.
    StopOldFleet {
        /// The same file.
        file: PathBuf,
    },
    /// Write what the demo upgrades: the fleet file, its secrets, the old fleet (old-fleet.json) and the databases' accounts.
    DemoFleet(DemoFleet),
    /// Start one home through its script, and wait until it is started.
    Start {
        /// The home.
        home: PathBuf,
        /// The stand-in JDK.
        #[arg(long)]
        jdk: PathBuf,
        /// Options for the script, such as `-Dprofile=gateway-worker`.
        #[arg(allow_hyphen_values = true, trailing_var_arg = true)]
        options: Vec<String>,
    },
    /// Stop one home's server, and wait until it is gone.
    Stop {
        /// The home.
        home: PathBuf,
    },
    /// A load balancer that writes down what it is told: `POST /drain/SERVER`, `POST /enrol/SERVER`.
    Balancer {
        /// Where it listens.
        #[arg(long)]
        listen: SocketAddr,
        /// The file that it writes.
        #[arg(long)]
        file: PathBuf,
    },
    /// Tells a load balancer: one POST.
    Tell {
        /// `http://ADDRESS:PORT/drain/SERVER`.
        url: String,
    },
}

#[derive(Debug, Args)]
struct DemoFleet {
    /// The folder to write into.
    folder: PathBuf,
    /// The packs.
    #[arg(long)]
    packs: PathBuf,
    /// JAVA_HOME of the servers.
    #[arg(long)]
    java_home: PathBuf,
    /// The database server's port on 127.0.0.1.
    #[arg(long)]
    database_port: u16,
    /// The folder with the database's clients.
    #[arg(long)]
    client_bin: PathBuf,
    /// Everything that the guide's rows ask for, in place of none of it.
    #[arg(long)]
    full: bool,
    /// `http://ADDRESS:PORT` of the load balancer that servers are drained from and enrolled with.
    #[arg(long)]
    balancer: Option<String>,
}

fn demo_fleet(demo: DemoFleet) -> anyhow::Result<()> {
    let extent = if demo.full { Extent::Full } else { Extent::Ldap };
    layout::check_packs(&demo.packs, extent)?;
    // Free now, and held until everything is written; then the servers take them.
    let (nodes, _leases) = layout::place(extent.hosts(), &FREE)?;
    let layout = Layout {
        folder: demo.folder,
        packs: demo.packs,
        java_home: demo.java_home,
        nodes,
        database: DatabasePlace { port: demo.database_port, client_bin: demo.client_bin },
        hosts: "hosts",
        extent,
        options: BTreeMap::new(),
        balancer: demo.balancer,
    };
    layout.write()?;
    fs::write(layout.folder.join("old-fleet.json"), serde_json::to_vec_pretty(&layout.old_fleet()?)?)?;
    fs::write(layout.folder.join("accounts.sql"), layout::accounts_sql(extent))?;
    let data = layout.folder.join("data");
    fs::create_dir_all(&data)?;
    for (name, _) in extent.databases() {
        fs::write(data.join(format!("{name}.sql")), extent.data(name))?;
    }
    for node in &layout.nodes {
        println!("{} {} {} {}", node.name, node.address, node.offset, node.port(9443));
    }
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    match arguments.command {
        Some(What::OldFleet { file }) => read(&file)?.lay_out(|node| println!("{} {}", node.name, node.profile)),
        Some(What::DemoFleet(demo)) => demo_fleet(demo),
        Some(What::Check { packs, full }) => layout::check_packs(&packs, if full { Extent::Full } else { Extent::Ldap }),
        Some(What::StopOldFleet { file }) => read(&file)?.stop(),
        Some(What::Start { home, jdk, options }) => {
            let options: Vec<&str> = options.iter().map(String::as_str).collect();
            fleet::start(&home, &jdk, &options)
        }
        Some(What::Stop { home }) => fleet::stop(&home),
        Some(What::Balancer { listen, file }) => runtime()?.block_on(async {
            let listener = tokio::net::TcpListener::bind(listen).await?;
            balancer::serve(listener, &file).await
        }),
        Some(What::Tell { url }) => runtime()?.block_on(tell(&url)),
        None => write(arguments),
    }
}

fn runtime() -> anyhow::Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

async fn tell(url: &str) -> anyhow::Result<()> {
    let address = Address::of_url(url).with_context(|| format!("{url} is no URL"))?;
    let path = url.splitn(4, '/').nth(3).unwrap_or_default();
    let (status, body) = address.ask("POST", &format!("/{path}"), &[], "").await?;
    println!("{status} {}", String::from_utf8_lossy(&body));
    ensure!(status == 200, "{url} answered {status}");
    Ok(())
}

fn read(file: &PathBuf) -> anyhow::Result<OldFleet> {
    let bytes = fs::read(file).with_context(|| format!("{} cannot be read", file.display()))?;
    serde_json::from_slice(&bytes).with_context(|| format!("{} is no old fleet", file.display()))
}

fn write(arguments: Arguments) -> anyhow::Result<()> {
    let folder = arguments.folder.context("which folder?")?;
    for file in packs::write_all(&folder)? {
        println!("{}", file.display());
    }
    let java = match arguments.java {
        Some(java) => java,
        None => env::current_exe()?.with_file_name("standin-java"),
    };
    let settings = match arguments.settings {
        Some(file) => serde_json::from_slice(&fs::read(file)?)?,
        None => serde_json::json!({}),
    };
    let jdk = packs::jdk::install(&folder.join("jdk"), &java, arguments.jdk_witness.as_deref(), &settings)?;
    println!("{}", jdk.display());
    Ok(())
}
