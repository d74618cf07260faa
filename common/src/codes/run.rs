//! Run, journal.

super::codes! {
    JOURNAL = 5001, "the journal cannot be written or read",
        cause: "The disk is full, the file is damaged, or an older program meets newer events.",
        certain: "Nothing is dispatched that is not in the journal.", unknown: "Nothing.",
        remedy: "Make room or restore the file from the backup, then start the controller again.";
    JOURNAL_FENCED = 5002, "another controller took over the journal",
        cause: "A controller that started later took a newer term, or this one wrote under a term that it never took.",
        certain: "What this controller tried to write was not written and nothing of it was dispatched. Agents refuse its commands.",
        unknown: "What the newer controller has done since.",
        remedy: "Look at the newer controller. Stop this one if both were started by mistake.";
    JOURNAL_FULL = 5003, "no space is left for the journal",
        cause: "The file system of the state folder is full.",
        certain: "The entry was not written and nothing of it was dispatched. What runs on the nodes goes on; agents keep their reports.",
        unknown: "Nothing.",
        remedy: "Make room on the file system of the state folder (logs and artifacts first), then start the controller again.";
    JOURNAL_SUSPECT = 5004, "the journal could not be synced to disk",
        cause: "The disk reported an error when the journal was synced.",
        certain: "The controller ended itself at once. Nothing was dispatched after the failed sync. What was acked before it is on disk.",
        unknown: "Whether the entries of the last write are on disk.",
        remedy: "Look at the disk (kernel log, SMART). On a sound disk start the controller again; it verifies the journal first.";
    JOURNAL_DAMAGED = 5005, "the journal is damaged",
        cause: "An entry was changed, removed or put in, or the disk returns other content than was written.",
        certain: "The first entry that does not fit is named. Everything before it is as it was written.",
        unknown: "Everything from the named entry on.",
        remedy: "Keep the file for the audit. Restore the journal from its backup, start the controller and use `cavalcade adopt`.";
    JOURNAL_NEWER = 5006, "the journal was written by a newer program",
        cause: "A newer cavalcade has brought the journal into a form that this one does not know.",
        certain: "Nothing was read or changed.", unknown: "Nothing.",
        remedy: "Start the newer program again.";
    JOURNAL_OLD_SQLITE = 5007, "the SQLite library is too old",
        cause: "The program was built with a SQLite before 3.51.3, which can lose committed writes.",
        certain: "Nothing was written.", unknown: "Nothing.",
        remedy: "Use a build of cavalcade with SQLite 3.51.3 or newer; the published ones have it.";
    LOG_STORE = 5010, "the central log cannot be written or read",
        cause: "The file system reported an error, or another process has the log open.",
        certain: "Runs go on. Lines that were acked are stored; agents keep and send again what was not.",
        unknown: "How long the agents' buffers last; what they cannot keep becomes a gap.",
        remedy: "Look at the named path and at the kernel log; start the controller again if the log stopped.";
    LOG_DAMAGED = 5011, "a part of the central log is damaged",
        cause: "A stored segment was changed, or the disk returns other content than was written.",
        certain: "The damaged part is named and passed over; all other lines are as they came.",
        unknown: "What the lines of the damaged part were. The servers' own log files may still hold them.",
        remedy: "Look at the disk. The search goes on behind the damaged part.";
    LOG_QUERY = 5012, "a search of the logs cannot be answered",
        cause: "The pattern is no regular expression, or the address names no stored line.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Correct the pattern or the address. An address is NODE:LINE as printed with each line.";
}
