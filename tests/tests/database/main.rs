//! The database actions against a real MariaDB and a real PostgreSQL. A missing server is a failure, not a skip.

#![expect(clippy::expect_used, reason = "in a test and its helpers an error is the test's failure")]

mod accounts;
mod alone;
mod backup;
mod crash;
mod described;
mod facts;
mod script;
mod servers;
mod start;
mod statements;
mod vendor;
