//! The controller's certificate authority: made at the first `serve`, kept in a private folder.
//!
//! It signs the certificates of hosts (clients) and of the controller's listeners (servers), and nothing else.

pub mod certificates;

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cavalcade_common::codes::link as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::{Digest, HostId};
use cavalcade_common::private_file::{create_private_dir, read_private, write_private};
use cavalcade_common::tls::{certificate_digest, host_uri};
use jiff::{SignedDuration, Timestamp};
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose,
    IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use x509_parser::prelude::{FromDer, X509Certificate};

/// Folder of the authority in the state folder.
pub const CA_DIR: &str = "ca";
/// Key and certificate, in one file, so that they are never half there.
const AUTHORITY_FILE: &str = "authority.pem";

/// How long a host's or a listener's certificate is valid. Renewal at half of it is not built yet.
pub const LEAF_LIFE: SignedDuration = SignedDuration::from_hours(2 * 365 * 24);
/// How long the authority is valid.
pub const CA_LIFE: SignedDuration = SignedDuration::from_hours(20 * 365 * 24);
/// How far certificates reach back, for hosts whose clocks are behind.
pub const BACKDATED: SignedDuration = SignedDuration::from_hours(24);
/// Largest certificate request, in bytes.
const MAX_CSR: usize = 16 << 10;

/// What went wrong with the authority.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// Its file cannot be read or written.
    #[error("{} cannot be used", .path.display())]
    Store {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its file is damaged.
    #[error("the authority's file is damaged")]
    Form(#[source] pem::Error),
    /// Its key and certificate do not belong together.
    #[error("the authority's key and certificate do not belong together")]
    Pair,
    /// A certificate or key cannot be made.
    #[error("a certificate cannot be made")]
    Make(#[source] rcgen::Error),
    /// A name for the listeners' certificate is neither a DNS name nor an address.
    #[error("{name:?} is neither a DNS name nor an IP address")]
    ListenName {
        /// The name.
        name: String,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A certificate request is refused.
    #[error("the certificate request is refused")]
    Request(#[source] RequestError),
}

/// Why a certificate request is refused.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// Too large to be one.
    #[error("it has {0} bytes")]
    Size(usize),
    /// No PKCS#10 request, or not signed by its own key.
    #[error("it is no request that its own key signed")]
    Form(#[source] rcgen::Error),
    /// Another kind of key.
    #[error("its key is not of the kind ECDSA P-256")]
    Algorithm,
}

impl CaError {
    /// The fault that a person sees.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::Request(_) => codes::CSR_REFUSED,
            Self::ListenName { .. } => codes::BAD_ADDRESS,
            Self::Store { .. } | Self::Form(_) | Self::Pair | Self::Make(_) => codes::CA_STORE,
        };
        match std::error::Error::source(self) {
            Some(source) => Fault::new(code, format!("{self}: {source}")),
            None => Fault::new(code, self.to_string()),
        }
    }
}

/// A checked certificate request: its public key, and nothing else of it.
#[derive(Debug)]
pub struct HostRequest(CertificateSigningRequestParams);

impl HostRequest {
    /// Reads a request (PKCS#10, DER) and checks that its own key signed it.
    ///
    /// # Errors
    /// [`CaError::Request`].
    pub fn read(der: &[u8]) -> Result<Self, CaError> {
        if der.len() > MAX_CSR {
            return Err(CaError::Request(RequestError::Size(der.len())));
        }
        let read = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(der))
            .map_err(|source| CaError::Request(RequestError::Form(source)))?;
        if read.public_key.algorithm() != &rcgen::PKCS_ECDSA_P256_SHA256 {
            return Err(CaError::Request(RequestError::Algorithm));
        }
        Ok(Self(read))
    }
}

/// Certificate chain and key of the controller's listeners.
pub struct ServerIdentity {
    /// The certificate, then the authority's.
    pub chain: Vec<CertificateDer<'static>>,
    /// The key; it lives in memory only.
    pub key: PrivateKeyDer<'static>,
}

impl fmt::Debug for ServerIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerIdentity").finish_non_exhaustive()
    }
}

