"""What the rules know of a scope (docs/protocol.md sections 6 to 8): the membership and what follows from the chain."""

from copy import copy
from dataclasses import dataclass, field

import crypto
from crypto import H, Refused

DAY = 24 * 3_600_000
FAMILY = ("Guardian", "Child")
ROLE_OF = {"Read": "Reader", "Contribute": "Actor", "Hold": "Holder", "Custody": "Custodian"}
ROLES = ("Guardian", "Child", "Holder", "Actor", "Reader", "Custodian", "Archivist", "Leader", "Employee", "Own")


def refuse(holds, code):
    if not holds:
        raise Refused(code)


@dataclass
class Grant:
    """A grant and how it stands; `paper`: (person, until) of consent on paper."""

    id: bytes
    grant: object
    signers: list
    paper: list
    since: int = 0
    ended: int = 0
    first: bytes = b""

    def standing(self, now):
        lapsed = any(now >= until and p not in self.signers for p, until in self.paper)
        if self.ended:
            return "withdrawn"
        if now >= self.grant.expires_at or lapsed:
            return "expired"
        return "in force" if self.since else "waiting"

    def consenting(self, now):
        return self.signers + [p for p, until in self.paper if now < until]


def party(grantee):
    """The same unit, whoever leads it, or the same person, whatever their key."""
    return (grantee.name, grantee.value.unit if grantee.name == "Unit" else grantee.value.person)


def named(authority):
    return authority.guardians + ([authority.child] if authority.child else [])


def authority_key(authority, person):
    return next((p.key for p in named(authority) if p.person == person), None)


def youth_decides(authority, now):
    return bool(authority.child and authority.youth_from and now >= authority.youth_from)


def may_sign(authority, person, now):
    deciding = [authority.child] if youth_decides(authority, now) else authority.guardians
    return any(p.person == person for p in deciding)


def quorum_met(authority, signers, now):
    if youth_decides(authority, now):
        return authority.child.person in signers
    return 0 < authority.quorum <= sum(g.person in signers for g in authority.guardians)


