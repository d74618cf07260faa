//! Globs over paths, as a shell reads them: `*` and `?` inside one part, `[a-z]` sets, `**` any number of folders. A
//! leading dot is matched only by a dot. Symlinks are found but never walked through by `**`; names that are no UTF-8
//! match nothing.

use std::io;
use std::path::{Path, PathBuf};

/// Longest accepted pattern, in bytes.
const LENGTH_LIMIT: usize = 4096;
/// Most matches; more than this is a mistake in the pattern.
const MATCH_LIMIT: usize = 100_000;

/// A text that is no usable glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GlobError {
    /// It is empty or too long.
    #[error("a path or glob has 1 to {LENGTH_LIMIT} bytes")]
    Length,
    /// It is relative where an absolute one is needed, or the other way round.
    #[error("{0:?} must begin with a slash")]
    Relative(String),
    /// It is absolute where a relative one is needed.
    #[error("{0:?} must not begin with a slash")]
    Absolute(String),
    /// It holds `..` or a NUL.
    #[error("{0:?} must hold neither \"..\" nor a NUL")]
    Parent(String),
    /// It names the root or a folder right below it.
    #[error("{0:?} is too near to the root")]
    NearRoot(String),
    /// A set is not closed.
    #[error("{0:?} has a \"[\" without its \"]\"")]
    OpenSet(String),
}

/// One glob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    parts: Vec<Part>,
    text: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    /// A plain name.
    Name(String),
    /// A name with wildcards.
    Wild(Vec<Token>),
    /// `**`.
    Deep,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    One(char),
    Any,
    Run,
    Set { ranges: Vec<(char, char)>, negated: bool },
}

impl Glob {
    /// Reads an absolute path or glob of at least two parts.
    ///
    /// # Errors
    /// See [`GlobError`].
    pub fn absolute(text: &str) -> Result<Self, GlobError> {
        let rest = text.strip_prefix('/').ok_or_else(|| GlobError::Relative(text.to_owned()))?;
        let glob = Self::read(text, rest)?;
        // A wildcard counts as no part: `/*` is the root's whole content.
        let firm = glob.parts.iter().take_while(|p| matches!(p, Part::Name(_))).count();
        if glob.parts.len() < 2 || firm == 0 {
            return Err(GlobError::NearRoot(text.to_owned()));
        }
        Ok(glob)
    }

    /// Reads a relative path or glob.
    ///
    /// # Errors
    /// See [`GlobError`].
    pub fn relative(text: &str) -> Result<Self, GlobError> {
        if text.starts_with('/') {
            return Err(GlobError::Absolute(text.to_owned()));
        }
        Self::read(text, text)
    }

    fn read(text: &str, rest: &str) -> Result<Self, GlobError> {
        if text.is_empty() || text.len() > LENGTH_LIMIT {
            return Err(GlobError::Length);
        }
        let mut parts = Vec::new();
        for part in rest.split('/').filter(|p| !p.is_empty() && *p != ".") {
            if part == ".." || part.contains('\0') {
                return Err(GlobError::Parent(text.to_owned()));
            }
            parts.push(match part {
                "**" => Part::Deep,
                name if !name.contains(['*', '?', '[']) => Part::Name(name.to_owned()),
                wild => Part::Wild(tokens(wild).ok_or_else(|| GlobError::OpenSet(text.to_owned()))?),
            });
        }
        Ok(Self { parts, text: text.to_owned() })
    }

    /// The beginning of an absolute path or glob that holds no wildcard: everything that it matches is there or below.
    #[must_use]
    pub fn firm(text: &str) -> PathBuf {
        let firm = text.split('/').take_while(|part| !part.contains(['*', '?', '[']));
        Path::new("/").join(firm.filter(|part| !part.is_empty()).collect::<PathBuf>())
    }

    /// The text that it was read from.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether it holds no wildcard.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.parts.iter().all(|p| matches!(p, Part::Name(_)))
    }

    /// Whether a relative path or a folder above it matches. Leading dots need no dot here: this is for leaving out.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        let names: Vec<&str> = path.split('/').filter(|p| !p.is_empty()).collect();
        (1..=names.len()).any(|len| covers(&self.parts, &names[..len]))
    }

    /// Everything below a folder that a relative glob matches and none of the others covers, sorted. Of a symlink the link
    /// itself. What they cover is not walked.
    ///
    /// # Errors
    /// Those of the file system; more than 100,000 matches.
    pub fn find_below(&self, root: &Path, but: &[Self]) -> io::Result<Vec<PathBuf>> {
        let covered = |path: &Path| {
            let relative = path.strip_prefix(root).ok().and_then(Path::to_str);
            relative.is_some_and(|path| but.iter().any(|glob| glob.covers(path)))
        };
        let mut found = Vec::new();
        find(&self.parts, root.to_path_buf(), &covered, &mut found)?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// Everything on the machine that an absolute glob matches, sorted. Of a symlink the link itself.
    ///
    /// # Errors
    /// Those of the file system; more than 100,000 matches.
    pub fn find(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        find(&self.parts, PathBuf::from("/"), &|_| false, &mut found)?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }
}

