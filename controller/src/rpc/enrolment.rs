//! The enrolment listener: a token for a certificate. Everyone on the network can reach it, so it does little and tells
//! less.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cavalcade_common::codes::link as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::id::HostId;
use cavalcade_common::message::LINK_VERSION;
use cavalcade_common::secret::SecretValue;
use cavalcade_common::tls::certificate_digest;
use cavalcade_common::transport::Keepalive;
use cavalcade_common::wire::fault_status;
use cavalcade_proto::v1;
use cavalcade_proto::v1::enrolment_server::{Enrolment, EnrolmentServer};
use jiff::Timestamp;
use rustls_pki_types::CertificateDer;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status};

use super::access::Role;
use super::connections::Connections;
use super::listen::{Peer, TlsListener, server};
use crate::ca::certificates::Certificates;
use crate::ca::{Ca, HostRequest};
use crate::token::TokenStore;

/// Largest request, in bytes.
const MAX_REQUEST: usize = 32 << 10;
/// Refused tokens of one address in one [`WINDOW`], after which the address waits.
const MOST_REFUSED: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// Addresses that are watched at a time.
const ADDRESSES: usize = 4096;

/// What an enrolment needs.
#[derive(Debug)]
pub struct EnrolmentDesk {
    /// The wall clock.
    pub now: fn() -> Timestamp,
    /// Signs.
    pub ca: Arc<Ca>,
    /// Accepts tokens.
    pub tokens: Arc<TokenStore>,
    /// Notes what was signed.
    pub certificates: Arc<Certificates>,
    /// Cuts the connections of the certificate before.
    pub connections: Arc<Connections>,
}

/// Serves enrolments until `stop`.
///
/// # Errors
/// Those of the HTTP server.
pub async fn serve(
    listener: TlsListener,
    desk: Arc<EnrolmentDesk>,
    stop: CancellationToken,
) -> Result<(), tonic::transport::Error> {
    let service =
        EnrolmentServer::new(EnrolmentService { desk, refused: RefusedTokens::default() }).max_decoding_message_size(MAX_REQUEST);
    server(Role::Enrolling, Keepalive::default())
        .timeout(Duration::from_secs(30))
        .add_service(service)
        .serve_with_incoming_shutdown(listener.incoming(stop.clone()), stop.cancelled_owned())
        .await
}

struct EnrolmentService {
    desk: Arc<EnrolmentDesk>,
    refused: RefusedTokens,
}

#[tonic::async_trait]
impl Enrolment for EnrolmentService {
    async fn enrol(&self, request: Request<v1::EnrolRequest>) -> Result<Response<v1::EnrolReply>, Status> {
        let peer = request.extensions().get::<Peer>().map(|peer| peer.address.ip());
        let address = peer.ok_or_else(|| Status::internal("the connection has no address"))?;
        if self.refused.must_wait(address) {
            tracing::warn!(%address, "an enrolment was put off: too many refused tokens");
            let fault = Fault::new(codes::ENROLMENT_BUSY, "too many refused enrolments from this address; wait a minute");
            return Err(fault_status(Code::ResourceExhausted, &fault));
        }
        let desk = Arc::clone(&self.desk);
        let request = request.into_inner();
        let done = tokio::task::spawn_blocking(move || desk.enrol(request, (desk.now)())).await;
        match done.map_err(|_| Status::internal("the enrolment failed"))? {
            Ok((host, certificate)) => {
                tracing::info!(%address, %host, "a host was enrolled");
                let ca = self.desk.ca.certificate().to_vec();
                Ok(Response::new(v1::EnrolReply { certificate: certificate.to_vec(), ca }))
            }
            Err(fault) => {
                self.refused.count(address);
                tracing::warn!(%address, %fault, "an enrolment was refused");
                Err(fault_status(Code::PermissionDenied, &fault))
            }
        }
    }
}

impl EnrolmentDesk {
    /// Checks the request, uses the token up, signs, notes the certificate, cuts what the host had before. In this order:
    /// a bad request costs no token, and nothing is signed for a token that could be used again.
    fn enrol(&self, request: v1::EnrolRequest, now: Timestamp) -> Result<(HostId, CertificateDer<'static>), Fault> {
        let v1::EnrolRequest { version, host, secret, csr } = request;
        if version != LINK_VERSION {
            let says = format!("the agent speaks version {version} of the link, this controller version {LINK_VERSION}");
            return Err(Fault::new(codes::WIRE, says));
        }
        let host = HostId::new(host).map_err(|error| Fault::new(codes::WIRE, format!("the host's name: {error}")))?;
        let request = HostRequest::read(&csr).map_err(|error| error.fault())?;
        self.tokens.redeem(&host, &SecretValue::new(secret), now).map_err(|error| error.fault())?;
        let certificate = self.ca.issue_host(&request, &host, now).map_err(|error| error.fault())?;
        let sha256 = certificate_digest(&certificate);
        self.certificates.issued(&host, sha256, now).map_err(|error| error.fault())?;
        self.connections.cut_revoked();
        Ok((host, certificate))
    }

    /// Revokes a host: its certificates are refused from now on, its connections are cut at once. Its child processes are
    /// not touched. Blocks on the disk.
    ///
    /// # Errors
    /// Those of the list of certificates; the connections are not cut then.
    pub fn revoke(&self, host: &HostId, why: &str, now: Timestamp) -> Result<Revoked, Fault> {
        let certificates = self.certificates.revoke(host, why, now).map_err(|error| error.fault())?;
        Ok(Revoked { certificates, connections: self.connections.cut(host) })
    }
}

/// What a revocation did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked {
    /// How many certificates were good before.
    pub certificates: usize,
    /// How many connections were cut.
    pub connections: usize,
}

/// Refused tokens by address. 128 random bits cannot be guessed; this keeps the log and the disk quiet.
#[derive(Debug, Default)]
struct RefusedTokens {
    addresses: Mutex<BTreeMap<IpAddr, (Instant, u32)>>,
}

impl RefusedTokens {
    fn must_wait(&self, address: IpAddr) -> bool {
        let addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        addresses.get(&address).is_some_and(|(since, count)| since.elapsed() < WINDOW && *count >= MOST_REFUSED)
    }

    fn count(&self, address: IpAddr) {
        let mut addresses = self.addresses.lock().unwrap_or_else(PoisonError::into_inner);
        if addresses.len() >= ADDRESSES && !addresses.contains_key(&address) {
            addresses.retain(|_, (since, _)| since.elapsed() < WINDOW);
            if addresses.len() >= ADDRESSES {
                addresses.clear();
            }
        }
        let (since, count) = addresses.entry(address).or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() >= WINDOW {
            (*since, *count) = (Instant::now(), 0);
        }
        *count = count.saturating_add(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_waits_after_ten_refused_tokens() {
        let refused = RefusedTokens::default();
        let (one, other) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        for _ in 0..MOST_REFUSED {
            assert!(!refused.must_wait(one));
            refused.count(one);
        }
        assert!(refused.must_wait(one) && !refused.must_wait(other));
        let past = Instant::now().checked_sub(WINDOW).expect("a monotonic clock beyond a minute");
        refused.addresses.lock().expect("lock").insert(one, (past, MOST_REFUSED));
        assert!(!refused.must_wait(one));
        refused.count(one);
        assert!(!refused.must_wait(one), "a new window begins at one");
    }
}
