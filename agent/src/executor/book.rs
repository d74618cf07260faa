//! The values of an attempt's secrets: those that this host finds, and those that the controller brought.

use std::collections::BTreeMap;

use cavalcade_common::codes;
use cavalcade_common::error::Fault;
use cavalcade_common::given::GivenSecrets;
use cavalcade_common::secret::{SecretBook, SecretRef, SecretValue};

use super::SecretResolver;

/// What stands for a value that nobody has yet, in a preview.
const PLACEHOLDER: &str = "(secret)";

/// All values, or the fault of the first that has none.
///
/// # Errors
/// A secret that this host does not find, or that the controller did not bring.
pub async fn book(
    resolver: &dyn SecretResolver,
    refs: &BTreeMap<String, SecretRef>,
    given: &GivenSecrets,
) -> Result<SecretBook, Fault> {
    if let Some(name) = given.lacks(refs) {
        let what = format!("secret `{name}`: the controller did not bring its value");
        return Err(Fault::new(codes::agent::SECRET_MISSING, what));
    }
    let mut book = resolver.resolve(&found_here(refs)).await?;
    fill(&mut book, refs, |name| given.get(name).cloned());
    Ok(book)
}

/// Adds what is only hidden: secrets of other steps that a program of the node may print. One without a value here hides
/// nothing, and stops nothing.
pub async fn hide_also(
    mut book: SecretBook,
    resolver: &dyn SecretResolver,
    refs: &BTreeMap<String, SecretRef>,
    given: &GivenSecrets,
) -> SecretBook {
    for (name, place) in refs {
        if book.get(name).is_some() {
            continue;
        }
        if place.is_brought() {
            given.get(name).into_iter().for_each(|value| book.hide(value));
            continue;
        }
        match resolver.resolve(&BTreeMap::from([(name.clone(), place.clone())])).await {
            Ok(found) => found.get(name).into_iter().for_each(|value| book.hide(value)),
            Err(fault) => tracing::info!(%fault, "a secret of another step is not hidden in the lines of this one"),
        }
    }
    book
}

/// As [`book`], for a preview: what the controller did not bring is shown as `(secret)`.
///
/// # Errors
/// A secret that this host does not find.
pub async fn preview_book(
    resolver: &dyn SecretResolver,
    refs: &BTreeMap<String, SecretRef>,
    given: &GivenSecrets,
) -> Result<SecretBook, Fault> {
    let mut book = resolver.resolve(&found_here(refs)).await?;
    let placeholder = || SecretValue::new(PLACEHOLDER.to_owned());
    fill(&mut book, refs, |name| Some(given.get(name).cloned().unwrap_or_else(placeholder)));
    Ok(book)
}

fn found_here(refs: &BTreeMap<String, SecretRef>) -> BTreeMap<String, SecretRef> {
    refs.iter().filter(|(_, place)| !place.is_brought()).map(|(name, place)| (name.clone(), place.clone())).collect()
}

fn fill(book: &mut SecretBook, refs: &BTreeMap<String, SecretRef>, value: impl Fn(&str) -> Option<SecretValue>) {
    for name in refs.iter().filter(|(_, place)| place.is_brought()).map(|(name, _)| name) {
        if let Some(value) = value(name) {
            book.insert(name.clone(), value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::secrets::HostSecrets;

    fn refs() -> BTreeMap<String, SecretRef> {
        BTreeMap::from([
            ("here".to_owned(), SecretRef::Exec(vec!["/bin/echo".to_owned(), "local".to_owned()])),
            ("asked".to_owned(), SecretRef::Prompt("the DBA".to_owned())),
        ])
    }

    #[tokio::test]
    async fn values_of_both_sides_make_one_book() {
        let given = [("asked".to_owned(), SecretValue::new("typed".to_owned()))].into_iter().collect();
        let both = book(&HostSecrets, &refs(), &given).await.expect("both are there");
        assert_eq!(both.get("here").map(SecretValue::expose), Some("local"));
        assert_eq!(both.get("asked").map(SecretValue::expose), Some("typed"));
    }

    #[tokio::test]
    async fn secrets_of_other_steps_are_hidden_and_stand_for_nothing() {
        let given = [("asked".to_owned(), SecretValue::new("typed".to_owned()))].into_iter().collect();
        let mut refs = refs();
        refs.insert("lost".to_owned(), SecretRef::File("/nowhere/at/all".to_owned()));
        let book = hide_also(SecretBook::default(), &HostSecrets, &refs, &given).await;
        assert_eq!(book.redact("local and typed"), "(secret) and (secret)");
        assert!(book.get("asked").is_none() && book.get("here").is_none());
    }

    #[tokio::test]
    async fn a_step_without_its_value_fails_and_a_preview_shows_a_placeholder() {
        let none = GivenSecrets::default();
        let fault = book(&HostSecrets, &refs(), &none).await.expect_err("the value is missing");
        assert_eq!(fault.code, codes::agent::SECRET_MISSING);
        assert!(fault.message.contains("`asked`"), "{fault}");
        let shown = preview_book(&HostSecrets, &refs(), &none).await.expect("a preview needs none");
        assert_eq!(shown.get("asked").map(SecretValue::expose), Some("(secret)"));
    }
}
