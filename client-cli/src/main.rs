//! The binary `stafett`. Everything is in the library, so that tests can reach it.

fn main() -> std::process::ExitCode {
    stafett_cli::run(std::env::args_os())
}
