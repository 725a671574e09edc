"""Replay of an audit export: every record by the accept rule, every receipt against the chain, the invariants
of docs/protocol.md section 15 in every state."""

from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import commits
import crypto
import entry
import founding
import statements
from crypto import Refused
from facts import FAMILY, authority_key, refuse, table, youth_decides
from tls import Malformed

EVENT_BYTES = {"Genesis": 256 << 10, "Commit": 8 << 20, "Change": (256 << 10) + 1024, "Statement": 64 << 10}
LOG_COMMIT_BYTES = 1 << 20
AWAITED = ("Withdrawal", "Reject", "Objection")
POLICY = Path(__file__).resolve().parents[2] / "docs" / "policy-table.txt"


@dataclass
class Author:
    person: bytes
    key: bytes
    role: str
    device: bytes


@dataclass
class Group:
    """The public part of an MLS group, as far as it is followed here."""

    leaves: list
    context: object
    interim: bytes


class Judge:
    """Who asks, and when: the context of one verdict."""

    def __init__(self, page, cells, trusted, home):
        self.page, self.cells, self.trusted, self.home = page, cells, trusted, home
        self.now, self.card = 0, None

    def authority_id(self, authority):
        return crypto.H("consent authority", self.page.encode("ConsentAuthority", authority))

    def allow(self, facts, author, action, active=False):
        """The table role x action x status; `active`: as if the scope were."""
        status = "Active" if active else facts.status_at(self.now)
        cell = self.cells[status, action, author.role]
        youth = cell == "youth" and youth_decides(facts.authority, self.now)
        refuse(cell == "yes" or youth, cell.strip("- ()") if cell.startswith("-") else "not-yours")


class Chain:
    """One scope as its records tell it."""

    def __init__(self):
        self.facts, self.group = None, None

    def take(self, judge, record):
        """Judges a record and follows it; anything wrong raises and leaves all as it was."""
        before = self.facts
        refuse(record.seq == (before.seq if before else 0) + 1, "chain-broken")
        refuse(record.time >= (before.time if before else 0), "time-backwards")
        size = len(record.event.bytes)
        event = judge.page.decode("Event", record.event.bytes)
        most = EVENT_BYTES[event.body.name]
        if event.body.name == "Commit" and before and before.kind not in ("Unit", "Personal"):
            most = LOG_COMMIT_BYTES
        refuse(size <= most, "too-large")
        facts, group = self.judge_event(judge, record, event)
        facts.seq, facts.time = record.seq, record.time
        facts.head = crypto.head_after(before.head if before else crypto.ZERO, record)
        facts.counters[event.device] = event.counter
        self.facts, self.group = facts, group

    def judge_event(self, judge, record, event):
        kind, before = event.body.name, self.facts
        if not before:
            refuse(kind == "Genesis", "unknown-scope")
            refuse((event.seen.seq, event.seen.head) == (0, crypto.ZERO), "chain-broken")
            membership, leaf, context, interim = founding.open_group(judge, event, event.body.value)
            crypto.verify(judge.page, record.event, leaf.key)
            return founding.found(judge, event, membership, leaf), Group([leaf.key], context, interim)
        author = self.author(judge, event)
        crypto.verify(judge.page, record.event, author.key)
        seen = event.seen
        refuse(seen.seq <= before.seq and (seen.seq != before.seq or seen.head == before.head), "chain-broken")
        refuse(seen.seq or seen.head == crypto.ZERO, "chain-broken")
        self.check_frame(judge, event)
        facts = before.copy()
        if kind == "Change":
            self.check_change(judge, facts, author, event)
            return facts, self.group
        if kind == "Statement":
            statements.decide(judge, facts, author, event.body.value)
            facts.note_gone(before, judge.now)
            return facts, self.group
        facts, group = (self.commit if kind == "Commit" else self.refound)(judge, facts, author, event)
        facts.note_gone(before, judge.now)
        return facts, group

    def commit(self, judge, facts, author, event):
        refuse(event.epoch == facts.epoch, "wrong-epoch")
        view, signer, removed, leaves, context, interim = commits.view_of(judge, self.group, event)
        refuse(view.sender is None or signer == author.key, "person-changed")
        after = founding.read_membership(judge, context)
        refuse(view.rewrites or after == facts.membership, "membership-mismatch")
        commits.decide(judge, facts, event, author, view, removed, after)
        refuse(sorted(k for k in leaves if k) == sorted(facts.devices()), "membership-mismatch")
        return facts, Group(leaves, context, interim)

    def refound(self, judge, facts, author, event):
        membership, leaf, context, interim = founding.open_group(judge, event, event.body.value)
        return founding.refound(judge, facts, event, author, membership, leaf), Group([leaf.key], context, interim)

    def author(self, judge, event):
        """The member to whom the leaf belongs; for some things who is awaited; for a withdrawal also of the card."""
        found = self.facts.of_device(event.device)
        if found and found[1] not in self.facts.listed_at(judge.now):
            return Author(found[0].person, found[1], found[0].role.name, event.device)
        said = event.body.value.name if event.body.name == "Statement" else event.body.name
        waits = None if found or said not in (*AWAITED, "Genesis") else entry.awaited(judge, self.facts, event.device)
        if waits and not (said == "Genesis" and not self.facts.rejected):
            return Author(waits[0].person, waits[1], waits[0].role.name, event.device)
        if event.body.name == "Genesis" and self.facts.orphaned(judge.now):
            seat = founding.heir_author(judge, self.facts, event)
            return Author(seat.person, seat.devices[0], seat.role.name, event.device)
        refuse(not found, "withdrawn")
        refuse(said == "Withdrawal" and judge.card, "not-a-member")
        for g in judge.card.gone_since(judge.now):
            if crypto.device_id(g["device"]) == event.device:
                return Author(g["person"], g["device"], g["role"], event.device)
        found = judge.card.of_device(event.device)
        waits = None if found else entry.awaited(judge, judge.card, event.device)
        if waits:
            return Author(waits[0].person, waits[1], waits[0].role.name, event.device)
        refuse(found, "not-a-member")
        refuse(found[1] not in judge.card.listed_at(judge.now), "withdrawn")
        return Author(found[0].person, found[1], found[0].role.name, event.device)

    def check_frame(self, judge, event):
        m = self.facts.membership
        refuse(event.scope == m.scope, "wrong-scope")
        refuse(m.home == judge.home, "wrong-home")
        refuse(event.generation == m.generation + (event.body.name == "Genesis"), "wrong-generation")
        last = self.facts.counters.get(event.device, 0)
        refuse(event.counter > last, "counter-used")
        refuse(event.counter == last + 1, "counter-gap")

    def check_change(self, judge, facts, author, event):
        judge.allow(facts, author, "Change")
        change = event.body.value
        refuse(len(change.sealed) <= 256 << 10 and 1 <= change.count <= 10_000, "too-large")
        named = change.attachments
        refuse(len(named) <= 4 and (not named or len(facts.attachments) + len(named) <= 256), "too-many-attachments")
        facts.attachments.extend(a for i, a in enumerate(named) if a not in facts.attachments and a not in named[:i])
        refuse(not facts.listed_at(judge.now), "removal-first")
        graceful = facts.gentle and event.epoch + 1 == facts.epoch and judge.now - facts.epoch_since <= 60_000
        refuse(event.epoch == facts.epoch or graceful, "wrong-epoch")


