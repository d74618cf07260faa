//! What operators see: documents made from the run loop's snapshot, and their forms on screens and in files.

pub mod approval;
pub mod backup;
pub mod before;
pub mod before_html;
pub mod before_text;
mod budget;
pub mod checks;
pub mod diff;
pub mod document;
pub mod ending;
#[cfg(test)]
pub(crate) mod example;
#[cfg(test)]
pub(crate) mod example_plan;
#[cfg(test)]
pub(crate) mod example_report;
pub mod expected;
pub mod facts;
pub mod findings;
mod homes;
pub mod lines;
pub mod log_lines;
pub mod manual;
pub mod overview;
pub mod person;
pub mod plan_table;
pub mod recipe_graph;
pub mod report;
pub mod report_databases;
pub mod report_html;
pub mod report_junit;
pub mod report_text;
pub mod screen;
pub mod services;
pub mod settings;
pub mod table;
pub mod text;
pub mod verification;
pub mod way_back;
