//! A small heap for an agent at rest.
//!
//! The C library gives freed memory back late: each thread gets an arena of its own, and with every large piece that is freed
//! it keeps more. It reads its settings only when a process begins, so the agent begins once more with its own.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// One arena; what is larger than 64 KiB, and a free top of the heap of that size, goes back to the system at once.
const SETTINGS: [(&str, &str); 4] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "65536"),
    ("MALLOC_TRIM_THRESHOLD_", "65536"),
    ("MALLOC_TOP_PAD_", "16384"),
];

/// Begins the process once more with the settings: the same PID, arguments and environment. Where one of them is set already
/// (by a person, or by this), or where it cannot begin again, it goes on as it is.
pub(super) fn keep_small() {
    if SETTINGS.iter().any(|(name, _)| std::env::var_os(name).is_some()) {
        return;
    }
    let mut arguments = std::env::args_os();
    let (Some(name), Ok(program)) = (arguments.next(), std::env::current_exe()) else { return };
    let error = Command::new(program).arg0(name).args(arguments).envs(SETTINGS).exec();
    eprintln!("the agent keeps more memory than it needs, since it could not begin again: {error}");
}
