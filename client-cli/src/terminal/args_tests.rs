//! Every command of the contract, and what is refused.
#![allow(clippy::unwrap_used, clippy::panic)]
use super::*;
use clap::CommandFactory as _;

fn parse(line: &str) -> Result<CommandLine, clap::Error> {
    let words = line.split(' ').map(|word| word.replace('_', " "));
    CommandLine::try_parse_from(std::iter::once("stafett".to_owned()).chain(words))
}

#[test]
fn definition_is_sound() {
    CommandLine::command().debug_assert();
}

#[test]
fn every_command_of_the_contract_is_understood() {
    for line in [
        "join --code abc",
        "join --code abc --name Anne --json",
        "join --code abc --server https://a:1 --ca ca.pem",
        "device link",
        "device accept --code c --home /tmp/h",
        "device list",
        "device remove 12ab",
        "device remove 12ab --lost",
        "keyring keep",
        "keyring forget --json",
        "passphrase",
        "drafts",
        "drafts drop 12ab",
        "glimpse C -_foo",
        "glimpse C -5_grader --attach f.pdf",
        "note L --_ikke_et_valg",
        "concern new L --title -_a --goal -1 --text -_b",
        "measure edit M --text -",
        "invite --role employee --may-hold --may-act --unit U",
        "invite --guardian",
        "invite --child",
        "invite list --json",
        "people --unit U",
        "units",
        "units --municipality 1106",
        "unit add --name Solvang_skole --kind school",
        "unit assign L P --scope C --scope D",
        "unit unassign L P",
        "verify P",
        "verify P --number 123",
        "log new --child Ella --born 2015-03-01 --guardian A --guardian B --level 2",
        "log new --child Ella --born 2015-03-01 --guardian A B",
        "log list",
        "log show L",
        "log history L",
        "consent pending",
        "consent grant R",
        "consent refuse R",
        "consent list L",
        "consent withdraw L --unit U",
        "consent withdraw L --all",
        "access request L --unit U --scope all --access read",
        "access request L --person P --scope C D --access contribute",
        "access request L --unit U --access custody",
        "consent grant R --no-custody",
        "baton offer L --to U --concern C D --reason R",
        "baton offer L --to P --reason R",
        "baton offer L --to U --municipality 1106 --concern C --note N M --reason R",
        "baton list",
        "baton accept O",
        "baton accept O --for P",
        "baton decline O --reason R",
        "baton abort O",
        "baton takeover L --reason R",
        "concern new L --title T --goal G --text X --arena home --responsible P --due 2026-12-24",
        "concern show C",
        "concern close C",
        "measure add C --text X",
        "measure edit M --text X",
        "measure correct M",
        "measure correct M --text X --due 2026-12-24",
        "evaluate M --result green --text X --family-agrees",
        "glimpse C Et_lysglimt",
        "comment C T",
        "note L T",
        "sync",
        "sync --watch",
        "audit verify L",
        "audit export L file",
    ] {
        if let Err(error) = parse(line) {
            panic!("{line}: {error}");
        }
    }
}

#[test]
fn wrong_use_is_refused() {
    for line in [
        "",
        "join",
        "join --code c --server https://a",
        "invite",
        "invite --guardian --child",
        "invite --guardian --may-hold",
        "log new --child E --born 2015-03-01",
        "log new --child E --born 2015-03-01 --guardian A --level 4",
        "consent withdraw L",
        "consent withdraw L --all --unit U",
        "access request L --scope all --access read",
        "measure edit M",
        "measure correct M --due 2026-12-24",
        "evaluate M --result blue --text X",
    ] {
        assert!(parse(line).is_err(), "{line}");
    }
}

#[test]
fn a_text_may_begin_with_a_dash_and_a_mistyped_option_is_none() {
    let line = parse("glimpse C -_foo").unwrap();
    assert!(matches!(line.command, Command::Glimpse { text, .. } if text == "- foo"));
    let line = parse("glimpse C --attach f.pdf -5_grader").unwrap();
    assert!(matches!(line.command, Command::Glimpse { text, attach: Some(_), .. } if text == "-5 grader"));
    for wrong in ["glimpse C --atach", "comment C --jsn", "measure add C --text --due"] {
        assert!(parse(wrong).is_err(), "{wrong}");
    }
}
