//! What an account may do on MySQL and MariaDB, as far as `SHOW GRANTS` tells.

use super::error::DbError;
use super::link::Link;

/// Grants of an account.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Grants {
    given: Vec<Given>,
    /// Roles, or something else that the lines do not spell out: what is not found may still be there.
    more: bool,
    /// Something was taken back from a part (MySQL 8.0): what is found may not be there.
    less: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Given {
    rights: Vec<String>,
    on: On,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum On {
    Everything,
    /// Databases that match this pattern.
    Databases(String),
    /// One table or routine of a database.
    Part(String),
}

impl Grants {
    /// Those of the session's account. PUBLIC's count too, where there is such a thing.
    pub(crate) async fn of(link: &mut Link) -> Result<Self, DbError> {
        let mut lines = link.column("SHOW GRANTS", "asking for grants").await?;
        // MariaDB 10.11 and later; elsewhere there is none.
        let public = link.rows("SHOW GRANTS FOR PUBLIC").await.unwrap_or_default();
        lines.extend(public.into_iter().flatten().flatten());
        Ok(Self::read(lines.iter().map(String::as_str)))
    }

    fn read<'a>(lines: impl Iterator<Item = &'a str>) -> Self {
        let mut grants = Self::default();
        for line in lines {
            if line.starts_with("REVOKE ") {
                grants.less = true;
                continue;
            }
            let Some(rest) = line.strip_prefix("GRANT ") else { continue };
            let Some((rights, rest)) = rest.split_once(" ON ") else {
                grants.more = true;
                continue;
            };
            let on = rest.split_once(" TO ").map_or(rest, |(on, _)| on);
            let rights = rights.split(',').map(|r| r.trim().to_uppercase()).collect();
            grants.given.push(Given { rights, on: on_what(on) });
        }
        grants
    }

    /// Whether a right is given for the whole server.
    pub(crate) fn everywhere(&self, right: &str) -> Option<bool> {
        self.verdict(self.given.iter().any(|g| g.on == On::Everything && g.holds(right)), false)
    }

    /// Whether a right is given for all of a database.
    pub(crate) fn on_database(&self, right: &str, database: &str) -> Option<bool> {
        let covers = |g: &&Given| match &g.on {
            On::Everything => true,
            On::Databases(pattern) => like(pattern, database),
            On::Part(_) => false,
        };
        let given = self.given.iter().filter(covers).any(|g| g.holds(right));
        let part =
            self.given.iter().any(|g| matches!(&g.on, On::Part(of) if of.eq_ignore_ascii_case(database)) && g.holds(right));
        self.verdict(given, part)
    }

    fn verdict(&self, given: bool, part: bool) -> Option<bool> {
        match given {
            true => (!self.less).then_some(true),
            false => (!self.more && !part).then_some(false),
        }
    }
}

impl Given {
    fn holds(&self, right: &str) -> bool {
        self.rights.iter().any(|r| r == right || r == "ALL PRIVILEGES" || r == "ALL")
    }
}

fn on_what(on: &str) -> On {
    if on == "*.*" {
        return On::Everything;
    }
    let on =
        ["TABLE ", "PROCEDURE ", "FUNCTION ", "PACKAGE BODY ", "PACKAGE "].iter().find_map(|k| on.strip_prefix(k)).unwrap_or(on);
    match on.strip_suffix(".*") {
        Some(database) => On::Databases(unquoted(database)),
        None => On::Part(unquoted(on.split_once("`.").map_or(on, |(database, _)| database))),
    }
}

fn unquoted(name: &str) -> String {
    name.trim_start_matches('`').trim_end_matches('`').replace("``", "`")
}

/// `LIKE` with `%`, `_` and the backslash, without regard to case.
fn like(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    // Positions of the pattern that the text so far can have led to.
    let mut at = ends(&pattern, vec![0]);
    for c in &text {
        let mut next = Vec::new();
        for &p in &at {
            match pattern.get(p) {
                Some('%') => next.push(p),
                Some('_') => next.push(p + 1),
                Some('\\') if pattern.get(p + 1).is_some_and(|l| l.eq_ignore_ascii_case(c)) => next.push(p + 2),
                Some(l) if *l != '\\' && l.eq_ignore_ascii_case(c) => next.push(p + 1),
                _ => {}
            }
        }
        at = ends(&pattern, next);
    }
    at.contains(&pattern.len())
}

/// The positions, and those behind a `%` that matches nothing.
fn ends(pattern: &[char], mut at: Vec<usize>) -> Vec<usize> {
    let mut i = 0;
    while let Some(&p) = at.get(i) {
        if pattern.get(p) == Some(&'%') && !at.contains(&(p + 1)) {
            at.push(p + 1);
        }
        i += 1;
    }
    at.sort_unstable();
    at.dedup();
    at
}

#[cfg(test)]
mod tests {
    use super::{Grants, like};

    fn read(lines: &[&str]) -> Grants {
        Grants::read(lines.iter().copied())
    }

    #[test]
    fn rights_of_a_database_are_told_as_far_as_the_lines_tell() {
        let plain = read(&[
            "GRANT PROCESS ON *.* TO `u`@`%` IDENTIFIED BY PASSWORD '*81F5E21E'",
            r"GRANT SELECT, ALTER, CREATE ON `am\_db`.* TO `u`@`%`",
            "GRANT INDEX ON `am_db`.`AM_API` TO `u`@`%`",
        ]);
        assert_eq!(plain.on_database("ALTER", "am_db"), Some(true));
        assert_eq!(plain.on_database("ALTER", "amxdb"), Some(false));
        assert_eq!(plain.on_database("DROP", "am_db"), Some(false));
        assert_eq!(plain.on_database("INDEX", "am_db"), None, "one table says nothing of all");
        assert_eq!((plain.everywhere("PROCESS"), plain.everywhere("ALTER")), (Some(true), Some(false)));
        let role = read(&["GRANT `dba`@`%` TO `u`@`%`", "GRANT USAGE ON *.* TO `u`@`%`"]);
        assert_eq!(role.on_database("ALTER", "am_db"), None, "a role may hold it");
        let root = read(&[
            "GRANT ALL PRIVILEGES ON *.* TO `root`@`localhost` WITH GRANT OPTION",
            "GRANT PROXY ON ''@'%' TO 'root'@'localhost'",
        ]);
        assert_eq!((root.on_database("DROP", "x"), root.everywhere("PROCESS")), (Some(true), Some(true)));
        let partly = read(&["GRANT ALTER ON *.* TO `u`@`%`", "REVOKE ALTER ON `am_db`.* FROM `u`@`%`"]);
        assert_eq!(partly.on_database("ALTER", "am_db"), None);
    }

    #[test]
    fn patterns_match_as_the_server_matches_them() {
        for (pattern, text, matches) in [
            ("am_db", "amxdb", true),
            (r"am\_db", "amxdb", false),
            (r"am\_db", "AM_DB", true),
            ("%", "", true),
            ("a%b%", "aXbY", true),
            ("a%b", "aXbY", false),
            ("", "a", false),
            ("%%%%%%%%%%%%%%x", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false),
        ] {
            assert_eq!(like(pattern, text), matches, "{pattern} {text}");
        }
    }
}
