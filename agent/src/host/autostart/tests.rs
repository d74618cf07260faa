//! A root folder with everything that starts servers in it.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::change::{Way, changed_lines};
use super::*;
use crate::action::testkit::FileHost;
use crate::host::test_program::program;

/// A root and a home in a folder of its own.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("temp dir");
        std::fs::create_dir_all(dir.path().join("opt/wso2is-5.10.0/bin")).expect("makes");
        std::fs::create_dir_all(dir.path().join("root/etc")).expect("makes");
        Self { dir }
    }

    fn home(&self) -> PathBuf {
        self.dir.path().join("opt/wso2is-5.10.0")
    }

    fn root(&self) -> PathBuf {
        self.dir.path().join("root")
    }

    fn write(&self, path: &str, text: &str) -> PathBuf {
        let at = self.root().join(path);
        std::fs::create_dir_all(at.parent().expect("has one")).expect("makes");
        std::fs::write(&at, text.replace("HOME", &self.home().display().to_string())).expect("writes");
        at
    }

    fn script(&self, path: &str, text: &str) -> PathBuf {
        let at = self.root().join(path);
        std::fs::create_dir_all(at.parent().expect("has one")).expect("makes");
        program(&at, text.replace("HOME", &self.home().display().to_string()));
        at
    }

    fn link(&self, path: &str, target: &str) -> PathBuf {
        let at = self.root().join(path);
        std::fs::create_dir_all(at.parent().expect("has one")).expect("makes");
        symlink(target, &at).expect("links");
        at
    }

    fn find(&self) -> Vec<Entry> {
        let found = find(&self.root(), &self.home());
        assert_eq!(found.unseen, Vec::<String>::new());
        found.entries
    }

    /// Kind, name, whether enabled.
    fn seen(&self) -> Vec<(Kind, String, bool)> {
        self.find().into_iter().map(|e| (e.kind, e.name, e.enabled)).collect()
    }

    /// Switches everything off that is on, and gives the changes.
    fn switch_off(&self) -> Vec<Change> {
        let on = self.find().into_iter().filter(|e| e.enabled);
        let changes: Vec<Change> = on
            .flat_map(|e| match e.off {
                Off::Changes(changes) => changes,
                Off::Person(why) => panic!("{} stays: {why}", e.name),
            })
            .collect();
        self.make(&changes, Way::Off);
        changes
    }

    fn make(&self, changes: &[Change], way: Way) {
        for change in changes {
            assert!(change.make(FileHost::new().as_ref(), way, &self.root()).expect("is made"), "{change:?}");
            assert!(change.holds(FileHost::new().as_ref(), way).expect("looks"), "{change:?}");
            assert!(!change.make(FileHost::new().as_ref(), way, &self.root()).expect("is there"), "twice: {change:?}");
        }
    }
}

fn on(kind: Kind, name: &str) -> (Kind, String, bool) {
    (kind, name.to_owned(), true)
}

fn off(kind: Kind, name: &str) -> (Kind, String, bool) {
    (kind, name.to_owned(), false)
}

#[test]
fn units_are_found_by_their_text_their_links_and_their_timers() {
    let place = Place::new();
    place.write("usr/lib/systemd/system/wso2is.service", "[Service]\nExecStart=HOME/bin/wso2server.sh start\n");
    place.write("usr/lib/systemd/system/never.service", "[Service]\nExecStart=HOME/bin/wso2server.sh start\n");
    place.write("usr/lib/systemd/system/other.service", "# HOME\n[Service]\nExecStart=HOME-2/bin/x\n");
    place.write("etc/systemd/system/by-file.service", "[Service]\nEnvironmentFile=-/etc/default/by-file\nExecStart=/x ${H}\n");
    place.write("etc/default/by-file", "H=HOME\n");
    place.write("etc/systemd/system/drop.service", "[Service]\nExecStart=/bin/true\n");
    place.write("etc/systemd/system/drop.service.d/10.conf", "[Service]\nExecStart=\nExecStart=HOME/bin/x\n");
    place.write("etc/systemd/system/wso2is.timer", "[Timer]\nOnBootSec=5\n");
    place.write("usr/lib/systemd/system/masked.service", "[Service]\nExecStart=HOME/bin/x\n");
    place
        .write("etc/systemd/system/one@.service", &format!("[Service]\nExecStart={}/opt/%i/bin/x\n", place.dir.path().display()));
    symlink("usr/lib", place.root().join("lib")).expect("links");
    place.link("etc/systemd/system/masked.service", "/dev/null");
    place.link("etc/systemd/system/alias.service", "/usr/lib/systemd/system/wso2is.service");
    let wants = "etc/systemd/system/multi-user.target.wants";
    let by_alias = place.link(&format!("{wants}/alias.service"), "/usr/lib/systemd/system/wso2is.service");
    place.link(&format!("{wants}/masked.service"), "/usr/lib/systemd/system/masked.service");
    place.link(&format!("{wants}/drop.service"), "../drop.service");
    place.link(&format!("{wants}/other.service"), "/usr/lib/systemd/system/other.service");
    place.link(&format!("{wants}/one@wso2is-5.10.0.service"), "../one@.service");
    place.link(&format!("{wants}/one@else.service"), "../one@.service");
    place.link("etc/systemd/system/timers.target.wants/wso2is.timer", "../wso2is.timer");
    let systemd = Kind::Systemd;
    let expected = [
        off(systemd, "by-file.service"),
        on(systemd, "drop.service"),
        on(systemd, "one@wso2is-5.10.0.service"),
        on(systemd, "wso2is.timer"),
        off(systemd, "never.service"),
        on(systemd, "wso2is.service"),
    ];
    assert_eq!(place.seen(), expected);
    let wso2is = place.find().into_iter().find(|e| e.name == "wso2is.service").expect("is there");
    assert!(wso2is.text.starts_with("ExecStart=/"), "{}", wso2is.text);
    let changes = place.switch_off();
    assert!(!by_alias.is_symlink() && changes.len() == 4, "{changes:?}");
    assert!(place.seen().iter().all(|(_, _, enabled)| !enabled));
    assert!(place.root().join(wants).join("other.service").is_symlink(), "units of others stay");
    assert!(place.root().join(wants).join("one@else.service").is_symlink(), "other instances stay");
    place.make(&changes, Way::On);
    assert_eq!(place.seen(), expected);
    assert_eq!(std::fs::read_link(&by_alias).expect("a link"), Path::new("/usr/lib/systemd/system/wso2is.service"));
}

