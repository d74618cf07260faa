//! Fleet, recipe, plan.

super::codes! {
    PLAN_DAMAGED = 1201, "the plan file is not what was planned",
        cause: "The digest written in the plan file differs from that of its content.",
        certain: "Nothing was changed.", unknown: "Who changed the file.",
        remedy: "Make the plan again with `cavalcade plan`.";
}
