//! What controller and agent share: ids, plan, steps and actions, errors with codes, secrets, wire forms.

pub mod action;
pub mod codes;
pub mod duration;
pub mod error;
pub mod expression;
pub mod id;
pub mod message;
pub mod plan;
pub mod render;
pub mod report;
pub mod secret;
pub mod step;
pub mod template;
pub mod written;
