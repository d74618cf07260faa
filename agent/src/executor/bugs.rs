//! Guards that the simulation can leave out of the agent.

cavalcade_common::seeded_bugs! {
    /// Every offer of an attempt starts it, known or not.
    starts_known_attempts,
    /// An attempt with an INTENT and no outcome is begun again from the start.
    begins_again,
    /// Launches go ahead without a permit.
    launches_unpermitted,
    /// What nobody can tell counts as a success.
    unknown_is_success,
    /// What an earlier process started is ended when the agent starts.
    ends_children_at_restart,
}
