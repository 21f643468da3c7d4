//! The program: parse the command line, call `cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ottla::cli::main(|_| Err("this build has no broker".into()))
}
