"""Statements: signed objects that hold from their receipt on (docs/protocol.md section 8, Statements)."""

import crypto
import entry
from authority import authority_change, objection, unit_behind
from crypto import holds
from facts import DAY, FAMILY, authority_key, may_sign, party, refuse
from handover import take_over

PAPER = 90 * DAY
REVOKED = 256


def decide(judge, facts, author, statement):
    rule, action = RULES[statement.name]
    if action:
        judge.allow(facts, author, action)
    rule(judge, facts, author, statement.value)
    return facts


def grant(judge, facts, _author, signed):
    id_ = crypto.object_id(judge.page, signed.grant)
    known = facts.grant(id_)
    stood = known and known.standing(judge.now) == "in force"
    fact = entry.sign_grant(judge, facts, facts.authority, facts.vetoes, facts.scope, signed)
    if not stood and fact.standing(judge.now) == "in force":
        facts.vetoes = [v for v in facts.vetoes if v[0] != party(fact.grant.grantee)]
        if fact.grant.access.name == "Hold" and facts.status == "Withdrawn":
            facts.status = "Dormant"


def attested(judge, facts, author, said):
    holder = facts.holder()
    refuse(holder and author.person == said.holder == holder.person, "not-yours")
    hold = facts.grant(holder.basis)
    refuse(hold and hold.grant.access.name == "Hold", "grant-missing")
    unit = hold.grant.grantee
    refuse(unit.name == "Unit", "voucher-missing")
    object_ = crypto.verify(judge.page, said.by_holder, facts.key_of(holder.person))
    crypto.verify(judge.page, said.by_leader, unit.value.leader_key)
    refuse(said.by_holder.bytes == said.by_leader.bytes and unit.value.leader != holder.person, "voucher-invalid")
    signer = object_.on_behalf_of
    here = any(m.person == signer for m in facts.present()) or any(signer in g.signers for g in facts.grants)
    refuse(may_sign(facts.authority, signer, judge.now) and not here, "not-an-authority")
    body = judge.page.decode("ConsentGrant", object_.grant)
    entry.check_grant(judge, facts, facts.authority, facts.scope, body)
    id_ = crypto.H("consent grant", object_.grant)
    known = facts.grant(id_)
    refuse(all(r != id_ for r, _ in facts.revoked) and not (known and known.ended), "grant-withdrawn")
    known = known or entry.shown(facts, id_, body, signer)
    again = signer in known.consenting(judge.now) or known.standing(judge.now) == "in force"
    refuse(not again, "already-signed")
    known.paper = [p for p in known.paper if p[0] != signer] + [(signer, judge.now + PAPER)]
    entry.settle(known, facts.authority, facts.vetoes, judge.now)


def withdrawer_key(judge, facts, signer):
    """Of the authority; of somebody here or on the card who is no family, no archivist and not leaving."""

    def here(state):
        m = state.seat(signer)
        counts = m and m.role.name not in (*FAMILY, "Archivist") and not state.leaving(m)
        return state.key_of(signer) if counts else None

    key = authority_key(facts.authority, signer) or here(facts)
    if key or not judge.card:
        return key
    was = [g for g in judge.card.gone_since(judge.now) if g["person"] == signer and g["role"] not in FAMILY]
    return was[0]["key"] if was else here(judge.card)


def spend(judge, facts, signed):
    id_ = crypto.object_id(judge.page, signed)
    refuse(id_ not in facts.spent, "already-signed")
    facts.spent.append(id_)


