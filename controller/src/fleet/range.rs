//! Ranges in node names: `gw-[1:4]` stands for gw-1 to gw-4, `gw-[01:12]` keeps the zeros.

/// Most nodes of one fleet.
pub(super) const MAX_NODES: usize = 2_000;

/// Why a name with a range is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum RangeError {
    /// The form is wrong.
    #[error("a range is written `[1:4]`")]
    Form,
    /// It runs backwards.
    #[error("the range runs backwards")]
    Backwards,
    /// It is too large.
    #[error("a fleet has at most {MAX_NODES} nodes")]
    TooMany,
}

/// The names that a key stands for, in order; a key without a range is one name.
pub(super) fn expand(key: &str) -> Result<Vec<String>, RangeError> {
    let mut names = vec![String::new()];
    let mut rest = key;
    while let Some(open) = rest.find('[') {
        let inner = &rest[open + 1..];
        let close = inner.find(']').ok_or(RangeError::Form)?;
        let items = range(&inner[..close])?;
        if names.len() * items.len() > MAX_NODES {
            return Err(RangeError::TooMany);
        }
        names = names.iter().flat_map(|n| items.iter().map(move |i| format!("{n}{}{i}", &rest[..open]))).collect();
        rest = &inner[close + 1..];
    }
    if rest.contains(']') {
        return Err(RangeError::Form);
    }
    names.iter_mut().for_each(|n| n.push_str(rest));
    Ok(names)
}

fn range(text: &str) -> Result<Vec<String>, RangeError> {
    let (from_text, to_text) = text.split_once(':').ok_or(RangeError::Form)?;
    let digits = |t: &str| !t.is_empty() && t.len() <= 6 && t.bytes().all(|b| b.is_ascii_digit());
    if !digits(from_text) || !digits(to_text) {
        return Err(RangeError::Form);
    }
    let from: usize = from_text.parse().map_err(|_| RangeError::Form)?;
    let to: usize = to_text.parse().map_err(|_| RangeError::Form)?;
    if from > to {
        return Err(RangeError::Backwards);
    }
    if to - from >= MAX_NODES {
        return Err(RangeError::TooMany);
    }
    let width = if from_text.starts_with('0') { from_text.len() } else { 0 };
    Ok((from..=to).map(|n| format!("{n:0width$}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_expanded() {
        assert_eq!(expand("is-1"), Ok(vec!["is-1".to_owned()]));
        assert_eq!(expand("gw-[1:3].x"), Ok(["gw-1.x", "gw-2.x", "gw-3.x"].map(str::to_owned).to_vec()));
        assert_eq!(expand("gw-[08:10]"), Ok(["gw-08", "gw-09", "gw-10"].map(str::to_owned).to_vec()));
        assert_eq!(expand("d[1:2]-[0:1]"), Ok(["d1-0", "d1-1", "d2-0", "d2-1"].map(str::to_owned).to_vec()));
        for (bad, why) in [
            ("a[1-2]", RangeError::Form),
            ("a[1:2", RangeError::Form),
            ("a1:2]", RangeError::Form),
            ("a[:2]", RangeError::Form),
            ("a[x:2]", RangeError::Form),
            ("a[3:2]", RangeError::Backwards),
            ("a[1:999999]", RangeError::TooMany),
            ("a[1:99][1:99]", RangeError::TooMany),
        ] {
            assert_eq!(expand(bad), Err(why), "{bad}");
        }
    }
}
