//! What a signature is for: the label of every type that can be signed, in one table (RFC 9420 calls it domain separation).

use crate::signed::Signable;

/// One table, where a test can see that the labels differ.
macro_rules! signable {
    ($($type:ty => $label:literal),+ $(,)?) => {
        $(impl Signable for $type { const LABEL: &'static str = $label; })+
        #[cfg(test)]
        pub(crate) const LABELS: &[&str] = &[$($label),+];
    };
}

signable! {
    crate::credential::PersonCertificate => "person certificate",
    crate::credential::DeviceCertificate => "device certificate",
    crate::event::Event => "event",
    crate::event::Receipt => "receipt",
    crate::consent::ConsentGrant => "consent grant",
    crate::consent::AttestedConsent => "attested consent",
    crate::consent::Withdrawal => "withdrawal",
    crate::consent::EmployeeCertificate => "employee certificate",
    crate::consent::UnitAssignment => "unit assignment",
    crate::consent::EmployeeEnd => "employee end",
    crate::consent::AuthorityChange => "authority change",
    crate::consent::PersonKeyChange => "person key change",
    crate::consent::DeletionReceipt => "deletion receipt",
    crate::handover::HandoverOffer => "handover offer",
    crate::handover::HandoverAcceptance => "handover acceptance",
    crate::handover::HandoverAbort => "handover abort",
    crate::transfer::HomeAccept => "home accept",
    crate::transfer::Tombstone => "tombstone",
    crate::transfer::TransferAbort => "transfer abort",
    crate::federation::PeerFile => "peer file",
    crate::federation::PeerKeys => "peer keys",
    crate::federation::RelayHello => "relay hello",
    crate::checkpoint::CheckpointHead => "checkpoint",
    crate::letter::LetterBody => "letter",
    crate::wire::KeyPackageOffer => "key package offer",
    crate::wire::CodeOffer => "code offer",
    crate::wire::JoinClaim => "join claim",
    crate::wire::DeviceClaim => "device claim",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_differ() {
        let mut labels = LABELS.to_vec();
        labels.sort_unstable();
        labels.dedup();
        assert_eq!(labels.len(), LABELS.len());
    }
}
