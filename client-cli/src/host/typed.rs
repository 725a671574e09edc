//! What a person typed at a page and has not said yet, as sealed rows of the home: nothing that was typed is lost, neither by
//! a cut of the power nor by a lock. The core is never given these rows.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use stafett_client_core::rows::{Row, Space};

/// The fields of one page, by their names, and when they were kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Typed {
    pub fields: BTreeMap<String, String>,
    /// Milliseconds since 1970.
    pub at: u64,
}

/// Keys of these rows: what was typed at a page, and what a person has chosen for all pages.
const PAGE: u8 = b'p';
const LANGUAGE: &[u8] = b"language";

/// Everything of that kind in one home.
#[derive(Default)]
pub struct Desktop {
    pages: BTreeMap<String, Typed>,
    /// As its name in the catalogue.
    pub language: Option<String>,
}

impl Desktop {
    /// Takes its own rows out of those that were loaded.
    pub fn take(rows: &mut Vec<Row>) -> Self {
        let mut desktop = Self::default();
        rows.retain(|row| {
            if row.space == Space::Typed {
                desktop.learn(row);
            }
            row.space != Space::Typed
        });
        desktop
    }

    fn learn(&mut self, row: &Row) {
        let value = row.value.as_deref().unwrap_or_default();
        if row.key == LANGUAGE {
            self.language = std::str::from_utf8(value).ok().map(str::to_owned);
        } else if let Some((PAGE, page)) = row.key.split_first().map(|(kind, page)| (*kind, page))
            && let (Ok(page), Ok(typed)) = (std::str::from_utf8(page), serde_json::from_slice(value))
        {
            self.pages.insert(page.to_owned(), typed);
        }
    }

    /// What was typed there.
    pub fn at(&self, page: &str) -> Option<&Typed> {
        self.pages.get(page)
    }

    /// Everything that was typed anywhere.
    pub fn pages(&self) -> &BTreeMap<String, Typed> {
        &self.pages
    }

    /// The row by which it is kept; fields without a word in them are none.
    pub fn row(page: &str, typed: &Typed) -> Row {
        let empty = typed.fields.values().all(|text| text.is_empty());
        let value = if empty { None } else { serde_json::to_vec(typed).ok() };
        Row { space: Space::Typed, key: [&[PAGE], page.as_bytes()].concat(), value }
    }

    /// The row by which a choice of language is kept.
    pub fn language_row(language: &str) -> Row {
        Row { space: Space::Typed, key: LANGUAGE.to_vec(), value: Some(language.as_bytes().to_vec()) }
    }

    /// What has been saved counts from now on.
    pub fn saved(&mut self, row: &Row) {
        if row.value.is_some() {
            self.learn(row);
        } else if let Some(page) = row.key.split_first().and_then(|(_, page)| std::str::from_utf8(page).ok()) {
            self.pages.remove(page);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_was_typed_comes_back_from_its_rows_and_the_core_gets_none_of_them() {
        let fields = BTreeMap::from([("text".to_owned(), "Ella leser \u{1f600}".to_owned())]);
        let typed = Typed { fields, at: 7 };
        let other = Row { space: Space::State, key: vec![1], value: Some(vec![2]) };
        let mut rows = vec![Desktop::row("/logg/1", &typed), other.clone(), Desktop::language_row("nn")];
        let mut desktop = Desktop::take(&mut rows);
        assert_eq!(rows, [other]);
        assert_eq!((desktop.at("/logg/1"), desktop.language.as_deref()), (Some(&typed), Some("nn")));
        let gone = Desktop::row("/logg/1", &Typed::default());
        assert_eq!(gone.value, None);
        desktop.saved(&gone);
        assert_eq!(desktop.at("/logg/1"), None);
        assert_eq!(desktop.language.as_deref(), Some("nn"));
    }
}
