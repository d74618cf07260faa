//! Archives, copies, removals.

super::codes! {
    ARCHIVE_REFUSED = 3201, "the archive holds an entry that is not allowed",
        cause: "An entry would leave the folder, is a device, a hard link out, a duplicate, or names something twice.",
        certain: "Nothing was unpacked.", unknown: "Nothing.",
        remedy: "Compare the archive with its source; get a sound one and correct its sha256 in the fleet file.";
}