class Report:
    """What a replay finds."""

    def __init__(self):
        self.events, self.checks, self.violations = 0, 0, []
        self.about = {}

    def check(self, scope, seq, holds, rule):
        self.checks += 1
        if not holds:
            self.violations.append({"scope": scope.hex(), "seq": seq, "rule": rule})


def check_state(report, facts, log, now):
    """Invariants over every state."""
    at = (facts.scope, facts.seq)
    holders = [m for m in facts.present() if m.role.name == "Holder"]
    anew = facts.membership.generation > 1 and facts.status == "Dormant"
    closed = facts.status == "Closed" and facts.kind != "Card" and any(m.role.name == "Archivist" for m in facts.present())
    report.check(*at, facts.membership.log == log, "other-log")
    report.check(*at, len(holders) == 1 or (not holders and (anew or closed)) or facts.status == "Withdrawn", "one-holder")
    listed = facts.listed_at(now)
    for m in facts.membership.members:
        grant = facts.grant(m.basis)
        if m.role.name in FAMILY:
            stands = authority_key(facts.authority, m.person) == facts.key_of(m.person)
        elif m.role.name in ("Holder", "Archivist"):
            stands = grant or m.role.name == "Archivist"
        else:
            stands = grant and grant.standing(now) == "in force"
        report.check(*at, stands or all(d in listed for d in m.devices), "leaf-without-basis")


def check_receipts(report, page, receipts, chains, heads, trusted):
    """Each receipt is its home's word for exactly this chain; together they cover all of it."""
    covered = dict.fromkeys(heads, 0)
    for signed in receipts:
        claimed = page.decode("Receipt", signed.bytes)
        at, chain = (claimed.scope, claimed.position.seq), heads.get(claimed.scope)
        report.check(*at, chain, "scope-left-out")
        if not chain:
            continue
        home, epoch = chains[claimed.scope].facts.home_at(at[1])
        receipt = crypto.holds(page, signed, trusted.get(home, b""))
        report.check(*at, receipt and receipt.home_epoch == epoch, "receipt-not-of-home")
        there = 1 <= at[1] <= len(chain) and chain[at[1] - 1] == (claimed.position.head, claimed.time)
        report.check(*at, there, "another-history")
        if receipt and there:
            covered[claimed.scope] = max(covered[claimed.scope], at[1])
    for scope, chain in heads.items():
        report.check(scope, len(chain), covered[scope] == len(chain), "no-receipt")


