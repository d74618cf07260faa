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
    NO_RUN = 5020, "no such run is open",
        cause: "No plan was applied, its run is over, or several fleets have open runs and the command names none.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Look at `cavalcade status`; name one of several with --run; open one with `cavalcade apply PLAN`.";
    RUN_OPEN = 5021, "another run is open",
        cause: "The fleet, one of its homes or one of its databases belongs to a run that is not over.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Finish or cancel the open run, or take it over with `cavalcade apply PLAN --supersedes RUN`.";
    NO_STEP = 5022, "the plan has no such step",
        cause: "The step's number or node is not in the plan of the open run.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Steps are named STAGE.STEP@NODE, as `cavalcade status --steps` lists them.";
    STEP_CHANGED = 5023, "the step or the run changed since you looked",
        cause: "Somebody acted on the run, or somebody or its agent on the step, after the journal position given with --at.",
        certain: "Your command was not carried out.", unknown: "Nothing.",
        remedy: "Look again with `cavalcade status`, then decide.";
    REFUSED = 5024, "this cannot follow on the present state",
        cause: "The step or the run is in a phase that does not allow the verb.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Look at `cavalcade status`: it names what each step waits for and which command ends the wait.";
    RESTORE_FIRST = 5025, "a migration is not repeated on a changed database",
        cause: "The step's work in the database is not in a ledger of ours, so a second run could destroy data.",
        certain: "Nothing was started again.", unknown: "How far the first run got.",
        remedy: "`cavalcade restore DATABASE` for each database that the step changes; that opens the step again.";
    NOT_SKIPPED = 5026, "this step cannot be skipped",
        cause: "Proofs that servers are down, backups, proofs that servers are up and permits guard everything behind them.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Replace it by evidence of the same fact: `cavalcade resolve STEP --done --evidence FILE`, by a second person.";
    SECOND_PERSON = 5027, "this needs a second person",
        cause: "Evidence in place of a proof, and approvals whose recipe says so, are accepted from somebody who did not open the run.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Ask a colleague to give the command under their own account.";
    NO_JOB = 5028, "the step is no running job",
        cause: "`stop-job` ends a job that runs; this step is something else or has ended.",
        certain: "Nothing was signalled.", unknown: "Nothing.",
        remedy: "Look at `cavalcade status`.";
    NO_BACKUP = 5029, "there is no proved backup of this database",
        cause: "The plan makes none, or its backup step has not succeeded.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Restore with the database's own tools, then `cavalcade resolve` the steps that changed it.";
    STILL_DRAINING = 5030, "steps are still under way",
        cause: "The verb needs that no step is at an agent.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "`cavalcade pause`, wait until `cavalcade status` shows none running, then give the command again.";
    HOST_UNREACHABLE = 5031, "a host's agent is not connected",
        cause: "The agent is stopped, the network is broken, or the host is down.",
        certain: "Nothing was changed by this command. Work that was under way on the host may still go on.",
        unknown: "Whether the host is up.",
        remedy: "Look at the host; the agent connects by itself when it can.";
    AGENT_ANSWER = 5032, "an agent could not answer",
        cause: "The agent's look at its host failed; the message says why.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Correct what the message names on that host, then give the command again.";
    PLAN_STALE = 5040, "the plan is too old",
        cause: "A plan rests on facts; after 24 hours they may be wrong.",
        certain: "Nothing was changed.", unknown: "Whether anything changed on the nodes since.",
        remedy: "Make the plan again, or let it pass with --stale-ok; the report shows who did.";
    FACTS_CHANGED = 5041, "a fact that decided something has changed",
        cause: "The nodes are not as they were when the plan was made.",
        certain: "Nothing was changed.", unknown: "Who changed it.",
        remedy: "Make the plan again; the difference shows what it changes.";
    NOT_CONFIRMED = 5042, "the plan must be confirmed by its digest",
        cause: "The plan has a point of no return.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Read the plan, then `cavalcade apply PLAN --confirm DIGEST` with at least eight digits.";
    SECRET_STORE = 5043, "the controller's secrets cannot be read or written",
        cause: "The file `secrets.json` of the state folder has wrong rights, is damaged, the disk is full, or the fleet file wants another length for a generated secret than it was made with.",
        certain: "No secret was made, changed or shown.", unknown: "Nothing.",
        remedy: "Correct what the message names. The file is part of the controller's backup: a generated secret that is lost cannot be made again.";
    OTHER_SECRET = 5044, "this is another value of the secret",
        cause: "The run was begun with another value: what was done with that one would not fit.",
        certain: "The value was not taken. Steps wait for the one that the run was begun with.", unknown: "Which of the two is right.",
        remedy: "Give the first value again with `cavalcade secret give NAME`. Where the first one was wrong: `cavalcade secret repin NAME --why TEXT`.";
    NO_SECRET = 5045, "the run asks for no such secret",
        cause: "The plan of the open run has no secret of this name that is asked of a person.",
        certain: "The value was not taken.", unknown: "Nothing.",
        remedy: "`cavalcade status` names what each step waits for.";
    SECRET_USED = 5047, "the first value of the secret is in use",
        cause: "A step of the run wrote the first value into a file, or ran a program with it: with another value the rest of the run would not fit to it.",
        certain: "The value was not taken; the run has the first one.", unknown: "Nothing.",
        remedy: "Go on with the first value, or cancel the run and begin a new one with a new plan.";
    DIFFERS = 5048, "finished steps are other ones in the new plan",
        cause: "The superseding plan has another action for a step that the old run finished, or no such step any more.",
        certain: "Nothing was changed; the old run is open as it was.", unknown: "Which of the two is right.",
        remedy: "Say of each step `--keep STEP` (it stays as it is and counts as done) or `--undo STEP` (its files are put back first; every later file step of that node goes with it and runs again).";
    NOT_UNDONE = 5049, "a finished step cannot be undone",
        cause: "Something ran with its files, a server was started from them, a database was changed behind it, or its kept copies are of an earlier run.",
        certain: "Nothing was changed; the old run is open as it was.", unknown: "Nothing.",
        remedy: "`--keep` it, or cancel the run. Databases go back with `cavalcade restore`.";
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
    CHECKS_BLOCK = 5046, "checks before the work found errors",
        cause: "The plan holds findings of the severity error, and nobody let them pass.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Do what the findings say and make the plan again, or let one pass: `cavalcade apply PLAN --waive CHECK --why TEXT`.";
    SERVE = 5050, "the controller ended",
        cause: "A part of it that everything else needs failed; the message names it.",
        certain: "What was acked is in the journal. Work under way on the nodes goes on and is reported later.",
        unknown: "Nothing.",
        remedy: "Correct what the message names, then start `cavalcade serve` again: the run goes on where it was.";
}
