//! Measures and their evaluation on the command line.

use clap::{Args, Subcommand, ValueEnum};

use super::words;

#[derive(Debug, Args)]
pub struct MeasureText {
    #[arg(long, allow_hyphen_values = true, value_parser = words)]
    pub text: String,
    #[arg(long, value_enum)]
    pub arena: Option<Arena>,
    #[arg(long)]
    pub responsible: Option<String>,
    #[arg(long, value_name = "YYYY-MM-DD")]
    pub due: Option<String>,
}

/// What stands in the place of a measure that was wrong; without a text it is only marked.
#[derive(Debug, Args)]
pub struct Correction {
    pub measure: String,
    #[arg(long, allow_hyphen_values = true, value_parser = words)]
    pub text: Option<String>,
    #[arg(long, value_enum, requires = "text")]
    pub arena: Option<Arena>,
    #[arg(long, requires = "text")]
    pub responsible: Option<String>,
    #[arg(long, value_name = "YYYY-MM-DD", requires = "text")]
    pub due: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Arena {
    Service,
    Home,
    Child,
}

#[derive(Debug, Subcommand)]
pub enum Measure {
    Add {
        concern: String,
        #[command(flatten)]
        measure: MeasureText,
    },
    Edit {
        measure: String,
        #[arg(long, allow_hyphen_values = true, value_parser = words)]
        text: String,
    },
    Correct(Correction),
}

#[derive(Debug, Args)]
pub struct Evaluate {
    pub measure: String,
    #[arg(long, value_enum)]
    pub result: Colour,
    #[arg(long, allow_hyphen_values = true, value_parser = words)]
    pub text: String,
    #[arg(long)]
    pub family_agrees: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Colour {
    Green,
    Yellow,
    Red,
}
