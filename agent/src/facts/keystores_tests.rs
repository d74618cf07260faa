//! What keytool prints, and a script in its place.

use super::*;
use crate::action::testkit::{FileHost, Machine};
use crate::host::test_program::program;

/// As JDK 17 prints it: a JKS with an EC key, a trusted certificate and an RSA key of 1024 bits with a chain.
const PRINTED: &str = "Keystore type: JKS\nKeystore provider: SUN\n\nYour keystore contains 3 entries\n\n\
Alias name: ec key: x\nCreation date: Nov 23, 2026\nEntry type: PrivateKeyEntry\nCertificate chain length: 1\n\
Certificate[1]:\nOwner: CN=localhost\nIssuer: CN=localhost\nSerial number: b2cf7c68b9631660\n\
Valid from: Mon Nov 23 08:06:49 UTC 2026 until: Sun Feb 21 08:06:49 UTC 2027\n\
Signature algorithm name: SHA256withECDSA\nSubject Public Key Algorithm: 256-bit EC (secp256r1) key\nVersion: 3\n\n\n\
*******************************************\n*******************************************\n\n\n\
Alias name: trusted\nCreation date: Nov 23, 2026\nEntry type: trustedCertEntry\n\n\
Valid from: Mon Nov 23 08:06:49 UTC 2026 until: Thu Nov 20 08:06:49 UTC 2036\n\
Subject Public Key Algorithm: 512-bit RSA key (weak)\nVersion: 3\n\n\n\
Alias name: wso2carbon\nCreation date: Nov 23, 2026\nEntry type: PrivateKeyEntry\nCertificate chain length: 2\n\
Certificate[1]:\nOwner: CN=localhost\n\
Valid from: Mon Nov 23 08:06:49 UTC 2026 until: Thu Nov 20 08:06:49 UTC 2036\n\
Subject Public Key Algorithm: 1024-bit RSA key (weak)\nVersion: 3\n\
Certificate[2]:\nOwner: CN=ca\nValid from: Mon Nov 23 08:06:49 UTC 2026 until: Fri Nov 20 08:06:49 UTC 2037\n\
Subject Public Key Algorithm: 4096-bit RSA key\n";

/// A keytool that opens STORE with this password alone, or without one (`open`), and writes down its arguments.
fn jdk(machine: &Machine, password: &str, open: bool, printed: &str) -> PathBuf {
    let unlocked = if open { "[ $# -eq 4 ] ||" } else { "" };
    let script = format!(
        "#!/bin/sh\necho \"$@\" >> {args}\nif {unlocked} [ \"$CAVALCADE_STOREPASS\" = '{password}' ]; then\n\
         cat <<'END'\n{printed}\nEND\nelse\necho 'keytool error: java.io.IOException: Keystore was tampered with'\nexit 1\nfi\n",
        args = machine.at("args"),
    );
    let jdk = PathBuf::from(machine.at("jdk"));
    std::fs::create_dir_all(jdk.join("bin")).expect("makes");
    program(&jdk.join("bin/keytool"), script);
    jdk
}

async fn told(machine: &Machine, jdk: Option<&Path>, stores: &[&str], toml: &str) -> Told {
    let config = Config::read(toml.as_bytes()).expect("reads");
    let stores = stores.iter().map(|s| ((*s).to_owned(), PathBuf::from(machine.at(s)))).collect();
    let home = PathBuf::from(machine.at("."));
    gather(FileHost::new().as_ref(), &home, jdk, &stores, &Passwords::of(Some(&config), &[])).await
}

const TOML: &str = "[keystore.tls]\nfile_name = \"wso2carbon.p12\"\npassword = \"canary pw\"\n";

#[test]
fn a_list_is_read() {
    let (kind, entries) = read(&format!("Enter keystore password:  \n{PRINTED}")).expect("a list");
    assert_eq!(kind.as_deref(), Some("JKS"));
    let expires = |text: &str| text.parse().ok();
    let entry = |alias: &str, bits, algorithm: &str, until| Entry {
        alias: alias.to_owned(),
        bits: Some(bits),
        algorithm: Some(algorithm.to_owned()),
        expires: expires(until),
    };
    let expected =
        [entry("ec key: x", 256, "EC", "2027-02-21T08:06:49Z"), entry("wso2carbon", 1024, "RSA", "2036-11-20T08:06:49Z")];
    assert_eq!(entries, expected, "neither a trusted certificate nor the CA of a chain is a key");
    assert_eq!(read("keytool error: no"), None);
    assert_eq!((date("Thu Nov 20 08:06:49 IST 2036"), date("x")), (None, None), "an ambiguous zone is not guessed");
}

#[tokio::test]
async fn the_password_goes_by_the_environment_and_a_weak_key_is_seen() {
    let machine = Machine::new();
    let jdk = jdk(&machine, "canary pw", false, PRINTED);
    machine.write("wso2carbon.p12", b"0\x82");
    let found = told(&machine, Some(&jdk), &["wso2carbon.p12"], TOML).await;
    assert_eq!((found.weak_key, found.problems), (Some(true), Vec::<String>::new()));
    let expected = json!([
        { "path": "wso2carbon.p12", "type": "JKS", "bits": 256, "algorithm": "EC", "alias": "ec key: x",
          "expires": "2027-02-21T08:06:49Z" },
        { "path": "wso2carbon.p12", "type": "JKS", "bits": 1024, "algorithm": "RSA", "alias": "wso2carbon",
          "expires": "2036-11-20T08:06:49Z" },
    ]);
    assert_eq!(found.keystores, expected);
    let arguments = machine.read("args").expect("was called");
    assert!(arguments.contains("-storepass:env CAVALCADE_STOREPASS") && !arguments.contains("canary"), "{arguments}");
}

