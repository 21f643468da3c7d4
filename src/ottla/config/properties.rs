//! The file format of `java.util.Properties`: `key=value`, `key: value` or `key value`, comments with `#` or `!`,
//! continuation with a backslash at the end of a line, the escapes `\t \n \r \f \uXXXX`, and any other escaped
//! character as itself. Lines keep their numbers, so that a message can point at one.
//!
//! Kafka reads the bytes as ISO 8859-1; here they are UTF-8 where they are valid UTF-8, so a name written with a modern
//! editor means what it shows. Pure ASCII files, which is what `\uXXXX` is for, mean the same to both.

/// One `key=value` of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Property {
    /// The line its key stands in, from 1.
    pub line: usize,
    /// The key, unescaped.
    pub key: String,
    /// The value, unescaped, without blanks in front; blanks behind are part of it.
    pub value: String,
}

/// An escape `\uXXXX` without four hexadecimal digits: the only thing that can be wrong with such a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: \\u must be followed by four hexadecimal digits")]
pub struct PropertiesError {
    /// The line, from 1.
    pub line: usize,
}

/// Reads a whole file. The same key may come twice; the last one counts, and both are returned.
pub fn parse(bytes: &[u8]) -> Result<Vec<Property>, PropertiesError> {
    let latin = || bytes.iter().map(|&b| b as char).collect::<String>();
    let text = std::str::from_utf8(bytes).map_or_else(|_| latin(), str::to_owned);
    logical_lines(&text).into_iter().map(|(line, text)| property(line, &text)).collect()
}

/// Joins continued lines; drops blank ones and comments. A comment line cannot be continued, and a blank or comment
/// line inside a continuation belongs to the value, as Java has it.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let mut open: Option<(usize, String)> = None;
    for (index, raw) in natural_lines(text).into_iter().enumerate() {
        let line = raw.trim_start_matches([' ', '\t', '\u{c}']);
        if open.is_none() && (line.is_empty() || line.starts_with(['#', '!'])) {
            continue;
        }
        let (number, mut joined) = open.take().unwrap_or((index + 1, String::new()));
        let backslashes = line.len() - line.trim_end_matches('\\').len();
        if backslashes % 2 == 1 {
            joined.push_str(&line[..line.len() - 1]);
            open = Some((number, joined));
        } else {
            joined.push_str(line);
            lines.push((number, joined));
        }
    }
    lines.extend(open.filter(|(_, text)| !text.is_empty()));
    lines
}

/// Lines end with `\n`, `\r` or `\r\n`.
fn natural_lines(text: &str) -> Vec<&str> {
    let mut lines = Vec::new();
    let mut rest = text;
    while let Some(end) = rest.find(['\n', '\r']) {
        lines.push(&rest[..end]);
        let width = if rest[end..].starts_with("\r\n") { 2 } else { 1 };
        rest = &rest[end + width..];
    }
    lines.push(rest);
    lines
}

fn property(line: usize, text: &str) -> Result<Property, PropertiesError> {
    const BLANKS: [char; 3] = [' ', '\t', '\u{c}'];
    let mut escaped = false;
    let end = text
        .char_indices()
        .find(|&(_, c)| {
            let ends = !escaped && (matches!(c, '=' | ':') || BLANKS.contains(&c));
            escaped = c == '\\' && !escaped;
            ends
        })
        .map_or(text.len(), |(at, _)| at);
    let rest = text[end..].trim_start_matches(BLANKS);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANKS);
    Ok(Property { line, key: unescape(line, &text[..end])?, value: unescape(line, value)? })
}

fn unescape(line: usize, text: &str) -> Result<String, PropertiesError> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut push = |c: char| units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    let mut chars = text.chars();
    let mut surrogates = Vec::new();
    while let Some(c) = chars.next() {
        if c != '\\' {
            push(c);
            continue;
        }
        match chars.next() {
            Some('t') => push('\t'),
            Some('n') => push('\n'),
            Some('r') => push('\r'),
            Some('f') => push('\u{c}'),
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let unit = match digits.len() == 4 && digits.chars().all(|c| c.is_ascii_hexdigit()) {
                    true => u16::from_str_radix(&digits, 16).map_err(|_| PropertiesError { line })?,
                    false => return Err(PropertiesError { line }),
                };
                // A character beyond the first 65,536 is two escapes, one after the other.
                match char::from_u32(unit.into()) {
                    Some(c) => push(c),
                    None => {
                        surrogates.push(unit);
                        if let [high, low] = surrogates[..] {
                            char::decode_utf16([high, low]).for_each(|c| push(c.unwrap_or('\u{fffd}')));
                            surrogates.clear();
                        }
                    }
                }
            }
            Some(other) => push(other),
            None => {}
        }
    }
    Ok(String::from_utf16_lossy(&units))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Vec<(usize, String, String)> {
        parse(text.as_bytes()).unwrap().into_iter().map(|p| (p.line, p.key, p.value)).collect()
    }

    fn one(text: &str) -> (String, String) {
        let [(_, key, value)] = &read(text)[..] else { panic!("one property expected in {text:?}") };
        (key.clone(), value.clone())
    }

    #[track_caller]
    fn is(text: &str, key: &str, value: &str) {
        assert_eq!(one(text), (key.into(), value.into()), "{text:?}");
    }

    #[test]
    fn separators() {
        is("a=b", "a", "b");
        is("  a = b ", "a", "b ");
        is("a:b", "a", "b");
        is("a b", "a", "b");
        is("a\t=\tb=c:d e", "a", "b=c:d e");
        is("a  b", "a", "b");
        is("a = = b", "a", "= b");
        is("a", "a", "");
        is("a=", "a", "");
        is("=b", "", "b");
    }

    #[test]
    fn escapes() {
        is(r"a\=b\:c\ d=e", "a=b:c d", "e");
        is(r"path=C:\\kafka\\logs", "path", r"C:\kafka\logs");
        is(r"a=\u0041\u00e9\t\n\q", "a", "Aé\t\nq");
        is("a=\\ud83d\\ude00", "a", "😀");
        is(r"a=b\ ", "a", "b ");
        is("a=größe", "a", "größe");
        assert_eq!(parse(b"a=\xe9").unwrap()[0].value, "é", "ISO 8859-1");
        assert_eq!(parse(b"\n\nx=\\u12g4"), Err(PropertiesError { line: 3 }));
        assert_eq!(parse(b"x=\\u12"), Err(PropertiesError { line: 1 }));
    }

    #[test]
    fn comments_and_blank_lines() {
        assert_eq!(read("# a=1\n! b=2\n\n  \t\n  #c=3\n"), []);
        is("a=1#2", "a", "1#2");
        assert_eq!(read("#not continued \\\na=1"), [(2, "a".into(), "1".into())]);
    }

    #[test]
    fn continuation_lines() {
        is("a=1,\\\n    2,\\\r\n  3", "a", "1,2,3");
        is("a=1\\\n#2", "a", "1#2");
        is("a=1\\\\\n", "a", "1\\");
        is("a=1\\", "a", "1");
        is("a=1\\\n\\\n2", "a", "12");
        is("a\\\n  b=c", "ab", "c");
    }

    #[test]
    fn lines_have_numbers() {
        let numbers: Vec<usize> = read("a=1\r\n\r\n# x\nb=\\\n2\rc=3").into_iter().map(|p| p.0).collect();
        assert_eq!(numbers, [1, 4, 6]);
    }
}