#[test]
fn a_link_of_a_package_is_left_to_a_person() {
    let place = Place::new();
    place.write("usr/lib/systemd/system/wso2is.service", "[Service]\nExecStart=HOME/bin/wso2server.sh start\n");
    place.link("usr/lib/systemd/system/multi-user.target.wants/wso2is.service", "../wso2is.service");
    let found = place.find();
    assert!(found.len() == 1 && found[0].enabled && matches!(found[0].off, Off::Person(_)), "{found:?}");
}

#[test]
fn lines_of_crontabs_are_commented_out_and_come_back_byte_for_byte() {
    let place = Place::new();
    let text = "PATH=/bin\r\n# HOME/bin/x\nIS=HOME\n@reboot wso2 HOME/bin/wso2server.sh start\r\n\
        0 3 * * * root tar czf /b.tgz HOME-backup\n*/5 * * * * root $IS/bin/wso2server.sh start\n\
        * * * * * root /usr/local/bin/watch.sh";
    let table = place.write("etc/crontab", text);
    let before = std::fs::read(&table).expect("reads");
    place.script("usr/local/bin/watch.sh", "#!/bin/sh\npgrep java || HOME/bin/wso2server.sh start\n");
    let user = place.write("var/spool/cron/crontabs/wso2", "@reboot HOME/bin/wso2server.sh start\n");
    std::fs::set_permissions(&user, std::fs::Permissions::from_mode(0o600)).expect("sets");
    place.write("etc/cron.d/other", "@reboot root /opt/other/bin/x\n");
    let hourly = place.script("etc/cron.hourly/keep-alive", "#!/bin/sh\nHOME/bin/wso2server.sh start\n");
    place.write("etc/cron.daily/sleeping", "#!/bin/sh\nHOME/bin/wso2server.sh start\n");
    let cron = Kind::Cron;
    let expected = [
        off(cron, "sleeping"),
        on(cron, "keep-alive"),
        on(cron, "crontab"),
        on(cron, "crontab"),
        on(cron, "crontab"),
        on(cron, "wso2"),
    ];
    assert_eq!(place.seen(), expected);
    let changes = place.switch_off();
    let now = std::fs::read_to_string(&table).expect("reads");
    assert_eq!(now.matches("#cavalcade# ").count(), 3);
    assert!(now.contains("\n#cavalcade# @reboot wso2 ") && now.contains(" start\r\n0 3 * * *"), "{now}");
    assert!(!std::fs::metadata(&hourly).expect("there").permissions().mode() & 0o111 == 0o111);
    assert_eq!(std::fs::metadata(&user).expect("there").permissions().mode() & 0o777, 0o600);
    assert_eq!(place.seen().iter().filter(|(_, _, enabled)| *enabled).count(), 0);
    assert_eq!(place.seen().len(), expected.len(), "what is switched off is still told");
    place.make(&changes, Way::On);
    assert_eq!(std::fs::read(&table).expect("reads"), before);
    assert_eq!(place.seen(), expected);
}