/// Whether a file name matches a glob of one part. Used for "other versions in the same folder".
///
/// # Errors
/// [`GlobError`] for a glob with a slash, or a bad one.
pub fn names_matching(dir: &Path, glob: &str) -> Result<io::Result<Vec<String>>, GlobError> {
    let read = Glob::relative(glob)?;
    let [part] = read.parts.as_slice() else { return Err(GlobError::Absolute(glob.to_owned())) };
    Ok(names(dir).map(|names| names.into_iter().filter(|n| part.matches(n, false)).collect()))
}

impl Part {
    fn matches(&self, name: &str, hidden: bool) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Deep => hidden || !name.starts_with('.'),
            Self::Wild(tokens) => {
                if !hidden && name.starts_with('.') && tokens.first() != Some(&Token::One('.')) {
                    return false;
                }
                let name: Vec<char> = name.chars().collect();
                matches(tokens, &name)
            }
        }
    }
}

fn tokens(part: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = part.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' if tokens.last() == Some(&Token::Run) => {}
            '*' => tokens.push(Token::Run),
            '?' => tokens.push(Token::Any),
            '[' => {
                let rest = chars.as_str();
                // A `]` right at the beginning is one of the set.
                let (negated, body) = match rest.strip_prefix(['!', '^']) {
                    Some(body) => (true, body),
                    None => (false, rest),
                };
                let first = body.chars().next()?.len_utf8();
                let end = first + body[first..].find(']')?;
                tokens.push(Token::Set { ranges: ranges(&body[..end]), negated });
                chars = body[end + 1..].chars();
            }
            other => tokens.push(Token::One(other)),
        }
    }
    Some(tokens)
}

fn ranges(body: &str) -> Vec<(char, char)> {
    let chars: Vec<char> = body.chars().collect();
    let mut ranges = Vec::new();
    let mut rest = chars.as_slice();
    loop {
        rest = match rest {
            [from, '-', to, tail @ ..] => {
                ranges.push((*from, *to));
                tail
            }
            [one, tail @ ..] => {
                ranges.push((*one, *one));
                tail
            }
            [] => return ranges,
        };
    }
}

/// Goes back to the last `*` only, so its time is at most the product of the lengths.
fn matches(tokens: &[Token], name: &[char]) -> bool {
    let (mut t, mut n) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    loop {
        match tokens.get(t) {
            Some(Token::Run) => {
                back = Some((t, n));
                t += 1;
                continue;
            }
            Some(token) if name.get(n).is_some_and(|c| token.takes(*c)) => {
                t += 1;
                n += 1;
                continue;
            }
            None if n == name.len() => return true,
            Some(_) | None => {}
        }
        match back {
            Some((run, from)) if from < name.len() => {
                back = Some((run, from + 1));
                t = run + 1;
                n = from + 1;
            }
            _ => return false,
        }
    }
}

impl Token {
    fn takes(&self, c: char) -> bool {
        match self {
            Self::One(own) => *own == c,
            Self::Any | Self::Run => true,
            Self::Set { ranges, negated } => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated,
        }
    }
}

fn covers(parts: &[Part], names: &[&str]) -> bool {
    match (parts, names) {
        ([], []) => true,
        ([Part::Deep, rest @ ..], _) => covers(rest, names) || names.split_first().is_some_and(|(_, below)| covers(parts, below)),
        ([part, rest @ ..], [name, below @ ..]) => part.matches(name, true) && covers(rest, below),
        ([], [_, ..]) | ([_, ..], []) => false,
    }
}