def withdrawal(judge, facts, _author, signed):
    key = withdrawer_key(judge, facts, signed.signer)
    refuse(key, "not-an-authority")
    said = crypto.verify(judge.page, signed.withdrawal, key)
    refuse((said.scope, said.log) == (facts.scope, facts.membership.log), "grant-mismatch")
    target, what = said.target.name, said.target.value
    if target == "Person":
        there = facts.seat(what)
        is_family = authority_key(facts.authority, what) or (there and there.role.name in FAMILY)
        refuse(not is_family, "family-stays")
    spend(judge, facts, signed.withdrawal)
    hit = end_grants(judge, facts, target, what, signed.signer)
    hit |= end_seats(judge, facts, target, what, signed.signer)
    refuse(hit, "nothing-to-withdraw")
    holder = facts.holder()
    basis = facts.grant(holder.basis) if holder else None
    if target == "All":
        facts.status = "Withdrawn"
    elif facts.status == "Active" and basis and basis.ended:
        facts.status = "Dormant"


def end_grants(judge, facts, target, what, signer):
    by_family, hit = authority_key(facts.authority, signer), False
    for g in facts.grants:
        names = {"Grant": [g.id], "All": [what]}.get(target) or ([party(g.grant.grantee)[1]] if party(g.grant.grantee)[0] == target else [])
        if g.ended or what not in names:
            continue
        g.ended, hit = max(judge.now, 1), True
        if by_family:
            veto(facts, party(g.grant.grantee), signer)
    if target == "All" and by_family:
        for g in facts.grants:
            veto(facts, party(g.grant.grantee), signer)
    if target == "Grant" and by_family and not facts.grant(what) and all(r != what for r, _ in facts.revoked):
        refuse(sum(by == signer for _, by in facts.revoked) < REVOKED, "too-many-grants")
        facts.revoked.append((what, signer))
        hit = True
    return hit


def veto(facts, on, signer):
    if (on, signer) not in facts.vetoes:
        facts.vetoes.append((on, signer))


def end_seats(judge, facts, target, what, signer):
    going = []
    for m in facts.present():
        basis = facts.grant(m.basis)
        ends = ((target == "Person" and what == m.person) or (basis and basis.ended)) and m.role.name != "Holder"
        if m.role.name not in FAMILY and (target == "All" or ends):
            going.append(m)
    for m in going:
        unit = facts.unit_of(m)
        if unit:
            facts.note_ended(unit, m.person, judge.now, 0)
        facts.take_seat(m)
        if authority_key(facts.authority, signer):
            veto(facts, ("Person", m.person), signer)
    return bool(going)


def employee_end(judge, facts, _author, signed):
    claimed = judge.page.decode("EmployeeEnd", signed.end.bytes)
    own = facts.member(signed.leader)
    keys = [facts.key_of(own.person)] if own and own.role.name == "Leader" and claimed.unit == facts.scope else []
    for g in facts.grants:
        to = g.grant.grantee
        if to.name == "Unit" and (to.value.leader, to.value.unit) == (signed.leader, claimed.unit):
            keys.append(to.value.leader_key)
    refuse(keys, "voucher-invalid")
    end = next((e for e in (holds(judge.page, signed.end, k) for k in keys) if e), None)
    refuse(end, "bad-signature")
    member = next((m for m in facts.present() if m.person == end.person), None)
    refuse(member, "nothing-to-withdraw")
    refuse(end.scope == facts.scope and facts.unit_of(member) == end.unit, "voucher-invalid")
    refuse(member.role.name != "Holder", "holder-by-handover")
    spend(judge, facts, signed.end)
    facts.note_ended(end.unit, end.person, judge.now, max(end.ended_at, 1))
    facts.take_seat(member)


