//! Tests of the whole, the stand-ins that they run against, and parts that several tests share. Nothing here is part of the
//! product.

pub mod database_server;
#[cfg(test)]
mod link;
pub mod one_node;
pub mod ports;
pub mod product;
#[cfg(feature = "simulation")]
pub mod simulation;
pub mod standin;
pub mod test_program;
pub mod upgrade;
