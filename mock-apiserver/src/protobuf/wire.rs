//! The wire format of protobuf (encoding guide of protobuf.dev): tags, varints, lengths.

use super::Error;

/// One field as read.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Field<'a> {
    /// Wire type 0.
    Varint(u64),
    /// Wire type 1.
    Fixed64(u64),
    /// Wire type 2.
    Bytes(&'a [u8]),
    /// Wire type 5, which no field of the API has.
    Fixed32,
}

impl<'a> Field<'a> {
    /// The content of a length-delimited field.
    pub(crate) fn bytes(self) -> Result<&'a [u8], Error> {
        match self {
            Self::Bytes(bytes) => Ok(bytes),
            _ => Err(Error::Malformed(0)),
        }
    }

    /// The content of a string; what is no UTF-8 is replaced, as Go's JSON encoder does it.
    pub(crate) fn text(self) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    /// The content of a varint field.
    pub(crate) fn varint(self) -> Result<u64, Error> {
        match self {
            Self::Varint(number) => Ok(number),
            _ => Err(Error::Malformed(0)),
        }
    }
}

/// Reads the fields of one message.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next field with its number; `None` at the end.
    pub(crate) fn next_field(&mut self) -> Result<Option<(u32, Field<'a>)>, Error> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let tag = self.varint()?;
        let number = u32::try_from(tag >> 3).ok().filter(|&number| number > 0).ok_or(Error::Malformed(self.at))?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => Field::Fixed64(u64::from_le_bytes(self.array()?)),
            2 => {
                let length = usize::try_from(self.varint()?).map_err(|_| Error::Malformed(self.at))?;
                Field::Bytes(self.take(length)?)
            }
            5 => {
                self.take(4)?;
                Field::Fixed32
            }
            _ => return Err(Error::Malformed(self.at)),
        };
        Ok(Some((number, field)))
    }

    /// True when nothing is left.
    pub(crate) fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// A base-128 number of at most 64 bits.
    pub(crate) fn varint(&mut self) -> Result<u64, Error> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(Error::Malformed(self.at))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let taken = rest.get(..length).ok_or(Error::Malformed(self.at))?;
        self.at += length;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let taken = self.take(N)?;
        taken.try_into().map_err(|_| Error::Malformed(self.at))
    }
}

/// Writes the fields of one message.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// A writer whose output begins with something else.
    pub(crate) fn beginning_with(start: &[u8]) -> Self {
        Self { out: start.to_vec() }
    }

    pub(crate) fn varint(&mut self, number: u32, value: u64) {
        self.tag(number, 0);
        self.raw_varint(value);
    }

    pub(crate) fn fixed64(&mut self, number: u32, value: u64) {
        self.tag(number, 1);
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(crate) fn bytes(&mut self, number: u32, value: &[u8]) {
        self.tag(number, 2);
        self.raw_varint(value.len() as u64);
        self.out.extend_from_slice(value);
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.out
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.out
    }

    fn tag(&mut self, number: u32, wire_type: u64) {
        self.raw_varint(u64::from(number) << 3 | wire_type);
    }

    fn raw_varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}
