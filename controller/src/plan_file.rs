//! Plans as files: written whole or not at all, read with their digest checked.

use std::io::{Read as _, Write as _};
use std::path::Path;

use cavalcade_common::codes::{plan as codes, written};
use cavalcade_common::error::{Fault, Faults, Place};
use cavalcade_common::plan::{HashedPlan, PlanError};

/// Largest plan file that is read, in bytes. A plan for 500 nodes has about 30 MB.
const MAX_PLAN: u64 = 512 << 20;

/// Writes a plan beside its final name and renames it: a file of that name is old or new, never a part.
///
/// # Errors
/// A fault that names the file.
pub fn write(plan: &HashedPlan, path: &Path) -> Result<(), Faults> {
    let text = plan.to_text().map_err(|e| Faults::from(fault(&e, path)))?;
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let put = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path).map_err(|e| e.error)?;
        std::fs::File::open(folder)?.sync_all()
    };
    put().map_err(|e| unreadable(path, &format!("the plan cannot be written to {}: {e}", path.display())))
}

/// Reads a plan.
///
/// # Errors
/// [`written::UNREADABLE`], [`codes::PLAN_FORM`] or [`codes::PLAN_DAMAGED`].
pub fn read(path: &Path) -> Result<HashedPlan, Faults> {
    read_with_text(path).map(|(plan, _)| plan)
}

/// Reads a plan with its text as it stands in the file: that text has the digest, whichever version wrote it.
///
/// # Errors
/// As [`read`].
pub fn read_with_text(path: &Path) -> Result<(HashedPlan, String), Faults> {
    let take = || -> std::io::Result<String> {
        let mut text = String::new();
        std::fs::File::open(path)?.take(MAX_PLAN).read_to_string(&mut text)?;
        Ok(text)
    };
    let text = take().map_err(|e| unreadable(path, &format!("the plan {} cannot be read: {e}", path.display())))?;
    match HashedPlan::from_text(&text) {
        Ok(plan) => Ok((plan, text)),
        Err(e) => Err(fault(&e, path).into()),
    }
}

fn whole(path: &Path) -> Place {
    Place { file: path.display().to_string(), line: 0, column: 0, length: 0 }
}

fn unreadable(path: &Path, message: &str) -> Faults {
    Fault::new(written::UNREADABLE, message).at(whole(path)).into()
}

fn fault(error: &PlanError, path: &Path) -> Fault {
    let code = match error {
        PlanError::Form(_) | PlanError::Schema(_) => codes::PLAN_FORM,
        PlanError::Digest { .. } => codes::PLAN_DAMAGED,
    };
    Fault::new(code, error.to_string()).at(whole(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_plan_is_refused_by_name() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.plan");
        let code = |text: &str| {
            std::fs::write(&path, text).expect("is written");
            read(&path).expect_err("is no plan").0[0].code
        };
        assert_eq!(code("no json"), codes::PLAN_FORM);
        assert_eq!(code(r#"{ "sha256": "00", "plan": {} }"#), codes::PLAN_DAMAGED);
        assert_eq!(read(&folder.path().join("none")).expect_err("is missing").0[0].code, written::UNREADABLE);
    }
}
