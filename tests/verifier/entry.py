"""Who may enter a scope, and when a grant counts (docs/protocol.md section 8, Commit and Genesis)."""

import crypto
from crypto import Refused, holds
from facts import DAY, FAMILY, ROLE_OF, Grant, authority_key, may_sign, party, quorum_met, refuse
from tls import Malformed

CONSENT_MAX = 24 * 31 * DAY
GRANTS = 512


def identity(judge, credential):
    """(person certificate, device certificate) of a credential that holds."""
    try:
        claimed = judge.page.decode("PersonCertificate", credential.person.bytes)
        refuse(claimed.municipality in judge.trusted, "not-identified")
        person = crypto.verify(judge.page, credential.person, judge.trusted[claimed.municipality])
        device = crypto.verify(judge.page, credential.device, person.person_key)
    except (Malformed, Refused) as why:
        raise Refused("not-identified") from why
    refuse(device.person == person.person, "not-identified")
    return person, device


def check_leaves(judge, member, leaves):
    """Each leaf is a device of the member, under the pinned person key."""
    out = []
    for leaf in leaves:
        person, device = identity(judge, leaf.credential)
        refuse(person.person == member.person and device.device_key == leaf.key, "person-changed")
        refuse(person.person_key == member.person_key, "key-not-pinned")
        out.append(person)
    return out


def settle(grant, authority, vetoes, now):
    """Brings a grant into force once everyone needed has signed."""
    by = [v for p, v in vetoes if p == party(grant.grant.grantee) and may_sign(authority, v, now)]
    if any(v not in grant.signers for v in by):
        return
    if quorum_met(authority, grant.signers, now):
        grant.paper = []
    if not grant.since and quorum_met(authority, grant.consenting(now), now):
        grant.since = max(now, 1)


def unopposed(judge, facts, fact, member, certificates):
    """No veto on the person, the unit that certifies a leaf, or the unit of the grant, but by who signed it."""
    on = {("Person", member.person), party(fact.grant.grantee)} | {("Unit", c.unit) for c in certificates if c.unit}
    by = [v for p, v in facts.vetoes if p in on and may_sign(facts.authority, v, judge.now)]
    refuse(all(v in fact.signers for v in by), "grant-waiting")


def shown(facts, id_, grant, signer):
    """A grant that nobody has signed before."""
    refuse(sum(g.first == signer for g in facts.grants) < GRANTS, "too-many-grants")
    facts.grants.append(Grant(id_, grant, [], [], first=signer))
    return facts.grants[-1]


def check_grant(judge, facts, authority, scope, grant):
    """What every grant must say, signed by key or on paper."""
    own = judge.authority_id(authority)
    refuse(grant.scope == scope and grant.log == facts.membership.log and grant.authority == own, "grant-mismatch")
    refuse(grant.moves_to is None or grant.access.name == "Hold", "grant-mismatch")
    refuse(grant.policy_version <= 1, "unknown-policy")
    refuse(judge.now < grant.expires_at <= judge.now + CONSENT_MAX, "grant-too-long")


def sign_grant(judge, facts, authority, vetoes, scope, signed):
    """Adds one signature; answers the grant."""
    key = authority_key(authority, signed.signer)
    refuse(key and may_sign(authority, signed.signer, judge.now), "not-an-authority")
    grant = crypto.verify(judge.page, signed.grant, key)
    check_grant(judge, facts, authority, scope, grant)
    id_ = crypto.object_id(judge.page, signed.grant)
    known = facts.grant(id_)
    refuse(not (known and known.ended) and all(r != id_ for r, _ in facts.revoked), "grant-withdrawn")
    known = known or shown(facts, id_, grant, signed.signer)
    refuse(signed.signer not in known.signers, "already-signed")
    known.signers.append(signed.signer)
    settle(known, authority, vetoes, judge.now)
    return known


def employee(judge, voucher, unit, leader_key, member):
    """The leader's certificate for this member, or None."""
    said = holds(judge.page, voucher.employee, leader_key)
    fits = said and (said.unit, said.person, said.person_key) == (unit, member.person, member.person_key)
    return said if fits and judge.now < said.expires_at else None


def may_hold(judge, facts, grant, member, vouchers):
    """By name, as the unit's leader, or as an employee whose leader says so."""
    refuse(grant.grant.access.name == "Hold", "grant-mismatch")
    to = grant.grant.grantee.value
    if grant.grant.grantee.name == "Person":
        return refuse((to.person, to.person_key) == (member.person, member.person_key), "grant-mismatch")
    if (to.leader, to.leader_key) == (member.person, member.person_key):
        return None
    said = [employee(judge, v, to.unit, to.leader_key, member) for v in vouchers]
    still = [e for e in said if e and employs(facts, to.unit, member, grant.since, e.issued_at)]
    return refuse(any(e.may_hold.name == "Yes" for e in still), "voucher-missing")


def not_ended(facts, unit, member, since):
    ended = any((u, p) == (unit, member.person) and at >= since for u, p, at, _ in facts.ended)
    refuse(not ended, "voucher-missing")


def employs(facts, unit, member, since, said):
    """Whether a word that the leader said at `said` counts under a grant in force since `since`."""
    ends = [(at, word) for u, p, at, word in facts.ended if (u, p) == (unit, member.person)]
    return all(word < said if word else at < since for at, word in ends)


