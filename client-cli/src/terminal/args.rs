//! The command line. Names and arguments are a contract with scripts; the help texts are in the message catalogue.

use std::path::PathBuf;

use clap::{ArgAction, ArgGroup, Args, Parser, Subcommand, ValueEnum};
mod measure;
mod ui;

pub use measure::{Arena, Colour, Correction, Evaluate, Measure, MeasureText};
pub use ui::{HomeCommand, Ui};

/// `stafett`.
#[derive(Debug, Parser)]
#[command(name = "stafett", version, disable_help_subcommand = true, max_term_width = 100)]
pub struct CommandLine {
    #[arg(long, global = true)]
    pub json: bool,
    #[arg(long, global = true, value_name = "DIR")]
    pub home: Option<PathBuf>,
    /// Nothing is sent and nothing fetched; a later contact does both.
    #[arg(long, global = true)]
    pub offline: bool,
    /// For `demo` and tests: what goes through TLS, in clear.
    #[arg(long, global = true, hide = true, value_name = "FILE")]
    pub record: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

/// What people write may begin with a dash; a single word that looks like an option is a mistyped one.
pub(crate) fn words(text: &str) -> Result<String, String> {
    let option = text.strip_prefix("--").is_some_and(|word| {
        !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || matches!(byte, b'-' | b'='))
    });
    if option { Err("-- TEXT".to_owned()) } else { Ok(text.to_owned()) }
}

/// What a person can ask for.
#[derive(Debug, Subcommand)]
pub enum Command {
    Join(Join),
    #[command(subcommand)]
    Device(Device),
    #[command(subcommand)]
    Keyring(Keyring),
    /// Another passphrase for this home.
    Passphrase,
    /// Who one is here, and what this device holds.
    Me,
    #[command(subcommand)]
    Home(HomeCommand),
    Invite(Invite),
    People {
        #[arg(long)]
        unit: Option<String>,
    },
    Units {
        #[arg(long, value_name = "NNNN")]
        municipality: Option<String>,
    },
    #[command(subcommand)]
    Unit(Unit),
    Verify {
        person: String,
        #[arg(long)]
        number: Option<String>,
    },
    #[command(subcommand)]
    Log(Log),
    #[command(subcommand)]
    Consent(Consent),
    #[command(subcommand)]
    Access(Access),
    #[command(subcommand)]
    Baton(Baton),
    #[command(subcommand)]
    Concern(Concern),
    #[command(subcommand)]
    Measure(Measure),
    Evaluate(Evaluate),
    Glimpse {
        concern: String,
        #[arg(allow_hyphen_values = true, value_parser = words)]
        text: String,
        #[arg(long, value_name = "FILE.pdf")]
        attach: Option<PathBuf>,
    },
    Comment {
        concern: String,
        #[arg(allow_hyphen_values = true, value_parser = words)]
        text: String,
    },
    Note {
        log: String,
        #[arg(allow_hyphen_values = true, value_parser = words)]
        text: String,
        #[arg(long, value_name = "FILE.pdf")]
        attach: Option<PathBuf>,
    },
    #[command(subcommand)]
    Attachment(Attachment),
    Sync {
        #[arg(long)]
        watch: bool,
        /// Where the municipality's server is now, if it has moved.
        #[arg(long = "server", value_name = "URL", conflicts_with = "watch")]
        moved_to: Option<String>,
    },
    Drafts {
        #[command(subcommand)]
        drop: Option<Drafts>,
    },
    #[command(subcommand)]
    Audit(Audit),
    Ui(Ui),
    #[cfg(feature = "demo")]
    Demo {
        #[arg(long, value_name = "DIR")]
        keep: Option<PathBuf>,
        #[arg(long, value_name = "DIR", conflicts_with_all = ["keep", "fast"])]
        play: Option<PathBuf>,
        #[arg(long)]
        fast: bool,
    },
    /// The demo's own server process: this binary, started again.
    #[cfg(feature = "demo")]
    #[command(name = "__server", hide = true)]
    Server {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<std::ffi::OsString>,
    },
}

