//! `undo`: what finished file steps of an earlier run did is put back, from the kept copies.
//!
//! From the last step to the first. Before anything is changed the whole list is walked in thought ([`plan`]): a path must
//! be as its step left it, seen through what is put back before. Then path by path ([`work`]): noted, what is there kept
//! in this step's own undo folder, put back, and the old record renamed. So a repeat goes on where the first one died.
//!
//! - What was made goes aside into this step's undo folder, a home with its logs. What other steps did inside such a tree
//!   goes with it, and so does what somebody changed in it.
//! - A folder that was made for something else goes once it is empty.
//! - A path that somebody changed since is refused, with everything else of the list.

mod machine;
mod plan;
#[cfg(test)]
mod tests;
mod work;

use std::sync::Arc;

use async_trait::async_trait;
use cavalcade_common::action::Undo;
use cavalcade_common::report::{Evidence, Preview, Verdict};

use crate::action::aside::aside;
use crate::action::{Act, Applied, Context, Failure, fs_fault};
use plan::Plan;

#[async_trait]
impl Act for Undo {
    async fn inspect(&self, cx: &Context) -> Result<Preview, Failure> {
        let (spec, inner) = (self.clone(), cx.clone());
        aside(cx, move |_| {
            let plan = Plan::of(&spec, &inner)?;
            let (verdict, says) = match plan.diffs.len() as u64 {
                0 => (Verdict::Same, "everything is as before already".to_owned()),
                many => (Verdict::Change, format!("puts back {}", fs_fault::count(many, "path"))),
            };
            Ok(Preview { verdict, says, diffs: plan.diffs })
        })
        .await
    }

    async fn apply(&self, cx: &Context) -> Result<Applied, Failure> {
        let (spec, inner) = (self.clone(), cx.clone());
        aside(cx, move |given_up| work::apply(&spec, &inner, &mut || given_up.check())).await
    }

    async fn verify(&self, cx: &Context) -> Result<Vec<Evidence>, Failure> {
        let (spec, host, state) = (self.clone(), Arc::clone(&cx.host), cx.state_dir.clone());
        aside(cx, move |_| plan::verify(&spec, host.as_ref(), &state)).await
    }
}
