//! Frames: what stands between the bytes of a connection.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

use super::header::{self, Headers, Inflater};

/// The version in control frames: 3, for SPDY/3.1 too.
const VERSION: u16 = 3;

/// Most bytes of a control frame.
const CONTROL_BYTES_MAX: usize = 64 * 1024;

/// Most bytes of a data frame that is sent.
const DATA_BYTES_MAX: usize = 64 * 1024;

/// Bytes before the payload of any frame.
const HEAD_BYTES: usize = 8;

/// The flag of a frame after which its sender says nothing more on the stream.
const FLAG_LAST: u8 = 1;

/// Types of control frames.
mod type_ {
    pub(super) const SYN_STREAM: u16 = 1;
    pub(super) const SYN_REPLY: u16 = 2;
    pub(super) const RST_STREAM: u16 = 3;
    pub(super) const PING: u16 = 6;
    pub(super) const GOAWAY: u16 = 7;
    pub(super) const HEADERS: u16 = 8;
}

/// What a client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    /// It opens a stream.
    Open {
        /// Its number.
        stream: u32,
        /// What it is for.
        headers: Headers,
        /// Nothing will come on it.
        last: bool,
    },
    /// Some bytes of a stream; a large frame comes in pieces.
    Data {
        /// The number of the stream.
        stream: u32,
        /// The bytes.
        bytes: Bytes,
        /// Nothing more will come.
        last: bool,
    },
    /// It is no longer interested in a stream.
    Reset(u32),
    /// It asks for an answer with the same number.
    Ping(u32),
    /// It is about to leave.
    Away,
    /// Something that asks for nothing.
    Other,
}

/// Why bytes are no frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// A frame that contradicts itself.
    #[error("a malformed frame")]
    Malformed,
    /// A version other than 3.
    #[error("not SPDY/3")]
    Version,
    /// A header block that is no zlib stream.
    #[error("a malformed header block")]
    Compression,
    /// A control frame or header block beyond the limit.
    #[error("a frame is too large")]
    TooLarge,
}

/// Reads frames out of bytes as they come.
pub(super) struct Decoder {
    buffer: BytesMut,
    inflater: Inflater,
    /// The data frame under way.
    data: Option<Pending>,
}

struct Pending {
    stream: u32,
    left: usize,
    last: bool,
}

impl Decoder {
    pub(super) fn new() -> Self {
        Self { buffer: BytesMut::new(), inflater: Inflater::new(), data: None }
    }

    /// Takes some bytes.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next frame; `None` when more bytes are needed.
    pub(super) fn next(&mut self) -> Result<Option<Frame>, Error> {
        if self.data.is_none() && !self.begin()? {
            return Ok(None);
        }
        if let Some(pending) = &mut self.data {
            let piece = self.buffer.split_to(pending.left.min(self.buffer.len())).freeze();
            if piece.is_empty() && pending.left > 0 {
                return Ok(None);
            }
            pending.left -= piece.len();
            let (stream, done, last) = (pending.stream, pending.left == 0, pending.last);
            if done {
                self.data = None;
            }
            return Ok(Some(Frame::Data { stream, bytes: piece, last: done && last }));
        }
        let length = self.control_length();
        if self.buffer.len() < HEAD_BYTES + length {
            return Ok(None);
        }
        let mut frame = self.buffer.split_to(HEAD_BYTES + length).freeze();
        frame.advance(2);
        let (kind, flags) = (frame.get_u16(), frame.get_u8());
        frame.advance(3);
        self.control(kind, flags, frame).map(Some)
    }

