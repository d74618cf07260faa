//! Databases.

super::codes! {
    DB_UNREACHABLE = 4001, "the database cannot be reached",
        cause: "The connection was refused, timed out, or the login failed.",
        certain: "No statement was begun in this attempt.", unknown: "Nothing.",
        remedy: "Check address, account and network from the node that is named, then retry the step.";
}
