//! Guards that can be left out on purpose, to see that the simulation's checkers notice.

/// Makes `Bugs` of a list of names: which guards are left out. Fields are there only with the feature `seeded-bugs` of the
/// crate that lists them, which the tests alone switch on; in a released program every guard is always there.
#[macro_export]
macro_rules! seeded_bugs {
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
