//! Guards that the simulation can leave out of the run loop.

cavalcade_common::seeded_bugs! {
    /// A run is over as soon as somebody cancels it, whatever is under way.
    cancel_waits_for_nothing,
    /// What was offered and has not begun goes on though its run is cancelled.
    cancel_takes_nothing_back,
    /// A superseding plan takes over before the old run has drained.
    supersedes_undrained,
    /// A report that comes twice is taken twice.
    takes_reports_twice,
    /// Reports are acked before they are in the journal.
    acks_before_the_journal,
    /// What was seen of a step before does not matter to a verb.
    verbs_ignore_what_was_seen,
}