def check_subset(report, chains, cards):
    """members(concern) is within members(card); the holder in name of what is dormant excepted."""
    card = next((chains[c].facts for c in cards if c in chains and chains[c].facts), None)
    for chain in chains.values():
        facts = chain.facts
        if card and facts and facts.kind == "Concern" and facts.status != "Closed":
            listed = facts.listed_at(facts.time)
            dormant = facts.status_at(max(facts.time, card.time)) == "Dormant"
            for m in facts.membership.members:
                gone = all(d in listed for d in m.devices)
                there = card.member(m.person) or (dormant and m.role.name == "Holder")
                report.check(facts.scope, facts.seq, gone or there, "concern-without-card")


UNCHECKED = ["municipality-keys", "absent-scopes", "later-records", "sealed-content", "members-only"]


def moment(ms):
    return datetime.fromtimestamp(ms // 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def about(page, file, records, events, chains):
    """What the report is of: log, keys, scopes, from when to when; and what no replay can see."""
    def key(m):
        print_ = crypto.H("key", bytes.fromhex(m["key"])).hex()
        return {"number": m["number"], "key": m["key"], "fingerprint": print_}

    times = {}
    for record, event in zip(records, events):
        times.setdefault(event.scope, []).append(record.time)
    kinds = {scope: chain.facts.kind.lower() for scope, chain in chains.items() if chain.facts}
    every = [time for some in times.values() for time in some]
    return {
        "log": file["log"],
        "municipalities": [key(m) for m in file["municipalities"]],
        "scopes": [
            {"scope": scope.hex(), "kind": kinds.get(scope), "records": len(at), "from": moment(min(at)), "to": moment(max(at))}
            for scope, at in sorted(times.items())
        ],
        "from": moment(min(every)) if every else None,
        "to": moment(max(every)) if every else None,
        "unchecked": UNCHECKED,
    }


def believed(named, report):
    """The keys by number. A second key for a home is a second home: neither is believed."""
    keys = [(m["number"], bytes.fromhex(m["key"])) for m in named]
    once = [(number, key) for number, key in keys if sum(n == number or k == key for n, k in keys) == 1]
    report.check(crypto.ZERO[:16], 0, len(once) == len(keys), "named-twice")
    return dict(once)


def replay(page, file):
    """An export, whole."""
    refuse(file.get("format") == "stafett-audit-1", "an export of another version")
    log, report = bytes.fromhex(file["log"]), Report()
    refuse(file["municipalities"], "the file names no municipality")
    trusted = believed(file["municipalities"], report)
    records = [page.decode("Record", bytes.fromhex(r)) for r in file["records"]]
    receipts = [page.decode("Signed<Receipt>", bytes.fromhex(r)) for r in file["receipts"]]
    events = [page.decode("Event", r.event.bytes) for r in records]
    report.events = len(records)
    cards = list({e.scope: 0 for e in events if e.body.name == "Genesis" and e.body.value.log_salt})
    for holds, rule in [
        (records, "no-records"),
        (cards, "no-card"),
        (len(cards) < 2, "two-cards"),
    ]:
        report.check(crypto.ZERO[:16], 0, holds, rule)
    order = sorted(zip(records, events), key=lambda p: (p[0].time, p[1].scope not in cards, p[1].scope, p[0].seq))
    judge, chains, heads = Judge(page, table(POLICY.read_text()), trusted, None), {}, {}
    for record, event in order:
        chain = chains.setdefault(event.scope, Chain())
        card = next((chains[c].facts for c in cards if c != event.scope and c in chains), None)
        judge.now, judge.card = record.time, card
        # A log that moves takes its scopes along: each is judged at the home that it has, a card founded at any
        # municipality that is known.
        judge.home = (chain.facts or card).membership.home if chain.facts or card else None
        rule = ""
        try:
            chain.take(judge, record)
            heads.setdefault(event.scope, []).append((chain.facts.head, record.time))
        except (Refused, Malformed) as why:
            rule = str(why)
        report.check(event.scope, record.seq, not rule, rule)
        if not rule:
            check_state(report, chain.facts, log, record.time)
    check_receipts(report, page, receipts, chains, heads, trusted)
    check_subset(report, chains, cards)
    report.about = about(page, file, records, events, chains)
    return report
