//! Fleet, recipe, plan.

super::codes! {
    PLAN_DAMAGED = 1201, "the plan file is not what was planned",
        cause: "The digest written in the plan file differs from that of its content.",
        certain: "Nothing was changed.", unknown: "Who changed the file.",
        remedy: "Make the plan again with `cavalcade plan`.";
    UNKNOWN_NODE = 1202, "a name is no node of the fleet",
        cause: "A database's `from` or a stage's `on` names a node that the fleet file does not have.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Correct the name, or add the node to the fleet file.";
    SHARED_HOME = 1203, "two servers have the same home",
        cause: "Two nodes on one host, or the old and the new side of one node, name the same folder.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Give every server a home of its own; a new home is never the old one.";
    SAME_OFFSET = 1204, "two servers on one host have the same port offset",
        cause: "Servers bind all interfaces, so two on one host with the same offset want the same ports.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Give one of the nodes another `offset` or `old_offset`.";
    UNKNOWN_RECIPE = 1205, "the recipe does not exist",
        cause: "The fleet file names neither a built-in recipe nor a readable file.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Use the name of a built-in recipe, or a path relative to the fleet file.";
    UNKNOWN_OPTION = 1206, "the recipe has no such option",
        cause: "The fleet file sets an option that its recipe does not declare.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Use the option that is suggested; the recipe lists all of them under `options`.";
    NEEDED_BY_RECIPE = 1207, "the fleet file lacks something that the recipe needs",
        cause: "The recipe declares an artifact, a database or an option without which it cannot run.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Add it to the fleet file.";
    STAGE_CYCLE = 1208, "stages wait for each other",
        cause: "The `after` of some stages forms a circle, so none of them could ever begin.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Take one of the `after` entries out.";
    DUPLICATE_ID = 1209, "two stages or steps have the same name",
        cause: "A stage's name is used twice in the recipe, or a step's name twice in one stage.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Rename one of them.";
    UNKNOWN_STAGE = 1210, "a stage waits for one that does not exist",
        cause: "The `after` of a stage names no stage of the recipe.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Correct the name.";
    EMPTY_STAGE = 1211, "a stage has no node",
        cause: "No node of the fleet matches the stage's `nodes`. A gate over no member would always be open.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Correct the fleet file or the expression, or mark the stage `may_be_empty: true`.";
    NO_IS_BEFORE_AM = 1212, "an API Manager would start without its Identity Servers seen ready",
        cause: "A step starts a server or a job in the new home of an API Manager and does not need every Identity Server \
            of the fleet ready, or its stage does not come after their start: a missing IS-before-API-M edge.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Add `needs: [identity-servers-ready]` to the step or its stage, and put the stage after the one that \
            starts the Identity Servers.";
    NO_DOWN_BEFORE = 1213, "a database would be changed while old servers may run",
        cause: "A script or a migration job does not need every old server of the fleet down.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Add `needs: [old-servers-down]` to the step or its stage.";
    HIDDEN_LAUNCH = 1214, "a command would start a server",
        cause: "A `command` step runs a start script. Such a start has no permit and nobody would judge it.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Use `server: { start: HOME }` or a `job`.";
    NO_FACTS = 1215, "there are no facts of a node",
        cause: "The agent of the node's host was not connected, or could not gather facts.",
        certain: "Nothing was changed.", unknown: "Everything about that node.",
        remedy: "Look at `cavalcade status`, start the agent, then plan again.";
    NOT_ENOUGH_SPACE = 1216, "a file system has too little room",
        cause: "Packs, their unpacked content and backups need more than is free on one of the node's file systems.",
        certain: "Nothing was changed; no server was stopped.", unknown: "How much others will write there meanwhile.",
        remedy: "Make room, or choose folders on another file system.";
    REQUIREMENT = 1217, "the recipe refuses this fleet as it is",
        cause: "A condition that the recipe requires of the nodes does not hold. The message says which and why.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Do what the message says: often a person must decide and write the answer into the fleet file.";
    WRONG_HOME = 1218, "a step works in a home that its node does not have",
        cause: "A step for the new home of a node that is retired, or for a home of no side of its node.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Leave such nodes out with the stage's `nodes`.";
    UNKNOWN_PROFILE = 1219, "a profile is not known",
        cause: "The recipe lists the profiles of the old and of the new version; this one is not among them.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Use a profile of the list that the message shows.";
    PLAN_FORM = 1220, "the file is no plan",
        cause: "The file is no JSON, has another schema, or was written by another version of this program.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Name a plan file, or make the plan again with `cavalcade plan`.";
    NO_PROBE = 1221, "nothing says how a node is seen ready",
        cause: "No element of the recipe's `probes` matches a node that others need ready.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Add a probe for this kind of node to the recipe.";
    WRONG_NODE = 1222, "a step works on a database from another node than the fleet file says",
        cause: "Each database names in `from` the node that its steps run on: there are its secret, its clients, its route.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Let the stage run `on: databases.NAME.from`, or split it.";
    SHARED_DATABASE = 1223, "two databases of the fleet share what each needs for itself",
        cause: "Two names lead to one database, or two databases have the same backup folder on a host, or the same scratch \
                database, which is no other's database either.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Name each database once, and give each a `scratch` and a `backup_to` of its own.";
    NO_RUN_AS = 1228, "nothing says as whom a server runs",
        cause: "The agent of its host is root, the node has no `run_as`, and its old home is missing or root owns it: what is started there would run as root by accident.",
        certain: "Nothing was changed.", unknown: "Which user the server is meant to have.",
        remedy: "Write `run_as` for the node or in `defaults`; `run_as: root` where root is meant.";
    NO_ALONE_BEFORE = 1229, "databases would be changed while others may be in them",
        cause: "A script or a migration job does not need that nobody else is in any database of the fleet.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Declare a need with `alone: {}` in the recipe, and name it in the `needs` of the step or its stage.";
    VERIFY_ACTS = 1240, "a step of a stage with `verify` would change something",
        cause: "`cavalcade verify` runs such stages alone at any time, so their steps only look: `http`, `tcp`, `log`, `query`, `exchange`, and `server` with `wait` or `down`.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Move the step to a stage without `verify`.";
    NOTHING_TO_VERIFY = 1241, "the plan has nothing to verify",
        cause: "None of its stages says `verify: true`, or none of them has a step on the nodes that were named.",
        certain: "Nothing was changed; nobody was asked.", unknown: "Nothing.",
        remedy: "Use a recipe with such a stage and plan again, or name other nodes.";
    UNUSED = 1250, "the recipe declares something that nothing uses",
        cause: "No step, condition or template of the recipe names it: a rest of an older form, or a misspelt name elsewhere.",
        certain: "Only a warning; plans can be made.", unknown: "Whether something was meant to use it.",
        remedy: "Use it or take it out.";
    UNDELIVERED_FACT = 1251, "no agent delivers this fact",
        cause: "A condition or template reads a fact that is in no agent's answer, as docs/recipes.md lists them.",
        certain: "Only a warning; a fleet may give it as an answer.", unknown: "Whether fleets do.",
        remedy: "Correct the name, ask for it under `facts`, or say in the recipe's documentation which answer it needs.";
    NO_ROW = 1252, "a stage names no row of the guide",
        cause: "None of its steps has `row`, so plan and report cannot say which part of the guide it does.",
        certain: "Only a warning.", unknown: "Nothing.",
        remedy: "Give the steps that the guide asks for their `row`.";
    EFFECT_TWICE = 1253, "two steps have the same effect",
        cause: "An effect's name stands for something that happens at most once. On the same database or home the second step would be refused.",
        certain: "Only a warning; on different databases they are different effects.", unknown: "Whether a fleet lets them meet.",
        remedy: "Give each its own stable name.";
    NO_ENDS = 1254, "a job has no `ends`",
        cause: "Without a line that says that its work ended, only the end of its process does; a server that goes on running never ends.",
        certain: "Only a warning.", unknown: "Whether the program ends by itself.",
        remedy: "Add the patterns of the lines that end its work, well or badly.";
    UNREACHABLE_STAGE = 1255, "no fleet reaches this stage",
        cause: "Its condition is always false, or it waits for stages that wait for it.",
        certain: "It never runs.", unknown: "Nothing.",
        remedy: "Correct `nodes` or `after`, or take the stage out.";
}
