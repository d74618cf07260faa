//! When the work must be over, and how long it takes: `window` and `expected` of the fleet file.

use std::collections::BTreeMap;
use std::time::Duration;

use cavalcade_common::codes::written as codes;
use cavalcade_common::plan::Window;
use cavalcade_common::written::{Content, Fields, FromNode, Mark, Node, Reader};
use jiff::Timestamp;

/// Reads `window: { end: INSTANT }`.
pub(super) fn window(node: &Node, r: &mut Reader) -> Option<Window> {
    let mut f = Fields::of(node, "`window`", r)?;
    let mark = f.node("end").map_or(node.mark, |n| n.mark);
    let end: Option<String> = f.req("end", r);
    f.finish(r);
    match end?.parse::<Timestamp>() {
        Ok(end) => Some(Window { end }),
        Err(_) => {
            let help = "an instant with its zone, in quotes: \"2026-11-23T05:00:00+01:00\"".to_owned();
            r.fault_with(codes::BAD_VALUE, mark, "`end` is no instant", Some(help));
            None
        }
    }
}

/// Reads `expected`: durations by `STAGE.STEP` or by the name of an effect, with their places.
pub(super) fn expected(node: Option<&Node>, r: &mut Reader) -> BTreeMap<String, (Duration, Mark)> {
    let Some(node) = node else { return BTreeMap::new() };
    let Content::Map(entries) = &node.content else {
        let what = format!("a mapping of durations by STAGE.STEP is needed here, this is {}", node.kind());
        r.fault(codes::WRONG_KIND, node.mark, what);
        return BTreeMap::new();
    };
    entries.iter().filter_map(|e| Some((e.key.clone(), (Duration::from_node(&e.value, r)?, e.mark)))).collect()
}
