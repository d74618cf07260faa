//! Row C13 on Windows: the edit of the recipe on a start script as the product ships it, with its line ends.

use cavalcade_agent::edit::{self, EditError};
use cavalcade_common::action::TextEdit;
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

/// The arguments that the step takes out, as the recipe has them.
fn arguments() -> Vec<String> {
    let (name, text) = BUILT_IN[0];
    let root = read(text.as_bytes(), name).expect("is YAML").root;
    let named = |node: &&Node| node.get("step").and_then(Node::text) == Some("windows-service");
    let steps = list(root.get("stages")).iter().flat_map(|stage| list(stage.get("steps")));
    let step = steps.into_iter().find(named).expect("is a step");
    let edit = step.get("text").expect("edits a text");
    list(edit.get("remove_arguments")).iter().map(|name| name.text().expect("a text").to_owned()).collect()
}

fn edited(script: &str) -> Result<String, EditError> {
    let edit = TextEdit { file: "wso2server.bat".to_owned(), remove_arguments: arguments(), ..TextEdit::default() };
    edit::text(script.as_bytes(), &edit).map(|bytes| String::from_utf8(bytes).expect("UTF-8"))
}

#[test]
fn the_windows_service_loses_the_arguments_of_the_migration_and_nothing_else() {
    let once = edited(SCRIPT).expect("is edited");
    assert_eq!(once, SCRIPT.replace(" -Dmigrate -Dcomponent=identity", ""), "every other byte stands, CRLF too");
    assert!(!once.contains("-Dmigrate") && once.matches("\r\n").count() == SCRIPT.matches("\r\n").count());
    assert_eq!(edited(&once).expect("is edited"), once, "nothing more to do");
    // However a person put them there.
    for between in [
        " -Dcomponent=identity -Dmigrate",
        " -Dmigrate  -Dcomponent=identity",
        "\t-Dmigrate\t-Dcomponent=identity",
        " -Dmigrate=true -Dcomponent=identity",
        " -Dmigrate=\"true\" \"-Dcomponent=identity\"",
        " \"-Dmigrate=true\" -Dmigrate -Dcomponent=identity",
    ] {
        let other = SCRIPT.replace(" -Dmigrate -Dcomponent=identity", between);
        assert_eq!(edited(&other).expect("is edited"), once, "{between}");
    }
    let kept = SCRIPT.replace(" -Dmigrate -Dcomponent=identity", " -Dmigrate -Dx=y -Dcomponent=identity -DmigrateAll=no");
    let wanted = SCRIPT.replace(" -Dmigrate -Dcomponent=identity", " -Dx=y -DmigrateAll=no");
    assert_eq!(edited(&kept).expect("is edited"), wanted);
}

#[test]
fn the_first_argument_of_the_line_goes_too_and_a_comment_stays() {
    let plain = SCRIPT.replace(" -Dmigrate -Dcomponent=identity", "");
    let (set, quoted) = ("set CMD_LINE_ARGS=", "set \"CMD_LINE_ARGS=");
    for (with, without) in [
        (format!("{set}-Dmigrate -Dcomponent=identity -X"), format!("{set}-X")),
        (format!("{set}\"-Dmigrate\" -Dcomponent=identity -X"), format!("{set}-X")),
        (format!("{quoted}-Dmigrate -Dcomponent=identity -X"), format!("{quoted}-X")),
    ] {
        let script = plain.replace(&format!("{set}-X"), &with);
        assert_ne!(script, plain);
        assert_eq!(edited(&script).expect("is edited"), plain.replace(&format!("{set}-X"), &without), "{with}");
    }
    for comment in ["rem as a service: -Dmigrate -Dcomponent=identity", "@REM -Dmigrate", ":: -Dmigrate"] {
        let script = plain.replacen("rem Main Script", &format!("{comment}\r\nrem Main Script"), 1);
        assert_eq!(edited(&script).expect("is edited"), script);
    }
}

#[test]
fn an_argument_in_a_form_that_is_not_known_fails_by_its_name() {
    for joined in [" %X%-Dmigrate", " -Dx=y,-Dmigrate", " ^-Dcomponent=identity", " '-Dmigrate'"] {
        let script = SCRIPT.replace(" -Dmigrate -Dcomponent=identity", joined);
        let error = edited(&script).expect_err(joined);
        assert!(error.to_string().contains("-Dmigrate") || error.to_string().contains("-Dcomponent=identity"), "{error}");
        assert_eq!(error.at().map(|at| at.line), Some(6), "{joined}");
    }
}
