//! Facts of homes as the packs look.

use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use cavalcade_common::facts::{FactsWanted, FoldersWanted, Look, NodeWanted, TableWanted, ValueWanted};
use cavalcade_common::id::{Digest, NodeId};
use cavalcade_common::plan::PlanNode;
use serde_json::{Value, json};

use super::gather;
use crate::action::testkit::{FileHost, Machine};
use crate::host::Host;
use crate::host::machine::own_user;
use crate::host::real::RealHost;
use crate::host::test_program::program;

const TOML: &str = "[server]\nhostname = \"km.example\"\noffset = 1\n[user_store]\ntype = \"database_unique_id\"\n\
    [database.apim_db]\ntype = \"mysql\"\nurl = \"jdbc:mysql://db:3306/AM?a=b&amp;c=d\"\nusername = \"wso2\"\npassword = \"canary\"\n\
    driver = \"com.mysql.cj.jdbc.Driver\"\n";

fn node(machine: &Machine) -> PlanNode {
    let node = json!({
        "id": "is-1", "host": "h-1", "role": "identity-server",
        "old": { "home": machine.at("old") }, "new": { "home": machine.at("new") },
        "runtime": { "java_home": machine.at("jdk") },
    });
    serde_json::from_value(node).expect("a node")
}

async fn facts_on(host: Arc<dyn Host>, machine: &Machine, node: PlanNode, look: Look) -> Value {
    let wanted = FactsWanted {
        nodes: vec![NodeWanted { node, look }],
        paths: vec![machine.at("new"), machine.at("backups/x")],
        hide: vec!["(?i)password|secret".to_owned()],
        ..FactsWanted::default()
    };
    let mut all = gather(&host, &wanted).await;
    all.remove(&NodeId::new("is-1").expect("an id")).expect("of this node")
}

async fn facts(machine: &Machine, look: Look) -> Value {
    facts_on(FileHost::new(), machine, node(machine), look).await
}

#[tokio::test]
async fn a_km_is_told_from_an_is_by_its_toml() {
    let machine = Machine::new();
    machine.write("old/bin/version.txt", b"WSO2 Identity Server v5.10.0\n");
    machine.write("old/bin/wso2carbon-version.txt", b"WSO2 Carbon v4.6.0");
    machine.write("old/repository/conf/deployment.toml", TOML.as_bytes());
    machine.write("jdk/release", b"IMPLEMENTOR=\"x\"\nJAVA_VERSION=\"11.0.20\"\n");
    let facts_now = facts(&machine, Look::default()).await;
    let old = &facts_now["old"];
    assert_eq!(
        (&old["exists"], &old["product"], &old["version"], &old["kernel"]),
        (&json!(true), &json!("wso2is-km"), &json!("5.10.0"), &json!("4.6.0"))
    );
    assert_eq!((&old["offset"], &old["hostname"], &old["running"]), (&json!(1), &json!("km.example"), &json!([])));
    let db = json!({
        "type": "mysql", "url": "jdbc:mysql://db:3306/AM?a=b&amp;c=d", "username": "wso2",
        "hostname": null, "port": null, "name": null,
        "driver": "com.mysql.cj.jdbc.Driver", "auto_commit": null, "password_reference": null,
    });
    assert_eq!(old["databases"]["apim_db"], db, "the URL is kept as it is written");
    assert_eq!(facts_now["user_store"]["type"], json!("database_unique_id"));
    assert_eq!((&facts_now["java"]["version"], &facts_now["java"]["major"]), (&json!("11.0.20"), &json!(11)));
    assert_eq!(facts_now["java"]["keytool"], json!(false));
    assert_eq!(facts_now["new"]["exists"], json!(false));
    let disks = facts_now["disks"].as_array().expect("a list");
    assert_eq!(disks.len(), 2, "of paths that do not exist yet, too");
    assert!(disks[0]["network"].is_boolean() && disks[0]["noexec"].is_boolean());
    assert_eq!(facts_now["files"]["read_only"], json!(false));
    assert!(facts_now["files"]["selinux"].is_boolean() && facts_now["tmp_noexec"].is_boolean());
    assert!(facts_now["host"]["memory_bytes"].as_u64() > Some(0) && facts_now["host"]["now"].is_string());
    assert!(facts_now["limits"]["open_files"].as_u64() > Some(0));
    assert_eq!(facts_now["problems"], json!([]));
    assert!(!facts_now.to_string().contains("canary"));
    let plain = TOML.replace("apim_db", "identity_db");
    machine.write("old/repository/conf/deployment.toml", plain.as_bytes());
    assert_eq!(facts(&machine, Look::default()).await["old"]["product"], json!("wso2is"));
}

