//! *Nobody else in the databases* (10, rule 16): a session in another database than the script's own is waited for, by name.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::process::{Child, Command, Stdio};

use cavalcade_controller::{
    schedule::wait::WaitKind,
    view::document::{Status, StepStatus},
};
use cavalcade_tests::{
    standin::fleet::wait_until,
    upgrade::site::{PATIENCE, Site, Wanted},
};

use crate::site;

/// A program that nobody thought of, connected to a database; it ends with the test.
struct Stranger(Child);

impl Stranger {
    fn in_database(site: &Site, database: &str) -> Self {
        let account = "CREATE USER stranger@'127.0.0.1' IDENTIFIED BY 'x'; GRANT ALL ON *.* TO stranger@'127.0.0.1'";
        site.database.sql("mysql", account).unwrap();
        let mut client = Command::new(site.database.client_bin.join("mariadb"));
        client.args(["--no-defaults", "--host=127.0.0.1", "--user=stranger", "--password=x", database]);
        client.arg(format!("--port={}", site.database.port)).stdin(Stdio::piped()).stdout(Stdio::null());
        let stranger = Self(client.spawn().unwrap());
        let listed = format!("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE USER = 'stranger' AND DB = '{database}'");
        wait_until(PATIENCE, "the stranger is connected", || site.database.sql("mysql", &listed).unwrap().trim() == "1").unwrap();
        stranger
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn script(status: &Status) -> Option<&StepStatus> {
    status.runs.first()?.stages.iter().flat_map(|stage| &stage.steps).find(|step| step.name == "am-db-script")
}

fn waits_for(status: &Status, words: &[&str]) -> bool {
    let waits = status.runs.iter().flat_map(|run| &run.waits);
    waits.into_iter().any(|wait| wait.kind == WaitKind::Permit && words.iter().all(|word| wait.why.contains(word)))
}

#[test]
fn the_am_db_script_waits_for_a_session_in_another_database_and_goes_on_when_it_ends() {
    let site = site(&Wanted::default());
    let digest = site.plan().unwrap();
    site.apply(&digest, &["--until", "upgrade-am-db"]).unwrap();
    let approval = |status: &Status| status.runs.iter().flat_map(|run| &run.waits).any(|w| w.kind == WaitKind::Approval);
    site.wait("the backups are made", approval).unwrap();

    let stranger = Stranger::in_database(&site, "shared_db");
    site.approve().unwrap();
    let named = ["shared_db", "stranger", "127.0.0.1"];
    site.wait("the run waits and names it", |status| waits_for(status, &named)).unwrap();
    let status = site.status().unwrap();
    assert_eq!(script(&status).map(|step| (step.state.as_str(), step.attempt)), Some(("pending", 0)), "{}", site.standing());

    drop(stranger);
    let done = |status: &Status| script(status).is_some_and(|step| step.state == "succeeded");
    site.wait("the script ran", done).unwrap();
    assert!(!waits_for(&site.status().unwrap(), &["shared_db"]));
}
