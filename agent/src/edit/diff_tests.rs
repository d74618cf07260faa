use super::super::diff::diff;
use super::{HEADER, INNER, PAIR, SecretPattern};

fn patterns() -> Vec<SecretPattern> {
    let all = ["(?i)password", "(?i)secret", r"(^|\.)encryption\.key$", "auth_token"];
    all.iter().map(|p| SecretPattern::new(p).expect("pattern")).collect()
}

fn shown(before: &str, after: &str) -> String {
    diff(before.as_bytes(), after.as_bytes(), &patterns()).to_string()
}

#[test]
fn constant_expressions_compile() {
    assert!(PAIR.is_match("a = 1") && INNER.is_match("a=1") && HEADER.is_match("[a.b]"));
    assert!(SecretPattern::new("(").is_err());
}

#[test]
fn unified_form() {
    assert_eq!(shown("a\nb\n", "a\nb\n"), "");
    let before = "1\n2\n3\n4\n5\n6\n7\n8\n9";
    let after = "1\n2\n3\n4\nfive\n6\n7\n8\n9\n10\n";
    let expected = "@@ -2,8 +2,9 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n-9\n\\ No newline at end of file\n+9\n+10\n";
    assert_eq!(shown(before, after), expected);
    assert_eq!(shown("", "a\n"), "@@ -0,0 +1,1 @@\n+a\n");
}

#[test]
fn line_numbers() {
    let diff = diff(b"a\nb\n", b"a\nx\nb\n", &[]);
    let numbers: Vec<_> = diff.hunks[0].lines.iter().map(|l| (l.before, l.after)).collect();
    assert_eq!(numbers, [(Some(1), Some(1)), (None, Some(2)), (Some(2), Some(3))]);
}

#[test]
fn secret_values_never_show() {
    let before = "\
[a]
username = \"u\"
connection_password = \"hunter2\" # hunter2
#password = \"hunter2\"
[encryption]
key = \"hunter2\"
[keystore]
key = \"open\"
#[encryption]
#key = \"hunter2\"
[t]
x = { user = \"u\", password = \"hunter2\" }
url = \"jdbc:mysql://h/db?user=u&password=hunter2\"
'db.password' = 'hunter2'
secret = \"\"\"
hunter2
hunter2 \"\"\"
secrets = [
  \"hunter2\", # hunter2 ]
  \"hunter2\"]
open = [
  { password = \"hunter2\" },
]
after = 1
";
    let after = before.replace("hunter2", "hunter3").replace("after = 1", "after = 2");
    let text = shown(before, &after);
    assert!(!text.contains("hunter"), "{text}");
    for line in
        ["-connection_password = (secret)\n", "+connection_password = (secret, changed)\n", "+#password = (secret, changed)\n"]
    {
        assert!(text.contains(line), "{line}{text}");
    }
    for line in [
        " username = \"u\"",
        " key = \"open\"",
        "+key = (secret, changed)",
        "-after = 1",
        "+after = 2",
        "+  { password = (secret, changed)",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn yaml_properties_xml_and_commands() {
    let before = "\
db:
  password: hunter2
  list:
    - name: a
      secret: |
        hunter2
        hunter2

      open: 1
  secret:
    inner: hunter2
passwords:
- hunter2
- hunter2
next: 1
encryption:
  key: hunter2
other.password=hunter2\\
  hunter2
set DB_PASSWORD=hunter2
exec java -Djavax.keyStorePassword=hunter2 x
<Password>hunter2</Password>
<Property name=\"password\">hunter2</Property>
";
    let text = shown(before, &before.replace("hunter2", "hunter3").replace("open: 1", "open: 2").replace("next: 1", "next: 2"));
    assert!(!text.contains("hunter"), "{text}");
    for line in ["+      open: 2", "+next: 2", "+  password: (secret, changed)", "+set DB_PASSWORD=(secret, changed)"] {
        assert!(text.contains(line), "{line}\n{text}");
    }
}

#[test]
fn a_moved_secret_is_not_called_changed() {
    let text = shown("[a]\npassword = \"x1\"\n", "[a]\n#password = \"x1\"\npassword = \"x2\"\n");
    assert!(text.contains("+#password = (secret)\n+password = (secret, changed)\n"), "{text}");
}

#[test]
fn a_large_file_that_changed_all_over_is_one_change() {
    let lines = |word: &str| (0..50_000).map(|i| format!("{word} {i}\n")).collect::<String>();
    let (before, after) = (format!("a\nb\n{}c\n", lines("old")), format!("a\nb\n{}c\n", lines("new")));
    let diff = diff(before.as_bytes(), after.as_bytes(), &[]);
    assert_eq!(diff.hunks.len(), 1);
    assert_eq!((diff.hunks[0].before, diff.hunks[0].after), ((1, 50_003), (1, 50_003)));
    assert_eq!(diff.hunks[0].lines.len(), 2 + 100_000 + 1);
}
