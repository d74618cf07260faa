//! Enrolment: a one-time token for a certificate. The key never leaves this host.

use std::io;
use std::path::Path;

use cavalcade_common::codes::link as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::HostId;
use cavalcade_common::message::{LINK_VERSION, MAX_MESSAGE};
use cavalcade_common::tls::certificate_digest;
use cavalcade_common::token::EnrolmentToken;
use cavalcade_common::transport::{HANDSHAKE_LIMIT, Keepalive};
use cavalcade_common::wire::status_fault;
use cavalcade_proto::v1;
use cavalcade_proto::v1::enrolment_client::EnrolmentClient;
use rustls_pki_types::CertificateDer;

use super::dial::{self, Address, DialError};
use super::identity::{Identity, LoadError, NewIdentity};
use super::trust;

/// Why this host was not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// It is enrolled already.
    #[error("the state folder holds an identity already")]
    Already,
    /// The state folder cannot be read or written.
    #[error("the state folder cannot be used")]
    Store(#[source] io::Error),
    /// No key could be made.
    #[error("no key could be made")]
    Key(#[source] rcgen::Error),
    /// No connection.
    #[error(transparent)]
    Dial(DialError),
    /// The controller refused, with a fault of its own.
    #[error("the controller refused the enrolment: {}", .0.message)]
    Refused(Box<Fault>),
    /// The answer's CA is not that of the token.
    #[error("the answer holds another CA than the token")]
    OtherCa,
    /// The answer's certificate is for another host.
    #[error("the answer's certificate is for the host {0}")]
    OtherHost(HostId),
    /// The answer's certificate does not fit the key.
    #[error("the answer's certificate cannot be used")]
    Certificate(#[source] LoadError),
}

impl EnrolError {
    /// The fault that a person sees.
    #[must_use]
    pub fn fault(&self) -> Fault {
        let code = match self {
            Self::Already => codes::ALREADY_ENROLLED,
            Self::Store(_) | Self::Key(_) => codes::IDENTITY_DAMAGED,
            Self::Dial(DialError::Tls { .. }) => codes::WRONG_CONTROLLER,
            Self::Dial(error) => return error.fault(),
            Self::Refused(fault) => return (**fault).clone(),
            Self::OtherCa | Self::OtherHost(_) | Self::Certificate(_) => codes::ENROLMENT_ANSWER,
        };
        match std::error::Error::source(self) {
            Some(source) => Fault::new(code, format!("{self}: {source}")),
            None => Fault::new(code, self.to_string()),
        }
    }
}

/// Enrols this host: makes a key, has it certified, calls `make_ledger` (10, rule 2: the ledger's incarnation is made at
/// enrolment only) and stores the identity last. So an identity never stands without a ledger; a crash before the end
/// leaves no identity, and enrolment with a new token begins again.
///
/// # Errors
/// See [`EnrolError`].
pub async fn enrol(
    token: &EnrolmentToken,
    address: &Address,
    state_dir: &Path,
    make_ledger: impl FnOnce(&HostId) -> io::Result<()>,
) -> Result<HostId, EnrolError> {
    if Identity::exists(state_dir).map_err(EnrolError::Store)? {
        return Err(EnrolError::Already);
    }
    let identity = NewIdentity::generate().map_err(EnrolError::Key)?;
    let request = v1::EnrolRequest {
        version: LINK_VERSION,
        host: token.host.to_string(),
        secret: token.secret.expose().to_owned(),
        csr: identity.request().map_err(EnrolError::Key)?,
    };
    let (certificate, ca) = ask(token, address, request).await?;
    if certificate_digest(&ca) != token.pin {
        return Err(EnrolError::OtherCa);
    }
    let host = identity.fits(&certificate, &ca).map_err(EnrolError::Certificate)?;
    if host != token.host {
        return Err(EnrolError::OtherHost(host));
    }
    make_ledger(&host).map_err(EnrolError::Store)?;
    identity.store(state_dir, &certificate, &ca).map_err(EnrolError::Store)?;
    Ok(host)
}

async fn ask(
    token: &EnrolmentToken,
    address: &Address,
    request: v1::EnrolRequest,
) -> Result<(CertificateDer<'static>, CertificateDer<'static>), EnrolError> {
    let tls = trust::pinned(token.pin.clone())
        .map_err(|source| EnrolError::Dial(DialError::Tls { address: address.clone(), source }))?;
    let (channel, refusal) = dial::open(address, tls.into(), Keepalive::default()).await.map_err(EnrolError::Dial)?;
    let mut client = EnrolmentClient::new(channel).max_decoding_message_size(MAX_MESSAGE);
    let limit = || EnrolError::Dial(DialError::Limit { address: address.clone() });
    match tokio::time::timeout(HANDSHAKE_LIMIT, client.enrol(request)).await.map_err(|_| limit())? {
        Ok(answer) => {
            let v1::EnrolReply { certificate, ca } = answer.into_inner();
            Ok((certificate.into(), ca.into()))
        }
        Err(status) => match status_fault(&status) {
            Some(fault) => Err(EnrolError::Refused(Box::new(fault))),
            None => Err(EnrolError::Dial(refusal.explain(address, status))),
        },
    }
}
