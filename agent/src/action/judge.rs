//! Judges a job from the lines that it left. Pure: the same lines and patterns give the same evidence (`rejudge`).

use std::collections::BTreeSet;

use cavalcade_common::action::Evidence as Wanted;
use cavalcade_common::codes::server as codes;
use cavalcade_common::error::Fault;
use cavalcade_common::report::Evidence;
use regex::Regex;

use crate::ready::{pattern, shortened};

/// Longest numbered sequence.
const SEQUENCE_LIMIT: u32 = 100_000;

/// What became of one pattern.
#[derive(Debug)]
struct Matched {
    pattern: Regex,
    first: Option<String>,
    count: u64,
}

impl Matched {
    fn new(text: &str) -> Result<Self, Fault> {
        Ok(Self { pattern: pattern(text)?, first: None, count: 0 })
    }

    fn take(&mut self, line: &str) {
        if self.pattern.is_match(line) {
            self.count += 1;
            self.first.get_or_insert_with(|| shortened(line));
        }
    }
}

/// A judgement under way.
#[derive(Debug)]
pub struct Judge {
    require: Vec<Matched>,
    forbid: Vec<Matched>,
    sequence: Option<(Regex, u32, u32, BTreeSet<u32>)>,
}

impl Judge {
    /// A judge for this evidence.
    ///
    /// # Errors
    /// [`codes::BAD_PATTERN`]: a pattern that cannot be compiled, a sequence without a group or with too many numbers.
    pub fn new(wanted: &Wanted) -> Result<Self, Fault> {
        let sequence = match &wanted.sequence {
            None => None,
            Some(s) => {
                let compiled = pattern(&s.pattern)?;
                let bad = |why: &str| Err(Fault::new(codes::BAD_PATTERN, format!("the sequence {:?} {why}", s.pattern)));
                if compiled.captures_len() < 2 {
                    return bad("has no group for its number");
                }
                if s.to < s.from || s.to - s.from >= SEQUENCE_LIMIT {
                    return bad("ends before it begins, or is too long");
                }
                Some((compiled, s.from, s.to, BTreeSet::new()))
            }
        };
        let compiled = |patterns: &[String]| patterns.iter().map(|p| Matched::new(p)).collect::<Result<Vec<_>, _>>();
        Ok(Self { require: compiled(&wanted.require)?, forbid: compiled(&wanted.forbid)?, sequence })
    }

    /// Takes one line.
    pub fn take(&mut self, line: &str) {
        self.require.iter_mut().chain(&mut self.forbid).for_each(|p| p.take(line));
        if let Some((pattern, from, to, seen)) = &mut self.sequence
            && let Some(number) = pattern.captures(line).and_then(|c| c.get(1)?.as_str().parse().ok())
            && (*from..=*to).contains(&number)
        {
            seen.insert(number);
        }
    }

    /// Whether a forbidden line was there: no other line changes that.
    #[must_use]
    pub fn refuted(&self) -> bool {
        self.forbid.iter().any(|p| p.first.is_some())
    }

    /// The judgement: one piece of evidence for each pattern and for the sequence, in their order.
    #[must_use]
    pub fn finish(self) -> Vec<Evidence> {
        let mut evidence = Vec::new();
        for p in self.require {
            let what = format!("a line that matches {:?}", p.pattern.as_str());
            evidence.push(match p.first {
                Some(line) => Evidence::holds(what, line),
                None => Evidence::fails(what, "none"),
            });
        }
        for p in self.forbid {
            let what = format!("no line that matches {:?}", p.pattern.as_str());
            evidence.push(match p.first {
                Some(line) => Evidence::fails(what, format!("{} of them, the first: {line}", p.count)),
                None => Evidence::holds(what, "none"),
            });
        }
        if let Some((pattern, from, to, seen)) = self.sequence {
            let what = format!("{from} to {to} by {:?}", pattern.as_str());
            let missing: Vec<String> = (from..=to).filter(|n| !seen.contains(n)).take(20).map(|n| n.to_string()).collect();
            evidence.push(if missing.is_empty() {
                Evidence::holds(what, format!("all {}", seen.len()))
            } else {
                Evidence::fails(what, format!("{} seen; missing: {}", seen.len(), missing.join(", ")))
            });
        }
        evidence
    }
}

