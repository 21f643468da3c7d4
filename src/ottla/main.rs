//! The program: parse the command line, call `cli`.

fn main() {}
