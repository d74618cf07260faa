//! Executor, ledger, shim.

super::codes! {
    LEDGER_DAMAGED = 3001, "the agent's ledger is damaged",
        cause: "A record of full length has a wrong checksum, or a record in the middle cannot be read.",
        certain: "The agent begins nothing. Children that live go on.",
        unknown: "Whether effects that the damaged records named took place.",
        remedy: "Look at the node; then decide each open step with `cavalcade resolve`.";
}
