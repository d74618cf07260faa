//! Edits of TOML files. Only the bytes of what is edited change; see docs/decisions/editing-files.md.

use cavalcade_common::action::TomlEdit;

use super::error::EditError;
use super::path::Step;
use super::span;
use super::toml_intended::{element, intended, merged, present, set};
use super::toml_text::Document;
use super::toml_tree::Tree;

/// Edits a TOML file.
///
/// Keys in `comment_out`, `remove`, `merge`, `set` and `append.table` are dotted paths, with selectors where an array is
/// on the way (`apim.gateway.environment[name=Default].service_url`). Keys inside objects are single keys, literally. An
/// edit whose values are all there already changes no byte, so a second run changes nothing.
///
/// # Errors
/// [`EditError`]; the input stands.
pub fn toml(source: &[u8], edit: &TomlEdit) -> Result<Vec<u8>, EditError> {
    let (mark, text) = span::text(source)?;
    let mut document = Document::read(text.to_owned(), span::newline(source))?;
    expected(&document.tree, edit)?;
    let wanted = intended(&document.tree, edit)?;
    refused(&wanted, edit)?;
    if document.tree == wanted {
        return Ok(source.to_vec());
    }
    run(&mut document, edit, &wanted)?;
    if document.tree != wanted {
        return Err(EditError::Unintended { format: "TOML" });
    }
    // An interrupted step is begun again: what would then change more, or fail, is refused now.
    if !intended(&document.tree, edit).is_ok_and(|again| again == document.tree) {
        let what = "its operations contradict each other: a second run would not leave the file as it is";
        return Err(EditError::Operation { path: edit.file.clone(), what });
    }
    Ok([mark.as_bytes(), document.text.as_bytes()].concat())
}

fn expected(tree: &Tree, edit: &TomlEdit) -> Result<(), EditError> {
    for (shown, value) in &edit.expect {
        let steps = present(tree, shown)?.unwrap_or_default();
        let holds = !steps.is_empty() && tree.get(&steps) == Some(&Tree::of_json(value, &steps)?);
        if !holds {
            return Err(EditError::Expected { path: shown.clone() });
        }
    }
    Ok(())
}

fn refused(tree: &Tree, edit: &TomlEdit) -> Result<(), EditError> {
    for (shown, values) in &edit.refuse {
        let Some(steps) = present(tree, shown)? else { continue };
        for value in values.as_array().into_iter().flatten() {
            if tree.get(&steps) == Some(&Tree::of_json(value, &steps)?) {
                return Err(EditError::Refused { path: shown.clone() });
            }
        }
    }
    for (shown, allowed) in &edit.lengths {
        let Some(steps) = present(tree, shown)? else { continue };
        let fits =
            matches!(tree.get(&steps), Some(Tree::String(text)) if u32::try_from(text.len()).is_ok_and(|n| allowed.contains(&n)));
        if !fits {
            let allowed = allowed.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            return Err(EditError::Length { path: shown.clone(), allowed });
        }
    }
    Ok(())
}

fn run(document: &mut Document, edit: &TomlEdit, wanted: &Tree) -> Result<(), EditError> {
    for shown in &edit.comment_out {
        if let Some(steps) = present(&document.tree, shown)?
            && document.tree.get(&steps) != wanted.get(&steps)
        {
            let table = matches!(steps.last(), Some(Step::Key(_)));
            let reopen = table && matches!(wanted.get(&steps), Some(Tree::Table(_)));
            document.comment_out(&steps, reopen)?;
        }
    }
    for shown in &edit.remove {
        if let Some(steps) = present(&document.tree, shown)? {
            document.remove(&steps)?;
        }
    }
    for (shown, values) in &edit.merge {
        if let serde_json::Value::Object(values) = values {
            let steps = merged(&document.tree, shown, values)?;
            document.merge(&steps, values)?;
        }
    }
    for (shown, value) in &edit.set {
        let steps = set(&document.tree, shown, value)?;
        document.set(&steps, value)?;
    }
    for append in &edit.append {
        let place = element(&document.tree, append)?;
        match place.found {
            Some(steps) => document.merge(&steps, &append.values)?,
            None => document.push(&place.array, &append.values)?,
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "toml_tests.rs"]
mod tests;
