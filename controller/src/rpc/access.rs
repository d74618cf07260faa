//! Who may call what: a table of every method with its role. What is not in it is denied, on every listener.

use std::task::{Context, Poll};

use futures_util::future::{Either, Ready, ready};
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http::{Request, Response};
use tower::{Layer, Service};

use super::listen::Peer;

/// Who is at the other end of a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A host with a certificate of ours.
    Agent,
    /// Anyone on the network; the method itself checks a token.
    Enrolling,
    /// A user of this machine, on the operator's socket.
    Operator,
}

/// Every method, with the one role that may call it.
const TABLE: &[(&str, Role)] = &[
    ("/cavalcade.v1.AgentLink/Session", Role::Agent),
    ("/cavalcade.v1.AgentData/ShipLogs", Role::Agent),
    ("/cavalcade.v1.AgentData/FetchArtifact", Role::Agent),
    ("/cavalcade.v1.Enrolment/Enrol", Role::Enrolling),
    ("/cavalcade.v1.Operator/Status", Role::Operator),
    ("/cavalcade.v1.Operator/Watch", Role::Operator),
    ("/cavalcade.v1.Operator/Logs", Role::Operator),
    ("/cavalcade.v1.Operator/Apply", Role::Operator),
    ("/cavalcade.v1.Operator/Facts", Role::Operator),
    ("/cavalcade.v1.Operator/Preview", Role::Operator),
    ("/cavalcade.v1.Operator/Verify", Role::Operator),
    ("/cavalcade.v1.Operator/Pause", Role::Operator),
    ("/cavalcade.v1.Operator/Resume", Role::Operator),
    ("/cavalcade.v1.Operator/Cancel", Role::Operator),
    ("/cavalcade.v1.Operator/Retry", Role::Operator),
    ("/cavalcade.v1.Operator/Skip", Role::Operator),
    ("/cavalcade.v1.Operator/Approve", Role::Operator),
    ("/cavalcade.v1.Operator/Resolve", Role::Operator),
    ("/cavalcade.v1.Operator/Rejudge", Role::Operator),
    ("/cavalcade.v1.Operator/StopJob", Role::Operator),
    ("/cavalcade.v1.Operator/NodeLost", Role::Operator),
    ("/cavalcade.v1.Operator/Restore", Role::Operator),
    ("/cavalcade.v1.Operator/SecretGive", Role::Operator),
    ("/cavalcade.v1.Operator/Report", Role::Operator),
    ("/cavalcade.v1.Operator/TokenCreate", Role::Operator),
    ("/cavalcade.v1.Operator/NodeList", Role::Operator),
    ("/cavalcade.v1.Operator/HostRevoke", Role::Operator),
    ("/cavalcade.v1.Operator/ArtifactHas", Role::Operator),
    ("/cavalcade.v1.Operator/ArtifactPut", Role::Operator),
];

/// Whether this role may call this method.
#[must_use]
pub fn allowed(path: &str, role: Role) -> bool {
    TABLE.iter().any(|(method, who)| *method == path && *who == role)
}

/// Puts the table before every service of a listener.
#[derive(Debug, Clone)]
pub struct AccessLayer {
    role: Role,
}

impl AccessLayer {
    /// For a listener whose callers have this role.
    #[must_use]
    pub fn new(role: Role) -> Self {
        Self { role }
    }
}

impl<S> Layer<S> for AccessLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { inner, role: self.role }
    }
}

/// A service behind the table.
#[derive(Debug, Clone)]
pub struct Guarded<S> {
    inner: S,
    role: Role,
}

impl<S> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = Either<S::Future, Ready<Result<Response<Body>, S::Error>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let known = self.role != Role::Agent || request.extensions().get::<Peer>().is_some_and(|peer| peer.host.is_some());
        if known && allowed(request.uri().path(), self.role) {
            Either::Left(self.inner.call(request))
        } else {
            Either::Right(ready(Ok(Status::permission_denied("not allowed on this listener").into_http())))
        }
    }
}

#[cfg(test)]
mod tests {
    use cavalcade_proto::v1::METHODS;

    use super::*;

    #[test]
    fn every_method_has_exactly_one_role_and_nothing_else_is_allowed() {
        for method in METHODS {
            let roles = [Role::Agent, Role::Enrolling, Role::Operator].into_iter().filter(|role| allowed(method, *role));
            assert_eq!(roles.count(), 1, "{method}");
        }
        assert_eq!(METHODS.len(), TABLE.len());
        for other in ["", "/", "/cavalcade.v1.Operator/status", "/cavalcade.v1.AgentLink/Session/", "/x.Y/Z"] {
            assert!(![Role::Agent, Role::Enrolling, Role::Operator].into_iter().any(|role| allowed(other, role)), "{other}");
        }
    }
}