    /// Reads the head of a data frame, or checks that of a control frame. False when it is not there yet.
    fn begin(&mut self) -> Result<bool, Error> {
        let Some(head) = self.buffer.first_chunk::<HEAD_BYTES>() else { return Ok(false) };
        let length = u32::from_be_bytes([0, head[5], head[6], head[7]]) as usize;
        if head[0] & 0x80 == 0 {
            let stream = u32::from_be_bytes([head[0], head[1], head[2], head[3]]);
            self.data = Some(Pending { stream, left: length, last: head[4] & FLAG_LAST != 0 });
            self.buffer.advance(HEAD_BYTES);
            return Ok(true);
        }
        if u16::from_be_bytes([head[0] & 0x7f, head[1]]) != VERSION {
            return Err(Error::Version);
        }
        if length > CONTROL_BYTES_MAX { Err(Error::TooLarge) } else { Ok(true) }
    }

    fn control_length(&self) -> usize {
        self.buffer
            .get(5..HEAD_BYTES)
            .map_or(0, |length| u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize)
    }

    fn control(&mut self, kind: u16, flags: u8, mut payload: Bytes) -> Result<Frame, Error> {
        let number = |payload: &mut Bytes| match payload.len() {
            0..4 => Err(Error::Malformed),
            _ => Ok(payload.get_u32() & 0x7fff_ffff),
        };
        match kind {
            type_::SYN_STREAM => {
                let stream = number(&mut payload)?;
                // The stream it belongs to, its priority and its credential mean nothing here.
                number(&mut payload)?;
                if stream == 0 || payload.len() < 2 {
                    return Err(Error::Malformed);
                }
                payload.advance(2);
                let headers = self.inflater.headers(&payload)?;
                Ok(Frame::Open { stream, headers, last: flags & FLAG_LAST != 0 })
            }
            type_::SYN_REPLY | type_::HEADERS => {
                number(&mut payload)?;
                // Every block is a part of the one compressed stream.
                self.inflater.headers(&payload)?;
                Ok(Frame::Other)
            }
            type_::RST_STREAM => Ok(Frame::Reset(number(&mut payload)?)),
            type_::PING if payload.len() >= 4 => Ok(Frame::Ping(payload.get_u32())),
            type_::PING => Err(Error::Malformed),
            type_::GOAWAY => Ok(Frame::Away),
            _ => Ok(Frame::Other),
        }
    }
}

/// The answer to a stream that was opened. `first` says that no stream was answered before.
pub(super) fn reply(stream: u32, first: bool) -> Bytes {
    let mut payload = stream.to_be_bytes().to_vec();
    payload.extend_from_slice(&header::no_headers(first));
    control(type_::SYN_REPLY, &payload)
}

/// The answer to a ping.
pub(super) fn pong(number: u32) -> Bytes {
    control(type_::PING, &number.to_be_bytes())
}

/// Refuses a stream.
pub(super) fn refuse(stream: u32) -> Bytes {
    const REFUSED_STREAM: u32 = 3;
    control(type_::RST_STREAM, &[stream.to_be_bytes(), REFUSED_STREAM.to_be_bytes()].concat())
}

/// Bytes on a stream; `last` ends it.
pub(super) fn data(stream: u32, bytes: &[u8], last: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(bytes.len() + HEAD_BYTES);
    let mut pieces = bytes.chunks(DATA_BYTES_MAX).peekable();
    if pieces.peek().is_none() {
        put_data(&mut out, stream, &[], last);
    }
    while let Some(piece) = pieces.next() {
        put_data(&mut out, stream, piece, last && pieces.peek().is_none());
    }
    out.freeze()
}

fn put_data(out: &mut BytesMut, stream: u32, piece: &[u8], last: bool) {
    out.put_u32(stream & 0x7fff_ffff);
    out.put_u8(if last { FLAG_LAST } else { 0 });
    // A piece has at most 64 KiB.
    out.put_uint(piece.len() as u64, 3);
    out.extend_from_slice(piece);
}

