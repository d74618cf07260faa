//! Files that people write: YAML, expressions, templates.

super::codes! {
    YAML_SYNTAX = 1101, "the file is not valid YAML",
        cause: "The text breaks YAML's rules: indentation, quotes, brackets, or a second document in the file.",
        certain: "Nothing was changed.", unknown: "Whether more errors follow behind this one.",
        remedy: "Correct the place that is shown.";
    YAML_LIMIT = 1102, "the file is larger or deeper than such a file can be",
        cause: "The file has more bytes, nodes, nested levels or repeated aliases than the reader allows.",
        certain: "Nothing was changed; the file was not read further.", unknown: "Whether the rest of the file is sound.",
        remedy: "Split the file, or write out what the aliases repeat.";
    YAML_BYTES = 1103, "the file is no plain text",
        cause: "The file holds NUL or other control characters, or bytes that are not UTF-8.",
        certain: "Nothing was changed.", unknown: "Whether the file is the one that was meant.",
        remedy: "Save the file as UTF-8 text without control characters.";
    DUPLICATE_KEY = 1104, "a key stands twice in one mapping",
        cause: "Two lines of one mapping have the same key; YAML readers differ in which one they take.",
        certain: "Nothing was changed.", unknown: "Which of the two was meant.",
        remedy: "Remove one of the two lines.";
    MERGE_KEY = 1105, "merge keys (`<<`) are not allowed",
        cause: "The file uses YAML's merge key, whose rules readers do not agree on.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Write the keys out, or use `defaults` of the fleet file.";
    UNKNOWN_KEY = 1106, "a key is not known here",
        cause: "The key is misspelt or stands at the wrong level.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Use the key that is suggested; docs/recipes.md lists all keys of recipes, docs/cli.md those of the file with \
            options.";
    UNKNOWN_NAME = 1107, "an expression or template uses a name that does not exist",
        cause: "The dotted name is misspelt, or the agent did not gather such a fact and no answer gives it.",
        certain: "Nothing was changed. No condition was decided by a missing name.", unknown: "Nothing.",
        remedy: "Use the name that is suggested, or add the answer to the fleet file.";
    MISSING_KEY = 1108, "a key that is needed is missing",
        cause: "The mapping lacks a key without which it has no meaning.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Add the key that is named.";
    WRONG_KIND = 1109, "a value is of the wrong kind",
        cause: "A text stands where a number is needed, a list where a mapping is needed, and so on.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Write the value as the message says; a text that looks like a number needs quotes.";
    BAD_VALUE = 1110, "a value is not allowed here",
        cause: "The value is of the right kind and outside of what is allowed: a name, a path, a duration, a pattern.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Write the value as the message says.";
    EXPRESSION_BRACES = 1111, "an expression stands in braces",
        cause: "`when`, `nodes`, `on` and `for` take an expression without `{{ }}`. Elsewhere text behind braces is always \
            true, which decided wrongly for many.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Write the line as it is shown, without the braces.";
    EXPRESSION_SYNTAX = 1112, "an expression cannot be read",
        cause: "The expression breaks the grammar, is longer than 512 bytes, or uses a subscript.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Correct the expression; write `facts.name` instead of `facts['name']`.";
    NOT_BOOLEAN = 1113, "a condition gives neither true nor false",
        cause: "The expression gives a text, a number or nothing. A text such as 'false' would count as true elsewhere.",
        certain: "Nothing was changed. The condition decided nothing.", unknown: "Nothing.",
        remedy: "Compare the value: `facts.x == 'yes'`.";
    TEMPLATE = 1114, "a template cannot be filled",
        cause: "The text between `{{` and `}}` is no expression, is not closed, or its value does not fit into a text.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Correct the template; a literal `{{` is written `{{ '{{' }}`.";
    ACTION_COUNT = 1115, "a step has no action or several",
        cause: "A step does exactly one thing.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Give the step one action, or `skip` with a reason; split a step with several.";
    STAGE_KEY = 1116, "a list of steps holds a key of a stage",
        cause: "`step run` takes steps only; stages, batches and approvals belong to a recipe and its controller.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Take the key out, or run the recipe through a controller.";
    SCHEMA_WORD = 1117, "the file has another schema",
        cause: "The key `schema` is missing, or names another kind of file or another version.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Write the schema word that the message names, or use the program of that version.";
    UNKNOWN_REFERENCE = 1118, "a step refers to something that the fleet does not have",
        cause: "An artifact, a database, a secret or a need of this name is not defined.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Correct the name or add the definition to the fleet file.";
    LITERAL_SECRET = 1119, "a secret's value stands in the file",
        cause: "Secrets are given as references: file, env, exec, prompt or generate.",
        certain: "Nothing was changed. The value was not copied anywhere.", unknown: "Who has read the file.",
        remedy: "Put the value into a file that only its user can read, refer to that, and change the secret.";
    SECRET_ARGUMENT = 1125, "a secret stands in the arguments of a command",
        cause: "A `command`, `job` or `server` has a `{{ secrets.NAME }}` among its arguments.",
        certain: "Nothing was changed and nothing was started.", unknown: "Nothing.",
        remedy: "Arguments of a process can be read by every user of its host: give the secret in `env`, or in a file that a step writes.";
    UNREADABLE = 1120, "the file cannot be read",
        cause: "The file is missing, is no regular file, or this user may not read it.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Check path and rights.";
}
