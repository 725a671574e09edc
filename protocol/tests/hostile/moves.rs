//! What can happen in a history, as data: moves of hostile members and their home, acts of honest people, time.
//! Every move names what it touches by what it is, so that a list with moves left out still has a meaning.

use crate::common::*;

/// Who there is in these histories.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum P {
    Leader,
    Teacher,
    Mother,
    Father,
    Ppt,
    Coach,
    /// An account that a hostile leader or home had made: at the school.
    Made,
    /// Another such account, of no unit.
    Invented,
    /// Certified, and not in the log: the leader of the reader's unit, in the home's own municipality.
    Outsider,
    /// An employee there who was in, and whose leader has ended it.
    Former,
    /// The leader of a unit in another municipality.
    Foreign,
    /// Whom the honest turn to where they need somebody new; never in a history.
    Newcomer,
}

impl P {
    pub fn who(self) -> Who {
        match self {
            P::Leader => LEADER,
            P::Teacher => TEACHER,
            P::Mother => MOTHER,
            P::Father => FATHER,
            P::Ppt => PPT,
            P::Coach => COACH,
            P::Made => COLLEAGUE,
            P::Invented => CHILD,
            P::Outsider => PPT_LEADER,
            P::Former => PPT_TWO,
            P::Foreign => HAUGESUND_LEADER,
            P::Newcomer => STRANGER,
        }
    }
}

/// Everybody who is in at the start.
pub const MEMBERS: [P; 6] = [P::Teacher, P::Mother, P::Father, P::Leader, P::Ppt, P::Coach];
pub const GUARDIANS: [P; 2] = [P::Mother, P::Father];

/// Whose keys are in hostile hands.
#[derive(Debug, PartialEq, Eq)]
pub struct Cast {
    pub name: &'static str,
    pub people: &'static [P],
}

pub const CASTS: [Cast; 17] = [
    Cast { name: "nobody", people: &[] },
    Cast { name: "reader", people: &[P::Ppt] },
    Cast { name: "actor", people: &[P::Coach] },
    Cast { name: "holder", people: &[P::Teacher] },
    Cast { name: "guardian", people: &[P::Father] },
    Cast { name: "leader", people: &[P::Leader, P::Made] },
    Cast { name: "holder and home", people: &[P::Teacher, P::Made, P::Invented] },
    Cast { name: "leader and home", people: &[P::Leader, P::Made, P::Invented] },
    Cast { name: "guardian and employee", people: &[P::Father, P::Ppt] },
    Cast { name: "guardian and leader", people: &[P::Father, P::Leader, P::Made] },
    Cast { name: "guardian and holder", people: &[P::Father, P::Teacher] },
    Cast { name: "holder and leader", people: &[P::Teacher, P::Leader, P::Made] },
    Cast { name: "outsiders", people: &[P::Outsider, P::Former, P::Foreign] },
    Cast { name: "reader and former", people: &[P::Ppt, P::Former] },
    Cast { name: "guardian and outsider", people: &[P::Father, P::Outsider] },
    Cast { name: "holder and foreigner", people: &[P::Teacher, P::Leader, P::Foreign] },
    // Whoever may bring a decision.
    Cast { name: "unit and outsider", people: &[P::Teacher, P::Leader, P::Made, P::Outsider] },
];

pub fn cast(name: &str) -> &'static Cast {
    CASTS.iter().find(|c| c.name == name).expect("a cast of that name")
}

/// Whom or what a withdrawal names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aim {
    Hold,
    Custody,
    Newest,
    School,
    PptUnit,
    Person(P),
    All,
}

/// What a grant gives to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gift {
    HoldSchool,
    HoldCoach,
    CustodySchool,
    ReadPpt,
    ReadPptByName,
    ContributeCoach,
}

/// The authority that a change names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    MotherAlone,
    FatherAlone,
    Invented,
    WithInvented,
    OneOfTwo,
    TwoOfTwo,
}

/// The seat that a member is let in to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seat {
    /// The one that a re-founding keeps for them.
    Kept,
    /// Nearly that: the same basis, another role.
    Guardian,
    Holder,
    /// The one that this gift's newest grant gives.
    Given(Gift),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Move {
    /// Honest people's clients do the next thing that is due; `pick` says whom they let back first.
    Answer {
        by: P,
        pick: usize,
    },
    /// Time passes; until then the honest have done all that is due.
    Wait {
        days: u64,
    },
    Write {
        by: P,
    },
    /// An own-leaf update; `junk`: other members cannot process it.
    Renew {
        by: P,
        junk: bool,
    },
    Resync {
        by: P,
    },
    /// A link that opens nothing, for the gap that the rules name or for another epoch.
    JunkLink {
        by: P,
        off: u64,
    },
    Reject {
        by: P,
    },
    /// Founds anew, alone; `back`: carries that many epochs before the present one.
    Refound {
        by: P,
        back: u64,
        junk: bool,
    },
    LetIn {
        by: P,
        who: P,
        devices: usize,
        seat: Seat,
    },
    /// Removes whoever is listed; `more`: and this person's leaves too.
    Remove {
        by: P,
        more: Option<P>,
    },
    Device {
        by: P,
        n: usize,
        junk: bool,
    },
    Sign {
        by: P,
        gift: Gift,
        nth: u8,
    },
    Withdraw {
        by: P,
        aim: Aim,
    },
    End {
        by: P,
        who: P,
    },
    Attest {
        by: P,
        of: P,
    },
    TakeOver {
        by: P,
    },
    HandOver {
        by: P,
        to: P,
    },
    Close {
        by: P,
        reopen: bool,
    },
    Authority {
        by: P,
        to: Rule,
        /// Which decision is cited; none: by the family's own quorum.
        decision: Option<u8>,
    },
    /// Says no to a decision that waits.
    Object {
        by: P,
        nth: usize,
    },
    Rekey {
        by: P,
        who: P,
        survives: bool,
    },
    Deletion {
        by: P,
    },
    /// From now on there is a key package for one of their devices only.
    Withhold {
        by: P,
    },
    Replay {
        by: P,
        nth: usize,
    },
}

/// One history's frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Game {
    pub cast: &'static Cast,
    /// Of two guardians.
    pub quorum: u8,
    /// The log has just begun: the last commit is the one that let the family in.
    pub young: bool,
}

impl Game {
    pub fn is_honest(&self, who: P) -> bool {
        !self.cast.people.contains(&who)
    }

    pub fn honest(&self) -> impl Iterator<Item = P> {
        MEMBERS.into_iter().filter(|p| self.is_honest(*p))
    }
}
