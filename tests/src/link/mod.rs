//! Controller's listeners and agent's link against each other: real TLS on loopback.

mod certificates;
mod data;
mod enrolment;
mod operator;
mod sessions;
mod site;
