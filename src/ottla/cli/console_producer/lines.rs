use crate::producer::Header;

/// Key and value of a record, null or a part of the line.
pub(super) type KeyAndValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// How a line is read (`LineMessageReader` of Kafka's `ConsoleProducer`). Bytes stay what they are; Kafka's separator of
/// headers is a regular expression, here it is a text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LineFormat {
    parse_key: bool,
    key_separator: String,
    parse_headers: bool,
    headers_delimiter: String,
    headers_separator: String,
    headers_key_separator: String,
    ignore_error: bool,
    null_marker: Option<String>,
}

impl LineFormat {
    /// From `--property`; the error is for the user.
    pub(super) fn new(properties: &[(String, String)]) -> Result<LineFormat, String> {
        let mut format = LineFormat {
            parse_key: false,
            key_separator: "\t".into(),
            parse_headers: false,
            headers_delimiter: "\t".into(),
            headers_separator: ",".into(),
            headers_key_separator: ":".into(),
            ignore_error: false,
            null_marker: None,
        };
        for (name, value) in properties {
            let is_true = value.trim().eq_ignore_ascii_case("true");
            match name.as_str() {
                "parse.key" => format.parse_key = is_true,
                "key.separator" => format.key_separator.clone_from(value),
                "parse.headers" => format.parse_headers = is_true,
                "headers.delimiter" => format.headers_delimiter.clone_from(value),
                "headers.separator" => format.headers_separator.clone_from(value),
                "headers.key.separator" => format.headers_key_separator.clone_from(value),
                "ignore.error" => format.ignore_error = is_true,
                "null.marker" => format.null_marker = Some(value.clone()),
                _ => return Err(format!("--property {name} is not known; see --help")),
            }
        }
        format.check()?;
        Ok(format)
    }

    fn check(&self) -> Result<(), String> {
        let delimiter = ("headers.delimiter", self.headers_delimiter.as_str());
        let separator = ("headers.separator", self.headers_separator.as_str());
        let key_separator = ("headers.key.separator", self.headers_key_separator.as_str());
        let mut pairs = vec![(delimiter, separator), (delimiter, key_separator), (separator, key_separator)];
        if let Some(marker) = &self.null_marker {
            let others = [("key.separator", self.key_separator.as_str()), separator, delimiter, key_separator];
            pairs.extend(others.map(|other| (("null.marker", marker.as_str()), other)));
        }
        match pairs.into_iter().find(|((_, one), (_, other))| one == other) {
            Some(((one, _), (other, _))) => Err(format!("{one} and {other} may not be equal")),
            None => Ok(()),
        }
    }

    /// Key and value of a line; its headers are put into `headers`, whatever was there before is gone. `number`, from 1, is
    /// for the error, which is for the user.
    pub(super) fn parse<'a>(
        &self,
        line: &'a [u8],
        number: u64,
        headers: &mut Vec<Header<'a>>,
    ) -> Result<KeyAndValue<'a>, String> {
        headers.clear();
        let mut rest = line;
        if self.parse_headers {
            let part = self.part(&mut rest, line, number, &self.headers_delimiter, "headers delimiter")?;
            if let Some(part) = part.and_then(|part| self.unless_null(part)) {
                self.split_headers(part, number, headers)?;
            }
        }
        let key = match self.parse_key {
            true => self.part(&mut rest, line, number, &self.key_separator, "key separator")?,
            false => None,
        };
        Ok((key.and_then(|key| self.unless_null(key)), self.unless_null(rest)))
    }

    /// Takes what is before a separator from the front, and the separator; none if it is not there and that is no error.
    fn part<'a>(
        &self,
        rest: &mut &'a [u8],
        line: &[u8],
        number: u64,
        separator: &str,
        name: &str,
    ) -> Result<Option<&'a [u8]>, String> {
        match split_once(rest, separator) {
            Some((part, behind)) => {
                *rest = behind;
                Ok(Some(part))
            }
            None if self.ignore_error => Ok(None),
            None => Err(format!("No {name} found on line number {number}: '{}'", shown(line))),
        }
    }

    fn unless_null<'a>(&self, part: &'a [u8]) -> Option<&'a [u8]> {
        (!self.is_null(part)).then_some(part)
    }

    fn is_null(&self, part: &[u8]) -> bool {
        self.null_marker.as_ref().is_some_and(|marker| marker.as_bytes() == part)
    }

    fn split_headers<'a>(&self, part: &'a [u8], number: u64, headers: &mut Vec<Header<'a>>) -> Result<(), String> {
        let mut rest = Some(part);
        let mut empty = 0;
        while let Some(pairs) = rest {
            let (pair, behind) = match split_once(pairs, &self.headers_separator) {
                Some((pair, behind)) if !self.headers_separator.is_empty() => (pair, Some(behind)),
                _ => (pairs, None),
            };
            rest = behind;
            // Java's `split` drops what is empty at the end, unless it is all there is.
            if pair.is_empty() && !part.is_empty() {
                empty += 1;
                continue;
            }
            for _ in 0..std::mem::take(&mut empty) {
                headers.push(self.header(&[], number)?);
            }
            headers.push(self.header(pair, number)?);
        }
        Ok(())
    }

    fn header<'a>(&self, pair: &'a [u8], number: u64) -> Result<Header<'a>, String> {
        match split_once(pair, &self.headers_key_separator) {
            Some((key, _)) if self.is_null(key) => {
                let marker = self.null_marker.as_deref().unwrap_or_default();
                Err(format!(
                    "Header keys should not be equal to the null marker '{marker}' as they can't be null (line number {number})"
                ))
            }
            Some((key, value)) => Ok((key, self.unless_null(value))),
            None if self.ignore_error => Ok((pair, None)),
            None => {
                let pair = shown(pair);
                Err(format!("No header key separator found in pair '{pair}' on line number {number}"))
            }
        }
    }
}