/// Judges lines at once.
///
/// # Errors
/// See [`Judge::new`].
pub fn judge<'a>(lines: impl IntoIterator<Item = &'a str>, wanted: &Wanted) -> Result<Vec<Evidence>, Fault> {
    let mut judge = Judge::new(wanted)?;
    lines.into_iter().for_each(|line| judge.take(line));
    Ok(judge.finish())
}

#[cfg(test)]
mod tests {
    use cavalcade_common::action::Sequence;

    use super::*;

    /// The evidence of the IS migration (03, section 1).
    fn migration() -> Wanted {
        Wanted {
            require: vec![
                "Execution was done through all the requested version list without having unexpected issues".to_owned(),
            ],
            forbid: vec![
                r"ERROR \{org\.wso2\.carbon\.is\.migration".to_owned(),
                "Migration process was stopped".to_owned(),
                "Error occurred while executing SQL script for migrating database".to_owned(),
            ],
            sequence: Some(Sequence {
                pattern: r"Version : 5\.11\.0, Migration Step : \S+ of order : (\d+) is starting".to_owned(),
                from: 1,
                to: 17,
            }),
        }
    }

    const PREFIX: &str =
        "[2026-11-23 10:11:12,345]  INFO {org.wso2.carbon.is.migration} -  WSO2 Product Migration Service Task : ";
    const DONE: &str = "Execution was done through all the requested version list without having unexpected issues";

    fn run(version: &str, orders: &[u32]) -> Vec<String> {
        let mut lines = vec![format!("{PREFIX}Start Version : 5.10.0 to 5.11.0")];
        lines.extend(
            orders.iter().map(|n| format!("{PREFIX}Version : {version}, Migration Step : M{n} of order : {n} is starting")),
        );
        lines.push(format!("{PREFIX}{DONE}"));
        lines
    }

    fn passes(lines: &[String]) -> bool {
        judge(lines.iter().map(String::as_str), &migration()).unwrap().iter().all(|e| e.holds)
    }

    #[test]
    fn only_a_whole_run_without_an_error_passes() {
        let all: Vec<u32> = (1..=17).collect();
        assert!(passes(&run("5.11.0", &all)));
        assert!(!passes(&run("5.10.0", &all)), "the wrong version");
        assert!(!passes(&run("5.11.0", &[])), "a wrong currentVersion: nothing ran, and the last line is the same");
        for missing in 1..=17 {
            let some: Vec<u32> = all.iter().copied().filter(|n| *n != missing).collect();
            assert!(!passes(&run("5.11.0", &some)), "without order {missing}");
        }
        assert!(!passes(&run("5.11.0", &all)[..18]), "without the last line");
    }

    #[test]
    fn a_success_line_after_an_error_is_no_success() {
        let mut lines = run("5.11.0", &(1..=17).collect::<Vec<_>>());
        lines.insert(9, "[2026-11-23 10:11:13,000] ERROR {org.wso2.carbon.is.migration.service.SchemaMigrator} - x".to_owned());
        let evidence = judge(lines.iter().map(String::as_str), &migration()).unwrap();
        let failed: Vec<_> = evidence.iter().filter(|e| !e.holds).collect();
        assert_eq!(failed.len(), 1);
        assert!(failed[0].found.contains("SchemaMigrator"), "{failed:?}");
    }

    #[test]
    fn the_last_line_of_the_api_manager_proves_nothing() {
        let wanted = Wanted { require: vec!["Migrated Successfully to 4\\.0\\.0".to_owned()], ..Wanted::default() };
        let lines = ["Migrated Successfully to 3.2", "WSO2 API Manager migration component successfully activated."];
        assert!(!judge(lines, &wanted).unwrap()[0].holds);
        assert!(judge(["x Migrated Successfully to 4.0.0"], &wanted).unwrap()[0].holds);
    }

    #[test]
    fn patterns_that_cannot_be_used_are_named() {
        let bad = |wanted: Wanted| judge([], &wanted).unwrap_err().code;
        assert_eq!(bad(Wanted { require: vec!["(".to_owned()], ..Wanted::default() }), codes::BAD_PATTERN);
        let sequence = |pattern: &str, from, to| Wanted {
            sequence: Some(Sequence { pattern: pattern.to_owned(), from, to }),
            ..Wanted::default()
        };
        assert_eq!(bad(sequence("order", 1, 2)), codes::BAD_PATTERN);
        assert_eq!(bad(sequence(r"(\d+)", 2, 1)), codes::BAD_PATTERN);
        assert_eq!(bad(sequence(r"(\d+)", 0, u32::MAX)), codes::BAD_PATTERN);
    }
}
