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
        cause: "An effect that must happen at most once has a start in this host's ledger, by a run or by `step run`, and the command carries no decision of a person that replaces it.",
        certain: "It was not started again.",
        unknown: "Nothing.",
        remedy: "Look at the earlier attempt. Where it did the work: `cavalcade resolve STEP --done`. Where it failed: restore its databases, then `cavalcade retry STEP`; or, if it was started by hand, finish it so and resolve this step.";
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
    LEDGER_ROOM = 3018, "there is no room for the outcome of another step",
        cause: "The file system of the agent's state folder is full, or cannot set room aside.",
        certain: "Nothing of the step was begun. The ledger is sound and the agent goes on.",
        unknown: "Nothing.",
        remedy: "Make room in the agent's state folder, then `cavalcade retry STEP`.";
    NOT_PERMITTED = 3019, "work that was interrupted may not go on now",
        cause: "After its restart the agent asked again for the permit of a step that began before: a server that must be down runs, one that must be ready is not, or somebody else is in the database.",
        certain: "The agent did nothing more for the step after its restart.",
        unknown: "Whether a statement or command from before the restart still executes, and what the others changed meanwhile.",
        remedy: "See to what the message names, then `cavalcade retry STEP`: a script goes on at its first statement that is not done, everything else begins again.";
    NOT_SHOWN = 3020, "the step did its work, and its effect is not there",
        cause: "The action came to its end, but the look at the machine behind it does not show what it should have left.",
        certain: "Nothing more was done. The evidence that does not hold is named.",
        unknown: "Who or what undid it in between.",
        remedy: "Look at what the evidence names, then `cavalcade retry STEP`.";
    RECORD_SIZE = 3021, "a step is larger than the agent's ledger can keep",
        cause: "One record of the ledger has at most 1 MiB; the step, or what it has to report, has more.",
        certain: "Where the offer was too large nothing was begun. Where the outcome was, the step came to its end and only its report was lost. The ledger is sound and the agent goes on.",
        unknown: "Of an outcome that was too large: how it ended.",
        remedy: "Split the step into several. What the step said is in its log.";
    ROOT_UNSAID = 3025, "something would run as root, and nobody said so",
        cause: "The agent is root, and the node has no `run_as`; its old home is missing, or root owns it.",
        certain: "Nothing was begun.", unknown: "Which user the server is meant to have.",
        remedy: "Write `run_as` for the node in the fleet file and plan again, or into `runtime` of the --node file of `step run`. `run_as: root` where root is meant.";
    STEP_NAMES = 3050, "a file beside the steps has another form than needed",
        cause: "The file of --node, --facts or --secrets is readable, but is not what the option takes.",
        certain: "Nothing was changed.",
        unknown: "Nothing.",
        remedy: "Take the --node file from `cavalcade names NODE`; docs/step-run.md shows the forms of all three.";
    STEP_SECRET = 3051, "a step names a secret, and nothing says where its value is found",
        cause: "A value holds `{{ secrets.NAME }}` and the --secrets file has no such name, or there is no such file.",
        certain: "Nothing was changed.",
        unknown: "Nothing.",
        remedy: "Add the name to the --secrets file: `NAME: { file: PATH }`, `{ env: VARIABLE }` or `{ exec: [PROGRAM] }`.";
    TAKE_OVER_NEEDED = 3052, "an agent has this node's ledger",
        cause: "The agent of this host has open attempts on the node, or a step holds an effect that must happen at most once: its key belongs into the agent's ledger, where the controller's runs find it.",
        certain: "Nothing was changed.",
        unknown: "Nothing.",
        remedy: "Stop the agent, then run the steps with `--take-over --why TEXT`: they use its ledger, and it reports them when it is started again.";
    AGENT_RUNS = 3053, "the agent is running",
        cause: "The ledger that shall be taken over is held by the running agent.",
        certain: "Nothing was changed.",
        unknown: "Nothing.",
        remedy: "Stop the agent first (its servers and jobs go on), and start it again afterwards.";
    NO_LEDGER_HERE = 3054, "there is no agent's ledger to take over",
        cause: "--take-over was given, and the folder holds no ledger of an agent.",
        certain: "Nothing was changed.",
        unknown: "Nothing.",
        remedy: "Name the agent's folder with --state or --agent-state; without an agent on this host leave --take-over out.";
    STATE_IN_USE = 3055, "another step run uses this state folder",
        cause: "The ledger in the folder of --state is held by another process.",
        certain: "Nothing was changed.",
        unknown: "Nothing.",
        remedy: "Wait for the other one, or stop it: what it started goes on, and this command then takes it up.";
    NOT_PROVABLE = 3056, "nothing on this machine can prove what the step needs",
        cause: "A start of an API Manager needs Identity Servers seen ready, a script or migration needs old servers seen down. Without a controller only what can be seen from this machine counts.",
        certain: "Nothing was changed.",
        unknown: "Whether it holds on the other nodes.",
        remedy: "Give a --node file with the addresses of the Identity Servers (`needs`, `via`). Old servers of other nodes are proved down by a controller's run only; a person who has looked at them leaves the word out of `needs` in the file of steps.";
    STARTED_BEFORE = 3057, "the effect was started before, and a person decides",
        cause: "The ledger holds a start of this effect that did not succeed, or the database is not as that start left it.",
        certain: "It was not started again.",
        unknown: "What the earlier start left behind, if its end is not known.",
        remedy: "Look at the earlier attempt's output in the state folder and at the databases; then `--again STEP --why TEXT` is your decision for one more start.";
    RESTORE_BEFORE = 3058, "a database was changed in a way that no ledger knows: restore it first",
        cause: "A migration client ran before, and a second run on what it left would do harm.",
        certain: "It was not started again.",
        unknown: "How far the first run came.",
        remedy: "Restore every database of the job, with a `restore` step or by hand; for one restored by hand add `--restored NAME`.";
    OTHER_HOST = 3059, "the names are those of another host",
        cause: "The --node file names a host that is not the one of the agent whose ledger is taken over.",
        certain: "Nothing was changed.",
        unknown: "Nothing.",
        remedy: "Take the --node file of a node of this host.";
    NO_SUCH_DECISION = 3060, "--again names nothing that can be started again",
        cause: "The file has no step of that name, or the step has no effect that must happen at most once, or the ledger knows no start of it.",
        certain: "Nothing was changed.",
        unknown: "Nothing.",
        remedy: "Leave --again out: the step runs as it is.";
}
