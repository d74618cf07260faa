//! What starts servers by itself: found, switched off, restored.

super::codes! {
    AUTOSTART_STAYS = 3401, "something that starts the home cannot be switched off here",
        cause: "Only a person can change it (monit, supervisord, Puppet, a package's unit, a command of several lines), or the \
                system refused the change (a read-only file, missing rights).",
        certain: "Each file is old or new, never a mix. What was changed before is in the record, and `enable` restores it.",
        unknown: "Nothing.",
        remedy: "Switch off what the message names, as it says, then `cavalcade retry STEP`: it finds nothing there any more.";
    AUTOSTART_NOT_RESTORED = 3402, "something that was switched off cannot be restored",
        cause: "It was changed by somebody else since then, it is gone, or the system refused the change.",
        certain: "Everything else in the record is restored; the record stays.", unknown: "Who changed it.",
        remedy: "The message names it. Restore it by hand as the record says, then `cavalcade retry STEP`.";
    AUTOSTART_RECORD = 3403, "the record of what was switched off cannot be read",
        cause: "The file in the agent's state folder is damaged, or belongs to another home.",
        certain: "Nothing was changed.", unknown: "What had been switched off.",
        remedy: "Keep the file that the message names. Restore by hand what the report of the run lists, then move the file away.";
}
