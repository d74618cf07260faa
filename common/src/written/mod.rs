//! Files that people write: YAML with the place of every key and value, read once, decoded with all errors.
//!
//! serde stops at the first error and loses places in `flatten` and `untagged`; here a tree is read ([`read`]) and then
//! decoded ([`Fields`], [`FromNode`]) by code that collects every fault and knows which keys it asked for.

mod decode;
mod file;
mod read;
mod tree;

pub use decode::{AbsolutePath, Fields, FromNode, Pattern, Reader, nearest};
pub use file::read_limited;
pub use read::{MAX_BYTES, read};
pub use tree::{Content, Document, Entry, Mark, Node};
