//! Guards that can be left out on purpose, to see that the simulation's checkers notice. Compiled in only with the feature
//! `seeded-bugs`, which the tests alone switch on; in a released agent every guard is always there.

macro_rules! bugs {
    ($($(#[$says:meta])* $bug:ident,)*) => {
        /// Which guards are left out.
        #[derive(Debug, Clone, Copy, Default)]
        pub struct Bugs {
            $($(#[$says])* #[cfg(feature = "seeded-bugs")] pub $bug: bool,)*
        }

        impl Bugs {
            $(
                #[cfg(feature = "seeded-bugs")]
                pub(super) fn $bug(self) -> bool {
                    self.$bug
                }
                #[cfg(not(feature = "seeded-bugs"))]
                pub(super) fn $bug(self) -> bool {
                    false
                }
            )*
        }
    };
}

bugs! {
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
