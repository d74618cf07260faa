//! What is custom, what was changed, and what only looks so.

use super::*;

fn shipped(files: &[(&str, &str)], archives: &[(&str, &[(&str, &str)])]) -> Shipped {
    let digests = |files: &[(&str, &str)]| -> BTreeMap<String, Digest> {
        files.iter().map(|(path, content)| ((*path).to_owned(), Digest::of(content.as_bytes()))).collect()
    };
    let archives: BTreeMap<&str, BTreeMap<String, Digest>> =
        archives.iter().map(|(path, files)| (*path, digests(files))).collect();
    let list = json!({
        "schema": "cavalcade.pack/1", "root": "r", "files": digests(files), "archives": archives, "settings": {},
    });
    serde_json::from_value(list).expect("is a list")
}

fn wanted() -> FoldersWanted {
    FoldersWanted { globs: vec!["webapps/*".to_owned()], without: vec!["META-INF/war-tracker".to_owned()] }
}

/// A folder as an agent tells it.
fn unpacked(path: &str, files: &[(&str, &str)]) -> Value {
    let digests: Vec<(&str, Digest)> = files.iter().map(|(file, content)| (*file, Digest::of(content.as_bytes()))).collect();
    let sha256 = wanted().digest(digests.iter().map(|(file, digest)| (*file, digest)));
    json!({ "path": path, "sha256": sha256, "files": files.len() })
}

fn file(path: &str, content: &str) -> Value {
    json!({ "path": path, "sha256": Digest::of(content.as_bytes()), "bytes": content.len() })
}

#[test]
fn only_web_applications_that_differ_are_named() {
    let pack = shipped(
        &[
            ("webapps/shop.war", "war"),
            ("webapps/login/index.jsp", "1"),
            ("webapps/login/a/b.jsp", "2"),
            ("webapps/old.war", "war"),
        ],
        &[("webapps/shop.war", &[("index.jsp", "shop"), ("WEB-INF/web.xml", "x")])],
    );
    let (name, wanted) = ("webapps".to_owned(), wanted());
    let known = Known { shipped: Some(&pack), folders: BTreeMap::from([(&name, &wanted)]), ..Known::default() };
    let of = |folders: &[Value]| known.differences(&name, &[], folders).expect("the pack is known");
    let none = || (Vec::new(), Vec::new());
    let as_unpacked = [("index.jsp", "shop"), ("WEB-INF/web.xml", "x"), ("META-INF/war-tracker", "unpacked today")];
    assert_eq!(of(&[unpacked("webapps/shop", &as_unpacked)]), none());
    assert_eq!(of(&[unpacked("webapps/login", &[("index.jsp", "1"), ("a/b.jsp", "2")])]), none());
    let changed = of(&[
        unpacked("webapps/shop", &[("index.jsp", "own"), ("WEB-INF/web.xml", "x")]),
        unpacked("webapps/login", &[("index.jsp", "1"), ("a/b.jsp", "2"), ("more.jsp", "3")]),
    ]);
    assert_eq!(changed, (Vec::new(), vec!["webapps/shop".to_owned(), "webapps/login".to_owned()]));
    assert_eq!(of(&[unpacked("webapps/portal", &[("index.jsp", "1")])]), (vec!["webapps/portal".to_owned()], Vec::new()));
    assert_eq!(of(&[unpacked("webapps/sho", &[("index.jsp", "1")])]).0, ["webapps/sho"], "the beginning of a name is no name");
    // A list of before does not look into archives: nobody can say that this one differs.
    assert_eq!(of(&[unpacked("webapps/old", &[("index.jsp", "1")])]), none());
    let unknown = Known { shipped: None, ..known };
    assert_eq!(unknown.differences(&name, &[], &[unpacked("webapps/portal", &[])]), None);
}

#[test]
fn a_file_that_a_server_writes_from_a_template_is_neither_changed_nor_custom() {
    let pack = shipped(
        &[
            ("conf/etc/jmx.xml", "as shipped"),
            ("conf/log4j2.properties", "as shipped"),
            ("templates/conf/etc/jmx.xml.j2", "t"),
            ("templates/conf/made.xml.j2", "t"),
        ],
        &[],
    );
    let known = Known { shipped: Some(&pack), templates: Some("templates/*.j2"), ..Known::default() };
    let found = [
        file("conf/etc/jmx.xml", "rendered"),
        file("conf/log4j2.properties", "changed"),
        file("conf/made.xml", "rendered, and in no pack"),
        file("conf/own.xml", "own"),
    ];
    let told = known.differences("configuration", &found, &[]).expect("the pack is known");
    assert_eq!(told, (vec!["conf/own.xml".to_owned()], vec!["conf/log4j2.properties".to_owned()]));
    let without = Known { templates: None, ..known };
    let told = without.differences("configuration", &found, &[]).expect("the pack is known");
    assert_eq!(told.1, ["conf/etc/jmx.xml", "conf/log4j2.properties"]);
}
