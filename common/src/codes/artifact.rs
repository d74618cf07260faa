//! Artifact store.

super::codes! {
    ARTIFACT_DIGEST = 2101, "an artifact's content is not what was pinned",
        cause: "The SHA-256 of the file differs from the one in the fleet file or in the plan.",
        certain: "The content was not used and nothing was changed.", unknown: "Whether the file or the pinned digest is the right one.",
        remedy: "Compare the file with its source; correct the file or the sha256 in the fleet file.";
    ARTIFACT_MISSING = 2102, "an artifact is not in the controller's store",
        cause: "It was never added, or it was removed or set aside as damaged.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Add the file again with `cavalcade artifact add FILE`.";
    ARTIFACT_DAMAGED = 2103, "an artifact in the controller's store is damaged",
        cause: "The stored file has another size or content than when it was added: a failing disk, or somebody changed it.",
        certain: "The damaged content is not given to agents from the moment it was noticed. Agents check the digest of what they fetch themselves.",
        unknown: "Why the file changed.",
        remedy: "Look at the disk, then add the file again with `cavalcade artifact add FILE`; that replaces the damaged one.";
    ARTIFACT_NO_ROOM = 2104, "no room for an artifact in the controller's store",
        cause: "The store's budget is used, or the file system would keep less than the reserve that belongs to the journal.",
        certain: "Nothing of the artifact was kept and nothing was changed.", unknown: "Nothing.",
        remedy: "Remove artifacts that no plan needs, make room on the file system, or raise the store's budget.";
    ARTIFACT_STORE = 2105, "the controller's artifact store cannot be read or written",
        cause: "The file system reported an error, or the folder belongs to another user.",
        certain: "What was not stored completely was thrown away; no plan or node was changed.", unknown: "Nothing.",
        remedy: "Look at the named path and at the kernel log, then add the artifact again.";
    ARTIFACT_SOURCE = 2106, "an artifact could not be read to its end",
        cause: "The file or the connection that it came from failed.",
        certain: "Nothing of it was kept and nothing was changed.", unknown: "Nothing.",
        remedy: "Look at the source and add the artifact again.";
    PACK_UNREADABLE = 2107, "what an old pack shipped cannot be read",
        cause: "The file is neither a pack (zip) nor a list that `cavalcade pack list` wrote, or it is damaged.",
        certain: "Nothing was changed.", unknown: "Which files and settings of the old servers are custom ones.",
        remedy: "Name the vendor's pack, or a list of it, as the artifact in the fleet file.";
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
