//! Parts that several tests share. Nothing here is part of the product.

pub mod database_server;
