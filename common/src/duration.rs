//! Durations as people write them: always with a unit, `10min`, `90s`, `1h30min`, `500ms`.

use std::time::Duration;

/// A text that is no duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no duration: write a number with a unit, for example 90s, 10min, 1h30min")]
pub struct DurationError(pub String);

const UNITS: [(&str, u64); 5] = [("ms", 1), ("min", 60_000), ("s", 1_000), ("h", 3_600_000), ("d", 86_400_000)];

/// Reads a duration; units ms, s, min, h, d, largest first or in any order, each at most once.
///
/// # Errors
/// [`DurationError`] for a missing or unknown unit, a repeated one, or a value beyond 10 years.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    let bad = || DurationError(text.chars().take(40).collect());
    let mut rest = text.trim();
    let mut total: u64 = 0;
    let mut used = Vec::new();
    if rest.is_empty() {
        return Err(bad());
    }
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let (unit, millis) = UNITS.iter().find(|(u, _)| rest.starts_with(u)).ok_or_else(bad)?;
        if used.contains(unit) {
            return Err(bad());
        }
        used.push(unit);
        rest = &rest[unit.len()..];
        total = number.checked_mul(*millis).and_then(|n| total.checked_add(n)).ok_or_else(bad)?;
    }
    if total > 10 * 366 * 86_400_000 {
        return Err(bad());
    }
    Ok(Duration::from_millis(total))
}

/// Writes a duration so that [`parse`] reads the same one.
#[must_use]
pub fn format(d: Duration) -> String {
    let mut ms = u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
    if ms == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)] {
        if ms >= size {
            out.push_str(&format!("{}{unit}", ms / size));
            ms %= size;
        }
    }
    out
}

/// serde form: the text.
pub mod text {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    /// Writes the text form.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&super::format(*d))
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// Those of the deserializer, and a text that is no duration.
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Duration, D::Error> {
        let s = String::deserialize(d)?;
        super::parse(&s).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_people_write() {
        assert_eq!(parse("10min"), Ok(Duration::from_secs(600)));
        assert_eq!(parse("1h30min"), Ok(Duration::from_secs(5400)));
        assert_eq!(parse("500ms"), Ok(Duration::from_millis(500)));
        for bad in ["", "10", "min", "10m", "1h1h", "-1s", "1.5h", "99999999999999d", "1s ms"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_the_same() {
        for ms in [0, 1, 999, 1000, 61_001, 3_600_000, 90_061_001] {
            let d = Duration::from_millis(ms);
            assert_eq!(parse(&format(d)), Ok(d));
        }
    }
}
