//! Archives, copies, removals, and the access to files in general.

super::codes! {
    ARCHIVE_REFUSED = 3201, "the archive holds an entry that is not allowed",
        cause: "An entry would leave the folder, is a device, a hard link out, a duplicate, or names something twice.",
        certain: "Nothing was unpacked.", unknown: "Nothing.",
        remedy: "Compare the archive with its source; get a sound one and correct its sha256 in the fleet file.";
    ARCHIVE_DAMAGED = 3202, "the archive cannot be read to its end",
        cause: "It is cut short, a checksum in it is wrong, or it is neither a zip nor a tar.gz.",
        certain: "Nothing is at the target; what was unpacked beside it was removed.", unknown: "Nothing.",
        remedy: "Its sha256 fits the plan, so the file was bad when it was added: get a sound one and correct the fleet file.";
    ARCHIVE_ENCRYPTED = 3203, "the archive is encrypted or uses an unknown compression",
        cause: "An entry needs a password, or a compression method other than deflate and none.",
        certain: "Nothing was unpacked.", unknown: "Nothing.",
        remedy: "Pack it again as a plain zip or tar.gz and correct its sha256 in the fleet file.";
    ARCHIVE_TOO_LARGE = 3204, "the archive unpacks to more than is allowed",
        cause: "It is larger than the step's `limit`, has more than 500,000 entries, or grows more than 250 times.",
        certain: "Nothing is at the target.", unknown: "Nothing.",
        remedy: "If the archive is right, raise `limit` in the recipe; a ratio or number of entries that high is a bomb.";
    TARGET_EXISTS = 3205, "something else is at the target already",
        cause: "The path exists and its note does not say that this step made it from this archive.",
        certain: "It was not touched.", unknown: "Who made it.",
        remedy: "Look at the path. Move it away, or name another home in the fleet file, then retry the step.";
    NO_SPACE = 3206, "the file system has too little room",
        cause: "What is to be written is larger than the free space, or the space ran out while it was written.",
        certain: "Every file is old or new, never a mix; temporary files were removed where the disk let us.",
        unknown: "Nothing.",
        remedy: "Make room on the file system that the message names, then retry the step.";
    MATCHES = 3207, "a path or glob matches another number of files than it must",
        cause: "A source is missing, or there is more than one where one is needed.",
        certain: "This step changed nothing.", unknown: "Nothing.",
        remedy: "Look at the folder that the message names; correct the glob or `count` in the recipe, or the folder.";
    FILE_ACCESS = 3208, "a file cannot be read or written",
        cause: "The system refused it: rights, a read-only file system, an I/O error, or no regular file.",
        certain: "Every file is old or new, never a mix.", unknown: "Nothing.",
        remedy: "The message names path and reason. Check who owns the path and which user the agent runs as.";
    CHANGED_MEANWHILE = 3209, "somebody else changed the file",
        cause: "The file is neither as it was before the interrupted edit nor as it would be after it.",
        certain: "This attempt did not write the file again; the first original is kept.", unknown: "Who changed it.",
        remedy: "Compare the file with its kept original, settle it by hand, then retry the step.";
    BAD_PATH = 3210, "a path or glob is not usable",
        cause: "It is relative, holds `..`, is too near to the root, or has an open bracket.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Correct the path in the recipe or fleet file.";
    IN_THE_WAY = 3211, "a file and a folder would take each other's place",
        cause: "Source and target have the same path, but one is a folder and the other is not; or one lies in the other.",
        certain: "This step changed nothing.", unknown: "Nothing.",
        remedy: "Look at the path that the message names and remove what should not be there.";
    WORK_LOST = 3212, "the work on files ended without a result",
        cause: "An error in the agent itself.",
        certain: "Every file is old or new, never a mix.", unknown: "How far the step came; a retry looks before it acts.",
        remedy: "Keep the agent's log for a report, then retry the step.";
    SECRET_MISSING = 3213, "a secret has no value on this host",
        cause: "An edit uses a secret that this agent could not resolve.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Check the secret's reference in the fleet file and that the agent may read it.";
    FACTS_UNREADABLE = 3214, "a fact cannot be gathered",
        cause: "A file of a home is there but cannot be read or understood.",
        certain: "Nothing was changed. The fact is missing, not false.", unknown: "The fact.",
        remedy: "The message names the file. Make it readable for the agent, or repair it.";
    UNDO_CHANGED = 3215, "what a step left was changed since, so it is not undone",
        cause: "A path is not as the step left it: a person, a server or another run changed it after the step.",
        certain: "The undo looks at its whole list before it begins; nothing of the path that the message names was changed.",
        unknown: "Who changed it.",
        remedy: "Compare the path with its kept copy in the undo folder of the agent's state, settle it by hand, then retry.";
    UNDO_LOST = 3216, "a kept copy that an undo needs cannot be used",
        cause: "The content or the record is missing in the undo folder of the agent's state, or cannot be read.",
        certain: "Nothing of the path that the message names was changed.", unknown: "Where the copy went.",
        remedy: "Restore the agent's state folder from a backup, or put the path back by hand, then retry the step.";
    NOT_WHOLE = 3217, "an unpacked folder is not whole any more",
        cause: "Something of what this step unpacked earlier is gone, and no step of Cavalcade took it away: somebody removed it, or the disk lost it.",
        certain: "Nothing was changed. The folder is not what a server could be started from.",
        unknown: "Who removed it.",
        remedy: "Put back what is missing, or move the folder and the note beside it (`.NAME.cavalcade.json`) away, then retry the step: it unpacks anew.";
}
