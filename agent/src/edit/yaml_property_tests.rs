//! Lists in every layout that the products' files have: an item goes with its own lines, and with nothing else.

use cavalcade_common::action::{YamlEdit, YamlRemove};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, json};

use super::{EditError, yaml};

/// One item: the dash on a line of its own or not, blank or comment lines around, a table below or not.
#[derive(Debug, Clone)]
struct Item {
    alone: bool,
    deeper: usize,
    above: bool,
    inside: bool,
    below: bool,
    nested: bool,
    blank: bool,
}

fn item() -> impl Strategy<Value = Item> {
    let flags = prop::array::uniform6(any::<bool>());
    (flags, 1_usize..4).prop_map(|([alone, above, inside, below, nested, blank], deeper)| Item {
        alone,
        deeper,
        above,
        inside,
        below,
        nested,
        blank,
    })
}

/// The item's own lines; a blank line behind it is not its own.
fn lines(item: &Item, i: usize, indent: usize) -> Vec<String> {
    let dash = " ".repeat(indent);
    let inner = if item.alone { " ".repeat(indent + item.deeper) } else { " ".repeat(indent + 2) };
    let mut lines = Vec::new();
    if item.above {
        lines.push(format!("{dash}# above {i}"));
    }
    if item.alone {
        lines.extend([format!("{dash}-"), format!("{inner}name: \"n{i}\" # inline {i}")]);
    } else {
        lines.push(format!("{dash}- name: n{i}"));
    }
    if item.inside {
        lines.push(format!("# at the margin, inside {i}"));
    }
    lines.push(format!("{inner}order: {i}"));
    if item.nested {
        lines.extend([
            format!("{inner}parameters:"),
            format!("{inner}  - - k: 'v{i}'"),
            format!("{inner}    - |"),
            format!("{inner}       # text {i}"),
        ]);
    }
    if item.below {
        lines.extend([String::new(), format!("{inner}# below {i}")]);
    }
    lines
}

fn text(items: &[Item], indent: usize, without: Option<usize>) -> String {
    let mut all = vec!["first: 1".to_owned(), "list: # of items".to_owned()];
    for (i, item) in items.iter().enumerate() {
        if without != Some(i) {
            all.extend(lines(item, i, indent));
        }
        if item.blank {
            all.push(String::new());
        }
    }
    if items.len() == 1 && without.is_some() {
        all[1] = "list: [] # of items".to_owned();
    }
    all.extend(["# of last".to_owned(), "last: 'x' # end".to_owned()]);
    all.join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_removed_item_takes_its_own_lines_only(
        items in prop::collection::vec(item(), 1..5), indent in 0_usize..4, at in any::<prop::sample::Index>(), crlf in any::<bool>(),
    ) {
        // A comment in the list's column would be of the next key.
        let i = at.index(items.len());
        let adapt = |text: String| if crlf { text.replace('\n', "\r\n") } else { text };
        let contains = Map::from_iter([("name".to_owned(), json!(format!("n{i}"))), ("order".to_owned(), json!(i.to_string()))]);
        let remove = YamlRemove { list: "list".to_owned(), contains, count: 1 };
        let edit = YamlEdit { remove_items: vec![remove], ..YamlEdit::default() };
        let out = yaml(adapt(text(&items, indent, None)).as_bytes(), &edit).expect("edit");
        prop_assert_eq!(String::from_utf8(out.clone()).expect("UTF-8"), adapt(text(&items, indent, Some(i))));
        let again = matches!(yaml(&out, &edit), Err(EditError::NotFound { .. }));
        prop_assert!(again, "the second run must find nothing");
    }

    #[test]
    fn a_set_scalar_changes_its_own_bytes_only(
        items in prop::collection::vec(item(), 1..4), indent in 0_usize..4, at in any::<prop::sample::Index>(),
        new in select(vec![json!("plain"), json!("it's \"x\""), json!("true"), json!("a: b #"), json!(7), json!(false), json!("\u{2028}\n\u{7}")]),
    ) {
        let i = at.index(items.len());
        let source = text(&items, indent, None);
        let set = Map::from_iter([(format!("list[order={i}].name"), new.clone()), ("last".to_owned(), new)]);
        let edit = YamlEdit { set, ..YamlEdit::default() };
        let out = yaml(source.as_bytes(), &edit).expect("edit");
        prop_assert_eq!(&yaml(&out, &edit).expect("second run"), &out);
        let out = String::from_utf8(out).expect("UTF-8");
        let (before, after): (Vec<&str>, Vec<&str>) = (source.lines().collect(), out.lines().collect());
        prop_assert_eq!(before.len(), after.len());
        let changed = before.iter().zip(&after).filter(|(b, a)| b != a);
        for (b, a) in changed {
            prop_assert!(b.starts_with("last: 'x'") || b.contains(&format!("n{i}")), "{} {}", b, a);
            let comment = |l: &str| l.rfind(" # ").map(|at| l[at..].to_owned());
            prop_assert!(comment(b).is_none() || comment(b) == comment(a));
        }
    }

    #[test]
    fn any_bytes_are_edited_or_refused(source in prop::collection::vec(select(b"ab:- \n[]{}#&*'\"|>?!,\r\t%\xff\0".to_vec()), 0..40)) {
        let remove = YamlRemove { list: "a".to_owned(), contains: Map::from_iter([("b".to_owned(), json!("b"))]), count: 1 };
        let edit = YamlEdit { set: Map::from_iter([("b".to_owned(), json!("x"))]), ..YamlEdit::default() };
        if let Ok(out) = yaml(&source, &edit) {
            prop_assert_eq!(yaml(&out, &edit).expect("second run"), out);
        }
        if let Ok(out) = yaml(&source, &YamlEdit { remove_items: vec![remove], ..YamlEdit::default() }) {
            prop_assert!(out != source);
        }
    }
}
