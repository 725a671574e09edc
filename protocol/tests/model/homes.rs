//! A home: what it keeps, and how it answers. Every decision is the servers' own: `transfer::Source` and
//! `transfer::Target`, and the policy over the records.

use super::records::{Chain, Rec, SCOPES, To, allowed, may_read};
use super::rules::{Rule, Without};
use stafett_protocol::event::Position;
use stafett_protocol::ids::{Hash, LogId, ScopeId, hash};
use stafett_protocol::refusal::Refusal;
use stafett_protocol::signed::id_of;
use stafett_protocol::transfer::{
    HomeAccept, Source, SourceInput, SourceOutput, Target, TargetInput, TargetOutput, TargetStanding,
};
use std::cell::RefCell;
use std::collections::HashMap;

pub type Chains = [Chain; 2];

/// A moving bundle: card and concern on these exact chains.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Bundle {
    pub on: Chains,
    pub rec: Rec,
}

impl Bundle {
    pub fn to(&self) -> To {
        match self.rec {
            Rec::Move(to) | Rec::Bare(to) => to,
            other => panic!("{other:?} moves nothing"),
        }
    }
    pub fn after(&self) -> Chains {
        SCOPES.map(|s| [self.on[s].as_slice(), &[self.rec]].concat())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Msg {
    Append {
        home: Option<To>,
        scope: usize,
        rec: Rec,
    },
    Hand,
    Prepare(Bundle),
    /// To the client: accepted, over there.
    Accepted(Bundle),
    Commit(Bundle),
    /// To the client, or to a home: these tombstones stand.
    Tombstones {
        at: Option<To>,
        of: Bundle,
    },
    Abort(To),
    Ask(Bundle),
    /// The client will not commit it.
    Drop(Bundle),
    Never {
        scope: usize,
        of: Bundle,
    },
}

/// What a home says once it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Out {
    Send(Msg),
    /// A receipt for this chain.
    Receipt(usize, Chain),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Disk {
    pub chains: Chains,
    pub sources: [Source; 2],
    pub targets: [Target; 2],
    /// What the targets are bound to, or have become.
    pub promise: Option<Bundle>,
}

type Answer = Result<(Disk, Vec<Out>), Refusal>;

fn position(chain: &Chain) -> Position {
    Position { seq: chain.len() as u64, head: hash("model", &[format!("{chain:?}").as_bytes()]) }
}

type Known = HashMap<(usize, Chain, Rec), HomeAccept>;
thread_local!(static KNOWN: RefCell<Known> = RefCell::default());

/// As `transfer::accept_of` makes it: of the scope, its chain, and the envelope.
fn accept(scope: usize, on: &Chain, rec: Rec) -> HomeAccept {
    let key = (scope, on.clone(), rec);
    KNOWN.with_borrow_mut(|known| known.entry(key).or_insert_with(|| make_accept(scope, on, rec)).clone())
}

fn make_accept(scope: usize, on: &Chain, rec: Rec) -> HomeAccept {
    let (Rec::Move(to) | Rec::Bare(to)) = rec else { panic!("{rec:?} moves nothing") };
    let extends = position(on);
    HomeAccept {
        scope: ScopeId([u8::try_from(scope).unwrap(); 16]),
        log: LogId::default(),
        from: 3209,
        to: to.number(),
        home_epoch: 2,
        extends,
        envelope: hash("model envelope", &[format!("{rec:?}").as_bytes(), &extends.head.0]),
        offer: offer(scope, to),
        root: extends.head,
    }
}

fn offer(scope: usize, to: To) -> Hash {
    hash("model offer", &[&[u8::try_from(scope).unwrap()], &to.number().to_be_bytes()])
}

impl Disk {
    /// Whether the home would receive an ordinary event of the scope: the old home by its Source, another
    /// one by its Target.
    pub fn serves(&self, me: Option<To>, scope: usize) -> bool {
        match me {
            None => self.sources[scope].step(SourceInput::Append).is_ok(),
            Some(_) => self.targets[scope].step(TargetInput::Append).is_ok(),
        }
    }

    fn source(&mut self, scope: usize, input: SourceInput<'_>) -> Result<SourceOutput, Refusal> {
        let (next, output) = self.sources[scope].step(input)?;
        self.sources[scope] = next;
        Ok(output)
    }

    fn target(&mut self, scope: usize, input: TargetInput<'_>) -> Result<TargetOutput, Refusal> {
        let (next, output) = self.targets[scope].step(input)?;
        self.targets[scope] = next;
        Ok(output)
    }

    fn judged(&self, scope: usize, rec: Rec, without: Without) -> Result<(), Refusal> {
        let free = without == Some(Rule::Judged) || (without == Some(Rule::OldHomeStops) && rec == Rec::Edit);
        if free || allowed(scope, &self.chains[scope], rec) { Ok(()) } else { Err(Refusal::NotYours) }
    }

    pub fn handle(&self, me: Option<To>, msg: &Msg, without: Without) -> Answer {
        let mut next = self.clone();
        let out = match (me, msg) {
            (_, Msg::Append { scope, rec, .. }) => next.append(me, *scope, *rec, without)?,
            (None, Msg::Hand) => next.hand(without)?,
            (None, Msg::Commit(bundle)) => next.commit(bundle, without)?,
            (None, Msg::Abort(to)) => next.abort(*to, without)?,
            (None, Msg::Ask(bundle)) => next.fate(bundle)?,
            (None, Msg::Drop(bundle)) => next.let_go(bundle, without)?,
            (Some(_), Msg::Prepare(bundle)) => next.prepare(bundle, without)?,
            (Some(_), Msg::Tombstones { of, .. }) => next.activate(of, without)?,
            (Some(_), Msg::Never { scope, of }) => next.release(*scope, of)?,
            _ => return Err(Refusal::Malformed),
        };
        Ok((next, out))
    }

    fn append(&mut self, me: Option<To>, scope: usize, rec: Rec, without: Without) -> Result<Vec<Out>, Refusal> {
        let stops = me.is_some() || without != Some(Rule::OldHomeStops);
        if stops && !self.serves(me, scope) {
            return Err(Refusal::Moved);
        }
        self.judged(scope, rec, without)?;
        self.chains[scope].push(rec);
        Ok(vec![Out::Receipt(scope, self.chains[scope].clone())])
    }

    /// A handover inside the unit, over both scopes.
    fn hand(&mut self, without: Without) -> Result<Vec<Out>, Refusal> {
        let mut out = vec![];
        for scope in SCOPES {
            out.extend(self.append(None, scope, Rec::Hand, without)?);
            if without == Some(Rule::WholeBundle) {
                break;
            }
        }
        Ok(out)
    }

    /// Whether this old home lets the other one read what the offer names: the pull, which the other one
    /// waits for while it prepares.
    pub fn lets_read(&self, bundle: &Bundle) -> bool {
        SCOPES.into_iter().all(|scope| {
            let taken_back = self.sources[scope].aborted.contains(&offer(scope, bundle.to()));
            let (here, on) = (&self.chains[scope], &bundle.on[scope]);
            let open = self.serves(None, scope) && !taken_back && may_read(scope, here, bundle.to());
            open && here.starts_with(on)
        })
    }

    fn commit(&mut self, bundle: &Bundle, without: Without) -> Result<Vec<Out>, Refusal> {
        for scope in SCOPES {
            let given = accept(scope, &bundle.on[scope], bundle.rec);
            let moved = self.sources[scope].moved.is_some();
            if !moved {
                self.judged(scope, bundle.rec, without)?;
            }
            let own = if moved || without == Some(Rule::ExactHeads) {
                given.clone()
            } else {
                accept(scope, &self.chains[scope], bundle.rec)
            };
            self.source(scope, SourceInput::Commit { accept: &given, own: &own })?;
            if !moved {
                self.chains[scope].push(bundle.rec);
            }
            if without == Some(Rule::WholeBundle) {
                break;
            }
        }
        Ok(vec![Out::Send(Msg::Tombstones { at: None, of: bundle.clone() })])
    }

    fn abort(&mut self, to: To, without: Without) -> Result<Vec<Out>, Refusal> {
        for scope in SCOPES {
            self.source(scope, SourceInput::Abort { offer: offer(scope, to) })?;
        }
        if without == Some(Rule::AbortHolds) {
            // It says no, and forgets.
            self.sources = Default::default();
        }
        Ok(vec![])
    }

    fn let_go(&mut self, bundle: &Bundle, without: Without) -> Result<Vec<Out>, Refusal> {
        let before = self.sources.clone();
        for scope in SCOPES {
            self.source(scope, SourceInput::Drop { accept: &accept(scope, &bundle.on[scope], bundle.rec) })?;
        }
        let said = self.fate(bundle);
        if without == Some(Rule::DropHolds) {
            // It says no, and forgets.
            self.sources = before;
        }
        said
    }

    fn fate(&mut self, bundle: &Bundle) -> Result<Vec<Out>, Refusal> {
        let mut fates = [SourceOutput::Undecided; 2];
        for scope in SCOPES {
            let accept = accept(scope, &bundle.on[scope], bundle.rec);
            let head = position(&self.chains[scope]);
            fates[scope] = self.source(scope, SourceInput::Ask { accept: &accept, head })?;
        }
        if fates == [SourceOutput::Tombstone; 2] {
            return Ok(vec![Out::Send(Msg::Tombstones { at: Some(bundle.to()), of: bundle.clone() })]);
        }
        let never = SCOPES.into_iter().filter(|s| fates[*s] == SourceOutput::Never);
        Ok(never.map(|scope| Out::Send(Msg::Never { scope, of: bundle.clone() })).collect())
    }

    fn prepare(&mut self, bundle: &Bundle, without: Without) -> Result<Vec<Out>, Refusal> {
        let before = std::mem::replace(&mut self.chains, bundle.on.clone());
        let active = matches!(self.targets[0].standing, TargetStanding::Active(_));
        for scope in SCOPES {
            if !active {
                self.judged(scope, bundle.rec, without)?;
            }
            if without == Some(Rule::OnePromise) && !active {
                self.targets[scope].standing = TargetStanding::Nothing;
            }
            self.target(scope, TargetInput::Prepare { accept: &accept(scope, &bundle.on[scope], bundle.rec) })?;
        }
        if active {
            self.chains = before;
        } else {
            self.promise = Some(bundle.clone());
        }
        Ok(vec![Out::Send(Msg::Accepted(bundle.clone()))])
    }

    fn activate(&mut self, of: &Bundle, without: Without) -> Result<Vec<Out>, Refusal> {
        let promise = self.promise.clone().ok_or(Refusal::AcceptMismatch)?;
        let shown = if without == Some(Rule::OwnTombstone) { &promise } else { of };
        let served = self.serves(Some(promise.to()), 0);
        for scope in SCOPES {
            let accept = accept(scope, &shown.on[scope], shown.rec);
            let position = position(&shown.after()[scope]);
            self.target(scope, TargetInput::Tombstone { accept: id_of(&accept), position })?;
        }
        if !served {
            self.chains = promise.after();
        }
        Ok(vec![])
    }

    fn release(&mut self, scope: usize, of: &Bundle) -> Result<Vec<Out>, Refusal> {
        let accept = id_of(&accept(scope, &of.on[scope], of.rec));
        self.target(scope, TargetInput::Release { accept }).map(|_| vec![])
    }

    /// The acceptance with which the scope moved away from here.
    pub fn last_word(&self, scope: usize) -> Option<Hash> {
        self.sources[scope].moved.map(|gone| gone.accept)
    }

    /// Whether this home is bound by, or active on, that acceptance.
    pub fn stands_by(&self, scope: usize, accept: Hash) -> bool {
        match &self.targets[scope].standing {
            TargetStanding::Bound(bound) | TargetStanding::Active(bound) => id_of(bound) == accept,
            TargetStanding::Nothing => false,
        }
    }
}