/// The authority.
pub struct Ca {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ca").field("pin", &self.pin()).finish_non_exhaustive()
    }
}

impl Ca {
    /// Opens the authority of a state folder; the first time it is made. One process at a time is the caller's duty.
    ///
    /// # Errors
    /// See [`CaError`]. A damaged authority is never replaced: all agents trust it.
    pub fn open(state_dir: &Path, now: Timestamp) -> Result<Self, CaError> {
        let dir = state_dir.join(CA_DIR);
        let path = dir.join(AUTHORITY_FILE);
        let store = |source| CaError::Store { path: path.clone(), source };
        create_private_dir(&dir).map_err(store)?;
        match read_private(&path).map_err(store)? {
            Some(text) => Self::read(zeroize::Zeroizing::new(text)),
            None => {
                let (made, text) = Self::make(now)?;
                write_private(&path, text.as_bytes()).map_err(store)?;
                Ok(made)
            }
        }
    }

    fn make(now: Timestamp) -> Result<(Self, zeroize::Zeroizing<String>), CaError> {
        let key = KeyPair::generate().map_err(CaError::Make)?;
        let mut params = CertificateParams::default();
        let name = format!("Cavalcade authority {}", &hex::encode(rand::random::<[u8; 4]>()));
        set_name(&mut params, &name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        set_life(&mut params, now, CA_LIFE);
        let certificate = params.self_signed(&key).map_err(CaError::Make)?;
        let mut text = zeroize::Zeroizing::new(key.serialize_pem());
        text.push_str(&certificate.pem());
        let certificate = certificate.der().clone();
        Ok((Self { issuer: Issuer::new(params, key), certificate }, text))
    }

    fn read(text: zeroize::Zeroizing<Vec<u8>>) -> Result<Self, CaError> {
        let key = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(CaError::Form)?;
        let key = KeyPair::try_from(&key).map_err(CaError::Make)?;
        let certificate = CertificateDer::from_pem_slice(&text).map_err(CaError::Form)?;
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| CaError::Pair)?;
        if parsed.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
            return Err(CaError::Pair);
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key).map_err(CaError::Make)?;
        Ok(Self { issuer, certificate })
    }

    /// Its certificate.
    #[must_use]
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What tokens carry, so that agents know this controller: SHA-256 of its certificate.
    #[must_use]
    pub fn pin(&self) -> Digest {
        certificate_digest(&self.certificate)
    }

    /// A host's certificate, for TLS clients only, from [`BACKDATED`] before `now` to [`LEAF_LIFE`] after it.
    ///
    /// # Errors
    /// [`CaError::Make`].
    pub fn issue_host(&self, request: &HostRequest, host: &HostId, now: Timestamp) -> Result<CertificateDer<'static>, CaError> {
        let mut params = leaf(&format!("host {host}"), ExtendedKeyUsagePurpose::ClientAuth, now);
        let uri = host_uri(host).as_str().try_into().map_err(CaError::Make)?;
        params.subject_alt_names = vec![SanType::URI(uri)];
        let signed = params.signed_by(&request.0.public_key, &self.issuer).map_err(CaError::Make)?;
        Ok(signed.der().clone())
    }

    /// A fresh key and certificate for the listeners, for these DNS names and addresses.
    ///
    /// # Errors
    /// [`CaError::ListenName`] for a name that is none, [`CaError::Make`].
    pub fn issue_server(&self, names: &[String], now: Timestamp) -> Result<ServerIdentity, CaError> {
        let mut params = leaf("controller", ExtendedKeyUsagePurpose::ServerAuth, now);
        for name in names {
            params.subject_alt_names.push(match name.parse::<IpAddr>() {
                Ok(address) => SanType::IpAddress(address),
                Err(_) => SanType::DnsName(dns_name(name)?),
            });
        }
        let key = KeyPair::generate().map_err(CaError::Make)?;
        let signed = params.signed_by(&key, &self.issuer).map_err(CaError::Make)?;
        Ok(ServerIdentity {
            chain: vec![signed.der().clone(), self.certificate.clone()],
            key: PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der())),
        })
    }
}

