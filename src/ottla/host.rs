//! The machine this runs on.

/// What this machine calls itself; `localhost` if it does not say.
pub(crate) fn name() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    if name.is_empty() { "localhost".into() } else { name }
}
