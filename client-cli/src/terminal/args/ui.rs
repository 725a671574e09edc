//! What belongs to this machine: the pages in its browser, and the home as a folder.

use clap::{Args, Subcommand};

/// The pages.
#[derive(Debug, Args)]
pub struct Ui {
    #[arg(long)]
    pub port: Option<u16>,
    #[arg(long)]
    pub no_open: bool,
}

/// The home as a folder.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum HomeCommand {
    Forget {
        #[arg(long)]
        yes: bool,
    },
}
