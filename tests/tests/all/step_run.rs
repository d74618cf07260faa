//! `cavalcade-agent step run`, as a person runs it: the real program, in processes of its own, against the stand-ins.

#[path = "step_run/edits.rs"]
mod edits;
#[path = "step_run/interrupted.rs"]
mod interrupted;
#[path = "step_run/lying.rs"]
mod lying;
#[path = "step_run/machine.rs"]
mod machine;
#[path = "step_run/migration.rs"]
mod migration;
#[path = "step_run/named.rs"]
mod named;
#[path = "step_run/servers.rs"]
mod servers;
#[path = "step_run/taken_over.rs"]
mod taken_over;
