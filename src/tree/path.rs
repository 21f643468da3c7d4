//! Paths: what is one, what is its parent.

use ottla_jute::ErrorCode;

/// The nodes that cannot be deleted.
pub(crate) const UNDELETABLE: [&str; 4] = ["/", "/zookeeper", "/zookeeper/quota", "/zookeeper/config"];

/// `/a/b` is `b` below `/a`; `/a` is `a` below the root, whose key is the empty path. `None` without a slash.
pub(crate) fn split(path: &str) -> Option<(&str, &str)> {
    path.rfind('/').map(|slash| (&path[..slash], &path[slash + 1..]))
}

/// The parent's path as events name it.
pub(crate) fn parent_in_events(path: &str) -> &str {
    match split(path) {
        Some(("", _)) | None => "/",
        Some((parent, _)) => parent,
    }
}

/// `PathUtils.validatePath`: every violation is BADARGUMENTS.
pub(crate) fn validate(path: &str) -> Result<(), ErrorCode> {
    let Some(names) = path.strip_prefix('/') else { return Err(ErrorCode::BadArguments) };
    if names.is_empty() {
        return Ok(());
    }
    let well_formed = names.split('/').all(|name| !matches!(name, "" | "." | ".."));
    if well_formed && !path.chars().any(is_refused) { Ok(()) } else { Err(ErrorCode::BadArguments) }
}

/// The range D800-F8FF holds the halves of everything beyond U+FFFF.
fn is_refused(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' | '\u{e000}'..='\u{f8ff}' | '\u{fff0}'..='\u{ffff}' | '\u{10000}'..
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_path_may_be() {
        for path in ["/", "/a", "/a/b", "/...", "/.x", "/é中", "/a b", "/\u{f900}", "/\u{ffef}"] {
            assert_eq!(validate(path), Ok(()), "{path}");
        }
        for path in [
            "",
            "a",
            "/a/",
            "//",
            "/a//b",
            "/.",
            "/a/.",
            "/../a",
            "/a\0",
            "/\u{1f}",
            "/\u{7f}",
            "/\u{9f}",
            "/\u{e000}",
            "/\u{f8ff}",
            "/\u{fff0}",
            "/\u{1f600}",
        ] {
            assert_eq!(validate(path), Err(ErrorCode::BadArguments), "{path:?}");
        }
    }
}
