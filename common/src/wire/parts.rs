//! Messages in parts: a message beyond [`MAX_MESSAGE`] is cut into pieces that obey the limit, and put together again.
//!
//! The pieces of one message follow each other directly, so that messages keep their order and a receiver holds at most
//! one unfinished message.

use std::marker::PhantomData;

use cavalcade_proto::prost::Message;
use cavalcade_proto::v1;

use super::WireError;
use crate::message::MAX_MESSAGE;

/// Largest message in parts, in bytes.
pub const MAX_WHOLE: usize = 16 << 20;

/// Bytes of a message in one part; the rest of [`MAX_MESSAGE`] is for the part's own fields.
const PART_BYTES: usize = MAX_MESSAGE - 256;

/// A message of the logic with its protobuf form.
pub trait Wired: Sized + Send + 'static {
    /// The protobuf form.
    type Wire: Carried + Send + 'static;
    /// The protobuf form of this message.
    ///
    /// # Errors
    /// [`WireError::Json`] for a value that cannot be written as JSON.
    fn to_wire(self) -> Result<Self::Wire, WireError>;
    /// The message of a protobuf form.
    ///
    /// # Errors
    /// Whatever is missing, unknown or out of its grammar.
    fn from_wire(wire: Self::Wire) -> Result<Self, WireError>;
    /// What is sent in place of a message beyond [`MAX_WHOLE`], if the protocol has something that says so.
    fn too_large(self, bytes: u64, limit: u64) -> Option<Self>;
}

/// A protobuf message that can carry a part of another one of its kind.
pub trait Carried: Message + Default {
    /// A message that carries a part.
    fn of_part(part: v1::Part) -> Self;
    /// The part that it carries, or the message itself.
    ///
    /// # Errors
    /// The message, if it carries no part.
    fn into_part(self) -> Result<v1::Part, Self>;
}

/// Encodes what one side sends.
#[derive(Debug)]
pub struct Outbound<M> {
    next_id: u64,
    kind: PhantomData<fn(M)>,
}

impl<M> Default for Outbound<M> {
    fn default() -> Self {
        Self { next_id: 1, kind: PhantomData }
    }
}

impl<M: Wired + Clone> Outbound<M> {
    /// The protobuf messages that carry this one, each within [`MAX_MESSAGE`].
    ///
    /// # Errors
    /// [`WireError::TooLarge`] beyond [`MAX_WHOLE`] where the protocol has no shorter form, and those of
    /// [`Wired::to_wire`].
    pub fn encode(&mut self, message: M) -> Result<Vec<M::Wire>, WireError> {
        let wire = message.clone().to_wire()?;
        let bytes = wire.encoded_len();
        if bytes <= MAX_MESSAGE {
            return Ok(vec![wire]);
        }
        if bytes <= MAX_WHOLE {
            return Ok(self.split(&wire.encode_to_vec()));
        }
        let (bytes, limit) = (bytes as u64, MAX_WHOLE as u64);
        let shorter = message.too_large(bytes, limit).ok_or(WireError::TooLarge { bytes, limit })?;
        let wire = shorter.to_wire()?.encode_to_vec();
        if wire.len() > MAX_WHOLE {
            return Err(WireError::TooLarge { bytes: wire.len() as u64, limit });
        }
        Ok(self.split(&wire))
    }

    fn split(&mut self, whole: &[u8]) -> Vec<M::Wire> {
        let id = self.next_id;
        self.next_id += 1;
        let count = u32::try_from(whole.len().div_ceil(PART_BYTES)).unwrap_or(u32::MAX);
        let parts = whole.chunks(PART_BYTES).zip(0..count);
        parts.map(|(bytes, index)| M::Wire::of_part(v1::Part { id, index, count, bytes: bytes.to_vec() })).collect()
    }
}

/// Decodes what the other side sent.
#[derive(Debug)]
pub struct Inbound<M> {
    open: Option<Open>,
    kind: PhantomData<fn() -> M>,
}

#[derive(Debug)]
struct Open {
    id: u64,
    count: u32,
    next: u32,
    bytes: Vec<u8>,
}

impl<M> Default for Inbound<M> {
    fn default() -> Self {
        Self { open: None, kind: PhantomData }
    }
}

impl<M: Wired> Inbound<M> {
    /// Takes one protobuf message; a message of the logic once it is complete.
    ///
    /// # Errors
    /// Parts out of order, a message beyond [`MAX_WHOLE`], and those of [`Wired::from_wire`]. After an error the session
    /// is over: nothing that follows can be trusted.
    pub fn decode(&mut self, wire: M::Wire) -> Result<Option<M>, WireError> {
        match wire.into_part() {
            Err(wire) => match &self.open {
                Some(open) => Err(WireError::PartInterrupted { id: open.id }),
                None => M::from_wire(wire).map(Some),
            },
            Ok(part) => match self.join(part)? {
                Some(whole) => {
                    let wire = M::Wire::decode(whole.as_slice()).map_err(WireError::Decode)?;
                    M::from_wire(wire).map(Some)
                }
                None => Ok(None),
            },
        }
    }

    fn join(&mut self, part: v1::Part) -> Result<Option<Vec<u8>>, WireError> {
        let v1::Part { id, index, count, bytes } = part;
        let mut open = self.open.take().unwrap_or(Open { id, count, next: 0, bytes: Vec::new() });
        if open.id != id || open.count != count || open.next != index || index >= count {
            return Err(WireError::PartOrder { id, index, count, expected: open.next });
        }
        let total = open.bytes.len() + bytes.len();
        if total > MAX_WHOLE || bytes.is_empty() {
            return Err(WireError::TooLarge { bytes: total as u64, limit: MAX_WHOLE as u64 });
        }
        open.bytes.extend_from_slice(&bytes);
        open.next += 1;
        if open.next == count {
            return Ok(Some(open.bytes));
        }
        self.open = Some(open);
        Ok(None)
    }
}
