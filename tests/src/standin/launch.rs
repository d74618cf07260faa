//! The command line of a JVM, as far as a Carbon server's launch uses it.

use std::{collections::BTreeMap, path::PathBuf};

/// What a JVM was asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `java -version`.
    Version,
    /// Start the server of a home.
    Serve(Launch),
    /// Run the cipher tool in a home.
    Encrypt(Launch),
    /// No main class, or no `carbon.home`: a JVM ends with status 1.
    Refused(String),
}

/// One launch of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Launch {
    /// `-Dcarbon.home`.
    pub home: PathBuf,
    /// System properties: options before the class, then arguments after it.
    pub properties: BTreeMap<String, String>,
    /// The arguments after the class, which came from the start script's caller.
    pub arguments: Vec<String>,
}

impl Launch {
    /// A system property that reads as true (`Boolean.parseBoolean`).
    #[must_use]
    pub fn flag(&self, name: &str) -> bool {
        self.properties.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    /// The OSGi profile, `default` without `-Dprofile`.
    #[must_use]
    pub fn profile(&self) -> &str {
        self.properties.get("profile").map_or("default", String::as_str)
    }

    /// Whether this launch asks for the migration of Identity Server's data.
    #[must_use]
    pub fn migrates_identity(&self) -> bool {
        self.flag("migrate") && self.properties.get("component").is_some_and(|component| component.contains("identity"))
    }
}

/// Reads a JVM's command line (without the program's name).
///
/// `-Dname` before the class is the empty string, as the JVM has it; after the class it is `true`, as Carbon's own reader has
/// it. That is why `-Dmigrate` works as an argument of the start script and not in JAVA_OPTS.
#[must_use]
pub fn parse(arguments: &[String]) -> Command {
    let mut properties = BTreeMap::new();
    let mut words = arguments.iter();
    let mut class = None;
    while let Some(word) = words.next() {
        match word.as_str() {
            "-version" | "--version" => return Command::Version,
            "-classpath" | "-cp" | "--add-opens" | "--add-exports" | "--module-path" => {
                words.next();
            }
            option if option.starts_with("-D") => {
                let (name, value) = option[2..].split_once('=').unwrap_or((&option[2..], ""));
                properties.insert(name.to_owned(), value.to_owned());
            }
            option if option.starts_with('-') => {}
            name => {
                class = Some(name.to_owned());
                break;
            }
        }
    }
    let Some(class) = class else { return Command::Refused("Error: no main class was given".to_owned()) };
    let command = match class.as_str() {
        "org.wso2.carbon.bootstrap.Bootstrap" => Command::Serve,
        "org.wso2.ciphertool.CipherTool" => Command::Encrypt,
        _ => return Command::Refused(format!("Error: Could not find or load main class {class}")),
    };
    let arguments: Vec<String> = words.cloned().collect();
    for argument in &arguments {
        if let Some(property) = argument.strip_prefix("-D") {
            let (name, value) = property.split_once('=').unwrap_or((property, "true"));
            properties.insert(name.to_owned(), value.to_owned());
        }
    }
    match properties.get("carbon.home") {
        Some(home) => command(Launch { home: PathBuf::from(home), properties, arguments }),
        None => Command::Refused("Error: -Dcarbon.home is missing".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn launch(words: &[&str]) -> Launch {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        match parse(&words) {
            Command::Serve(launch) => launch,
            other => panic!("not a launch: {other:?}"),
        }
    }

    #[test]
    fn migrate_counts_after_the_class_only() {
        let before = launch(&[
            "-Xmx1g",
            "-Dmigrate",
            "-Dcomponent=identity",
            "--add-opens",
            "a/b=ALL-UNNAMED",
            "-classpath",
            "x.jar",
            "-Dcarbon.home=/opt/a b/wso2is",
            "org.wso2.carbon.bootstrap.Bootstrap",
        ]);
        assert_eq!(before.properties.get("migrate").map(String::as_str), Some(""));
        assert!(!before.migrates_identity());
        assert_eq!(before.home, PathBuf::from("/opt/a b/wso2is"));

        let after = launch(&["-Dcarbon.home=/h", "org.wso2.carbon.bootstrap.Bootstrap", "-Dmigrate", "-Dcomponent=identity"]);
        assert!(after.migrates_identity());
        assert_eq!(after.arguments, ["-Dmigrate", "-Dcomponent=identity"]);
        assert_eq!(after.profile(), "default");
    }

    #[test]
    fn a_launch_without_home_or_with_another_class_is_refused() {
        for words in [&["org.wso2.carbon.bootstrap.Bootstrap"][..], &["-Dcarbon.home=/h", "Main"], &[]] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert!(matches!(parse(&words), Command::Refused(_)), "{words:?}");
        }
    }
}
