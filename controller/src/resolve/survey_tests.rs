//! What hosts are asked.

use super::tests::{FLEET, RECIPE};
use super::*;
use crate::{fleet, recipe};

fn asked(fleet: &str) -> BTreeMap<HostId, FactsWanted> {
    let fleet = fleet::read(fleet.as_bytes(), "fleet.yaml").unwrap_or_else(|f| panic!("{f}"));
    let recipe = recipe::read(RECIPE.as_bytes(), "recipe.yaml").unwrap_or_else(|f| panic!("{f}"));
    let input = Input {
        fleet: &fleet,
        recipe: &recipe,
        facts: &BTreeMap::new(),
        asked: &BTreeMap::new(),
        shipped: &BTreeMap::new(),
        artifacts: &BTreeMap::new(),
        plan_id: "",
        made_by: "",
        now: Timestamp::UNIX_EPOCH,
    };
    survey(&input).unwrap_or_else(|f| panic!("{f}"))
}

fn of<'a>(asked: &'a BTreeMap<HostId, FactsWanted>, node: &str) -> &'a FactsWanted {
    asked.values().find(|wanted| wanted.nodes.iter().any(|n| n.node.id.as_str() == node)).expect("is asked")
}

#[test]
fn every_host_with_a_new_server_tries_the_servers_accounts() {
    let all = asked(FLEET);
    for node in ["is-1", "cp-1", "gw-2"] {
        let wanted = of(&all, node);
        let logins: Vec<(&str, &str)> = wanted.logins.iter().map(|l| (l.target.name.as_str(), l.target.user.as_str())).collect();
        assert!(logins.contains(&("am_db", "wso2carbon")) && logins.contains(&("shared_db", "wso2carbon")), "{node}: {logins:?}");
        assert!(wanted.logins.iter().all(|l| l.nodes.iter().any(|n| n.as_str() == node)));
        assert!(wanted.secrets.contains_key("server_password"), "{node} needs the password for it");
    }
}

#[test]
fn a_password_that_only_the_controller_has_is_asked_of_nobody() {
    let fleet = FLEET.lines().map(|line| match line.trim_start().starts_with("server_password:") {
        true => "  server_password: { prompt: the password of the servers }".to_owned(),
        false => line.to_owned(),
    });
    let fleet = fleet.collect::<Vec<_>>().join("\n");
    assert_ne!(fleet.trim_end(), FLEET.trim_end());
    let all = asked(&fleet);
    let wanted = of(&all, "is-1");
    assert!(wanted.logins.is_empty() && !wanted.secrets.contains_key("server_password"), "{:?}", wanted.logins);
}

#[test]
fn old_ports_and_the_place_of_autostart_are_told_to_the_agents() {
    let all = asked(FLEET);
    let look = |all: &BTreeMap<HostId, FactsWanted>, node: &str| {
        let wanted = of(all, node).nodes.iter().find(|n| n.node.id.as_str() == node).expect("is asked").look.clone();
        (wanted.old_ports, wanted.autostart_root)
    };
    let (ports, root) = look(&all, "gw-1");
    assert!(ports.contains(&9443) && ports.contains(&8243), "{ports:?}");
    assert_eq!(root.as_deref(), Some("/"));
    let chroot = FLEET.replacen("options:", "options:\n  autostart_root: /srv/chroot", 1);
    assert_ne!(chroot, FLEET);
    assert_eq!(look(&asked(&chroot), "gw-1").1.as_deref(), Some("/srv/chroot"));
}
