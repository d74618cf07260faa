//! Answers of agents with the homes of their node named by their role, so that equal ones are seen to be equal. Pure.

use cavalcade_common::error::Fault;
use cavalcade_common::plan::PlanNode;
use cavalcade_common::report::{FileDiff, Preview};

/// The answer with each home as recipes write it: `{{ node.new.home }}/repository/conf/deployment.toml`.
pub(super) fn relative(node: Option<&PlanNode>, answer: &Result<Preview, Fault>) -> Result<Preview, Fault> {
    let Some(node) = node else { return answer.clone() };
    let mut homes: Vec<(&str, &str)> = Vec::new();
    homes.extend(node.old.iter().map(|side| (side.home.trim_end_matches('/'), "{{ node.old.home }}")));
    homes.extend(node.new.iter().map(|side| (side.home.trim_end_matches('/'), "{{ node.new.home }}")));
    homes.retain(|(home, _)| !home.is_empty());
    // One home may lie in the other.
    homes.sort_by_key(|(home, _)| std::cmp::Reverse(home.len()));
    let named = |text: &str| homes.iter().fold(text.to_owned(), |text, (home, name)| replaced(&text, home, name));
    match answer {
        Ok(preview) => Ok(Preview {
            verdict: preview.verdict,
            says: named(&preview.says),
            diffs: preview
                .diffs
                .iter()
                .map(|file| FileDiff { path: named(&file.path), diff: named(&file.diff), note: named(&file.note) })
                .collect(),
        }),
        Err(fault) => Err(Fault { message: named(&fault.message), ..fault.clone() }),
    }
}

/// A text with a path in it named otherwise; longer names that begin like it are others.
fn replaced(text: &str, path: &str, name: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(path) {
        let (before, after) = (&rest[..at], &rest[at + path.len()..]);
        let of_name = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-');
        // Recipes put their own folders beside a home: `{{ node.new.home }}.cavalcade`.
        let beside = after.strip_prefix('.').is_some_and(|after| after.starts_with(|c: char| c.is_ascii_alphabetic()));
        let whole = !before.ends_with(|c: char| of_name(c) || c == '/') && (beside || !after.starts_with(of_name));
        out.push_str(before);
        out.push_str(if whole { name } else { path });
        rest = after;
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn whole_paths_are_named_and_nothing_else() {
        let named = |text: &str| replaced(text, "/opt/is", "HOME");
        assert_eq!(named("/opt/is/conf and '/opt/is'"), "HOME/conf and 'HOME'");
        assert_eq!(named("/opt/is.cavalcade/x"), "HOME.cavalcade/x");
        for other in ["/opt/is-5.11.0/conf", "/opt/is.1/conf", "/srv/opt/is/conf", "/opt/isx", "x/opt/is"] {
            assert_eq!(named(other), other);
        }
    }
}
