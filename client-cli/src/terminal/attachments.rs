//! Files between this machine and a log: read whole before anything is sealed, written whole or not at all.

use std::path::Path;

use stafett_client_core::answer::Answer;
use stafett_client_core::client::input::{AttachTo, Command as Wish, NewAttachment};
use stafett_protocol::limits::ATTACHMENT_BYTES;

use crate::host::desk::Desk;
use crate::host::fault::{Exit, Fault};
use crate::host::files;
use crate::host::files::Unread;
use crate::terminal::app::{not_written, unexpected};
use crate::terminal::here::FileWritten;

/// The wish to write a note or glimpse, with a file on it where one is named.
pub fn written(to: AttachTo, text: String, file: Option<&Path>) -> Result<Wish, Fault> {
    match (file, to) {
        (Some(file), to) => Ok(Wish::Attach { to, text, file: read(file)? }),
        (None, AttachTo::Note(log)) => Ok(Wish::Note { log, text }),
        (None, AttachTo::Glimpse(concern)) => Ok(Wish::Glimpse { concern, text }),
    }
}

fn read(file: &Path) -> Result<NewAttachment, Fault> {
    let bytes = files::read(file, ATTACHMENT_BYTES).map_err(|why| match why {
        Unread::TooLarge(_) => Fault::new(Exit::Refused, "attachment-too-large", file.display()),
        Unread::NoFile => Fault::usage("no-file", file.display()),
        Unread::Changing => Fault::usage("file-changing", file.display()),
        Unread::Io(error) => Fault::usage("file", format!("{}: {error}", file.display())),
    })?;
    let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(NewAttachment { name, bytes })
}

/// Writes an attachment to a file of one's own choice; one that is not on this device is fetched first.
pub async fn get(desk: &mut Desk, attachment: String, out: &Path) -> Result<FileWritten, Fault> {
    let wish = Wish::AttachmentGet { attachment };
    let mut got = desk.fetch(wish.clone()).await;
    if got.as_ref().is_err_and(|fault| fault.code == "attachment-away") {
        desk.sync().await?;
        got = desk.fetch(wish).await;
    }
    let (answer, bytes) = got?;
    let Answer::AttachmentGet(got) = answer else { return Err(unexpected(&answer)) };
    // Never over a file that is there: a name is easily mistyped.
    stafett_host::write_new(out, &bytes).map_err(|error| not_written(out, &error))?;
    Ok(FileWritten { got, file: out.display().to_string() })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_refused_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("bilder.pdf");
        let log = || AttachTo::Note("1".into());
        assert_eq!(written(log(), "t".into(), Some(&path)).unwrap_err().code, "file", "there is none");
        std::fs::write(&path, b"%PDF-1.7").unwrap();
        let wish = written(log(), "t".into(), Some(&path)).unwrap();
        let file = NewAttachment { name: "bilder.pdf".into(), bytes: b"%PDF-1.7".to_vec() };
        assert_eq!(wish, Wish::Attach { to: log(), text: "t".into(), file });
        let large = std::fs::File::create(&path).unwrap();
        large.set_len(ATTACHMENT_BYTES as u64 + 1).unwrap();
        let refused = written(log(), "t".into(), Some(&path)).unwrap_err();
        assert_eq!((refused.code.as_str(), refused.exit), ("attachment-too-large", Exit::Refused));
    }
}
