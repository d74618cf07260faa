//! What goes wrong: deaths, torn writes, power, links, snapshots, disks, servers that somebody stopped.

use std::path::{Path, PathBuf};
use std::sync::PoisonError;
use std::time::Duration;

use cavalcade_controller::journal::Failure;

use super::fleet;
use super::machine::{Ender, migrates};
use super::person::Intent;
use super::run::{LEDGER, Simulation};

impl Simulation {
    /// One disturbance, as the seed says.
    pub(super) async fn disturb(&mut self) -> anyhow::Result<()> {
        let which = usize::try_from(self.world.below(self.agents.len() as u64))?;
        match self.world.below(16) {
            0 => self.kill_controller(),
            1 | 2 => self.kill_agent(which),
            3 | 4 => {
                let after = 1 + u32::try_from(self.world.below(6))?;
                let host = self.agents[which].host;
                self.world.lock().machine(host).crash_in = Some(after);
            }
            5 => self.stop_identity_server()?,
            6 => {
                let now = self.world.now();
                let host = self.agents[which].host;
                self.kill_agent(which);
                self.world.lock().power_loss(host, now);
            }
            // All sessions break.
            7 => self.board.controller_tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all(),
            8 => {
                let how = if self.world.chance(500) { Failure::BeforeDurable } else { Failure::AfterDurable };
                self.journal.fail_append(self.journal.appends() + 1 + self.world.below(5), how);
            }
            9 if self.world.chance(300) => self.snapshot(which),
            10 if self.world.chance(150) && self.intent.is_none() => {
                self.kill_agent(which);
                let now = self.world.now();
                self.agents[which].down_until = now + Duration::from_secs(120);
                self.intent = Some(Intent::Lose { agent: which, since: now });
            }
            _ => {}
        }
        Ok(())
    }

    /// An Identity Server is stopped by hand, and perhaps started again: by its plan it should be up.
    fn stop_identity_server(&mut self) -> anyhow::Result<()> {
        let now = self.world.now();
        let name = fleet::IS[usize::try_from(self.world.below(2))?];
        let home = PathBuf::from(fleet::home(name));
        let mut inner = self.world.lock();
        if inner.machine(name).servers.get(&home).is_some_and(|s| !migrates(&s.args)) {
            inner.stop_server(name, &home, now, Ender::Hand);
        }
        Ok(())
    }

    /// The state of an agent's ledger is kept, or what was kept comes back.
    fn snapshot(&mut self, which: usize) {
        let path = Path::new(LEDGER);
        let host = self.agents[which].host;
        match self.agents[which].snapshot.take() {
            None => self.agents[which].snapshot = self.world.lock().machine(host).files.get(path).cloned(),
            Some(bytes) => {
                self.kill_agent(which);
                self.world.lock().machine(host).files.insert(path.to_owned(), bytes);
                self.count("ledgers set back");
            }
        }
    }
}
