//! What every refusal says beside its own words: codes that are alike share a text and a way on. A code that
//! nothing here nor in the catalogue has words for fails the walk in `tests/problems.rs`.

use crate::messages::Messages;

/// Refusals that mean the same to people: what happened (`problem.<class>`) and what to do (`way.<way>`).
const CLASSES: [(&str, &str, &[&str]); 5] = [
    (
        // Something that others or a server sent does not fit together, and nothing of it counts here.
        "not-taken",
        "report",
        &[
            "false-checkpoint",
            "accept-mismatch",
            "alien-scope",
            "already-signed",
            "assignment",
            "bad-receipt",
            "bad-signature",
            "bundle",
            "chain-broken",
            "checkpoint-refused",
            "consent-answer",
            "deletion",
            "device-bundle",
            "employment",
            "extensions-changed",
            "forged-device",
            "forged-join",
            "grant-notice",
            "grant-too-long",
            "handover-answer",
            "handover-done",
            "handover-mismatch",
            "handover-offer",
            "key-not-pinned",
            "letter",
            "log-mismatch",
            "membership-mismatch",
            "mls",
            "mls-refused",
            "move-not-consented",
            "not-on-card",
            "not-rejected",
            "peer-keys",
            "person-changed",
            "resync-foreign",
            "server-frame",
            "server-reply",
            "strange-device",
            "strange-leaf",
            "strange-proposal",
            "tombstone",
            "unasked-scope",
            "unit-taken",
            "unknown-policy",
            "voucher-invalid",
            "voucher-missing",
            "welcome-mismatch",
            "wrong-certificate",
            "wrong-home",
            "wrong-scope",
            "peer-answer",
            "peer-not-genuine",
            "peer-version",
        ],
    ),
    (
        // Bytes that no program of ours makes, or of another version of it.
        "not-ours",
        "report",
        &[
            "change-actor",
            "change-author",
            "change-checksum",
            "change-chunk-type",
            "change-dependencies",
            "change-encoding",
            "change-extras",
            "change-key-size",
            "change-missing",
            "change-not-one",
            "change-operation",
            "change-operations",
            "change-predecessor",
            "change-schema",
            "change-sequence",
            "change-size",
            "change-start-operation",
            "change-time",
            "change-unappliable",
            "change-unknown-object",
            "change-unreadable",
            "change-value",
        ],
    ),
    (
        // The log has moved on, or something else must come first.
        "behind",
        "look",
        &[
            "bound",
            "counter-gap",
            "counter-used",
            "decision-missing",
            "grant-waiting",
            "held",
            "link-missing",
            "link-repair-first",
            "membership-missing",
            "moved",
            "no-key-package",
            "not-accepted",
            "not-activated",
            "not-audited",
            "not-identified",
            "not-returned",
            "offer",
            "quorum-missing",
            "removal-first",
            "stale-accept",
            "time-backwards",
            "too-soon",
            "transfer-aborted",
            "wrong-epoch",
            "wrong-generation",
        ],
    ),
    (
        // The server has its own trouble.
        "server",
        "later",
        &[
            "home-restored",
            "internal",
            "peer-address",
            "peer-busy",
            "peer-not-added",
            "peer-unknown",
            "peer-unreachable",
            "relay-closed",
            "store",
            "too-many-requests",
            "too-slow",
            "unavailable",
        ],
    ),
    (
        // What no person does, only a program that is wrong.
        "program",
        "update",
        &["document", "founding", "keys", "no-such-route", "nothing-asked", "result", "scope", "seal", "unknown-code"],
    ),
];

/// What to do, where a refusal's words say only what happened.
const WAYS: [(&str, &[&str]); 10] = [
    (
        "look",
        &[
            "closed",
            "closed-by-move",
            "founded-anew",
            "grant-missing",
            "no-consent-yet",
            "not-a-member",
            "not-active",
            "not-in-log",
            "nothing-to-withdraw",
            "offer-closed",
            "quarantined",
            "scope-exists",
            "taken-over",
        ],
    ),
    (
        "ask-leader",
        &[
            "not-a-holder",
            "not-allowed",
            "not-an-employee",
            "no-unit",
            "not-your-unit",
            "not-yours",
            "read-only",
            "custody-own-unit",
            "by-rule",
            "content-rule",
            "refused",
            "other",
        ],
    ),
    (
        "ask-again",
        &["consent-request", "grant-expired", "grant-mismatch", "grant-withdrawn", "not-an-authority", "withdrawn"],
    ),
    ("report", &["demo", "municipality-key-changed", "receipt-after-move", "server-refused"]),
    ("later", &["clock-jumped", "quota-exceeded", "time-ahead", "decision-waiting", "decision-objected"]),
    (
        "retype",
        &[
            "concern",
            "date",
            "name",
            "reason-missing",
            "arena",
            "ask-the-unit",
            "ca-file",
            "comment",
            "empty-id",
            "file",
            "glimpse",
            "goal",
            "guardians",
            "level",
            "measure",
            "not-a-guardian",
            "note",
            "own-device",
            "passphrase-twice",
            "title",
            "unit",
            "family-stays",
        ],
    ),
    ("find", &["unknown-id"]),
    ("enough", &["already-granted", "unchanged"]),
    ("update", &["damaged", "inconsistent", "malformed", "no-answer", "randomness", "runtime"]),
    ("room", &["change-room", "document-full", "too-large", "too-many-grants", "too-many-members"]),
];

/// What happened, in the words of the code or of its kind.
pub fn text(messages: &Messages, code: &str) -> Option<&'static str> {
    let of_class = || {
        let (class, _, _) = CLASSES.iter().find(|(_, _, codes)| codes.contains(&code))?;
        messages.find(&format!("problem.{class}"))
    };
    messages.find(&format!("fault.{code}")).or_else(of_class)
}

/// What to do now.
pub fn way(messages: &Messages, code: &str) -> Option<&'static str> {
    let shared = || messages.find(&format!("way.{}", way_on(code)?));
    messages.find(&format!("hint.{code}")).or_else(shared)
}

/// The way on that a code shares with others. Pages say it in words of their own: nobody there types commands.
pub fn way_on(code: &str) -> Option<&'static str> {
    let of_class = || CLASSES.iter().find(|(_, _, codes)| codes.contains(&code)).map(|(_, way, _)| *way);
    let of_kind = || WAYS.iter().find(|(_, codes)| codes.contains(&code)).map(|(way, _)| *way);
    of_class().or_else(of_kind)
}
