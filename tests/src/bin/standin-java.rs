//! `bin/java` of a stand-in JDK: plays the JVM of a WSO2 server. See `cavalcade_tests::standin`.

use std::{env, process::ExitCode};

use anyhow::Context as _;
use cavalcade_tests::standin::jvm;

fn main() -> anyhow::Result<ExitCode> {
    let own = env::current_exe()?;
    let jdk = own.parent().and_then(|bin| bin.parent()).context("java stands in no JDK")?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    let status = jvm::run(jdk, &arguments)?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}