fn dns_name(name: &str) -> Result<rcgen::string::Ia5String, CaError> {
    let listen_name = |source| CaError::ListenName { name: name.chars().take(80).collect(), source };
    if rustls_pki_types::DnsName::try_from(name).is_err() {
        return Err(listen_name(rcgen::Error::InvalidNameType));
    }
    name.try_into().map_err(listen_name)
}

fn leaf(name: &str, usage: ExtendedKeyUsagePurpose, now: Timestamp) -> CertificateParams {
    let mut params = CertificateParams::default();
    set_name(&mut params, name);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    params.use_authority_key_identifier_extension = true;
    set_life(&mut params, now, LEAF_LIFE);
    params
}

fn set_name(params: &mut CertificateParams, name: &str) {
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let mut serial: [u8; 16] = rand::random();
    // A serial number is positive and has no leading zero byte.
    serial[0] = serial[0] & 0x7f | 0x40;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
}

fn set_life(params: &mut CertificateParams, now: Timestamp, life: SignedDuration) {
    let since_1970 = |at: Timestamp| Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    let from = now.checked_sub(BACKDATED).unwrap_or(now);
    let to = now.checked_add(life).unwrap_or(now);
    params.not_before = rcgen::date_time_ymd(1970, 1, 1) + since_1970(from);
    params.not_after = rcgen::date_time_ymd(1970, 1, 1) + since_1970(to);
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn today() -> Timestamp {
        "2026-11-23T05:00:00Z".parse().expect("a moment")
    }

    #[test]
    fn is_made_once_and_private() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = today();
        let made = Ca::open(dir.path(), now).expect("is made");
        let again = Ca::open(dir.path(), now).expect("is read");
        assert_eq!(made.pin(), again.pin());
        let file = dir.path().join(CA_DIR).join(AUTHORITY_FILE);
        let mode = |path: &Path| std::fs::metadata(path).expect("is there").permissions().mode() & 0o777;
        assert_eq!(mode(&file), 0o600);
        assert_eq!(mode(&dir.path().join(CA_DIR)), 0o700);
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o640)).expect("mode");
        assert!(matches!(Ca::open(dir.path(), now), Err(CaError::Store { .. })));
    }

    #[test]
    fn a_damaged_authority_is_refused_and_not_replaced() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = today();
        Ca::open(dir.path(), now).expect("is made");
        let file = dir.path().join(CA_DIR).join(AUTHORITY_FILE);
        let text = std::fs::read(&file).expect("is read");
        write_private(&file, &text[..text.len() / 2]).expect("is cut");
        assert!(Ca::open(dir.path(), now).is_err());
        let other = tempfile::tempdir().expect("a folder");
        Ca::open(other.path(), now).expect("is made");
        let stranger = std::fs::read_to_string(other.path().join(CA_DIR).join(AUTHORITY_FILE)).expect("is read");
        let (_, certificate) = stranger.split_once("-----END PRIVATE KEY-----").expect("two sections");
        let (key, _) = std::str::from_utf8(&text).expect("text").split_once("-----BEGIN CERTIFICATE").expect("two sections");
        write_private(&file, format!("{key}{certificate}").as_bytes()).expect("is mixed");
        assert!(matches!(Ca::open(dir.path(), now), Err(CaError::Pair)));
    }

    #[test]
    fn requests_and_names_are_checked() {
        assert!(matches!(HostRequest::read(b"nothing"), Err(CaError::Request(RequestError::Form(_)))));
        assert!(matches!(HostRequest::read(&vec![0; MAX_CSR + 1]), Err(CaError::Request(RequestError::Size(_)))));
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("a key");
        let request = CertificateParams::default().serialize_request(&key).expect("a request");
        assert!(matches!(HostRequest::read(request.der()), Err(CaError::Request(RequestError::Algorithm))));
        let dir = tempfile::tempdir().expect("a folder");
        let ca = Ca::open(dir.path(), today()).expect("is made");
        for bad in ["", "a b", "x/y", "ä.example"] {
            let issued = ca.issue_server(&[bad.to_owned()], today());
            assert!(matches!(issued, Err(CaError::ListenName { .. })), "{bad}");
        }
    }
}
