//! The database actions against a real MariaDB and a real PostgreSQL. A missing server is a failure, not a skip.

mod backup;
mod crash;
mod facts;
mod script;
mod servers;
mod vendor;
