//! Run, journal.

super::codes! {
    JOURNAL = 5001, "the journal cannot be written or read",
        cause: "The disk is full, the file is damaged, or an older program meets newer events.",
        certain: "Nothing is dispatched that is not in the journal.", unknown: "Nothing.",
        remedy: "Make room or restore the file from the backup, then start the controller again.";
}
