//! The JDK's keytool as a child: no shell, no password in its arguments, a limit on time and output.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use cavalcade_common::secret::SecretValue;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use super::owner::Owner;

/// A JVM on a slow machine takes some seconds.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// Longest output that is read, in bytes.
const OUTPUT_LIMIT: u64 = 8 << 20;
/// Variable that the password is given in.
const PASSWORD: &str = "CAVALCADE_STOREPASS";

/// What keytool printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Printed {
    /// Whether it exited with 0.
    pub(crate) done: bool,
    /// Its standard output.
    pub(crate) text: String,
}

/// Lists a keystore in full. Without a password keytool shows a JKS all the same and says that it did not verify it. It
/// runs as the user `as_owner_of` belongs to, where this process is root.
///
/// # Errors
/// Those of starting it; a limit that ran out.
pub(crate) async fn list(
    keytool: &Path,
    store: &Path,
    password: Option<&SecretValue>,
    as_owner_of: &Path,
) -> io::Result<Printed> {
    printed(keytool, "-v", store, password, as_owner_of).await
}

/// Prints the certificates of a keystore as PEM, in the same way.
///
/// # Errors
/// As [`list`].
pub(crate) async fn certificates(
    keytool: &Path,
    store: &Path,
    password: Option<&SecretValue>,
    as_owner_of: &Path,
) -> io::Result<Printed> {
    printed(keytool, "-rfc", store, password, as_owner_of).await
}

async fn printed(
    keytool: &Path,
    form: &str,
    store: &Path,
    password: Option<&SecretValue>,
    as_owner_of: &Path,
) -> io::Result<Printed> {
    let mut command = Command::new(keytool);
    command.args(["-list", form, "-keystore"]).arg(store);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LANG", "C").env("LC_ALL", "C").env("TZ", "UTC");
    if let Some(password) = password {
        command.args(["-storepass:env", PASSWORD]).env(PASSWORD, password.expose());
    }
    if let Some(owner) = Owner::for_new_in(as_owner_of)? {
        command.uid(owner.uid).gid(owner.gid);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let work = async {
        let (text, _) = tokio::try_join!(read(out), read(err))?;
        Ok(Printed { done: child.wait().await?.success(), text: String::from_utf8_lossy(&text).into_owned() })
    };
    match tokio::time::timeout(TIME_LIMIT, work).await {
        Ok(printed) => printed,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "keytool took longer than 30 s")),
    }
}

/// Beginning of a stream; an error where it is longer than is allowed.
async fn read(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let Some(stream) = stream else { return Ok(bytes) };
    stream.take(OUTPUT_LIMIT + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > OUTPUT_LIMIT {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "keytool printed more than 8 MiB"));
    }
    Ok(bytes)
}
