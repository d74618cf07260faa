//! Guards that can be left out on purpose, to see that the simulation's checkers notice. Compiled in only with the feature
//! `seeded-bugs`, which the tests alone switch on; in a released agent every guard is always there.

/// Which guards are left out.
#[derive(Debug, Clone, Copy, Default)]
pub struct Bugs {
    /// Every offer of an attempt starts it, known or not.
    #[cfg(feature = "seeded-bugs")]
    pub dedupe_left_out: bool,
    /// An attempt with an INTENT and no outcome is begun again from the start.
    #[cfg(feature = "seeded-bugs")]
    pub redo_after_intent: bool,
    /// Launches go ahead without a permit.
    #[cfg(feature = "seeded-bugs")]
    pub permit_left_out: bool,
}

#[cfg(feature = "seeded-bugs")]
impl Bugs {
    pub(super) fn starts_known_attempts(self) -> bool {
        self.dedupe_left_out
    }
    pub(super) fn begins_again(self) -> bool {
        self.redo_after_intent
    }
    pub(super) fn launches_unpermitted(self) -> bool {
        self.permit_left_out
    }
}

#[cfg(not(feature = "seeded-bugs"))]
impl Bugs {
    pub(super) fn starts_known_attempts(self) -> bool {
        false
    }
    pub(super) fn begins_again(self) -> bool {
        false
    }
    pub(super) fn launches_unpermitted(self) -> bool {
        false
    }
}
