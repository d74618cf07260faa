//! A whole fleet upgraded end to end.

#![expect(clippy::unwrap_used, reason = "a failed helper fails its test")]

use std::path::Path;

use cavalcade_tests::upgrade::site::{Programs, Site, Wanted};

fn site(wanted: &Wanted) -> Site {
    let programs = Programs::beside(Path::new(env!("CARGO_BIN_EXE_standin-java"))).unwrap();
    Site::new(programs, wanted).unwrap()
}

#[test]
fn a_fleet_is_upgraded() {
    let site = site(&Wanted::default());
    let digest = site.plan().unwrap();
    site.apply(&digest, &[]).unwrap();
    site.finish().unwrap();
}
