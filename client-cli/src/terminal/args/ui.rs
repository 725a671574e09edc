//! `ui`: the pages, in the browser of this machine.

use clap::Args;

#[derive(Debug, Args)]
pub struct Ui {
    #[arg(long)]
    pub port: Option<u16>,
    #[arg(long)]
    pub no_open: bool,
}
