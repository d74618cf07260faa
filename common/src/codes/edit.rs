//! Edits of files.

super::codes! {
    EDIT_SYNTAX = 3101, "the file to edit cannot be parsed",
        cause: "The file is not valid TOML or YAML, or holds NUL bytes or invalid UTF-8.",
        certain: "The file was not changed.", unknown: "Nothing.",
        remedy: "Correct the file by hand, then retry the step.";
}
