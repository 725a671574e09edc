//! `stafettd`: everything is in the library, so that `stafett demo` can be the same server.

use std::process::ExitCode;

fn main() -> ExitCode {
    stafett_server::cli::main()
}