#[tokio::test]
async fn a_missing_file_is_a_fact_and_an_unreadable_one_a_problem() {
    let machine = Machine::new();
    let nothing = facts(&machine, Look::default()).await;
    assert_eq!((&nothing["old"]["exists"], &nothing["problems"]), (&json!(false), &json!([])));
    machine.write("old/bin/version.txt", b"WSO2 API Manager v3.1.0");
    let bare = facts(&machine, Look::default()).await;
    assert_eq!((&bare["old"]["product"], &bare["user_store"]["type"]), (&json!("wso2am"), &Value::Null));
    assert_eq!((&bare["old"].get("databases"), &bare["problems"]), (&None, &json!([])));
    assert_eq!(bare["old"]["settings"], Value::Null);
    machine.write("old/repository/conf/deployment.toml", b"[database.x]\npassword = \"canary\" canary\n");
    machine.write("old/bin/wso2carbon-version.txt/a-folder", b"");
    let broken = facts(&machine, Look::default()).await;
    let problems = broken["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(broken["problems"].to_string().contains("line 2") && !broken.to_string().contains("canary"));
    assert_eq!(broken["old"].get("databases"), None, "missing, not false");
}

fn globs(name: &str, glob: &str) -> std::collections::BTreeMap<String, Vec<String>> {
    [(name.to_owned(), vec![glob.to_owned()])].into()
}

#[tokio::test]
async fn files_trees_values_and_settings_are_told_as_asked() {
    let machine = Machine::new();
    machine.write("old/repository/conf/deployment.toml", TOML.as_bytes());
    machine.write("old/repository/components/dropins/b.jar", b"b");
    machine.write("old/repository/components/dropins/a.jar", b"aa");
    machine.write("old/repository/components/dropins/a.txt", b"no");
    machine.write("old/repository/tenants/1/x/y.xml", b"12345");
    machine.write("old/repository/tenants/2/z.xml", b"1");
    machine.write("old/repository/conf/registry.xml", b"<a>\n<versioningProperties>\n true </versioningProperties></a>");
    let value = |file: &str, pattern: &str, otherwise: Option<&str>| ValueWanted {
        file: file.to_owned(),
        pattern: pattern.to_owned(),
        otherwise: otherwise.map(str::to_owned),
    };
    let look = Look {
        files: globs("bundles", "repository/components/dropins/*.jar"),
        trees: globs("tenants", "repository/tenants/*"),
        values: [
            ("versioning".to_owned(), value("repository/conf/registry.xml", r"<versioningProperties>\s*(\w+)", Some("false"))),
            ("none".to_owned(), value("repository/conf/none.xml", "(x)", Some("false"))),
            ("null".to_owned(), value("repository/conf/registry.xml", "(nothing)", None)),
            ("outside".to_owned(), value("../secret", "(x)", None)),
        ]
        .into(),
        conf: [("store".to_owned(), "user_store.type".to_owned()), ("pw".to_owned(), "database.apim_db.password".to_owned())]
            .into(),
        shipped: Some([("server.hostname".to_owned(), json!("localhost")), ("server.offset".to_owned(), json!(1))].into()),
        ..Look::default()
    };
    let found = facts(&machine, look.clone()).await;
    let old = &found["old"];
    let file = |name: &str, content: &[u8]| {
        let path = format!("repository/components/dropins/{name}");
        json!({ "path": path, "sha256": Digest::of(content), "bytes": content.len() })
    };
    assert_eq!(old["files"]["bundles"], json!([file("a.jar", b"aa"), file("b.jar", b"b")]));
    let names = ["repository/tenants/1", "repository/tenants/2"];
    assert_eq!(old["trees"]["tenants"], json!({ "files": 2, "bytes": 6, "matches": 2, "names": names }));
    assert_eq!(old["values"], json!({ "versioning": "true", "none": "false", "null": null, "outside": null }));
    assert_eq!(old["conf"], json!({ "store": "database_unique_id", "pw": true }));
    let keys: Vec<&Value> = old["settings"].as_array().expect("a list").iter().map(|s| &s["key"]).collect();
    assert!(keys.contains(&&json!("server.hostname")) && !keys.contains(&&json!("server.offset")), "{keys:?}");
    assert_eq!(found["problems"].as_array().map(Vec::len), Some(1), "{}", found["problems"]);
    assert!(!found.to_string().contains("canary"));
    std::os::unix::fs::symlink("none", machine.at("old/repository/components/dropins/c.jar")).expect("links");
    let gap = facts(&machine, look).await;
    assert_eq!(gap["old"]["files"]["bundles"], Value::Null, "a list with gaps would be taken for the whole");
    assert!(gap["problems"].to_string().contains("c.jar"));
}

#[tokio::test]
async fn what_stands_behind_an_exclamation_mark_is_not_told_and_not_walked() {
    let machine = Machine::new();
    for path in ["server/a/1.xml", "server/a/b/2.xml", "server/webapps/x.war", "server/webapps/app/3.jsp", "server/webapps-own/4"]
    {
        machine.write(&format!("old/{path}"), b"1");
    }
    // Its look would fail: nobody goes there.
    std::os::unix::fs::symlink("nothing", machine.at("old/server/webapps/broken")).expect("links");
    let deployed = ["server/**", "!server/webapps", "!server/a/b/*"].map(str::to_owned).into();
    let look = Look { files: [("deployed".to_owned(), deployed)].into(), ..Look::default() };
    let found = facts(&machine, look).await;
    let told = found["old"]["files"]["deployed"].as_array().expect("a list").iter().filter_map(|f| f["path"].as_str());
    assert_eq!(told.collect::<Vec<_>>(), ["server/a/1.xml", "server/webapps-own/4"]);
    assert_eq!(found["problems"], json!([]));
}

#[tokio::test]
async fn of_tables_in_other_files_only_the_keys_are_told() {
    let machine = Machine::new();
    machine.write("old/repository/conf/deployment.toml", TOML.as_bytes());
    machine.write("vault.toml", b"[secrets]\nb = \"[canary]\"\n\"a.c\" = \"[canary]\"\n[other]\nx = 1\n");
    machine.write("broken.toml", b"[secrets]\na = \"canary\" canary\n");
    let table = |name: &str, file: &str| (name.to_owned(), TableWanted { file: machine.at(file), table: "secrets".to_owned() });
    let tables = [table("vault", "vault.toml"), table("none", "none.toml"), table("broken", "broken.toml")].into();
    let found = facts(&machine, Look { tables, ..Look::default() }).await;
    assert_eq!(found["old"]["tables"], json!({ "vault": ["a.c", "b"], "none": null, "broken": null }));
    assert!(found["problems"].to_string().contains("broken.toml: line 2"), "{}", found["problems"]);
    assert!(!found.to_string().contains("canary"));
}

#[tokio::test]
async fn driver_classes_are_looked_for_in_the_jars() {
    let machine = Machine::new();
    machine.write("old/repository/conf/deployment.toml", TOML.as_bytes());
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("com/mysql/cj/jdbc/Driver.class", zip::write::SimpleFileOptions::default()).expect("begins");
    zip.write_all(b"x").expect("writes");
    machine.write("old/repository/components/lib/my.jar", &zip.finish().expect("ends").into_inner());
    let look = Look {
        libraries: vec!["repository/components/lib/*.jar".to_owned()],
        driver_classes: vec!["org.postgresql.Driver".to_owned()],
        default_drivers: vec!["com.mysql.jdbc.Driver".to_owned()],
        ..Look::default()
    };
    let found = facts(&machine, look.clone()).await;
    assert_eq!(found["old"]["driver_jars"], json!(["repository/components/lib/my.jar"]));
    let expected = json!({ "com.mysql.cj.jdbc.Driver": "repository/components/lib/my.jar", "org.postgresql.Driver": null });
    assert_eq!((&found["old"]["driver_classes"], &found["problems"]), (&expected, &json!([])));
    // An older one beside it, whose class nothing names but the product takes it.
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("com/mysql/jdbc/Driver.class", zip::write::SimpleFileOptions::default()).expect("begins");
    machine.write("old/repository/components/lib/a-5.1.jar", &zip.finish().expect("ends").into_inner());
    let both = facts(&machine, look.clone()).await;
    assert_eq!(both["old"]["driver_classes"], expected, "that class is no finding where nobody names it");
    assert_eq!(both["old"]["driver_jars"], json!(["repository/components/lib/a-5.1.jar", "repository/components/lib/my.jar"]));
    machine.write("old/repository/components/lib/bad.jar", b"no zip");
    let bad = facts(&machine, look).await;
    assert_eq!(bad["old"]["driver_classes"], expected);
    assert!(bad["problems"].to_string().contains("bad.jar"));
}

/// Ends with the test, whatever becomes of it.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test]
async fn a_running_server_tells_its_jdk_its_limit_and_its_port() {
    let machine = Machine::new();
    machine.write("jdk/release", b"JAVA_VERSION=\"1.8.0_392\"\n");
    machine.write("old/bin/version.txt", b"WSO2 API Manager v3.1.0");
    machine.write("jdk/bin/x", b"");
    let shell = std::fs::read("/bin/sh").expect("reads");
    program(Path::new(&machine.at("jdk/bin/java")), shell);
    let mut node = node(&machine);
    node.runtime.java_home = None;
    // Bound, so that nobody else gets the port meanwhile, and not listening yet.
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.bind("127.0.0.1:0".parse().expect("an address")).expect("binds");
    let port = socket.local_addr().expect("has one").port();
    let look = Look { ports: vec![port], old_ports: vec![port], ..Look::default() };
    let host: Arc<dyn Host> = Arc::new(RealHost::default());
    let before = facts_on(host.clone(), &machine, node.clone(), look.clone()).await;
    assert_eq!((&before["java"]["home"], &before["java"]["major"]), (&Value::Null, &Value::Null));
    assert_eq!(before["ports"], json!([{ "port": port, "free": true, "pid": null, "user": null, "home": null }]));

    let home = format!("-Dcarbon.home={}", machine.at("old"));
    let script = "ulimit -Sn 77; while :; do sleep 0.05; done";
    let mut command = Command::new(machine.at("jdk/bin/java"));
    let listener = socket.listen(1).expect("listens").into_std().expect("a socket");
    command.args(["-c", script, "server", &home]).stdin(OwnedFd::from(listener)).stdout(Stdio::null());
    let server = Server(command.spawn().expect("starts"));
    drop(command);
    let mut after = Value::Null;
    for _ in 0..500 {
        after = facts_on(host.clone(), &machine, node.clone(), look.clone()).await;
        if after["limits"]["open_files"] == json!(77) {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(after["limits"]["open_files"], json!(77));
    assert_eq!(after["old"]["running"][0]["pid"], json!(server.0.id()));
    assert_eq!((&after["java"]["major"], &after["java"]["version"]), (&json!(8), &json!("1.8.0_392")));
    let jdk = std::fs::canonicalize(machine.at("jdk")).expect("is there");
    assert_eq!(after["java"]["home"], json!(jdk));
    let held = json!({ "port": port, "free": false, "pid": server.0.id(), "user": own_user(), "home": machine.at("old") });
    assert_eq!((&after["ports"], &after["old_ports"]), (&json!([held]), &json!([held])));
}

#[tokio::test]
async fn autostart_is_looked_for_where_the_fleet_says() {
    let machine = Machine::new();
    machine.write("old/bin/version.txt", b"WSO2 API Manager v3.1.0");
    let unit = format!("[Service]\nExecStart={}/bin/wso2server.sh start\n", machine.at("old"));
    machine.write("chroot/etc/systemd/system/wso2am.service", unit.as_bytes());
    let elsewhere = facts(&machine, Look::default()).await;
    assert_eq!(elsewhere["old"]["autostart"], json!([]));
    let look = Look { autostart_root: Some(machine.at("chroot")), ..Look::default() };
    let found = facts(&machine, look).await;
    assert_eq!(found["old"]["autostart"][0]["name"], json!("wso2am.service"), "{found}");
}

#[tokio::test]
async fn the_file_system_of_the_agents_own_folder_is_told() {
    let machine = Machine::new();
    let mut all = std::collections::BTreeMap::from([(NodeId::new("is-1").expect("an id"), json!({}))]);
    let host: Arc<dyn Host> = FileHost::new();
    super::state_disk(&host, std::path::Path::new(&machine.at("state")), &mut all).await;
    let disk = all.into_values().next().expect("one node")["state_disk"].take();
    assert_eq!(disk["path"], json!(machine.at("state")));
    assert!(disk["free_bytes"].as_u64() > Some(0), "{disk}");
}

#[tokio::test]
async fn a_folder_is_told_by_one_digest_of_its_files() {
    let machine = Machine::new();
    machine.write("old/webapps/shop.war", b"a file");
    machine.write("old/webapps/shop/index.jsp", b"1");
    machine.write("old/webapps/shop/META-INF/war-tracker", b"at the time of unpacking");
    let wanted = FoldersWanted { globs: vec!["webapps/*".to_owned()], without: vec!["META-INF/war-tracker".to_owned()] };
    let look = Look { folders: [("webapps".to_owned(), wanted.clone())].into(), ..Look::default() };
    let found = facts(&machine, look.clone()).await;
    let shipped = wanted.digest([("index.jsp", &Digest::of(b"1"))]);
    assert_eq!(found["old"]["folders"]["webapps"], json!([{ "path": "webapps/shop", "sha256": shipped, "files": 2 }]));
    machine.write("old/webapps/shop/index.jsp", b"2");
    let changed = facts(&machine, look).await;
    assert_ne!(changed["old"]["folders"]["webapps"][0]["sha256"], json!(shipped));
}
