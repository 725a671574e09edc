//! Which types the protocol's source declares: what the page must define and the vectors must cover.

use super::files::root;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Encoded and never sent: what a device or server keeps for itself.
const KEPT: &[&str] = &["Municipalities", "Snapshot", "Checked", "Row", "LeafStart"];
/// The facts that a replica stores, and where a home stands in a transfer.
const KEPT_FILES: &[&str] = &["state.rs", "facts.rs", "source.rs", "target.rs"];

/// Names of encoded structs, and `Enum.Variant` of encoded enums.
pub struct Declared {
    pub structs: BTreeSet<String>,
    pub variants: BTreeSet<String>,
}

pub fn declared() -> Declared {
    let mut found = Declared { structs: BTreeSet::new(), variants: BTreeSet::new() };
    read_folder(&root().join("protocol/src"), &mut found);
    found
}

fn read_folder(folder: &Path, found: &mut Declared) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            read_folder(&path, found);
        } else if name.ends_with(".rs") && !KEPT_FILES.contains(&name.as_str()) {
            read_file(&fs::read_to_string(&path).unwrap(), found);
        }
    }
}

fn read_file(text: &str, found: &mut Declared) {
    for (at, _) in text.match_indices("#[derive(") {
        let Some((derives, rest)) = text[at..].split_once(")]") else { continue };
        if !derives.contains("TlsDeserialize") {
            continue;
        }
        let declaration =
            rest.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with("#[") && !l.starts_with("//"));
        let mut words = declaration
            .unwrap_or_default()
            .trim_start_matches("pub ")
            .trim_start_matches("(crate) ")
            .split([' ', '<', '(', ';', '{']);
        let (Some(kind), Some(name)) = (words.next(), words.next()) else { continue };
        match kind {
            _ if KEPT.contains(&name) || name == "Signed" || name.starts_with('$') => {}
            "struct" if name == "Hash" => {}
            "struct" => drop(found.structs.insert(name.to_owned())),
            "enum" => found.variants.extend(variants(rest).into_iter().map(|v| format!("{name}.{v}"))),
            other => panic!("neither struct nor enum after a derive: {other} {name}"),
        }
    }
}

/// Lines of an enum's body that begin a variant.
fn variants(rest: &str) -> Vec<String> {
    let body = rest.split_once("{\n").unwrap().1.split_once("\n}").unwrap().0;
    let name = |line: &str| line.trim().chars().take_while(|c| c.is_alphanumeric()).collect::<String>();
    body.lines().map(name).filter(|n| n.starts_with(char::is_uppercase)).collect()
}
