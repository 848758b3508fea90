//! A check of a Parquet file's footer before the `parquet` crate reads it: the crate reserves memory for as many row
//! groups and columns as a footer claims, and descends into columns as deep as they are nested.

use crate::edge::{Failure, Status};

const MAGIC: &[u8] = b"PAR1";
const TAIL: usize = 8; // the footer's length and the magic bytes
const DEEPEST: usize = 64; // columns in columns; also structures in structures

/// Errors: no Parquet file, an encrypted one, a footer that claims more than it holds.
pub fn require_plausible(file: &[u8]) -> Result<(), Failure> {
    const ENCRYPTED: &str = "is an encrypted Parquet file; write it without encryption";
    let fail = |message: &str| Err(Failure::new(Status::Format, message));
    if file.ends_with(b"PARE") {
        return fail(ENCRYPTED);
    }
    if !file.starts_with(MAGIC) || !file.ends_with(MAGIC) || file.len() < MAGIC.len() + TAIL {
        return fail(
            "is no whole Parquet file (PAR1 is missing at its start or end); was it written to its end?",
        );
    }
    let (before, tail) = file.split_at(file.len() - TAIL);
    let length = u32::from_le_bytes([tail[0], tail[1], tail[2], tail[3]]) as usize;
    if length > before.len() - MAGIC.len() {
        return fail(
            "is no whole Parquet file (its footer is longer than the file); was it written to its end?",
        );
    }
    match (Thrift { rest: &before[before.len() - length..] }).footer() {
        Some(false) => Ok(()),
        Some(true) => fail(ENCRYPTED),
        None => fail("is a damaged Parquet file (its footer makes no sense)"),
    }
}

/// Thrift's compact protocol. Nothing is returned for bytes that are none of it.
/// https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
struct Thrift<'a> {
    rest: &'a [u8],
}

impl Thrift<'_> {
    /// FileMetaData of parquet.thrift. Returns whether columns are encrypted.
    fn footer(&mut self) -> Option<bool> {
        let mut encrypted = false;
        self.structure(|thrift, id, kind| {
            encrypted |= id == 8; // encryption_algorithm
            match (id, kind) {
                (2, 9) => thrift.schema(),
                _ => thrift.field(kind, 0),
            }
        })?;
        Some(encrypted)
    }

    /// A list of SchemaElement: a tree, each group before its children.
    fn schema(&mut self) -> Option<()> {
        let (_, elements) = self.list()?;
        let mut open: Vec<i64> = Vec::new(); // of each group around, the children that are still to come
        for _ in 0..elements {
            let mut children = 0;
            self.structure(|thrift, id, kind| match (id, kind) {
                (5, 5) => thrift.integer().map(|count| children = count),
                _ => thrift.field(kind, 0),
            })?;
            while open.last() == Some(&0) {
                open.pop();
            }
            if let Some(left) = open.last_mut() {
                *left -= 1;
            }
            open.push(children);
            if !(0..=elements as i64).contains(&children) || open.len() > DEEPEST {
                return None;
            }
        }
        Some(())
    }

    fn skip(&mut self, count: usize) -> Option<()> {
        self.rest = self.rest.get(count..)?;
        Some(())
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    fn varint(&mut self) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn integer(&mut self) -> Option<i64> {
        self.varint().map(|value| (value >> 1) as i64 ^ -((value & 1) as i64))
    }

    /// A number of elements, each of a byte or more.
    fn count(&mut self) -> Option<usize> {
        usize::try_from(self.varint()?).ok().filter(|count| *count <= self.rest.len())
    }

    /// The kind and the number of a list's elements.
    fn list(&mut self) -> Option<(u8, usize)> {
        let header = self.byte()?;
        let count = if header >> 4 == 15 { self.count()? } else { usize::from(header >> 4) };
        Some((header & 0x0f, count))
    }

    /// Calls `field` with the number and the kind of each field, whose value it has to take.
    fn structure(&mut self, mut field: impl FnMut(&mut Self, i64, u8) -> Option<()>) -> Option<()> {
        let mut id: i64 = 0;
        loop {
            let header = self.byte()?;
            if header & 0x0f == 0 {
                return Some(());
            }
            id = if header >> 4 == 0 { self.integer()? } else { id.wrapping_add(i64::from(header >> 4)) };
            field(self, id, header & 0x0f)?;
        }
    }

    /// A field's value is written like an element, but a truth is in the field's kind.
    fn field(&mut self, kind: u8, depth: usize) -> Option<()> {
        match kind {
            1 | 2 => Some(()),
            _ => self.element(kind, depth),
        }
    }

    fn element(&mut self, kind: u8, depth: usize) -> Option<()> {
        if depth > DEEPEST {
            return None;
        }
        match kind {
            1..=3 => self.skip(1),
            4..=6 => self.varint().map(|_| ()),
            7 => self.skip(8),
            8 => {
                let length = self.count()?;
                self.skip(length)
            }
            9 | 10 => {
                let (kind, count) = self.list()?;
                (0..count).try_for_each(|_| self.element(kind, depth + 1))
            }
            11 => {
                let count = self.count()?;
                let kinds = if count > 0 { self.byte()? } else { 0 };
                (0..count).try_for_each(|_| {
                    self.element(kinds >> 4, depth + 1)?;
                    self.element(kinds & 0x0f, depth + 1)
                })
            }
            12 => self.structure(|thrift, _, kind| thrift.field(kind, depth + 1)),
            _ => None,
        }
    }
}
