//! What becomes of what waits where a home refuses it, by the word of the refusal: the one table of it. Least of all is
//! anything thrown away because a server says an unknown word.

use stafett_protocol::refusal::Refusal;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// A race was lost, and a sync mends it: run again.
    Lost,
    /// No rule's word: it may be otherwise tomorrow, and waits.
    Waits,
    /// A rule's last word; an edit alone stays where it is, and is tried at the next sync.
    EditWaits,
    /// A rule's last word; a log or concern that is to be founded may be another matter once somebody else has done their
    /// part: the leader has renewed a certificate, the program was updated.
    FoundingWaits,
    /// A rule's last word.
    Ends,
    /// What the server will never take of requests and letters.
    RequestEnds,
}

impl Fate {
    /// Of what was refused with this word.
    pub fn of(code: &str) -> Self {
        let rule = Refusal::ALL.iter().find(|refusal| refusal.code() == code);
        rule.map_or_else(|| Self::of_request(code), |refusal| Self::of_rule(*refusal))
    }

    fn of_rule(refusal: Refusal) -> Self {
        use Refusal as R;
        match refusal {
            R::WrongEpoch
            | R::CounterUsed
            | R::CounterGap
            | R::RemovalFirst
            | R::WrongGeneration
            | R::ChainBroken
            | R::TimeBackwards
            | R::WrongHome
            | R::Held
            | R::Moved
            | R::NotActivated
            | R::AttachmentMissing => Self::Lost,
            R::Listed | R::UnknownScope | R::NotAMember | R::NotActive => Self::EditWaits,
            R::UnknownPolicy | R::NotIdentified | R::VoucherMissing | R::VoucherInvalid => Self::FoundingWaits,
            _ => Self::Ends,
        }
    }

    fn of_request(code: &str) -> Self {
        match code {
            "not-allowed" | "inconsistent" | "code-invalid" | "malformed" | "too-large" | "name" | "device-needed"
            | "too-many-devices" | "unit-exists" => Self::RequestEnds,
            _ => Self::Waits,
        }
    }

    /// Whether a rule has said its last word.
    pub fn is_last_word(self) -> bool {
        matches!(self, Self::EditWaits | Self::FoundingWaits | Self::Ends)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever adds a refusal decides here what becomes of what waits: these are tried again, all others end as drafts.
    #[test]
    fn sp23_every_refusal_ends_what_waits_or_is_tried_again() {
        let tried_again = [
            "wrong-home",
            "wrong-generation",
            "wrong-epoch",
            "counter-used",
            "counter-gap",
            "removal-first",
            "time-backwards",
            "chain-broken",
            "held",
            "moved",
            "attachment-missing",
            "not-activated",
        ];
        let all = || Refusal::ALL.iter().map(|refusal| refusal.code());
        let again: Vec<&str> = all().filter(|code| Fate::of(code) == Fate::Lost).collect();
        assert_eq!(again, tried_again);
        assert!(all().all(|code| Fate::of(code) == Fate::Lost || Fate::of(code).is_last_word()));
        assert_eq!(Fate::of("a word of tomorrow"), Fate::Waits);
        assert_eq!(Fate::of("unit-exists"), Fate::RequestEnds);
        assert!(!Fate::RequestEnds.is_last_word(), "what a server alone says ends no edit");
    }
}
