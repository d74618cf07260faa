//! Every error code with its explanation. `docs/errors` and `cavalcade explain CODE` print this text; a test keeps
//! numbers unique and every explanation complete.
//!
//! One file for each area; a number is never used twice and never given away again.
//!
//! | numbers | area | file |
//! | --- | --- | --- |
//! | 1000-1099 | command line and operator's socket | [`operator`] |
//! | 1100-1199 | files that people write: YAML, expressions, templates | [`written`] |
//! | 1200-1299 | fleet, recipe, plan | [`plan`] |
//! | 2000-2099 | link, certificates, tokens | [`link`] |
//! | 2100-2199 | artifact store | [`artifact`] |
//! | 3000-3099 | executor, ledger, shim | [`agent`] |
//! | 3100-3199 | edits of files | [`edit`] |
//! | 3200-3299 | archives, copies, removals | [`files`] |
//! | 3300-3399 | servers, jobs, gates | [`server`] |
//! | 3400-3499 | what starts servers by itself | [`autostart`] |
//! | 4000-4099 | databases | [`database`] |
//! | 5000-5099 | run, journal | [`run`] |

use crate::error::Code;

/// What a person is told about a code.
#[derive(Debug, Clone, Copy)]
pub struct Explained {
    /// The code.
    pub code: Code,
    /// One line.
    pub title: &'static str,
    /// How it comes about.
    pub cause: &'static str,
    /// What is certain when it is seen, above all what was and was not changed.
    pub certain: &'static str,
    /// What is not certain.
    pub unknown: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $title:literal,
        cause: $cause:literal, certain: $certain:literal, unknown: $unknown:literal, remedy: $remedy:literal;)*) => {
        $(
            #[doc = $title]
            pub const $name: crate::error::Code = crate::error::Code($number);
        )*
        /// The explanations of this area.
        pub(crate) const ALL: &[crate::codes::Explained] = &[
            $(crate::codes::Explained {
                code: $name, title: $title, cause: $cause, certain: $certain, unknown: $unknown, remedy: $remedy,
            },)*
        ];
    };
}
pub(crate) use codes;

pub mod agent;
pub mod artifact;
pub mod autostart;
pub mod database;
pub mod edit;
pub mod files;
pub mod link;
pub mod operator;
pub mod plan;
pub mod run;
pub mod server;
pub mod written;

/// Every explained code, in the order of the numbers.
pub fn all() -> impl Iterator<Item = &'static Explained> {
    [
        operator::ALL,
        written::ALL,
        plan::ALL,
        link::ALL,
        artifact::ALL,
        agent::ALL,
        edit::ALL,
        files::ALL,
        server::ALL,
        autostart::ALL,
        database::ALL,
        run::ALL,
    ]
    .into_iter()
    .flatten()
}

/// The explanation of one code.
#[must_use]
pub fn explain(code: Code) -> Option<&'static Explained> {
    all().find(|e| e.code == code)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    #[test]
    fn numbers_are_unique_and_texts_complete() {
        let mut seen = BTreeSet::new();
        for e in super::all() {
            assert!(seen.insert(e.code), "{} is used twice", e.code);
            for text in [e.title, e.cause, e.certain, e.unknown, e.remedy] {
                assert!(!text.trim().is_empty(), "{} has an empty text", e.code);
            }
        }
    }
}
