//! Secrets that only the controller has, when the agent's process is another one than that which was given them.

use cavalcade_common::secret::{SecretRef, SecretValue};

use super::*;

/// What lives goes on without anybody watching, until its secrets are here again: its lines would be told as they are. It is
/// the same for those that the step uses and for those that other steps of the node use.
#[tokio::test]
async fn what_lives_is_watched_again_when_the_secrets_of_its_lines_are_there() {
    for of_other_steps in [false, true] {
        let agent = Agent::new();
        let action = Action::Command(agent.command("while [ ! -e go ]; do sleep 0.03; done", false));
        let mut offer = agent.offer(1, &action);
        let refs = BTreeMap::from([("key".to_owned(), SecretRef::Prompt("the DBA".to_owned()))]);
        if of_other_steps {
            offer.also_hide = refs;
        } else {
            offer.secrets = refs;
        }
        let without = offer.clone();
        offer.given.insert("key", SecretValue::new("canary-value".to_owned()));
        agent.executor.offer(offer.clone()).unwrap();
        until("the run", || (agent.runs() == 1).then_some(())).await;

        let agent = agent.again().await;
        agent.executor.adopt();
        assert!(!agent.executor.is_running(&offer.attempt), "of other steps: {of_other_steps}");
        assert_eq!(agent.executor.offer(without).unwrap(), Admitted::Known);
        assert!(!agent.executor.is_running(&offer.attempt), "of other steps: {of_other_steps}");
        assert_eq!(agent.executor.offer(offer.clone()).unwrap(), Admitted::Confirmed);
        fs::write(agent.machine.at("home/go"), "").unwrap();
        assert_eq!(agent.end(&offer.attempt).await, SUCCEEDED);
        assert_eq!(agent.runs(), 1);
    }
}
