//! Executor, ledger, shim.

super::codes! {
    LEDGER_DAMAGED = 3001, "the agent's ledger is damaged",
        cause: "A record of full length has a wrong checksum, or a record in the middle cannot be read.",
        certain: "The agent begins nothing. Children that live go on.",
        unknown: "Whether effects that the damaged records named took place.",
        remedy: "Look at the node; then decide each open step with `cavalcade resolve`.";
    LEDGER_MISSING = 3002, "the agent has no ledger",
        cause: "The state folder holds a certificate but no ledger: it was lost, or the folder was restored from a backup.",
        certain: "The agent begins nothing.",
        unknown: "Which steps an earlier agent of this host began.",
        remedy: "Enrol the host again with a new token; open steps of its nodes then become Indeterminate and a person decides.";
    LEDGER_EXISTS = 3003, "the state folder belongs to an enrolled agent already",
        cause: "`enroll` was called for a folder that has a ledger.",
        certain: "Nothing was changed.",
        unknown: "Nothing.",
        remedy: "Use the folder as it is, or name another one with --state.";
    LEDGER_WRITE = 3004, "the agent's ledger cannot be written",
        cause: "The disk is full, or the file system reported an error.",
        certain: "Nothing began that is not in the ledger. The agent ended itself, since the file is suspect.",
        unknown: "Nothing.",
        remedy: "Make room or repair the disk, then start the agent again: it goes on with what the ledger proves.";
    EFFECT_EXISTS = 3010, "this effect was started before",
        cause: "An effect that must happen at most once has a start in this host's ledger, and the command carries no decision of a person that replaces it.",
        certain: "It was not started again.",
        unknown: "Nothing.",
        remedy: "Look at the earlier attempt; restore its databases if it failed, then `cavalcade retry STEP`.";
    ATTEMPT_LIVES = 3011, "an earlier attempt of this step still lives",
        cause: "The lock of an earlier attempt is held: its process runs.",
        certain: "No second one was started.",
        unknown: "Nothing.",
        remedy: "Wait for its end, or end it with `cavalcade stop-job STEP --confirm`.";
    STEP_TIMEOUT = 3012, "the step took longer than its timeout",
        cause: "The action did not end within the step's `timeout`.",
        certain: "The action was given up; what it had changed stays.",
        unknown: "Whether it would have ended later.",
        remedy: "Look at the step's log, then `cavalcade retry STEP`.";
    SECRET_MISSING = 3013, "a secret has no value on this host",
        cause: "The file, variable or program that the fleet file names gives no value on the host that uses it.",
        certain: "Nothing was begun.",
        unknown: "Nothing.",
        remedy: "Put the secret where the fleet file says, readable for the agent, then retry the step.";
    VANISHED = 3014, "the work vanished without a record of its end",
        cause: "Neither shim nor child lives and no exit record was written: a power loss, or somebody killed both.",
        certain: "It began once and nothing started it again.",
        unknown: "How far it got.",
        remedy: "Look at the node and its databases, then `cavalcade resolve STEP --done` or `--not-done`.";
    HOME_LOCKED = 3015, "another program works on this home",
        cause: "The lock beside the home is held by an agent or by `step run`.",
        certain: "Nothing was begun.",
        unknown: "Nothing.",
        remedy: "Wait for it, or read who holds it in the lock file.";
    SPOOL = 3017, "the agent's state folder cannot be used",
        cause: "The folder cannot be read or written, or the disk is full.",
        certain: "Nothing began that is not in the ledger.",
        unknown: "Nothing.",
        remedy: "Correct rights or make room in the agent's state folder, then start the agent again.";
}
