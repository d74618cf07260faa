//! Stand-ins for WSO2 Identity Server and API Manager: small packs with the products' real names and layout, start scripts
//! that take the real arguments, and a program in place of the JVM. Controller, agent and recipes know nothing of them; with
//! the real packs in their place the same recipe runs.
//!
//! What they do was measured on the real scripts or read in the real sources. Each launch, each end and each migration is
//! appended to a witness file that nothing else writes: the truth that a test compares a journal with.

pub mod am_migration;
pub mod apis;
pub mod balancer;
pub mod carbon_log;
pub mod cipher_tool;
pub mod config;
pub mod crypto;
pub mod database;
pub mod endpoints;
pub mod event_hub;
pub mod fleet;
pub mod gateway;
pub mod http;
pub mod is_migration;
pub mod jvm;
pub mod keystore;
pub mod keytool;
pub mod launch;
pub mod libraries;
pub mod mariadb;
pub mod mishap;
pub mod offsets;
pub mod packs;
pub mod peer;
pub mod product;
pub mod reading;
pub mod schema;
pub mod server;
pub mod settings;
pub mod stage;
pub mod transports;
pub mod user_stores;
pub mod variant;
pub mod vault;
pub mod witness;
