//! `undo`: what finished file steps of an earlier run did is put back, from the kept copies.

use async_trait::async_trait;
use cavalcade_common::action::Undo;
use cavalcade_common::report::{Evidence, Preview};

use crate::action::{Act, Applied, Context, Failure};

#[async_trait]
impl Act for Undo {
    async fn inspect(&self, _cx: &Context) -> Result<Preview, Failure> {
        todo!()
    }

    async fn apply(&self, _cx: &Context) -> Result<Applied, Failure> {
        todo!()
    }

    async fn verify(&self, _cx: &Context) -> Result<Vec<Evidence>, Failure> {
        todo!()
    }
}
