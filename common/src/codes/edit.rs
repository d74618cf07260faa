//! Edits of files.

super::codes! {
    EDIT_SYNTAX = 3101, "the file to edit cannot be parsed",
        cause: "The file is not valid TOML or YAML, or holds NUL bytes or invalid UTF-8.",
        certain: "The file was not changed.", unknown: "Nothing.",
        remedy: "Correct the file by hand, then retry the step.";
    EDIT_LIMIT = 3102, "the file to edit is too large or nested too deep",
        cause: "The file is longer than 4 MiB, its values are nested deeper than a configuration needs, or its aliases repeat \
                each other.",
        certain: "The file was not changed.", unknown: "Whether it is the file that was meant.",
        remedy: "Look whether the step names the right file. Reduce the file, or edit it by hand and resolve the step.";
    EDIT_NOT_FOUND = 3103, "what the edit changes is not in the file",
        cause: "A path, list item or text that must be there is missing: another version of the file, or the edit was made \
                already.",
        certain: "The file was not changed.", unknown: "Whether a person or an earlier run made the edit already.",
        remedy: "Compare the file with the step. Correct the file or the recipe and retry, or resolve the step as done.";
    EDIT_COUNT = 3104, "what the edit changes is in the file another number of times",
        cause: "A selector, a list item or a text matches another number of times than the edit says.",
        certain: "The file was not changed.", unknown: "Which of the matches is meant.",
        remedy: "Make the selector or text in the recipe more exact, or correct its count, then retry the step.";
    EDIT_KIND = 3105, "the edit meets a value of another kind",
        cause: "The file holds, say, a table where the edit sets a single value, or an array where it needs a selector.",
        certain: "The file was not changed.", unknown: "Nothing.",
        remedy: "Compare the path in the recipe with the file, then correct one of them and retry the step.";
    EDIT_OPERATION = 3106, "the edit itself is not well formed",
        cause: "A path cannot be read, a value cannot be written in the format, or operations exclude each other.",
        certain: "The file was not changed.", unknown: "Nothing.",
        remedy: "Correct the recipe and make a new plan.";
    EDIT_UNSUPPORTED = 3107, "the file uses a form that is not edited",
        cause: "The place of the edit is an alias, a tagged or block scalar, or laid out so that it has no lines of its own.",
        certain: "The file was not changed.", unknown: "Nothing.",
        remedy: "Write that place of the file in a plain form, or make the edit by hand and resolve the step as done.";
    EDIT_ANCHOR = 3108, "the edit would change places that refer to an anchor",
        cause: "The value or list item carries a YAML anchor that an alias elsewhere in the file uses.",
        certain: "The file was not changed.", unknown: "Nothing.",
        remedy: "Replace the aliases by the value itself, or make the edit by hand and resolve the step as done.";
    EDIT_EXPECTED = 3110, "a file does not hold the value that is expected in it",
        cause: "The step compares a value with the one that the fleet file or a secret gives, and they differ.",
        certain: "Nothing was changed.", unknown: "Which of the two is right.",
        remedy: "Compare the named key in the file with the fleet file or the secret; correct the wrong one and retry the step.";
    EDIT_REFUSED = 3111, "a setting would get a value that is refused",
        cause: "The value is one that must not be used, such as a key that the product publishes as its default, or one of a length that no cipher takes.",
        certain: "Nothing was changed.", unknown: "Nothing.",
        remedy: "Give the setting, or the secret that it comes from, a value of your own and retry the step.";
    EDIT_UNINTENDED = 3109, "the edited text does not mean what was intended",
        cause: "After the edit the text was parsed again, and its values are not exactly those that the edit asks for.",
        certain: "The file was not changed.", unknown: "Which form of the file the editor does not handle.",
        remedy: "Report this with the file's layout. Make the edit by hand and resolve the step as done.";
}