fn find(parts: &[Part], at: PathBuf, covered: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) -> io::Result<()> {
    if covered(&at) {
        return Ok(());
    }
    if found.len() > MATCH_LIMIT {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "the glob matches more than 100,000 paths"));
    }
    match parts {
        [] => found.push(at),
        [Part::Name(name), rest @ ..] => {
            let next = at.join(name);
            match std::fs::symlink_metadata(&next) {
                Ok(_) => find(rest, next, covered, found)?,
                Err(e) if absent(&e) => {}
                Err(e) => return Err(e),
            }
        }
        [part @ Part::Wild(_), rest @ ..] => {
            for name in names(&at)?.into_iter().filter(|n| part.matches(n, false)) {
                find(rest, at.join(name), covered, found)?;
            }
        }
        [Part::Deep, rest @ ..] => {
            find(rest, at.clone(), covered, found)?;
            for name in names(&at)?.into_iter().filter(|n| Part::Deep.matches(n, false)) {
                let next = at.join(name);
                // Where nothing follows, files match too; else only real folders are walked.
                let folder = std::fs::symlink_metadata(&next)?.is_dir();
                if folder {
                    find(parts, next, covered, found)?;
                } else if rest.is_empty() && !covered(&next) {
                    found.push(next);
                }
            }
        }
    }
    Ok(())
}

fn absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

fn names(dir: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(e) if absent(&e) => return Ok(Vec::new()),
        Err(e) => return Err(e),
    };
    let mut names = Vec::new();
    for entry in entries {
        if let Ok(name) = entry?.file_name().into_string() {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(pattern: &str, name: &str) -> bool {
        Glob::relative(pattern).expect("a glob").parts[0].matches(name, false)
    }

    #[test]
    fn wildcards_match_as_in_a_shell() {
        let client = "org.wso2.carbon.apimgt.migrate.client-*.jar";
        assert!(one(client, "org.wso2.carbon.apimgt.migrate.client-4.0.0.3.jar"));
        assert!(!one(client, "org.wso2.carbon.apimgt.migrate.client-4.0.0.jar.bak"));
        assert!(one("a?c", "abc") && !one("a?c", "ac"));
        assert!(one("[a-c]x", "bx") && !one("[!a-c]x", "bx") && one("[]]", "]") && one("[a-]", "-"));
        assert!(one("*", "x") && !one("*", ".hidden") && one(".*", ".hidden"));
        assert!(one("*a*b*", "xxaxxbxx") && !one("*a*b*c", "xxaxxbxx"));
    }

    #[test]
    fn a_long_pattern_ends_soon() {
        assert!(!one(&format!("{}b", "*a".repeat(200)), &"a".repeat(3000)));
    }

    #[test]
    fn bad_globs_are_refused() {
        for (text, error) in [
            ("/opt/../etc", GlobError::Parent("/opt/../etc".into())),
            ("opt/x", GlobError::Relative("opt/x".into())),
            ("/", GlobError::NearRoot("/".into())),
            ("/opt", GlobError::NearRoot("/opt".into())),
            ("/*/x", GlobError::NearRoot("/*/x".into())),
            ("/opt/[x", GlobError::OpenSet("/opt/[x".into())),
        ] {
            assert_eq!(Glob::absolute(text), Err(error), "{text}");
        }
        assert!(Glob::relative("").is_err() && Glob::relative("/x").is_err());
    }

    #[test]
    fn what_a_folder_covers_lies_below_it_too() {
        let covers = |glob: &str, path: &str| Glob::relative(glob).expect("a glob").covers(path);
        assert!(covers("logs", "logs/a/b") && covers("**/*.log", "a/b/c.log") && covers("**/*.log", "c.log"));
        assert!(!covers("logs", "x/logs") && covers("**/logs", "x/logs/y") && covers("logs/*", "logs/.hidden"));
    }

    #[test]
    fn find_gives_links_and_does_not_walk_them() {
        let dir = tempfile::tempdir().expect("temp dir");
        let root = dir.path();
        std::fs::create_dir_all(root.join("a/b")).expect("makes");
        for file in ["a/1.jar", "a/b/2.jar", "a/.3.jar"] {
            std::fs::write(root.join(file), b"").expect("writes");
        }
        std::os::unix::fs::symlink("..", root.join("a/b/up")).expect("links");
        let find = |tail: &str| -> Vec<String> {
            let glob = Glob::absolute(&format!("{}/{tail}", root.display())).expect("a glob");
            let found = glob.find().expect("finds");
            found.iter().map(|p| p.strip_prefix(root).expect("below").display().to_string()).collect()
        };
        assert_eq!(find("**/*.jar"), ["a/1.jar", "a/b/2.jar"]);
        assert_eq!(find("a/b/*"), ["a/b/2.jar", "a/b/up"]);
        assert!(find("none/*/x").is_empty() && find("a/1.jar/x").is_empty());
    }
}