fn control(kind: u16, payload: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(payload.len() + HEAD_BYTES);
    out.put_u16(0x8000 | VERSION);
    out.put_u16(kind);
    out.put_u8(0);
    // Control frames of this server are a few bytes long.
    out.put_uint(payload.len() as u64, 3);
    out.extend_from_slice(payload);
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn open(stream: u32, first: bool) -> Vec<u8> {
        let mut payload = [stream.to_be_bytes(), 0_u32.to_be_bytes()].concat();
        payload.extend_from_slice(&[0, 0]);
        payload.extend_from_slice(&header::no_headers(first));
        control(type_::SYN_STREAM, &payload).to_vec()
    }

    fn frames(decoder: &mut Decoder) -> Vec<Frame> {
        std::iter::from_fn(|| decoder.next().expect("frames")).collect()
    }

    #[test]
    fn frames_are_read_however_the_bytes_come() {
        let mut bytes = open(1, true);
        bytes.extend_from_slice(&data(1, b"hello", false));
        bytes.extend_from_slice(&pong(7));
        bytes.extend_from_slice(&open(3, false));
        bytes.extend_from_slice(&data(1, b"", true));
        bytes.extend_from_slice(&refuse(3));
        bytes.extend_from_slice(&control(type_::GOAWAY, &[0; 8]));
        let mut whole = Decoder::new();
        whole.feed(&bytes);
        let expected = [
            Frame::Open { stream: 1, headers: Vec::new(), last: false },
            Frame::Data { stream: 1, bytes: Bytes::from_static(b"hello"), last: false },
            Frame::Ping(7),
            Frame::Open { stream: 3, headers: Vec::new(), last: false },
            Frame::Data { stream: 1, bytes: Bytes::new(), last: true },
            Frame::Reset(3),
            Frame::Away,
        ];
        assert_eq!(frames(&mut whole), expected);
        let mut slow = Decoder::new();
        let mut text = Vec::new();
        let mut others = 0;
        for byte in bytes {
            slow.feed(&[byte]);
            for frame in frames(&mut slow) {
                match frame {
                    Frame::Data { bytes, .. } => text.extend_from_slice(&bytes),
                    _ => others += 1,
                }
            }
        }
        assert_eq!((text.as_slice(), others), (b"hello".as_slice(), 5));
    }

    #[test]
    fn large_data_goes_out_in_pieces() {
        let bytes = vec![7; DATA_BYTES_MAX * 2 + 1];
        let mut decoder = Decoder::new();
        decoder.feed(&data(5, &bytes, true));
        let sizes: Vec<(usize, bool)> = frames(&mut decoder)
            .into_iter()
            .map(|frame| match frame {
                Frame::Data { bytes, last, .. } => (bytes.len(), last),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(sizes, [(DATA_BYTES_MAX, false), (DATA_BYTES_MAX, false), (1, true)]);
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for (bytes, error) in [
            (&[0x80, 2, 0, 1, 0, 0, 0, 0][..], Error::Version),
            (&[0x80, 3, 0, 1, 0, 0, 0, 2, 0, 0], Error::Malformed),
            (&[0x80, 3, 0, 6, 0, 0, 0, 1, 0], Error::Malformed),
            (&[0x80, 3, 0, 1, 0, 0xff, 0xff, 0xff], Error::TooLarge),
        ] {
            let mut decoder = Decoder::new();
            decoder.feed(bytes);
            assert_eq!(decoder.next(), Err(error), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_strange(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..64), 0..20)) {
            let mut decoder = Decoder::new();
            for piece in pieces {
                decoder.feed(&piece);
                while let Ok(Some(_)) = decoder.next() {}
            }
        }

        #[test]
        fn data_comes_out_as_it_went_in(stream in 1_u32..1 << 31, bytes in proptest::collection::vec(any::<u8>(), 0..300), last: bool) {
            let mut decoder = Decoder::new();
            decoder.feed(&data(stream, &bytes, last));
            let found = decoder.next();
            prop_assert_eq!(found, Ok(Some(Frame::Data { stream, bytes: bytes.into(), last })));
            prop_assert_eq!(decoder.next(), Ok(None));
        }
    }
}
