//! The `mkosi` program: everything is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    mkosi::verbs::main()
}
