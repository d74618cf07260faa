//! Guards of the run loop that can be left out on purpose, to see that the simulation's checkers notice. Compiled in only
//! with the feature `seeded-bugs`, which the tests alone switch on; in a released controller every guard is always there.

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
