//! Command line and operator's socket.

super::codes! {
    USAGE = 1001, "wrong use of a command",
        cause: "An argument is missing, unknown or contradicts another one.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Read the command's --help and call it again.";
    NO_CONTROLLER = 1002, "the controller cannot be reached",
        cause: "No controller listens on the operator's socket of this state folder.",
        certain: "This command changed nothing. A run that was open goes on in the agents where a job is under way.",
        unknown: "Whether the controller is stopped or uses another state folder.",
        remedy: "Start it with `cavalcade serve`, or name its folder with --state or CAVALCADE_STATE.";
    ANSWERED_NO = 1003, "the person who was asked said no",
        cause: "The command asks before it does something that has consequences, and the answer was not yes.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Give the command again when it is time; --yes or --confirm answers beforehand.";
}
