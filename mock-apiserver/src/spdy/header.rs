//! Header blocks: names and values, in one zlib stream for all frames of a direction.

use miniz_oxide::inflate::{
    TINFLStatus,
    core::{DecompressorOxide, decompress, inflate_flags::TINFL_FLAG_HAS_MORE_INPUT},
};

use super::{
    dictionary::{DICTIONARY, DICTIONARY_ID},
    frame::Error,
};

/// Names in lower case and their values.
pub(crate) type Headers = Vec<(String, String)>;

/// Most bytes of one block after decompression.
const BLOCK_BYTES_MAX: usize = 64 * 1024;

/// Most headers of one block.
const HEADERS_MAX: u32 = 256;

/// How far back deflate may point.
const WINDOW_BYTES: usize = 32 * 1024;

/// Decompresses the blocks of one direction.
pub(super) struct Inflater {
    state: Box<DecompressorOxide>,
    /// The last output, as a ring.
    window: Box<[u8]>,
    position: usize,
    /// What has come of the head of the zlib stream; `None` when it is complete.
    head: Option<Vec<u8>>,
}

impl Inflater {
    pub(super) fn new() -> Self {
        Self {
            state: Box::default(),
            window: vec![0; WINDOW_BYTES].into_boxed_slice(),
            position: 0,
            head: Some(Vec::new()),
        }
    }

    /// The headers in a compressed block.
    pub(super) fn headers(&mut self, block: &[u8]) -> Result<Headers, Error> {
        let deflated = self.skip_head(block)?;
        parse(&self.inflate(deflated)?)
    }

    /// Reads the head of the stream: two bytes, and the name of the dictionary when there is one (RFC 1950, section 2.2).
    fn skip_head<'b>(&mut self, block: &'b [u8]) -> Result<&'b [u8], Error> {
        let Some(mut head) = self.head.take() else { return Ok(block) };
        let has_dictionary = |head: &[u8]| head[1] & 0x20 != 0;
        for (at, byte) in block.iter().enumerate() {
            let complete = head.len() >= 2 && (!has_dictionary(&head) || head.len() == 6);
            if complete {
                self.begin(&head)?;
                return Ok(&block[at..]);
            }
            head.push(*byte);
        }
        if head.len() >= 2 && (!has_dictionary(&head) || head.len() == 6) {
            self.begin(&head)?;
        } else {
            self.head = Some(head);
        }
        Ok(&[])
    }

    fn begin(&mut self, head: &[u8]) -> Result<(), Error> {
        if head[0] & 0x0f != 8 {
            return Err(Error::Compression);
        }
        if let [_, _, id @ ..] = head
            && !id.is_empty()
        {
            if id != DICTIONARY_ID.to_be_bytes() {
                return Err(Error::Compression);
            }
            self.window[..DICTIONARY.len()].copy_from_slice(&DICTIONARY);
            self.position = DICTIONARY.len();
        }
        Ok(())
    }

    fn inflate(&mut self, mut input: &[u8]) -> Result<Vec<u8>, Error> {
        let mut output = Vec::new();
        loop {
            let (status, read, written) =
                decompress(&mut self.state, input, &mut self.window, self.position, TINFL_FLAG_HAS_MORE_INPUT);
            input = &input[read..];
            output.extend_from_slice(&self.window[self.position..self.position + written]);
            self.position = (self.position + written) % WINDOW_BYTES;
            if output.len() > BLOCK_BYTES_MAX {
                return Err(Error::TooLarge);
            }
            match status {
                TINFLStatus::HasMoreOutput => {}
                TINFLStatus::NeedsMoreInput | TINFLStatus::Done if input.is_empty() => return Ok(output),
                _ => return Err(Error::Compression),
            }
        }
    }
}

/// Reads a block: a count, then names and values with their lengths. Values of the same name are separated by zeros.
fn parse(block: &[u8]) -> Result<Headers, Error> {
    let mut rest = block;
    let count = number(&mut rest)?;
    if count > HEADERS_MAX {
        return Err(Error::TooLarge);
    }
    let mut headers = Headers::new();
    for _ in 0..count {
        let name = text(&mut rest)?.to_ascii_lowercase();
        let values = text(&mut rest)?;
        headers.extend(values.split('\0').map(|value| (name.clone(), value.to_owned())));
    }
    Ok(headers)
}

fn number(rest: &mut &[u8]) -> Result<u32, Error> {
    let (bytes, left) = rest.split_first_chunk::<4>().ok_or(Error::Malformed)?;
    *rest = left;
    Ok(u32::from_be_bytes(*bytes))
}

