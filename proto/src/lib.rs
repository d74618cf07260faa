//! Generated protobuf types and services of Cavalcade's links.
//!
//! Only the wire conversion and the files that speak gRPC name these types; everything else uses the common ones.

pub use prost;
pub use tonic_prost::ProstCodec;

/// Version 1 of the messages and services.
#[expect(clippy::allow_attributes, reason = "generated code")]
pub mod v1 {
    tonic::include_proto!("cavalcade.v1");
    include!(concat!(env!("OUT_DIR"), "/methods.rs"));
}

impl std::fmt::Debug for v1::GivenSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GivenSecret").field("name", &self.name).finish_non_exhaustive()
    }
}
