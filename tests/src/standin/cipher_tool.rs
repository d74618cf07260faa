//! The cipher tool (`bin/ciphertool.sh`): `-Dconfigure` encrypts what stands in brackets in `[secrets]`, in place.
//!
//! The key store's password comes from `-Dpassword=` or the system property `keystore.password`, which a JVM takes from
//! `JAVA_TOOL_OPTIONS` too; else from the console, which nobody has who is not at a terminal.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, bail, ensure};
use toml_edit::{DocumentMut, Item, Value};

use super::{
    config::Config,
    keystore::{KeyStore, seal},
    vault::store_of,
};

/// Runs it; returns the exit status and what is printed.
#[must_use]
pub fn run(home: &Path, arguments: &[String]) -> (i32, String) {
    let (mut configures, mut password) = (false, None);
    for argument in arguments {
        match argument.strip_prefix("-D").map(|property| property.split_once('=').unwrap_or((property, ""))) {
            Some(("configure", _)) => configures = true,
            Some(("password", text)) => password = Some(text),
            Some(("org.wso2.CipherTransformation", _)) => {}
            Some(_) => return (255, "This option is not defined!\n".to_owned()),
            None => {}
        }
    }
    let mut said = String::new();
    let tool_options = std::env::var("JAVA_TOOL_OPTIONS").unwrap_or_default();
    let property = tool_options.split(' ').find_map(|option| option.strip_prefix("-Dkeystore.password="));
    if !tool_options.is_empty() {
        said = format!("Picked up JAVA_TOOL_OPTIONS: {tool_options}\n");
    }
    match encrypt(home, configures, password.or(property), &mut said) {
        Ok(()) => (0, said),
        Err(error) => {
            let exception = "Exception in thread \"main\" org.wso2.ciphertool.exception.CipherToolException";
            let tail = format!("{exception}: {error:#}\n\tat org.wso2.ciphertool.CipherTool.main(CipherTool.java)\n");
            (1, said + &tail)
        }
    }
}

fn encrypt(home: &Path, configures: bool, password: Option<&str>, said: &mut String) -> anyhow::Result<()> {
    let config = Config::of_home(home)?;
    let store = store_of(home, &config);
    let which = if config.text("keystore.internal.file_name").is_some() { "Internal" } else { "Primary" };
    writeln!(said, "\nEncrypting using {which} KeyStore.\n{{type: JKS, path: {}}}\n", store.display())?;
    let password = password.filter(|text| !text.is_empty()).context("String cannot be null")?;
    let opened = KeyStore::open(&store, password).context("Error loading keyStore")?;
    let key = opened.key().and_then(|entry| entry.key.as_deref()).context("Key alias cannot be empty")?;
    ensure!(configures, "String cannot be null");

    let file = home.join("repository/conf/deployment.toml");
    let mut toml: DocumentMut = fs::read_to_string(&file)?.parse()?;
    let secrets = match toml.get_mut("secrets") {
        None => bail!("Secrets not found in TOML file {}", file.display()),
        Some(secrets) => secrets.as_table_mut().context("[secrets] is no table")?,
    };
    for (_, item) in secrets.iter_mut() {
        let Item::Value(value) = item else { continue };
        let plain = value.as_str().and_then(|text| text.strip_prefix('[')?.strip_suffix(']')).map(str::to_owned);
        if let Some(plain) = plain {
            let decor = value.decor().clone();
            *value = Value::from(seal(key, &plain));
            *value.decor_mut() = decor;
            said.push_str("\nEncryption is done Successfully\n");
        }
    }
    fs::write(&file, toml.to_string())?;
    let folder = home.join("repository/conf/security");
    fs::create_dir_all(&folder)?;
    let location = store.display();
    fs::write(
        folder.join("secret-conf.properties"),
        format!("secVault.enabled=true\nkeystore.identity.type=JKS\nkeystore.identity.location={location}\n"),
    )?;
    said.push_str("\nSecret Configurations are written to the property file successfully\n");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::standin::{keystore::Entry, vault};

    const PASSWORD: &str = "of-the-store";

    const TOML: &str =
        "[secrets]\none = \"[first]\" # kept\n'two.x' = \"[se[co]nd]\"\n[super_admin]\npassword = \"$secret{one}\"\n";

    fn home() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path();
        fs::create_dir_all(home.join("repository/conf")).unwrap();
        fs::create_dir_all(home.join("repository/resources/security")).unwrap();
        fs::write(home.join("repository/conf/deployment.toml"), TOML).unwrap();
        let store = KeyStore::new(PASSWORD, vec![Entry::private("wso2carbon", "shipped", 2048)]);
        fs::write(home.join("repository/resources/security/wso2carbon.jks"), store.bytes()).unwrap();
        folder
    }

    fn toml(home: &Path) -> String {
        fs::read_to_string(home.join("repository/conf/deployment.toml")).unwrap()
    }

    #[test]
    fn plain_values_are_encrypted_once_and_a_start_reads_them() {
        let folder = home();
        let arguments = ["-Dconfigure".to_owned(), format!("-Dpassword={PASSWORD}")];
        let (status, said) = run(folder.path(), &arguments);
        assert_eq!(status, 0, "{said}");
        assert!(!said.contains("first") && !said.contains(PASSWORD), "{said}");
        let text = toml(folder.path());
        assert!(!text.contains("first") && text.contains("# kept") && text.contains("$secret{one}"), "{text}");
        assert_eq!(run(folder.path(), &arguments).0, 0);
        assert_eq!(toml(folder.path()), text, "what is encrypted stays");

        let config = Config::of_home(folder.path()).unwrap();
        assert_eq!(vault::unlock(folder.path(), &config).unwrap().problems.len(), 1, "nobody told the password");
        fs::write(folder.path().join("password-tmp"), format!("{PASSWORD}\n")).unwrap();
        let vault = vault::unlock(folder.path(), &config).unwrap();
        assert_eq!(vault.problems, [""; 0]);
        let config = config.with_secrets(vault.values);
        assert_eq!(config.text("super_admin.password").as_deref(), Some("first"));
        assert!(!folder.path().join("password-tmp").exists(), "it serves one start");
        fs::write(folder.path().join("password"), "wrong").unwrap();
        let vault = vault::unlock(folder.path(), &config).unwrap();
        assert!(vault.values.is_empty() && folder.path().join("password-tmp").exists(), "{vault:?}");
    }

    #[test]
    fn without_a_password_nothing_is_changed() {
        let folder = home();
        for arguments in [&["-Dconfigure"][..], &["-Dconfigure", "-Dpassword=x"], &["-Dpassword=of-the-store"]] {
            let arguments: Vec<String> = arguments.iter().map(|word| (*word).to_owned()).collect();
            let (status, said) = run(folder.path(), &arguments);
            assert!(status == 1 && said.contains("CipherToolException"), "{said}");
        }
        assert_eq!(run(folder.path(), &["-Dconfig".to_owned()]).0, 255);
        assert_eq!(toml(folder.path()), TOML);
    }
}
