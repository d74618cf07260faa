//! The methods of the operator's socket.

/// How a method answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// One request, one answer.
    Call,
    /// One request, a stream of answers.
    Stream,
    /// A stream of bytes, one answer.
    Upload,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident: $shape:ident,)*) => {
        /// One method of the operator's socket.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Method {
            $($(#[$doc])* $name,)*
        }

        impl Method {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Its path in gRPC.
            #[must_use]
            pub fn path(self) -> &'static str {
                match self {
                    $(Self::$name => concat!("/cavalcade.v1.Operator/", stringify!($name)),)*
                }
            }

            /// How it answers.
            #[must_use]
            pub fn shape(self) -> Shape {
                match self {
                    $(Self::$name => Shape::$shape,)*
                }
            }
        }
    };
}

methods! {
    /// State of a run.
    Status: Call,
    /// State of a run, and again after each change.
    Watch: Stream,
    /// Lines of the central log.
    Logs: Stream,
    /// Starts, resumes or attaches to the run of a plan.
    Apply: Call,
    /// Facts of nodes.
    Facts: Call,
    /// What a plan would do.
    Preview: Stream,
    /// What the looking steps of a plan see now.
    Verify: Call,
    /// Stops what comes after the steps under way.
    Pause: Call,
    /// Goes on.
    Resume: Call,
    /// Cancels a run.
    Cancel: Call,
    /// A new attempt of a step.
    Retry: Call,
    /// Leaves a step out.
    Skip: Call,
    /// Approves a stage or a decision.
    Approve: Call,
    /// Decides an indeterminate step.
    Resolve: Call,
    /// Judges stored output by new patterns.
    Rejudge: Call,
    /// Ends a never-interrupted job.
    StopJob: Call,
    /// Takes a host for lost.
    NodeLost: Call,
    /// The way back.
    Restore: Call,
    /// Gives the value of a secret to the controller.
    SecretGive: Call,
    /// Report of a run.
    Report: Call,
    /// Makes enrolment tokens.
    TokenCreate: Call,
    /// Hosts and nodes.
    NodeList: Call,
    /// Revokes a host's certificates.
    HostRevoke: Call,
    /// Whether the store has an artifact.
    ArtifactHas: Call,
    /// Puts an artifact into the store.
    ArtifactPut: Upload,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_method_of_the_service_is_here() {
        let service = "/cavalcade.v1.Operator/";
        let of_service: Vec<_> = cavalcade_proto::v1::METHODS.iter().filter(|path| path.starts_with(service)).copied().collect();
        let here: Vec<_> = Method::ALL.iter().map(|method| method.path()).collect();
        assert_eq!(here, of_service);
    }
}