#[tokio::test]
async fn a_strong_key_is_not_weak_and_no_keystore_is_no_weak_key() {
    let machine = Machine::new();
    let strong = PRINTED.replace("1024-bit RSA key (weak)", "2048-bit RSA key");
    let jdk = jdk(&machine, "canary pw", false, &strong);
    machine.write("wso2carbon.p12", b"0\x82");
    let found = told(&machine, Some(&jdk), &["wso2carbon.p12"], TOML).await;
    assert_eq!((found.weak_key, found.problems.len()), (Some(false), 0));
    assert_eq!(told(&machine, None, &[], "").await, Told { keystores: json!([]), weak_key: Some(false), problems: Vec::new() });
}

#[tokio::test]
async fn a_jks_needs_no_password_and_a_vault_opens_nothing() {
    let machine = Machine::new();
    let jdk = jdk(&machine, "never", true, PRINTED);
    let toml = "[keystore.tls]\nfile_name = \"wso2carbon.jks\"\npassword = \"$secret{keystore_password}\"\n";
    machine.write("wso2carbon.jks", b"\xfe\xed\xfe\xed\0");
    let open = told(&machine, Some(&jdk), &["wso2carbon.jks"], toml).await;
    assert_eq!((open.weak_key, open.problems.len()), (Some(true), 0));
    machine.write("wso2carbon.jks", b"0\x82");
    let closed = told(&machine, Some(&jdk), &["wso2carbon.jks"], toml).await;
    assert_eq!((closed.weak_key, &closed.keystores), (None, &Value::Null));
    assert!(closed.problems[0].contains("secure vault"), "{closed:?}");
    let wrong = told(&machine, Some(&jdk), &["wso2carbon.jks"], TOML).await;
    assert!(wrong.problems[0].contains("none of the passwords") && !format!("{wrong:?}").contains("canary"), "{wrong:?}");
}

#[tokio::test]
async fn without_a_keytool_nothing_is_guessed() {
    let machine = Machine::new();
    machine.write("wso2carbon.p12", b"0\x82");
    let nowhere = PathBuf::from(machine.at("jdk"));
    for jdk in [None, Some(nowhere.as_path())] {
        let found = told(&machine, jdk, &["wso2carbon.p12"], TOML).await;
        assert_eq!((&found.keystores, found.weak_key, found.problems.len()), (&Value::Null, None, 1), "{found:?}");
    }
    let jdk = jdk(&machine, "canary pw", false, &PRINTED.replace("Subject Public Key", "Another"));
    let found = told(&machine, Some(&jdk), &["wso2carbon.p12"], TOML).await;
    assert!(found.keystores.is_null() && found.problems[0].contains("does not tell the size"), "{found:?}");
}

/// Where a JDK is: the real keytool, on a keystore that it made itself.
#[tokio::test]
async fn the_real_keytool_is_understood() {
    let named = std::env::var("JAVA_HOME").map(PathBuf::from);
    let homes = named.into_iter().chain(["/usr", "/usr/lib/jvm/default-java"].map(PathBuf::from));
    let Some(jdk) = homes.into_iter().find(|home| home.join("bin/keytool").exists()) else {
        eprintln!("not run: no JDK on this machine");
        return;
    };
    let machine = Machine::new();
    for (store, kind) in [("weak.jks", "JKS"), ("weak.p12", "PKCS12")] {
        let at = machine.at(store);
        let made = std::process::Command::new(jdk.join("bin/keytool"))
            .args(["-genkeypair", "-alias", "wso2carbon", "-keyalg", "RSA", "-keysize", "1024", "-validity", "3650"])
            .args([
                "-dname",
                "CN=localhost",
                "-storepass",
                "canary1",
                "-keypass",
                "canary1",
                "-storetype",
                kind,
                "-keystore",
                &at,
            ])
            .output()
            .expect("runs");
        assert!(made.status.success(), "{made:?}");
    }
    let toml = "[keystore.tls]\nfile_name = \"weak.p12\"\npassword = \"canary1\"\n[keystore.primary]\n\
        file_name = \"weak.jks\"\npassword = \"$secret{x}\"\n";
    let found = told(&machine, Some(&jdk), &["weak.jks", "weak.p12"], toml).await;
    assert_eq!((found.weak_key, &found.problems), (Some(true), &Vec::new()));
    for (at, (path, kind)) in [("weak.jks", "JKS"), ("weak.p12", "PKCS12")].into_iter().enumerate() {
        let key = &found.keystores[at];
        assert_eq!((&key["path"], &key["type"], &key["bits"]), (&json!(path), &json!(kind), &json!(1024)));
        assert_eq!((&key["algorithm"], &key["alias"]), (&json!("RSA"), &json!("wso2carbon")));
        assert!(key["expires"].is_string(), "{key}");
    }
    let closed = told(&machine, Some(&jdk), &["weak.p12"], "").await;
    assert_eq!((closed.weak_key, closed.problems.len()), (None, 1), "a PKCS12 without its password tells nothing");
}