def person_key_change(judge, facts, _author, signed):
    refuse(signed.signatures, "decision-missing")
    change = judge.page.decode("PersonKeyChange", signed.signatures[0].change.bytes)
    member = facts.member(change.person)
    refuse(member, "not-a-member")
    present = facts.key_of(change.person)
    refuse(change.scope == facts.scope and change.old in (present, member.person_key), "key-not-pinned")
    refuse(change.new != present, "key-not-pinned")
    own, others = False, set()
    for s in signed.signatures:
        refuse(s.change.bytes == signed.signatures[0].change.bytes, "grant-mismatch")
        if s.device and s.signer == change.person:
            crypto.verify(judge.page, s.change, s.device)
            own |= s.device in member.devices and s.device in change.surviving and s.device not in facts.listed
        else:
            crypto.verify(judge.page, s.change, witness_key(facts, member, s.signer))
            others.add(s.signer)
    others.discard(change.person)
    refuse((own and change.old == present) or two_others(judge, facts, member, others), "decision-missing")
    family = authority_key(facts.authority, member.person)
    if family:
        renamed = lambda p: p.but(key=change.new) if p and p.person == member.person else p
        now = facts.authority
        facts.next_authority = now.but(guardians=[renamed(g) for g in now.guardians], child=renamed(now.child))
    facts.new_keys[change.person] = change.new
    facts.list(d for d in member.devices if d not in change.surviving)
    keep = lambda m: m.but(devices=[d for d in m.devices if d in change.surviving]) if m.person == change.person else m
    facts.readmit, facts.before_commit = [keep(m) for m in facts.readmit], [keep(m) for m in facts.before_commit]


def answers_for(facts, member):
    return unit_behind(facts, facts.holder() if member.role.name in FAMILY else member)


def witness_key(facts, member, signer):
    by, leader = facts.member(signer), answers_for(facts, member)
    if by and not facts.leaving(by):
        return facts.key_of(signer)
    refuse(leader and leader.leader == signer, "not-a-member")
    return leader.leader_key


def two_others(judge, facts, member, others):
    def has(role):
        members = [facts.member(p) for p in others]
        return any(m and m.role.name == role and not facts.leaving(m) for m in members)

    if facts.kind == "Unit":
        return member.role.name == "Employee" and has("Leader")
    unit = answers_for(facts, member)
    leader = bool(unit and unit.leader in others)
    guards = leader if facts.status_at(judge.now) == "Dormant" else has("Holder")
    first = guards if member.role.name in FAMILY else leader
    return len(others) >= 2 and first and has("Guardian")


def reject(_judge, facts, _author, said):
    refuse(facts.last_commit and said.seq == facts.last_commit, "malformed")
    facts.rejected = True
    if said.reason.name == "TwoHistories":
        facts.before_commit = list(facts.present())
        return
    there = {m.person for m in facts.before_commit}
    family = [m for m in facts.present() if m.role.name in FAMILY and authority_key(facts.authority, m.person)]
    facts.before_commit = facts.before_commit + [m for m in family if m.person not in there]


def link_repair(_judge, facts, _author, said):
    start, end = (getattr(said, "from").generation, getattr(said, "from").epoch), (said.to.generation, said.to.epoch)
    generation = facts.membership.generation
    refuse(0 < end[0] and end < start <= (generation, facts.epoch) and len(said.link) == 48, "malformed")
    facts.gaps = [gap for gap in facts.gaps if start != (generation, gap)]


def deletion(judge, facts, _author, said):
    receipt = crypto.verify(judge.page, said.receipt, said.device_key)
    gone = said.device_key in facts.unsaid and said.device_key not in facts.devices()
    refuse(gone and (receipt.scope, receipt.device) == (facts.scope, crypto.device_id(said.device_key)), "malformed")
    facts.unsaid.discard(said.device_key)


def close(judge, facts, _author, said):
    was, becomes = ("Active", "Closed") if said.name == "Closed" else ("Closed", "Active")
    refuse(facts.status_at(judge.now) == was, "not-active")
    facts.status = becomes


RULES = {
    "Grant": (grant, "Grant"),
    "Attested": (attested, "Attest"),
    "Withdrawal": (withdrawal, "Withdraw"),
    "EmployeeEnd": (employee_end, None),
    "AuthorityChange": (authority_change, "Authority"),
    "PersonKeyChange": (person_key_change, "Authority"),
    "Reject": (reject, "Reject"),
    "LinkRepair": (link_repair, "RepairLink"),
    "Deletion": (deletion, "Witness"),
    "Close": (close, "Close"),
    "Takeover": (take_over, "TakeOver"),
    "Objection": (objection, "Object"),
}
