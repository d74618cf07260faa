//! Databases: scripts statement by statement with a ledger in the target database, assertions, backups that were proved
//! by a restore, restores, sessions and facts.
//!
//! Reading order: [`split`] cuts a script, [`run`] runs it and goes on after an interruption with what `ledger`, `lock`
//! and `verify` tell, [`backup`] and [`restore`] stand on the vendor's clients in `vendor`. Connections are direct, never
//! through a pooler. Absences: nothing here reads the clock (times are the server's) and no statement is ever repeated
//! without proof that it did not take place.

mod accounts;
mod alone;
pub mod backup;
mod contents;
mod error;
mod facts;
mod grants;
mod incarnation;
mod ledger;
mod link;
mod lock;
mod query;
pub mod restore;
mod resume;
pub mod run;
mod sessions;
pub mod split;
mod vendor;
mod verify;
mod work;

pub(crate) use alone::each_named;
pub use alone::strangers;
pub use backup::{BackupManifest, backup};
pub use contents::{Contents, TableFacts};
pub use error::{DbError, Refusal};
pub use facts::{DbFacts, DumpClient, LoginFacts, ScratchFacts, SessionCount, Stops, describe, login, unreached};
pub use incarnation::{Ends, Life, incarnation};
pub use query::{AssertResult, run_query};
pub use restore::{Accounts, RestoreOutcome, restore};
pub use resume::{Approval, Decision, Opening, ScriptState};
pub use run::{Progress, ScriptOutcome, ScriptRun, inspect_script, run_script};
pub use sessions::{Session, sessions};
pub use work::{Databases, RealDatabases};
