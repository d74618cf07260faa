//! Files that people write: YAML, expressions, templates.

super::codes! {
    YAML_SYNTAX = 1101, "the file is not valid YAML",
        cause: "The text breaks YAML's rules, uses a merge key, holds a key twice or is nested too deeply.",
        certain: "Nothing was changed.", unknown: "Whether more errors follow behind this one.",
        remedy: "Correct the place that is shown.";
}
