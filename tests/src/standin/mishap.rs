//! The mishaps of a migration, at the order or step that the settings name.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use super::{
    jvm::Boot,
    server::{once, pause},
    settings::Mode,
};

/// What happens at one order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mishap {
    /// Nothing: the order does its work.
    None,
    /// It logs an error and does nothing.
    Error,
    /// An exception ends the migration.
    Exception,
    /// An OutOfMemoryError ends it.
    Throwable,
    /// The process ends with a status.
    Exit(i32),
}

/// Takes the order's time; then whatever the settings have for it. A hang never returns.
///
/// # Errors
///
/// When the process cannot kill itself, or `tmp` cannot be written.
pub async fn strike(boot: &Boot, order: u32) -> anyhow::Result<Mishap> {
    let migration = &boot.settings.migration;
    pause(migration.per_order).await;
    if order != migration.order {
        return Ok(Mishap::None);
    }
    Ok(match migration.mode {
        Mode::Ok => Mishap::None,
        Mode::Error => Mishap::Error,
        Mode::Exception => Mishap::Exception,
        Mode::Throwable => Mishap::Throwable,
        Mode::Hang => std::future::pending().await,
        Mode::Kill => {
            kill(Pid::this(), Signal::SIGKILL)?;
            std::future::pending().await
        }
        Mode::Exit121 if once(&boot.launch.home, "standin-migration-121")? => Mishap::Exit(121),
        Mode::Exit121 => Mishap::None,
    })
}
