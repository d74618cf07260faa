//! The agent's identity: its key, its certificate and the controller's CA, in one private file, so that they are never
//! half there.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use cavalcade_common::codes::link as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::HostId;
use cavalcade_common::private_file::{create_private_dir, read_private, write_private};
use cavalcade_common::tls::{IdentityError, certificate_host};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use super::trust;

/// Name of the file in the state folder.
pub const IDENTITY_FILE: &str = "identity.json";

/// Schema word of the file.
const SCHEMA: &str = "cavalcade.identity/1";

/// Who this agent is, ready for connections.
#[derive(Clone)]
pub struct Identity {
    host: HostId,
    tls: Arc<ClientConfig>,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("host", &self.host).finish_non_exhaustive()
    }
}

/// Why there is no usable identity.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The agent was never enrolled here.
    #[error("{} is missing", .0.display())]
    Missing(PathBuf),
    /// The file cannot be read, or others may read it.
    #[error("{} cannot be read", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The file is not of the expected form. The cause is left out: it could hold a piece of the key.
    #[error("the identity file does not hold a key, a certificate and a CA")]
    Form,
    /// The certificate names no host.
    #[error("the identity's certificate names no host")]
    Host(#[source] IdentityError),
    /// Key, certificate and CA do not fit together.
    #[error("the identity's key, certificate and CA do not fit together")]
    Tls(#[source] rustls::Error),
}

impl LoadError {
    /// The fault that a person sees.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::Missing(_) => codes::NOT_ENROLLED,
            Self::Read { .. } | Self::Form | Self::Host(_) | Self::Tls(_) => codes::IDENTITY_DAMAGED,
        };
        match std::error::Error::source(self) {
            Some(source) => Fault::new(code, format!("{self}: {source}")),
            None => Fault::new(code, self.to_string()),
        }
    }
}

impl Identity {
    /// Reads the identity of a state folder.
    ///
    /// # Errors
    /// See [`LoadError`].
    pub fn load(state_dir: &Path) -> Result<Self, LoadError> {
        let path = state_dir.join(IDENTITY_FILE);
        let text = match read_private(&path) {
            Ok(Some(text)) => text,
            Ok(None) => return Err(LoadError::Missing(path)),
            Err(source) => return Err(LoadError::Read { path, source }),
        };
        let text = Zeroizing::new(text);
        let stored: Stored = serde_json::from_slice(&text).map_err(|_| LoadError::Form)?;
        let (key, certificate, ca) = stored.parts().ok_or(LoadError::Form)?;
        Self::new(key, certificate, &ca)
    }

    /// Whether a state folder holds an identity, usable or not.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn exists(state_dir: &Path) -> io::Result<bool> {
        state_dir.join(IDENTITY_FILE).try_exists()
    }

    fn new(
        key: PrivateKeyDer<'static>,
        certificate: CertificateDer<'static>,
        ca: &CertificateDer<'static>,
    ) -> Result<Self, LoadError> {
        let host = certificate_host(&certificate).map_err(LoadError::Host)?;
        let tls = trust::mutual(ca, certificate, key).map_err(LoadError::Tls)?;
        Ok(Self { host, tls: Arc::new(tls) })
    }

    /// The host's name, as its certificate says.
    #[must_use]
    pub fn host(&self) -> &HostId {
        &self.host
    }

    pub(super) fn tls(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.tls)
    }
}

/// A fresh identity that is not stored yet.
pub(super) struct NewIdentity {
    key: rcgen::KeyPair,
}

impl NewIdentity {
    pub(super) fn generate() -> Result<Self, rcgen::Error> {
        Ok(Self { key: rcgen::KeyPair::generate()? })
    }

    /// The certificate request, DER. It asks for nothing but the key: the controller decides name and use.
    pub(super) fn request(&self) -> Result<Vec<u8>, rcgen::Error> {
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        Ok(params.serialize_request(&self.key)?.der().to_vec())
    }

    /// Checks that key, certificate and CA belong together, and gives the host that the certificate names.
    pub(super) fn fits(&self, certificate: &CertificateDer<'static>, ca: &CertificateDer<'static>) -> Result<HostId, LoadError> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()));
        Ok(Identity::new(key, certificate.clone(), ca)?.host)
    }

    /// Stores it; the file is of mode 0600 from its creation on, and durable when this returns.
    pub(super) fn store(&self, state_dir: &Path, certificate: &CertificateDer<'_>, ca: &CertificateDer<'_>) -> io::Result<()> {
        create_private_dir(state_dir)?;
        let stored = Stored {
            schema: SCHEMA.to_owned(),
            key: hex::encode(self.key.serialized_der()),
            certificate: hex::encode(certificate),
            ca: hex::encode(ca),
        };
        let text = Zeroizing::new(serde_json::to_vec_pretty(&stored)?);
        write_private(&state_dir.join(IDENTITY_FILE), &text)
    }
}

/// The file's form; DER in hex.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct Stored {
    schema: String,
    key: String,
    certificate: String,
    ca: String,
}

impl Stored {
    fn parts(&self) -> Option<(PrivateKeyDer<'static>, CertificateDer<'static>, CertificateDer<'static>)> {
        let Self { schema, key, certificate, ca } = self;
        if schema != SCHEMA {
            return None;
        }
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(hex::decode(key).ok()?));
        Some((key, hex::decode(certificate).ok()?.into(), hex::decode(ca).ok()?.into()))
    }
}
