//! The names that this device knows, for the words of an answer.

use stafett_client_core::answer::Answer;
use stafett_client_core::client::input::Command as Wish;
use stafett_words::names::Names;

use crate::host::desk::Desk;

/// Everything that this device knows by name.
pub async fn gather(desk: &mut Desk) -> Names {
    let mut names = Names::default();
    for wish in [Wish::People { unit: None }, Wish::Units, Wish::LogList] {
        // A device that is nobody yet knows nobody.
        let Ok(answer) = desk.perform(wish).await else { continue };
        names.learn(&answer);
        let Answer::LogList(list) = answer else { continue };
        for log in list.logs {
            if let Ok(shown) = desk.perform(Wish::LogShow { log: log.log }).await {
                names.learn(&shown);
            }
        }
    }
    names
}
