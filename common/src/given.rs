//! Values of secrets that the controller brings to an agent (`prompt`, `generate`). They travel on the wire and are kept in
//! memory only: the type has no form for a file, so that a ledger, a journal or a report cannot hold it by accident.

use std::collections::BTreeMap;
use std::fmt;

use crate::secret::{SecretRef, SecretValue};

/// Values by name. Debug shows the names alone.
#[derive(Clone, Default)]
pub struct GivenSecrets(BTreeMap<String, SecretValue>);

impl GivenSecrets {
    /// Adds a value.
    pub fn insert(&mut self, name: impl Into<String>, value: SecretValue) {
        self.0.insert(name.into(), value);
    }

    /// One value.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&SecretValue> {
        self.0.get(name)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &SecretValue)> {
        self.0.iter()
    }

    /// The first of these secrets that only the controller has and that is not here.
    #[must_use]
    pub fn lacks<'a>(&self, refs: &'a BTreeMap<String, SecretRef>) -> Option<&'a str> {
        refs.iter().find(|(name, place)| place.is_brought() && !self.0.contains_key(*name)).map(|(name, _)| name.as_str())
    }
}

impl FromIterator<(String, SecretValue)> for GivenSecrets {
    fn from_iter<I: IntoIterator<Item = (String, SecretValue)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Extend<(String, SecretValue)> for GivenSecrets {
    fn extend<I: IntoIterator<Item = (String, SecretValue)>>(&mut self, values: I) {
        self.0.extend(values);
    }
}

impl IntoIterator for GivenSecrets {
    type Item = (String, SecretValue);
    type IntoIter = std::collections::btree_map::IntoIter<String, SecretValue>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl fmt::Debug for GivenSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl PartialEq for GivenSecrets {
    fn eq(&self, other: &Self) -> bool {
        self.0.iter().map(|(n, v)| (n, v.expose())).eq(other.0.iter().map(|(n, v)| (n, v.expose())))
    }
}

/// For the operator's socket, where a command gives the controller what a person typed: a peer on the same machine, as the
/// same user, nothing on disk.
pub mod exposed {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::GivenSecrets;
    use crate::secret::SecretValue;

    /// Writes names and values.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(given: &GivenSecrets, serializer: S) -> Result<S::Ok, S::Error> {
        given.iter().map(|(name, value)| (name, value.expose())).collect::<BTreeMap<_, _>>().serialize(serializer)
    }

    /// Reads names and values.
    ///
    /// # Errors
    /// Those of the deserializer.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<GivenSecrets, D::Error> {
        let read = BTreeMap::<String, String>::deserialize(deserializer)?;
        Ok(read.into_iter().map(|(name, value)| (name, SecretValue::new(value))).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_names_and_no_values() {
        let given: GivenSecrets = [("db".to_owned(), SecretValue::new("hunter2-value".to_owned()))].into_iter().collect();
        assert_eq!(format!("{given:?}"), "{\"db\"}");
    }

    #[test]
    fn only_what_the_controller_has_is_lacking() {
        let refs = BTreeMap::from([
            ("file".to_owned(), SecretRef::File("/x".to_owned())),
            ("key".to_owned(), SecretRef::Generate { bytes: 32 }),
        ]);
        let mut given = GivenSecrets::default();
        assert_eq!(given.lacks(&refs), Some("key"));
        given.insert("key", SecretValue::new("ab".to_owned()));
        assert_eq!(given.lacks(&refs), None);
    }
}
