//! Serves one kind of request so many times, for an instrument that counts: `integration-tests/instructions`.
//!
//! `instructions NAME COUNT` serves; without arguments the names are printed. Only `Served::serve_all` is to be counted:
//! the requests are made before it begins.

mod served;

use std::process::ExitCode;

use served::{PATHS, Served};

fn main() -> ExitCode {
    // Cargo says so when it runs a benchmark.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [name, count] = &arguments[..] else {
        PATHS.iter().for_each(|path| println!("{}", path.name));
        return ExitCode::SUCCESS;
    };
    let (Some(path), Ok(count)) = (PATHS.iter().find(|path| path.name == *name), count.parse()) else {
        eprintln!("instructions NAME COUNT; without arguments the names are printed");
        return ExitCode::from(2);
    };
    let served = Served::new(path);
    served.serve_all(served.frames(count));
    ExitCode::SUCCESS
}
