//! Artifact store.

super::codes! {
    ARTIFACT_DIGEST = 2101, "an artifact's content is not what was pinned",
        cause: "The SHA-256 of the file differs from the one in the fleet file or in the plan.",
        certain: "The content was not used and nothing was changed.", unknown: "Whether the file or the pinned digest is the right one.",
        remedy: "Compare the file with its source; correct the file or the sha256 in the fleet file.";
    FETCHED_DIGEST = 2150, "what was fetched is not the artifact of the plan",
        cause: "Size or SHA-256 of the received content differ from the plan's, on a first and on a fresh second try.",
        certain: "The content was thrown away; nothing on the node was changed by it.", unknown: "Where it was altered.",
        remedy: "Verify the artifact in the controller's store; if it is sound there, look at the node's disk and memory.";
    FETCH_BROKEN = 2151, "an artifact could not be fetched to its end",
        cause: "The link to the controller broke, or its store could not serve the artifact.",
        certain: "What was received is kept and the next try goes on from there. Nothing else was changed.", unknown: "Nothing.",
        remedy: "Restore the link, then retry the step.";
    CACHE_ACCESS = 2152, "the agent's artifact cache cannot be used",
        cause: "Its folder cannot be read or written.",
        certain: "Nothing on the node was changed.", unknown: "Nothing.",
        remedy: "Look at the path that the message names: rights, free space, I/O errors.";
    PLACED_DIGEST = 2153, "a placed artifact is not what it must be",
        cause: "Its content changed between cache and target: a failing disk, or somebody wrote to the cache.",
        certain: "The target was not touched; the copy beside it was removed.", unknown: "Where it was altered.",
        remedy: "Look at the disk and at who can write to the agent's state folder, then retry the step.";
}