/// What is before the first separator and what is behind it.
fn split_once<'a>(bytes: &'a [u8], separator: &str) -> Option<(&'a [u8], &'a [u8])> {
    let separator = separator.as_bytes();
    let at = match separator {
        [] => Some(0),
        [byte] => bytes.iter().position(|b| b == byte),
        _ => bytes.windows(separator.len()).position(|window| window == separator),
    }?;
    Some((&bytes[..at], &bytes[at + separator.len()..]))
}

/// The beginning of a text, for a message.
fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 100;
    match bytes.get(..MOST) {
        Some(start) if bytes.len() > MOST => format!("{}...", String::from_utf8_lossy(start)),
        _ => String::from_utf8_lossy(bytes).into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(properties: &[&str]) -> Result<LineFormat, String> {
        let split = |text: &&str| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
        LineFormat::new(&properties.iter().filter_map(split).collect::<Vec<_>>())
    }

    /// `header:value,...|key|value`, null as `~`.
    fn read(format: &LineFormat, line: &str) -> String {
        let mut headers = Vec::new();
        let (key, value) = match format.parse(line.as_bytes(), 3, &mut headers) {
            Ok(parts) => parts,
            Err(error) => return error,
        };
        let text = |part: Option<&[u8]>| part.map_or("~".into(), |part| String::from_utf8(part.to_vec()).unwrap());
        let headers: Vec<String> =
            headers.iter().map(|(name, value)| format!("{}:{}", text(Some(name)), text(*value))).collect();
        format!("{}|{}|{}", headers.join(","), text(key), text(value))
    }

    /// Cases of Kafka's `LineMessageReaderTest`, and what it leaves out.
    #[test]
    fn keys_and_values() {
        let plain = format(&[]).unwrap();
        assert_eq!(read(&plain, "a\tb"), "|~|a\tb");
        let keyed = format(&["parse.key=true"]).unwrap();
        assert_eq!(read(&keyed, "a\tb\tc"), "|a|b\tc");
        assert_eq!(read(&keyed, "a\t"), "|a|");
        assert_eq!(read(&keyed, "\t"), "||");
        assert_eq!(read(&keyed, "ab"), "No key separator found on line number 3: 'ab'");
        let lenient = format(&["parse.key= TRUE ", "ignore.error=true", "key.separator=::"]).unwrap();
        assert_eq!(read(&lenient, "a::b"), "|a|b");
        assert_eq!(read(&lenient, "a:b"), "|~|a:b");
        assert_eq!(read(&format(&["parse.key=true", "key.separator="]).unwrap(), "ab"), "||ab");
    }

    #[test]
    fn headers_come_first() {
        let both = format(&["parse.key=true", "parse.headers=true"]).unwrap();
        assert_eq!(read(&both, "h0:v0,h1:v1\tk\tv"), "h0:v0,h1:v1|k|v");
        assert_eq!(read(&both, ":\t\t"), ":||");
        assert_eq!(read(&both, "h:a:b\tk\tv"), "h:a:b|k|v");
        assert_eq!(read(&both, "kv"), "No headers delimiter found on line number 3: 'kv'");
        assert_eq!(read(&both, "h:v\tkv"), "No key separator found on line number 3: 'h:v\tkv'");
        let missing = "No header key separator found in pair 'bad' on line number 3";
        assert_eq!(read(&both, "h:v,bad\tk\tv"), missing);
        assert_eq!(read(&both, "\tk\tv"), missing.replace("bad", ""));
        let only = format(&["parse.headers=true"]).unwrap();
        assert_eq!(read(&only, "h:v\tvalue\tb"), "h:v|~|value\tb");
        let marks = ["headers.delimiter=!", "headers.separator=---", "headers.key.separator=::", "key.separator=#"];
        let own = format(&[&["parse.key=true", "parse.headers=true"], &marks[..]].concat()).unwrap();
        assert_eq!(read(&own, "h0::v0---h1::!k#v"), "h0:v0,h1:|k|v");
        // A text, not a regular expression.
        let bar = format(&["parse.headers=true", "headers.separator=|"]).unwrap();
        assert_eq!(read(&bar, "a:1|b:2\tv"), "a:1,b:2|~|v");
    }

    #[test]
    fn empty_headers_at_the_end_are_none() {
        let only = format(&["parse.headers=true"]).unwrap();
        assert_eq!(read(&only, "h:v,\tx"), "h:v|~|x");
        assert_eq!(read(&only, "h:v,,,\tx"), "h:v|~|x");
        assert_eq!(read(&only, ",,\tx"), "|~|x");
        assert!(read(&only, ",h:v\tx").starts_with("No header key separator found in pair ''"));
    }

    #[test]
    fn errors_can_be_ignored() {
        let lenient = format(&["parse.key=true", "parse.headers=true", "ignore.error=true"]).unwrap();
        assert_eq!(read(&lenient, "h:v,i:w!k\tv"), "h:v,i:w!k|~|v");
        assert_eq!(read(&lenient, "h:v\tk!v"), "h:v|~|k!v");
        assert_eq!(read(&lenient, "h:v!k!v"), "|~|h:v!k!v");
        assert_eq!(read(&lenient, "pair\tk\tv"), "pair:~|k|v");
    }

    #[test]
    fn the_null_marker_stands_for_null_in_every_place() {
        let format = format(&["parse.key=true", "parse.headers=true", "null.marker=NIL"]).unwrap();
        assert_eq!(read(&format, "h0:v0,h1:v1\tNIL\tv"), "h0:v0,h1:v1|~|v");
        assert_eq!(read(&format, "NIL\tk\tNIL"), "|k|~");
        assert_eq!(read(&format, "h0:NIL,h1:NILv\tk\tNILv"), "h0:~,h1:NILv|k|NILv");
        assert_eq!(
            read(&format, "NIL:v\tk\tv"),
            "Header keys should not be equal to the null marker 'NIL' as they can't be null (line number 3)"
        );
    }

    #[test]
    fn marks_that_are_the_same_are_refused() {
        for (set, one, other) in [
            (&["headers.delimiter=,"][..], "headers.delimiter", "headers.separator"),
            (&["headers.delimiter=:"], "headers.delimiter", "headers.key.separator"),
            (&["headers.separator=:"], "headers.separator", "headers.key.separator"),
            (&["null.marker=k", "key.separator=k"], "null.marker", "key.separator"),
            (&["null.marker=,"], "null.marker", "headers.separator"),
            (&["null.marker=\t", "key.separator=k"], "null.marker", "headers.delimiter"),
            (&["null.marker=:"], "null.marker", "headers.key.separator"),
        ] {
            assert_eq!(format(set), Err(format!("{one} and {other} may not be equal")));
        }
        assert_eq!(format(&["nonsense=1"]), Err("--property nonsense is not known; see --help".into()));
    }
}