def family(authority, member):
    people = authority.guardians if member.role.name == "Guardian" else [authority.child] if authority.child else []
    person = next((p for p in people if p.person == member.person), None)
    refuse(person, "not-an-authority")
    refuse(person.key == member.person_key, "key-not-pinned")


def seat_stands(judge, facts, member):
    """What once let the member in still does."""
    role = member.role.name
    if role in FAMILY:
        family(facts.authority, member)
    elif role in ("Actor", "Reader", "Custodian"):
        grant = facts.in_force(member.basis, judge.now)
        if grant.grant.grantee.name == "Unit":
            not_ended(facts, grant.grant.grantee.value.unit, member, grant.since)
    refuse(role != "Holder" or facts.status != "Withdrawn", "grant-withdrawn")
    other = any(m.role.name == "Holder" and m.person != member.person for m in facts.membership.members)
    refuse(role != "Holder" or not other, "holder-by-handover")
    refuse(role not in ("Actor", "Reader", "Custodian", "Employee") or not facts.unemployed(member, judge.now), "voucher-invalid")


def pinned(facts, member):
    refuse(facts.new_keys.get(member.person, member.person_key) == member.person_key, "key-not-pinned")


def awaited(judge, facts, device):
    """(seat, key) of a device without a leaf whose seat a re-founding left open, while it stands."""
    for m in facts.readmit:
        for d in m.devices:
            if crypto.device_id(d) == device and d not in facts.devices():
                try:
                    seat_stands(judge, facts, m.but(person_key=facts.new_keys.get(m.person, m.person_key)))
                except Refused:
                    continue
                return m, d
    return None


def comes_back(facts, member):
    """After a re-founding: in the very seat that they had."""
    key = facts.new_keys.get(member.person)
    seat = (member.person, member.role, member.basis)
    return any((m.person, m.role, m.basis) == seat and (key or m.person_key) == member.person_key for m in facts.readmit)


def on_card(judge, facts, member):
    card = judge.card
    if not card or facts.kind == "Card":
        return
    listed, there = card.listed_at(judge.now), card.member(member.person)
    stays = there and there.person_key == member.person_key and not all(d in listed for d in there.devices)
    was = any((g["person"], g["key"]) == (member.person, member.person_key) for g in card.gone_since(judge.now))
    refuse(stays or was, "not-on-card")


def check_entry(judge, facts, member, certificates, vouchers):
    """Whether the member may enter in this role on this basis; answers until when a certificate lets them stay."""
    pinned(facts, member)
    if comes_back(facts, member):
        seat_stands(judge, facts, member)
        fact = facts.grant(member.basis)
        if fact and member.role.name not in FAMILY:
            unopposed(judge, facts, fact, member, certificates)
        return None
    role, in_log = member.role.name, facts.kind in ("Card", "Journal", "Concern")
    if in_log and role in FAMILY:
        family(facts.authority, member)
        return refuse(member.basis == judge.authority_id(facts.authority), "not-an-authority")
    if in_log and role in ("Actor", "Reader", "Custodian"):
        on_card(judge, facts, member)
        fact = facts.in_force(member.basis, judge.now)
        unopposed(judge, facts, fact, member, certificates)
        return granted(judge, facts, fact, member, vouchers)
    refuse(role != "Holder", "holder-by-handover")
    if facts.kind == "Unit" and role in ("Leader", "Employee"):
        return employed(judge, facts, member, certificates, vouchers)
    return refuse(facts.kind == "Personal" and role == "Own" and member.person == facts.founder, "not-yours")


def granted(judge, facts, fact, member, vouchers):
    grant, to = fact.grant, fact.grant.grantee.value
    by_card = facts.kind == "Concern" and grant.access.name == "Custody" and grant.scope == facts.card
    refuse((grant.scope == facts.scope or by_card) and ROLE_OF[grant.access.name] == member.role.name, "grant-mismatch")
    if grant.grantee.name == "Person":
        return refuse((to.person, to.person_key) == (member.person, member.person_key), "grant-mismatch")
    if to.leader == member.person:
        refuse(to.leader_key == member.person_key, "key-not-pinned")
        return not_ended(facts, to.unit, member, fact.since)
    refuse(grant.access.name != "Custody", "grant-mismatch")
    for voucher in vouchers:
        said = employee(judge, voucher, to.unit, to.leader_key, member)
        assigned = voucher.assignment and holds(judge.page, voucher.assignment, to.leader_key)
        wanted = (to.unit, member.person, facts.scope)
        if said and said.may_act.name == "Yes" and assigned and (assigned.unit, assigned.person, assigned.scope) == wanted:
            if employs(facts, to.unit, member, fact.since, assigned.assigned_at):
                return said.expires_at
    raise Refused("voucher-missing")


def employed(judge, facts, member, certificates, vouchers):
    """In unit scopes: leaders by the municipality's certificate, employees by a leader's."""
    if member.role.name == "Leader":
        wanted = ("Leader", facts.scope, facts.membership.home)
        certified = certificates and all((c.kind.name, c.unit, c.municipality) == wanted for c in certificates)
        return refuse(certified, "voucher-invalid")
    leaders = [m for m in facts.membership.members if m.role.name == "Leader"]
    said = [employee(judge, v, facts.scope, m.person_key, member) for m in leaders for v in vouchers]
    # No consent is asked for here: withdrawals are over at once.
    found = next((e for e in said if e and employs(facts, facts.scope, member, float("inf"), e.issued_at)), None)
    refuse(found, "voucher-missing")
    return found.expires_at