fn text(rest: &mut &[u8]) -> Result<String, Error> {
    let length = number(rest)? as usize;
    let (bytes, left) = rest.split_at_checked(length).ok_or(Error::Malformed)?;
    *rest = left;
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// A block without headers, as bytes of a stream that is not compressed: a stored block, and an empty one that makes readers
/// hand out what they have (RFC 1951, section 3.2.4). The first block of a stream begins with the head of the stream.
pub(super) fn no_headers(first: bool) -> Vec<u8> {
    let mut block = if first { vec![0x78, 0x01] } else { Vec::new() };
    block.extend_from_slice(&[0, 4, 0, 0xfb, 0xff, 0, 0, 0, 0]);
    block.extend_from_slice(&[0, 0, 0, 0xff, 0xff]);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A block as a client writes it, without compression.
    pub(crate) fn block(headers: &[(&str, &str)], first: bool) -> Vec<u8> {
        let mut plain = (headers.len() as u32).to_be_bytes().to_vec();
        for part in headers.iter().flat_map(|(name, value)| [name, value]) {
            plain.extend_from_slice(&(part.len() as u32).to_be_bytes());
            plain.extend_from_slice(part.as_bytes());
        }
        let length = plain.len() as u16;
        let mut block = if first { vec![0x78, 0x01] } else { Vec::new() };
        block.push(0);
        block.extend_from_slice(&length.to_le_bytes());
        block.extend_from_slice(&(!length).to_le_bytes());
        block.extend_from_slice(&plain);
        block.extend_from_slice(&[0, 0, 0, 0xff, 0xff]);
        block
    }

    #[test]
    fn blocks_share_one_stream() {
        let mut inflater = Inflater::new();
        let first = inflater.headers(&block(&[("StreamType", "stdin"), ("a", "b\0c")], true));
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(first, Ok(vec![pair("streamtype", "stdin"), pair("a", "b"), pair("a", "c")]));
        assert_eq!(inflater.headers(&block(&[("port", "80")], false)), Ok(vec![pair("port", "80")]));
        let mut other = Inflater::new();
        assert_eq!(other.headers(&no_headers(true)), Ok(Vec::new()));
        assert_eq!(other.headers(&no_headers(false)), Ok(Vec::new()));
    }

    #[test]
    fn the_dictionary_is_pointed_into() {
        let compressed = compressed_with_dictionary();
        let headers = Inflater::new().headers(&compressed).expect("a block");
        assert_eq!(headers, [("content-type".to_owned(), "text/plain".to_owned())]);
    }

    /// `content-type: text/plain`, whose name and value are copied out of the dictionary by a fixed Huffman block.
    fn compressed_with_dictionary() -> Vec<u8> {
        let mut bits = Bits::default();
        let mut stream = vec![0x78, 0xbb];
        stream.extend_from_slice(&DICTIONARY_ID.to_be_bytes());
        let plain_len = 4 + 4 + 12;
        bits.push(0b0, 1);
        bits.push(0b01, 2);
        for byte in [0, 0, 0, 1] {
            bits.literal(byte);
        }
        let find = |needle: &[u8]| DICTIONARY.windows(needle.len()).position(|window| window == needle);
        let name = find(b"\0\0\0\x0ccontent-type").expect("the name");
        bits.copy(16, DICTIONARY.len() + 4 - name);
        for byte in [0, 0, 0, 10] {
            bits.literal(byte);
        }
        let value = find(b"text/plain").expect("the value");
        bits.copy(10, DICTIONARY.len() + plain_len + 4 - value);
        bits.push(0, 7);
        // An empty stored block ends the flush.
        bits.push(0, 3);
        bits.align();
        stream.extend_from_slice(&bits.bytes);
        stream.extend_from_slice(&[0, 0, 0xff, 0xff]);
        stream
    }

    #[derive(Default)]
    struct Bits {
        bytes: Vec<u8>,
        used: u32,
    }

    impl Bits {
        fn push(&mut self, value: u32, count: u32) {
            for at in 0..count {
                if self.used.is_multiple_of(8) {
                    self.bytes.push(0);
                }
                let bit = (value >> at & 1) as u8;
                *self.bytes.last_mut().expect("a byte") |= bit << (self.used % 8);
                self.used += 1;
            }
        }

        /// Huffman codes go in with their highest bit first.
        fn code(&mut self, value: u32, count: u32) {
            (0..count).rev().for_each(|at| self.push(value >> at & 1, 1));
        }

        fn literal(&mut self, byte: u8) {
            self.code(0x30 + u32::from(byte), 8);
        }

        fn copy(&mut self, length: u32, distance: usize) {
            match length {
                10 => self.code(264 - 256, 7),
                16 => {
                    self.code(267 - 256, 7);
                    self.push(1, 1);
                }
                _ => unreachable!("not needed"),
            }
            let distance = distance as u32;
            let (mut code, mut base, mut extra) = (4, 5, 1);
            while distance >= base + (1 << extra) {
                base += 1 << extra;
                code += 1;
                if code % 2 == 0 {
                    extra += 1;
                }
            }
            self.code(code, 5);
            self.push(distance - base, extra);
        }

        fn align(&mut self) {
            self.used = self.used.div_ceil(8) * 8;
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(blocks in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..200), 0..5)) {
            let mut inflater = Inflater::new();
            for block in blocks {
                if inflater.headers(&block).is_err() {
                    break;
                }
            }
        }

        #[test]
        fn headers_come_out_as_they_went_in(headers in proptest::collection::vec(("[a-z-]{1,20}", "[ -~]{0,40}"), 0..8)) {
            let borrowed: Vec<(&str, &str)> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
            prop_assert_eq!(Inflater::new().headers(&block(&borrowed, true)), Ok(headers));
        }
    }
}
