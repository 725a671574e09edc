//! Files that hang on entries: what an entry says of one. It is its author's word; whether there is such a file, and
//! whether it opens, shows when it comes.

use stafett_protocol::ids::{Hash, from_hex};
use stafett_protocol::limits::ATTACHMENT_BYTES;

use super::own::Document;
use super::view::Entry;

/// A file as an entry refers to it.
#[derive(Clone, PartialEq, Eq)]
pub struct Attached {
    /// Of its sealed parts.
    pub id: Hash,
    pub key: [u8; 32],
    pub name: String,
    pub size: usize,
}

/// The key is nobody's to print.
impl core::fmt::Debug for Attached {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(out, "Attached({:?}, {} bytes)", self.id, self.size)
    }
}

impl Entry {
    /// The file that hangs here; `None` also where what stands here can be no file's.
    #[must_use]
    pub fn attached(&self) -> Option<Attached> {
        let size = usize::try_from(self.number("attachment_size")?).ok()?;
        let file = Attached {
            id: Hash(from_hex(&self.text("attachment")?)?),
            key: from_hex(&self.text("attachment_key")?)?,
            // Somebody else named it: it must lead nowhere when it is written to a file.
            name: stafett_protocol::text::file_name(&self.text("attachment_name")?),
            size,
        };
        Some(file).filter(|file| (1..=ATTACHMENT_BYTES).contains(&file.size))
    }
}

impl Document {
    /// Every file here, with section and entry, in the order of their receipt.
    #[must_use]
    pub fn attached(&self) -> Vec<(&'static str, Entry, Attached)> {
        let of = |section: &'static str| {
            let entries = self.entries(section).into_iter();
            entries.filter_map(move |entry| entry.attached().map(|file| (section, entry, file)))
        };
        of("notes").chain(of("glimpses")).collect()
    }
}
