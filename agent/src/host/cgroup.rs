//! Whether the agent's own end would be the end of its children (10, rule 10).

use std::path::Path;
use std::process::{Command, Stdio};

/// Whether systemd is this machine's service manager (`sd_booted(3)`).
pub(crate) fn runs_systemd() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

/// Why work that nothing may interrupt must not begin here; `None` where a child outlives the agent.
#[must_use]
pub fn end_of_agent_ends_child() -> Option<String> {
    if std::process::id() == 1 {
        return Some("the agent is PID 1 of a container: its end is the end of every process in it".to_owned());
    }
    if !runs_systemd() || nix::unistd::geteuid().is_root() {
        // Without systemd nothing ends a session of its own; with root the shim gets a unit of its own.
        return None;
    }
    let text = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let unit = unit_of(&text)?;
    match kill_mode(&unit).as_deref() {
        Some("process" | "none") => None,
        Some(mode) => Some(format!("{} has KillMode={mode}: its end would end the child; set KillMode=process", unit.name)),
        None => Some(format!("KillMode of {} cannot be read: its end might end the child", unit.name)),
    }
}

/// A systemd service that this process belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Unit {
    name: String,
    /// Of a user's own service manager.
    of_user: bool,
}

/// The service in the text of `/proc/self/cgroup`. Login sessions and slices end nobody by themselves.
fn unit_of(text: &str) -> Option<Unit> {
    let path = text
        .lines()
        .find_map(|l| l.strip_prefix("0::"))
        .filter(|p| p.len() > 1)
        .or_else(|| text.lines().find_map(|l| l.split_once(":name=systemd:").map(|(_, path)| path)))?;
    let services: Vec<&str> = path.split('/').filter(|part| part.ends_with(".service")).collect();
    match services.as_slice() {
        [] => None,
        [manager] if manager.starts_with("user@") => None,
        [first, .., last] if first.starts_with("user@") => Some(Unit { name: (*last).to_owned(), of_user: true }),
        [.., last] => Some(Unit { name: (*last).to_owned(), of_user: false }),
    }
}

fn kill_mode(unit: &Unit) -> Option<String> {
    let mut command = Command::new("systemctl");
    if unit.of_user {
        command.arg("--user");
    }
    command.args(["show", "--property=KillMode", "--value", "--"]).arg(&unit.name);
    let done = command.stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    let mode = String::from_utf8(done.stdout).ok()?.trim().to_owned();
    (done.status.success() && !mode.is_empty()).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_service_is_read_from_both_forms_of_cgroups() {
        let system = Some(Unit { name: "cavalcade-agent.service".to_owned(), of_user: false });
        assert_eq!(unit_of("0::/system.slice/cavalcade-agent.service\n"), system);
        assert_eq!(unit_of("12:pids:/x\n1:name=systemd:/system.slice/cavalcade-agent.service\n0::/\n"), system);
        let user = Unit { name: "agent.service".to_owned(), of_user: true };
        assert_eq!(unit_of("0::/user.slice/user-1000.slice/user@1000.service/app.slice/agent.service\n"), Some(user));
        assert_eq!(unit_of("0::/user.slice/user-1000.slice/session-3.scope\n"), None);
        assert_eq!(unit_of("0::/user.slice/user-1000.slice/user@1000.service/init.scope\n"), None);
        assert_eq!(unit_of("0::/\n"), None);
        assert_eq!(unit_of(""), None);
    }
}
