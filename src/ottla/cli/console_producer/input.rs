use std::io::{BufRead, Read, Write};

use tokio::sync::mpsc;

/// Bytes that are read at once.
const CHUNK: usize = 64 << 10;
/// Blocks that were read and wait to be sent.
const WAITING: usize = 8;

/// What was read.
#[derive(Debug)]
pub(super) enum Item {
    /// Whole lines; [`lines`] takes them apart.
    Block(Vec<u8>),
    /// A line that is longer than any record may be; its bytes are gone.
    TooLong,
    /// The input cannot be read on.
    Failed(std::io::Error),
}

/// Reads blocks of lines into a queue that ends with the input; never more than the queue, and a line of about `longest` bytes, is in
/// memory. Read by a thread of its own: nothing else can wait for a terminal, and the program may end while it does.
/// `prompt` is written before each line that is typed.
pub(super) fn read(
    mut input: impl Read + Send + 'static,
    longest: usize,
    prompt: Option<&'static str>,
) -> mpsc::Receiver<Item> {
    let (sender, receiver) = mpsc::channel(WAITING);
    std::thread::spawn(move || {
        // Whoever reads from the queue has ended: so does this.
        let _ = read_on(&mut input, longest, prompt, &mut |item| sender.blocking_send(item).ok());
    });
    receiver
}

fn read_on(
    input: &mut impl Read,
    longest: usize,
    prompt: Option<&str>,
    send: &mut dyn FnMut(Item) -> Option<()>,
) -> Option<()> {
    let mut chunk = vec![0; CHUNK];
    // The beginning of a line whose end has not been read, and whether it was longer than is kept.
    let mut open = Vec::new();
    let mut is_skipping = false;
    loop {
        if let Some(prompt) = prompt.filter(|_| open.is_empty() && !is_skipping) {
            print(prompt);
        }
        let mut fresh = match input.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => &chunk[..count],
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return send(Item::Failed(error)),
        };
        if is_skipping {
            let Some(end) = fresh.iter().position(|byte| *byte == b'\n') else { continue };
            fresh = &fresh[end + 1..];
            is_skipping = false;
            send(Item::TooLong)?;
        }
        if let Some(end) = fresh.iter().rposition(|byte| *byte == b'\n') {
            let mut block = std::mem::take(&mut open);
            block.extend_from_slice(&fresh[..=end]);
            fresh = &fresh[end + 1..];
            send(Item::Block(block))?;
        }
        open.extend_from_slice(fresh);
        if open.len() > longest {
            open = Vec::new();
            is_skipping = true;
        }
    }
    match (is_skipping, open.is_empty()) {
        (true, _) => send(Item::TooLong),
        (false, false) => send(Item::Block(open)),
        (false, true) => Some(()),
    }
}

fn print(prompt: &str) {
    let mut out = std::io::stdout();
    // A terminal that is gone shows itself when it is read from.
    let _ = out.write_all(prompt.as_bytes());
    let _ = out.flush();
}

/// The lines of a block without their ends, `\n` or `\r\n`.
pub(super) fn lines(block: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = block;
    std::iter::from_fn(move || {
        let line = rest;
        // Of a slice reading cannot fail.
        let length = rest.skip_until(b'\n').unwrap_or(0);
        let line = line.get(..length).filter(|line| !line.is_empty())?;
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        Some(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives a piece at each call.
    struct Pieces(Vec<&'static [u8]>);

    impl Read for Pieces {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            if self.0.is_empty() {
                return Ok(0);
            }
            let piece = self.0.remove(0);
            if piece == b"!" {
                return Err(std::io::Error::other("torn"));
            }
            into[..piece.len()].copy_from_slice(piece);
            Ok(piece.len())
        }
    }

    /// Lines between bars, blocks between slashes, `?` for one that was too long, `!` for an error.
    fn items(pieces: &[&'static [u8]], longest: usize) -> String {
        let mut items = Vec::new();
        let mut send = |item| {
            items.push(match item {
                Item::Block(block) => {
                    lines(&block).map(|line| str::from_utf8(line).unwrap().to_owned()).collect::<Vec<_>>().join("|")
                }
                Item::TooLong => "?".into(),
                Item::Failed(_) => "!".into(),
            });
            Some(())
        };
        read_on(&mut Pieces(pieces.to_vec()), longest, None, &mut send);
        items.join("/")
    }

    #[test]
    fn line_ends_are_not_part_of_a_line() {
        assert_eq!(items(&[b"a\r\n\nb\rc\nd"], 99), "a||b\rc/d");
        assert_eq!(items(&[b"a\n"], 99), "a");
        assert_eq!(items(&[b"\n"], 99), "");
        assert_eq!(items(&[], 99), "");
    }

    #[test]
    fn a_line_in_several_pieces_is_one() {
        assert_eq!(items(&[b"a", b"b", b"c\nd", b"\n", b"e"], 99), "abc/d/e");
        assert_eq!(items(&[b"a\r", b"\nb"], 99), "a/b");
        assert_eq!(items(&[b"a\nb", b"!"], 99), "a/!");
    }

    #[test]
    fn a_line_without_end_is_not_kept() {
        assert_eq!(items(&[b"a\n12", b"34", b"5678", b"9\nb\n"], 3), "a/?/b");
        assert_eq!(items(&[b"1234", b"56\n78901"], 3), "?/?");
        assert_eq!(items(&[b"123", b"\n"], 3), "123");
    }
}
