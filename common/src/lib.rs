//! What controller and agent share: ids, plan, steps and actions, errors with codes, secrets, wire forms.

pub mod action;
pub mod codes;
pub mod config_file;
pub mod duration;
pub mod error;
pub mod exit;
pub mod expression;
pub mod facts;
pub mod finding;
pub mod given;
pub mod id;
pub mod message;
pub mod plan;
pub mod private_file;
pub mod render;
pub mod report;
pub mod secret;
pub mod seeded;
pub mod settings;
pub mod step;
pub mod template;
pub mod tls;
pub mod token;
pub mod transport;
pub mod wire;
pub mod written;
