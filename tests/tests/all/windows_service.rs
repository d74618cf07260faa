//! Row C13 on Windows: the edit of the recipe on a start script as the product ships it, with its line ends.

use cavalcade_agent::edit;
use cavalcade_common::action::{TextEdit, TextReplace};
use cavalcade_common::written::{Content, Node, read};
use cavalcade_controller::recipe::BUILT_IN;

/// The part of `wso2server.bat` around the arguments, as a service has it that ran the migration.
const SCRIPT: &str = "@echo off\r\nrem Main Script for WSO2 Carbon\r\n:runServer\r\ncd %CARBON_HOME%\r\n\r\nset CMD_LINE_ARGS=-Xbootclasspath/a:%CARBON_XBOOTCLASSPATH% \
    -Xms256m -Xmx1024m -Dcarbon.home=\"%CARBON_HOME%\" -Dfile.encoding=UTF8 -Dmigrate -Dcomponent=identity\r\n\r\n:runJava\r\n\
    \"%JAVA_HOME%\\bin\\java\" %CMD_LINE_ARGS% org.wso2.carbon.bootstrap.Bootstrap %CMD%\r\nif \"%ERRORLEVEL%\"==\"121\" goto runJava\r\n:end\r\n";

fn list(node: Option<&Node>) -> &[Node] {
    match node.map(|n| &n.content) {
        Some(Content::List(items)) => items,
        _ => &[],
    }
}

/// The step's replacements as the recipe has them.
fn replacements() -> Vec<TextReplace> {
    let (name, text) = BUILT_IN[0];
    let root = read(text.as_bytes(), name).expect("is YAML").root;
    let named = |node: &&Node| node.get("step").and_then(Node::text) == Some("windows-service");
    let steps = list(root.get("stages")).iter().flat_map(|stage| list(stage.get("steps")));
    let step = steps.into_iter().find(named).expect("is a step");
    let edit = step.get("text").expect("edits a text");
    let of = |node: &Node| TextReplace {
        find: node.get("find").and_then(Node::text).expect("a text").to_owned(),
        with: node.get("with").and_then(Node::text).expect("a text").to_owned(),
        count: node.get("count").and_then(|n| n.to_value().as_u64()).and_then(|n| u32::try_from(n).ok()).unwrap_or(1),
    };
    list(edit.get("replace")).iter().map(of).collect()
}

#[test]
fn the_windows_service_loses_the_arguments_of_the_migration_and_nothing_else() {
    let edit = TextEdit { file: "wso2server.bat".to_owned(), replace: replacements(), ..TextEdit::default() };
    let once = edit::text(SCRIPT.as_bytes(), &edit).expect("is edited");
    let once = String::from_utf8(once).expect("UTF-8");
    assert_eq!(once, SCRIPT.replace(" -Dmigrate -Dcomponent=identity", ""), "every other byte stands, CRLF too");
    assert!(!once.contains("-Dmigrate") && once.matches("\r\n").count() == SCRIPT.matches("\r\n").count());
    assert_eq!(edit::text(once.as_bytes(), &edit).expect("is edited"), once.as_bytes(), "nothing more to do");
    // However a person put them there.
    for between in
        [" -Dcomponent=identity -Dmigrate", " -Dmigrate  -Dcomponent=identity", " -Dmigrate -Dx=y -Dcomponent=identity"]
    {
        let other = SCRIPT.replace(" -Dmigrate -Dcomponent=identity", between);
        let clean = String::from_utf8(edit::text(other.as_bytes(), &edit).expect("is edited")).expect("UTF-8");
        assert!(!clean.contains("-Dmigrate") && !clean.contains("-Dcomponent"), "{between}");
    }
}
