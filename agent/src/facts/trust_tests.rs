//! Chains of real certificates, and a script in keytool's place.

use std::os::unix::fs::PermissionsExt;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use super::super::config::Config;
use super::*;
use crate::action::testkit::{FileHost, Machine};

fn params(name: &str, ca: bool) -> CertificateParams {
    let mut params = CertificateParams::new(vec![format!("{name}.example.com")]).expect("names");
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    if ca {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    }
    params
}

fn key() -> KeyPair {
    KeyPair::generate().expect("a key")
}

fn self_signed(name: &str, key: &KeyPair) -> rcgen::Certificate {
    params(name, true).self_signed(key).expect("a certificate")
}

fn der(certificate: &rcgen::Certificate) -> Vec<u8> {
    certificate.der().to_vec()
}

#[test]
fn a_chain_leads_to_a_trusted_certificate_or_it_does_not() {
    let (root_key, middle_key) = (key(), key());
    let root = self_signed("root", &root_key);
    let root_signs = Issuer::new(params("root", true), &root_key);
    let middle = params("middle", true).signed_by(&middle_key, &root_signs).expect("a certificate");
    let middle_signs = Issuer::new(params("middle", true), &middle_key);
    let leaf = params("leaf", false).signed_by(&key(), &middle_signs).expect("a certificate");
    let (root, middle, leaf) = (der(&root), der(&middle), der(&leaf));
    let whole = [leaf.clone(), middle.clone()];
    assert_eq!(trusted(&whole, std::slice::from_ref(&root)), Some(true));
    assert_eq!(trusted(&[leaf.clone(), middle.clone(), root.clone()], std::slice::from_ref(&root)), Some(true));
    assert_eq!(trusted(std::slice::from_ref(&leaf), std::slice::from_ref(&middle)), Some(true), "one in the middle is enough");
    assert_eq!(
        trusted(std::slice::from_ref(&leaf), std::slice::from_ref(&leaf)),
        Some(true),
        "the certificate itself is trusted"
    );
    assert_eq!(
        trusted(std::slice::from_ref(&leaf), std::slice::from_ref(&root)),
        Some(false),
        "what leads to the root was not presented"
    );
    assert_eq!(trusted(&whole, &[]), Some(false));
    assert_eq!(trusted(&[], std::slice::from_ref(&root)), None);
    assert_eq!(trusted(&[b"x".to_vec()], std::slice::from_ref(&root)), None);
    assert_eq!(trusted(&whole, &[b"x".to_vec()]), None, "what cannot be read may be the one that counts");
}

#[test]
fn the_name_of_a_trusted_certificate_with_another_key_is_not_trusted() {
    let (old, new) = (key(), key());
    let (known, renewed, replaced) =
        (self_signed("localhost", &old), self_signed("localhost", &old), self_signed("localhost", &new));
    assert_eq!(trusted(&[der(&renewed)], &[der(&known)]), Some(true), "the same key");
    assert_eq!(trusted(&[der(&replaced)], &[der(&known)]), Some(false));
}

#[tokio::test]
async fn trust_stores_are_read_by_the_nodes_own_keytool() {
    let machine = Machine::new();
    let (one, other) = (self_signed("one", &key()), self_signed("other", &key()));
    let printed = format!(
        "Keystore type: JKS\n\nAlias name: one\nEntry type: trustedCertEntry\n\n{}\n\n*****\n\nAlias name: other\n{}\n",
        one.pem(),
        other.pem()
    );
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *-rfc*) ;; *) exit 1 ;; esac\n[ \"$CAVALCADE_STOREPASS\" = 'canary pw' ] || exit 1\ncat <<'END'\n{printed}END\n"
    );
    let tool = machine.write("jdk/bin/keytool", script.as_bytes());
    std::fs::set_permissions(&tool, std::fs::Permissions::from_mode(0o755)).expect("sets");
    machine.write("trust.jks", &[0xfe, 0xed, 0xfe, 0xed, 0]);
    let stores = BTreeMap::from([("trust.jks".to_owned(), PathBuf::from(machine.at("trust.jks")))]);
    let config = Config::read(b"[truststore]\nfile_name = \"trust.jks\"\npassword = \"canary pw\"\n").expect("reads");
    let (jdk, home) = (PathBuf::from(machine.at("jdk")), PathBuf::from(machine.at(".")));
    let look = async |config: Option<&Config>, jdk: Option<&Path>, stores: &BTreeMap<String, PathBuf>| {
        anchors(FileHost::new().as_ref(), &home, jdk, stores, &Passwords::of(config, &[])).await
    };
    assert_eq!(look(Some(&config), Some(&jdk), &stores).await, Ok(vec![der(&one), der(&other)]));
    for why in [
        look(None, Some(&jdk), &stores).await,
        look(Some(&config), None, &stores).await,
        look(Some(&config), Some(&jdk), &BTreeMap::new()).await,
    ] {
        let why = why.expect_err("is not known");
        assert!(!why.is_empty() && !why.contains("canary"), "{why}");
    }
}