#[derive(Debug, Args)]
pub struct Join {
    #[arg(long, allow_hyphen_values = true)]
    pub code: String,
    #[arg(long, allow_hyphen_values = true, value_parser = words)]
    pub name: Option<String>,
    #[arg(long, value_name = "URL", requires = "ca")]
    pub server: Option<String>,
    #[arg(long, value_name = "FILE", requires = "server")]
    pub ca: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Device {
    Link,
    Accept {
        #[arg(long, allow_hyphen_values = true)]
        code: String,
        #[arg(long, allow_hyphen_values = true, value_parser = words)]
        name: Option<String>,
    },
    List,
    Remove {
        device: String,
        #[arg(long)]
        lost: bool,
    },
}

#[derive(Debug, Subcommand)]
pub enum Drafts {
    Drop { draft: String },
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub enum Keyring {
    Keep,
    Forget,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
#[command(group = ArgGroup::new("whom").required(true).args(["role", "guardian", "child"]))]
pub struct Invite {
    #[command(subcommand)]
    pub list: Option<InviteList>,
    #[arg(long, value_enum)]
    pub role: Option<InviteRole>,
    #[arg(long)]
    pub guardian: bool,
    #[arg(long)]
    pub child: bool,
    #[arg(long, conflicts_with_all = ["guardian", "child"])]
    pub may_hold: bool,
    #[arg(long, conflicts_with_all = ["guardian", "child"])]
    pub may_act: bool,
    /// A leader invites to her own unit; named, it must be that one.
    #[arg(long, conflicts_with_all = ["guardian", "child"])]
    pub unit: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum InviteList {
    List,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum InviteRole {
    Employee,
}

#[derive(Debug, Subcommand)]
pub enum Unit {
    Add {
        #[arg(long, allow_hyphen_values = true, value_parser = words)]
        name: String,
        #[arg(long)]
        kind: String,
    },
    Assign {
        log: String,
        person: String,
        #[arg(long)]
        scope: Vec<String>,
    },
    Unassign {
        log: String,
        person: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Log {
    New {
        #[arg(long, allow_hyphen_values = true, value_parser = words)]
        child: String,
        #[arg(long, value_name = "YYYY-MM-DD")]
        born: String,
        #[arg(long, required = true, num_args = 1.., action = ArgAction::Append)]
        guardian: Vec<String>,
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=3))]
        level: u8,
    },
    List,
    Show {
        log: String,
    },
    History {
        log: String,
    },
    Continue {
        log: String,
    },
    /// A draft to which not everybody has said yes.
    Drop {
        log: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Consent {
    Pending,
    Grant {
        request: String,
        #[arg(long)]
        no_custody: bool,
    },
    Refuse {
        request: String,
    },
    List {
        log: String,
    },
    Withdraw(Withdraw),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["grant", "unit", "person", "all"]))]
pub struct Withdraw {
    pub log: String,
    #[arg(long)]
    pub grant: Option<String>,
    #[arg(long)]
    pub unit: Option<String>,
    #[arg(long)]
    pub person: Option<String>,
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Subcommand)]
pub enum Access {
    Request(AccessRequest),
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whom").required(true).args(["unit", "person"]))]
pub struct AccessRequest {
    pub log: String,
    #[arg(long)]
    pub unit: Option<String>,
    #[arg(long)]
    pub person: Option<String>,
    /// `all`, or one or more concerns; custody is for the whole log.
    #[arg(long, required_if_eq_any([("access", "read"), ("access", "contribute")]), num_args = 1.., action = ArgAction::Append)]
    pub scope: Vec<String>,
    #[arg(long, value_enum)]
    pub access: AccessKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccessKind {
    Read,
    Contribute,
    Custody,
}

#[derive(Debug, Subcommand)]
pub enum Baton {
    Offer {
        log: String,
        #[arg(long, value_name = "PERSON|UNIT")]
        to: String,
        #[arg(long, value_name = "NNNN")]
        municipality: Option<String>,
        /// Concerns that go along, `all` or `none`; within the unit all of them unless said.
        #[arg(long, num_args = 1.., action = ArgAction::Append)]
        concern: Vec<String>,
        /// Notes that go along to another municipality, if the family agrees; no others do.
        #[arg(long, num_args = 1.., action = ArgAction::Append)]
        note: Vec<String>,
        #[arg(long, allow_hyphen_values = true, value_parser = words)]
        reason: String,
    },
    List,
    Accept {
        offer: String,
        #[arg(long = "for", value_name = "PERSON")]
        employee: Option<String>,
    },
    Decline {
        offer: String,
        #[arg(long = "reason", allow_hyphen_values = true, value_parser = words)]
        why: Option<String>,
    },
    Abort {
        offer: String,
    },
    Takeover {
        log: String,
        #[arg(long, allow_hyphen_values = true, value_parser = words)]
        reason: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Concern {
    New {
        log: String,
        #[arg(long, allow_hyphen_values = true, value_parser = words)]
        title: String,
        #[arg(long, allow_hyphen_values = true, value_parser = words)]
        goal: String,
        #[arg(long, allow_hyphen_values = true, value_parser = words)]
        category: Option<String>,
        #[command(flatten)]
        measure: MeasureText,
    },
    Show {
        concern: String,
    },
    Close {
        concern: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Attachment {
    Get {
        attachment: String,
        #[arg(long = "out", value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
pub enum Audit {
    Verify {
        /// A log of this home, or a file that `audit export` wrote.
        what: String,
    },
    Export {
        log: String,
        file: PathBuf,
    },
}

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