@dataclass
class Facts:
    """One scope. Rules copy it before they change it."""

    membership: object
    founder: bytes
    card: bytes | None
    check: bytes
    epoch_since: int
    seq: int = 0
    head: bytes = crypto.ZERO
    time: int = 0
    epoch: int = 0
    gentle: bool = False
    status: str = "Active"
    counters: dict = field(default_factory=dict)
    renewed: dict = field(default_factory=dict)
    grants: list = field(default_factory=list)
    ended: list = field(default_factory=list)
    vetoes: list = field(default_factory=list)
    revoked: list = field(default_factory=list)
    decisions: list = field(default_factory=list)
    spent: list = field(default_factory=list)
    gone: list = field(default_factory=list)
    unsaid: set = field(default_factory=set)
    employments: dict = field(default_factory=dict)
    listed: set = field(default_factory=set)
    next_authority: object = None
    new_keys: dict = field(default_factory=dict)
    last_commit: int = 0
    before_commit: list = field(default_factory=list)
    rejected: bool = False
    readmit: list = field(default_factory=list)
    gaps: list = field(default_factory=list)
    tenures: list = field(default_factory=list)
    takeovers: list = field(default_factory=list)
    moves: list = field(default_factory=list)
    attachments: list = field(default_factory=list)

    def copy(self):
        out = copy(self)
        for name, value in vars(self).items():
            if isinstance(value, (list, dict, set)):
                setattr(out, name, value.copy())
        out.grants = [copy(g) for g in self.grants]
        for grant in out.grants:
            grant.signers, grant.paper = grant.signers.copy(), grant.paper.copy()
        return out

    @property
    def scope(self):
        return self.membership.scope

    @property
    def kind(self):
        return self.membership.kind.name

    @property
    def authority(self):
        return self.next_authority or self.membership.authority

    def member(self, person):
        return next((m for m in self.membership.members if m.person == person), None)

    def devices(self):
        return [d for m in self.membership.members for d in m.devices]

    def of_device(self, device):
        """(member, key) of a device id."""
        return next(((m, d) for m in self.membership.members for d in m.devices if crypto.device_id(d) == device), None)

    def holder(self):
        """The one Holder among those present."""
        return next((m for m in self.present() if m.role.name == "Holder"), None)

    def grant(self, id_):
        return next((g for g in self.grants if g.id == id_), None)

    def in_force(self, id_, now):
        grant = self.grant(id_)
        refuse(grant, "grant-missing")
        standing = grant.standing(now)
        refuse(standing == "in force", f"grant-{standing}")
        return grant

    def unemployed(self, member, now):
        until = self.employments.get((member.person, member.basis))
        return until is not None and now >= until

    def listed_at(self, now):
        """Leaves that must go."""
        out = set(self.listed)
        for m in self.membership.members:
            lapsed = False
            if m.role.name in ("Actor", "Reader", "Custodian"):
                grant = self.grant(m.basis)
                lapsed = self.unemployed(m, now) or (grant and grant.standing(now) != "in force")
            elif m.role.name == "Employee":
                lapsed = self.unemployed(m, now)
            if lapsed:
                out.update(m.devices)
        return out & set(self.devices())

    def leaving(self, member):
        return all(d in self.listed for d in member.devices)

    def key_of(self, person):
        seat = self.seat(person)
        return self.new_keys.get(person) or (seat.person_key if seat else None)

    def seat(self, person):
        return next((m for m in self.present() if m.person == person), None)

    def present(self):
        """Who is here, and who may come back after a re-founding and has no seat yet."""
        return self.membership.members + [m for m in self.readmit if not self.member(m.person)]

    def gone_since(self, then):
        return [g for g in self.gone if g["at"] >= then]

    def status_at(self, now):
        holder = self.holder()
        hold = self.grant(holder.basis) if holder else None
        if self.status == "Active" and hold and hold.standing(now) != "in force":
            return "Dormant"
        return self.status

    def list(self, keys):
        self.listed = (self.listed | set(keys)) & set(self.devices())

    def take_seat(self, member):
        """The leaves go with the next commit, and no re-founding brings them back."""
        self.forget(lambda m: m.person == member.person)
        here = self.member(member.person)
        self.list(here.devices if here else [])

    def forget(self, which):
        """These seats come back by no re-founding."""
        self.readmit = [m for m in self.readmit if not which(m)]
        self.before_commit = [m for m in self.before_commit if not which(m)]

    def settle_who_waits(self, before):
        """After a commit: whoever left or lost a leaf, and whoever is back whole, waits no longer."""
        had = {m.person: set(m.devices) for m in before.membership.members}
        has = {m.person: set(m.devices) for m in self.membership.members}

        def waits(m):
            there = has.get(m.person, set())
            return had.get(m.person, set()) <= there and not (m.person in has and set(m.devices) <= there)

        self.readmit = [m for m in self.readmit if waits(m)]

    def note_ended(self, unit, person, at, word):
        """The latest end counts: one by withdrawals (`word` 0), one by the leader."""
        same = [e for e in self.ended if e[:2] == (unit, person) and (e[3] == 0) == (word == 0)]
        self.ended = [e for e in self.ended if e not in same]
        self.ended.append((unit, person, at, max([word] + [e[3] for e in same])))

    def lift_end(self, member):
        """Who came in on a later word of the leader's is in again."""
        self.ended = [e for e in self.ended if e[3] == 0 or e[:2] != (self.unit_of(member), member.person)]

    def unit_of(self, member):
        """The unit by whose grant, or in whose scope, a member is here."""
        if self.kind == "Unit":
            return self.scope if member.role.name == "Employee" else None
        grant = self.grant(member.basis)
        return grant.grant.grantee.value.unit if grant and grant.grant.grantee.name == "Unit" else None

    def tenures_at(self, now):
        """(person, since) of who held the log of this card then; at the moment of a handover both did."""
        ends = [since for _, since in self.tenures[1:]] + [None]
        return [t for t, end in zip(self.tenures, ends) if t[1] <= now and (end is None or now <= end)]

    def held(self, person, now):
        return any(p == person for p, _ in self.tenures_at(now))

    def took_over(self, custodian, now):
        mine = [at for by, at in self.takeovers if by == custodian and at <= now]
        return any(since <= at for at in mine for _, since in self.tenures_at(now))

    def takes_over(self, custodian):
        return any(by == custodian and at >= self.tenures[-1][1] for by, at in self.takeovers)

    def orphaned(self, now):
        return set(self.devices()) <= self.listed_at(now)

    def home_at(self, seq):
        """Whose word the chain is at this place, and under which home epoch."""
        moved = [(home, epoch) for at, home, epoch in self.moves if seq <= at]
        return moved[0] if moved else (self.membership.home, self.membership.home_epoch)

    def note_gone(self, before, now):
        """Who lost their leaf, or is about to, and when."""
        here = set(self.devices())
        for m in before.membership.members:
            for d in m.devices:
                if d not in before.listed and (d in self.listed or d not in here):
                    self.gone.append({"person": m.person, "key": m.person_key, "role": m.role.name, "device": d, "at": now})
                    self.unsaid.add(d)


def table(text):
    """docs/policy-table.txt as {(status, action, role): cell}."""
    cells, status = {}, None
    for line in text.splitlines():
        if line.startswith("== "):
            status = line.strip("= ")
        elif status and line[:1].isalpha():
            action, *row = [line[:14].strip()] + [line[i : i + 16].strip() for i in range(14, 14 + 16 * len(ROLES), 16)]
            cells.update({(status, action, role): cell for role, cell in zip(ROLES, row)})
    return cells


def own_basis(key):
    return H("own basis", key)
