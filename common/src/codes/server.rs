//! Servers, jobs, gates.

super::codes! {
    NOT_READY = 3301, "the server did not become ready in time",
        cause: "The process runs or ran, but log line, health answer or port did not come within the time allowed.",
        certain: "The server was started at most once.", unknown: "Whether it would become ready later.",
        remedy: "Read its log with `cavalcade logs --node NODE`, then `cavalcade retry STEP`.";
    JAVA_HOME_UNSET = 3302, "the node has no JAVA_HOME",
        cause: "The start scripts of the products refuse to work without JAVA_HOME, and a child of the agent inherits nothing.",
        certain: "Nothing was started.", unknown: "Nothing.",
        remedy: "Set `runtime.java_home` of the node in the fleet file, then plan again.";
    WRONG_USER = 3303, "the server runs as another user",
        cause: "A process with this home belongs to another user than the node's `run_as`.",
        certain: "Nothing of ours signalled it.", unknown: "Who started it.",
        remedy: "Stop it, give its files to the right user, then `cavalcade retry STEP`.";
    OTHER_ARGUMENTS = 3304, "the server runs with other arguments",
        cause: "A process with this home runs already, with other arguments than the step gives (a profile, `-Dmigrate`).",
        certain: "Nothing was started or stopped.", unknown: "Who started it.",
        remedy: "Stop it, then `cavalcade retry STEP`.";
    SEVERAL_PROCESSES = 3305, "several processes have the same home",
        cause: "Two starts within the half second before the PID file is written both launch.",
        certain: "Nothing of ours signalled them.", unknown: "Which of them holds the ports.",
        remedy: "Stop all of them, then `cavalcade retry STEP`.";
    PORT_TAKEN = 3306, "something else listens where the server would",
        cause: "No process has this home, yet its address accepts connections: an old server, or another program.",
        certain: "Nothing was started.", unknown: "Which program it is.",
        remedy: "Find it with `ss -ltnp` on the node and stop it, then `cavalcade retry STEP`.";
    START_FAILED = 3307, "the start of the server failed",
        cause: "Its log says so, its script ended with an error, or its process ended before it was ready.",
        certain: "The server was started at most once, and it is not ready.",
        unknown: "What it changed before it failed; a start that fails late may have written to its databases.",
        remedy: "Read its log with `cavalcade logs --node NODE`, mend the cause, then `cavalcade retry STEP`.";
    SERVICE_FAILED = 3308, "systemctl failed",
        cause: "The unit is unknown, masked, or its start or stop failed.",
        certain: "systemctl ended with an error.", unknown: "What the unit did before.",
        remedy: "Read `journalctl -u UNIT` on the node, mend the unit, then `cavalcade retry STEP`.";
    NOT_STOPPED = 3309, "the server did not stop in time",
        cause: "Its process was asked to end (TERM) and still lives.",
        certain: "It was never killed.", unknown: "What it still does.",
        remedy: "Look at its log; when its process is gone, `cavalcade retry STEP`.";
    NOT_DOWN = 3310, "a server that must be down runs",
        cause: "A process names the home on its command line: it was not stopped, or something started it again.",
        certain: "Nothing was changed.", unknown: "What started it.",
        remedy: "Stop it and what starts it (unit, cron, monit), then `cavalcade retry STEP`.";
    VANISHED = 3311, "the child vanished without an exit record",
        cause: "The host went down, or shim and child were killed.",
        certain: "It was started, and nothing of it lives.", unknown: "How far it came.",
        remedy: "Look at its output and its databases; then decide with `cavalcade resolve STEP`.";
    NOT_HELD = 3312, "the child could not be started",
        cause: "Its folder could not be made, its user is unknown, or the agent's own end would be the child's end.",
        certain: "Nothing was started.", unknown: "Nothing.",
        remedy: "Mend what the message names, then `cavalcade retry STEP`.";
    JOB_FAILED = 3313, "the job's evidence does not hold",
        cause: "A line that must be there is missing, one that must not be there is there, or the process ended badly.",
        certain: "The job ended.", unknown: "What it left in its databases.",
        remedy: "Read the evidence. Where the patterns were wrong, `cavalcade rejudge STEP`. Else end its server (`cavalcade stop-job STEP --confirm`) and restore each of its databases: then it runs again.";
    HOME_IN_USE = 3314, "a server runs in the home where the job would begin",
        cause: "A process names this home on its command line.",
        certain: "The job was not started.", unknown: "Who started that server.",
        remedy: "Stop it, then `cavalcade retry STEP`. That of a migration which failed is ended by `cavalcade stop-job STEP --confirm`.";
    COMMAND_FAILED = 3315, "the command failed",
        cause: "Its exit code is not among those that count as success, its output holds a forbidden line, or a path is not as wanted.",
        certain: "It ran to its end.", unknown: "What it changed before it failed.",
        remedy: "Read its output with `cavalcade logs --step STEP`.";
    COMMAND_LATE = 3316, "the command took too long",
        cause: "It did not end within its limit, and was killed.",
        certain: "It was killed, with what it had started.", unknown: "What it changed before.",
        remedy: "Read its output with `cavalcade logs --step STEP`; give it more time or mend what it waits for.";
    GATE_CLOSED = 3317, "what the step waits for did not come",
        cause: "The URL, address or log line was not as wanted within the time allowed, or the log said that it will not come.",
        certain: "Nothing was changed.", unknown: "Whether it would come later.",
        remedy: "Look at the server that it is about, then `cavalcade retry STEP`.";
    CALLS_FAILED = 3318, "calls that change something did not all hold",
        cause: "A call of a hook was not answered as wanted within the time allowed.",
        certain: "The calls that the evidence shows as holding were made, with each try again.",
        unknown: "Whether the one that failed took effect: the server may be drained or enrolled.",
        remedy: "Look at the load balancer, then `cavalcade retry STEP`: the calls are made again from the first one.";
    BAD_PATTERN = 3319, "a pattern is no regular expression",
        cause: "The recipe or fleet file holds a text that cannot be compiled.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Correct the pattern, plan again.";
    NOT_SEEN = 3320, "the agent could not look at the host",
        cause: "A file or `/proc` could not be read, or a record of the shim is damaged.",
        certain: "What was not seen was not assumed.", unknown: "What the agent wanted to see.",
        remedy: "Mend what the message names, then `cavalcade retry STEP` or `cavalcade resolve STEP`.";
    NO_SECRET = 3321, "a secret has no value on this host",
        cause: "A command or environment names a secret that could not be resolved here.",
        certain: "Nothing was started.", unknown: "Nothing.",
        remedy: "Provide the secret on this host as the fleet file says, then `cavalcade retry STEP`.";
    JOB_LIVES = 3322, "a job that nothing interrupts lives in the home",
        cause: "The step would stop the server of a job whose child lives and whose end was not seen: somebody decided about the job without looking at its process.",
        certain: "Nothing was signalled.", unknown: "How far the job came.",
        remedy: "Wait until its log says that its work has ended, then end it with `cavalcade stop-job STEP --confirm` and retry this step.";
    LOG_GAP = 3323, "a part of the product's log is gone",
        cause: "The log that the job is judged by was deleted, cut or packed since its launch, so not all of its lines could be read.",
        certain: "The job ended, and its output file is whole. The evidence shows what the lines that are left say.",
        unknown: "Whether an error stood in the lines that are gone.",
        remedy: "Look for the missing log in the home and at the job's databases; then decide with `cavalcade resolve STEP`.";
    OTHER_HOME = 3328, "a server of another home is where this one would be",
        cause: "A process with another `-Dcarbon.home` listens on a port of this node, or has the number in the PID file of its home.",
        certain: "Nothing was started, and nothing of ours signalled that process.", unknown: "Who started it.",
        remedy: "Stop that server, or correct the node's home or offset and plan again. Where only the PID file is stale, remove it. Then `cavalcade retry STEP`.";
}