#[test]
fn init_scripts_lose_their_start_links() {
    let place = Place::new();
    place.script("etc/init.d/wso2is", "#!/bin/sh\n. /etc/default/wso2is\n$H/bin/wso2server.sh $1\n");
    place.write("etc/default/wso2is", "H=HOME\n");
    place.script("etc/init.d/other", "#!/bin/sh\n# HOME\n/opt/other/bin/x $1\n");
    let (two, three) =
        (place.link("etc/rc2.d/S20wso2is", "../init.d/wso2is"), place.link("etc/rc3.d/S20wso2is", "../init.d/wso2is"));
    place.link("etc/rc3.d/K80wso2is", "../init.d/wso2is");
    place.link("etc/rc0.d/K20wso2is", "../init.d/wso2is");
    place.link("etc/rc2.d/S20other", "../init.d/other");
    assert_eq!(place.seen(), [on(Kind::Init, "wso2is")]);
    let changes = place.switch_off();
    assert_eq!(changes.len(), 2);
    assert!(!two.is_symlink() && !three.is_symlink());
    assert!(place.root().join("etc/rc2.d/K80wso2is").is_symlink() && place.root().join("etc/rc2.d/S20other").is_symlink());
    assert_eq!(place.seen(), [off(Kind::Init, "wso2is")]);
    place.make(&changes, Way::On);
    assert!(two.is_symlink() && three.is_symlink() && !place.root().join("etc/rc2.d/K80wso2is").is_symlink());
    assert!(place.root().join("etc/rc3.d/K80wso2is").is_symlink(), "it was there before");
}

#[test]
fn rc_local_stays_a_sound_script() {
    let place = Place::new();
    let script = place.script("etc/rc.local", "#!/bin/sh\nIS=HOME\nif true; then\n  $IS/bin/wso2server.sh start\nfi\nexit 0\n");
    assert_eq!(place.seen(), [on(Kind::Rc, "rc.local")]);
    let changes = place.switch_off();
    let run = std::process::Command::new(&script).output().expect("runs");
    assert!(run.status.success() && run.stderr.is_empty(), "{run:?}");
    assert_eq!(place.seen(), [off(Kind::Rc, "rc.local")]);
    place.make(&changes, Way::On);
    assert_eq!(place.seen(), [on(Kind::Rc, "rc.local")]);
    place.write("etc/rc.local", "#!/bin/sh\nsu - wso2 -c \\\n  HOME/bin/wso2server.sh\n");
    let found = place.find();
    assert!(found.len() == 1 && matches!(found[0].off, Off::Person(_)), "{found:?}");
    std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o644)).expect("sets");
    assert_eq!(place.seen(), [off(Kind::Rc, "rc.local")], "nobody runs it");
}

#[test]
fn watchers_are_left_to_a_person_and_agents_are_told_of() {
    let place = Place::new();
    place.write("etc/monit/conf.d/wso2", "# x\ncheck process is\n  start program = \"HOME/bin/wso2server.sh start\"\n");
    place.write("etc/supervisord.d/wso2.ini", "[program:is]\n; HOME\ncommand=HOME/bin/wso2server.sh run\n");
    place.write("etc/supervisord.d/other.ini", "[program:x]\n; HOME\ncommand=/x\n");
    place.write("etc/puppetlabs/puppet/puppet.conf", "[main]\n");
    place.write("etc/chef/client.rb", "x\n");
    let found = place.seen();
    let expected =
        [on(Kind::Monit, "wso2"), on(Kind::Supervisor, "wso2.ini"), off(Kind::Puppet, "puppet"), off(Kind::Chef, "chef-client")];
    assert_eq!(found, expected);
    assert!(place.find().iter().filter(|e| e.enabled).all(|e| matches!(e.off, Off::Person(_))));
    place.write("opt/puppetlabs/puppet/cache/client_data/catalog/n.json", "{\"command\": \"HOME/bin/wso2server.sh start\"}");
    let puppet = place.find().into_iter().find(|e| e.kind == Kind::Puppet).expect("is there");
    assert!(puppet.enabled && matches!(puppet.off, Off::Person(_)));
}

#[test]
fn an_empty_root_starts_nothing_and_a_closed_folder_is_told() {
    let place = Place::new();
    assert_eq!(place.seen(), []);
    let spool = place.root().join("var/spool/cron/crontabs");
    std::fs::create_dir_all(&spool).expect("makes");
    std::fs::set_permissions(&spool, std::fs::Permissions::from_mode(0o000)).expect("sets");
    let found = find(&place.root(), &place.home());
    // Root may look into everything.
    assert_eq!(found.unseen.is_empty(), nix::unistd::geteuid().is_root(), "{:?}", found.unseen);
    std::fs::set_permissions(&spool, std::fs::Permissions::from_mode(0o700)).expect("sets");
}

#[test]
fn nothing_of_others_is_overwritten() {
    let place = Place::new();
    let host = FileHost::new();
    let link = place.link("etc/a", "here");
    let change = Change::link_removed(&link).expect("a link");
    std::fs::remove_file(&link).expect("removes");
    symlink("elsewhere", &link).expect("links");
    assert!(
        change.make(host.as_ref(), Way::Off, &place.root()).is_err()
            && change.make(host.as_ref(), Way::On, &place.root()).is_err()
    );
    assert_eq!(std::fs::read_link(&link).expect("a link"), Path::new("elsewhere"));
    let line = Change::Line { path: place.write("etc/b", "x\n"), before: "a".to_owned(), after: "#a".to_owned() };
    let gone = line.make(host.as_ref(), Way::On, &place.root()).expect_err("it is in neither form");
    assert_eq!(gone.kind(), io::ErrorKind::NotFound);
    assert_eq!(changed_lines("a\r\nb\na", "a", "c").as_deref(), Some("c\r\nb\nc"));
}
