//! A small heap for an agent at rest.
//!
//! The C library gives freed memory back late: each thread gets an arena of its own, and with every large piece that is freed
//! it keeps more. It reads its settings only when a process begins, so the agent begins once more with its own.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// One arena; what is larger than 8 KiB goes back to the system at once, and so does a free top of the heap of 16 KiB: the
/// buffers of the link and of archives lie between small pieces that stay, and would hold their place for ever.
const SETTINGS: [(&str, &str); 4] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "8192"),
    ("MALLOC_TRIM_THRESHOLD_", "16384"),
    ("MALLOC_TOP_PAD_", "0"),
];

/// What shows that it has begun again: where the system drops the settings it must not begin for ever.
const BEGUN: &str = "CAVALCADE_AGENT_HEAP_SET";

/// Begins the process once more with the settings: the same PID, arguments and environment; what a person set stays. Where it
/// cannot begin again it goes on as it is.
pub(super) fn keep_small() {
    if std::env::var_os(BEGUN).is_some() {
        return;
    }
    let mut arguments = std::env::args_os();
    let (Some(name), Ok(program)) = (arguments.next(), std::env::current_exe()) else { return };
    let settings = SETTINGS.into_iter().filter(|(name, _)| std::env::var_os(name).is_none());
    let error = Command::new(program).arg0(name).args(arguments).envs(settings).env(BEGUN, "1").exec();
    eprintln!("the agent keeps more memory than it needs, since it could not begin again: {error}");
}
