//! Artifact store.

super::codes! {
    ARTIFACT_DIGEST = 2101, "an artifact's content is not what was pinned",
        cause: "The SHA-256 of the file differs from the one in the fleet file or in the plan.",
        certain: "The content was not used and nothing was changed.", unknown: "Whether the file or the pinned digest is the right one.",
        remedy: "Compare the file with its source; correct the file or the sha256 in the fleet file.";
}
