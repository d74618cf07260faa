//! `bin/java` of a stand-in JDK: plays the JVM of a WSO2 server, and under the name `keytool` that program. See
//! `cavalcade_tests::standin`.

use std::{env, process::ExitCode};

use anyhow::Context as _;
use cavalcade_tests::standin::{jvm, keytool};

fn main() -> anyhow::Result<ExitCode> {
    let own = env::current_exe()?;
    let arguments: Vec<String> = env::args().skip(1).collect();
    if own.file_name().is_some_and(|name| name == "keytool") {
        let (status, text) = keytool::run(&arguments);
        print!("{text}");
        return Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)));
    }
    let jdk = own.parent().and_then(|bin| bin.parent()).context("java stands in no JDK")?;
    let status = jvm::run(jdk, &arguments)?;
    Ok(ExitCode::from(u8::try_from(status).unwrap_or(1)))
}
