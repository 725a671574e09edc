"""Genesis of a scope and its re-founding (docs/protocol.md section 8)."""

import crypto
import entry
import mls
import statements
from crypto import H, Refused
from facts import FAMILY, Facts, authority_key, named, own_basis, refuse
from tls import Struct, Variant

GUARDIANS = 16


def open_group(judge, event, genesis):
    """(membership, leaf, context, interim transcript hash) of a group with its founder alone."""
    context, tag, signer, signed_by = mls.group_info(judge.page, genesis.group_info)
    generation = event.generation.to_bytes(4, "big")
    refuse(context.group == H("group", event.scope, generation) and context.epoch == 0, "wrong-generation")
    leaf = mls.founder_leaf(judge.page, genesis.tree, context.group)
    signed_by(leaf.key)
    refuse(signer == 0 and leaf.credential == genesis.founder, "person-changed")
    membership = read_membership(judge, context)
    required = dict(context.extensions)[mls.REQUIRED_CAPABILITIES]
    refuse(mls.requires_membership(judge.page, required), "extensions-changed")
    return membership, leaf, context, mls.interim_after(context.transcript, tag)


def read_membership(judge, context):
    """The membership in a group context that has exactly the two extensions."""
    kinds = sorted(kind for kind, _ in context.extensions)
    refuse(kinds == [mls.REQUIRED_CAPABILITIES, mls.MEMBERSHIP], "extensions-changed")
    return judge.page.decode("Membership", dict(context.extensions)[mls.MEMBERSHIP])


def check_authority(authority, holder):
    people = named(authority)
    refuse(len(authority.guardians) <= GUARDIANS, "too-many-members")
    once = len({p.person for p in people}) == len(people) == len({p.key for p in people})
    alone = not authority.guardians and authority.child and authority.youth_from
    enough = authority.quorum <= len(authority.guardians) and (authority.quorum or alone)
    refuse(once and enough and holder not in [p.person for p in people], "quorum-missing")


def found(judge, event, membership, leaf):
    """The first facts of a scope."""
    genesis = event.body.value
    refuse(event.scope == membership.scope, "wrong-scope")
    refuse(membership.home == judge.home or (judge.home is None and membership.home in judge.trusted), "wrong-home")
    refuse((event.generation, membership.generation, event.epoch) == (1, 1, 0), "wrong-generation")
    refuse(event.counter == 1, "counter-gap")
    refuse(genesis.carries is None, "malformed")
    refuse(membership.policy_version == 1, "unknown-policy")
    refuse(len(membership.members) == 1, "membership-mismatch")
    founder = membership.members[0]
    refuse(founder.devices == [leaf.key] and crypto.device_id(leaf.key) == event.device, "membership-mismatch")
    certificate = entry.check_leaves(judge, founder, [leaf])[0]
    facts = Facts(membership, founder.person, genesis.card, genesis.check, judge.now)
    kind = membership.kind.name
    if kind in ("Unit", "Personal"):
        outside_logs(facts, founder, certificate)
    else:
        in_log(judge, facts, founder, genesis)
    facts.counters[event.device] = 1
    return facts


def outside_logs(facts, founder, certificate):
    if facts.kind == "Unit":
        leads = (certificate.kind.name, certificate.unit, certificate.municipality, founder.role.name)
        refuse(leads == ("Leader", facts.scope, facts.membership.home, "Leader"), "not-yours")
    else:
        refuse(founder.role.name == "Own" and facts.scope == founder.person, "not-yours")
    m = facts.membership
    empty = not named(m.authority) and not m.authority.quorum and not m.authority.youth_from
    refuse(empty and m.log == bytes(16) and founder.basis == own_basis(founder.person_key), "membership-mismatch")
    refuse(m.home_epoch == 1, "wrong-generation")


def in_log(judge, facts, founder, genesis):
    m, kind = facts.membership, facts.kind
    if kind == "Card":
        refuse(genesis.log_salt and not genesis.card, "log-mismatch")
        refuse(m.log == H("log", founder.person_key, genesis.log_salt)[:16], "log-mismatch")
        refuse(m.home_epoch == 1, "wrong-generation")
    else:
        refuse(genesis.card and not genesis.log_salt, "log-mismatch")
    check_authority(m.authority, founder.person)
    granted_for = genesis.card if kind == "Concern" else facts.scope
    for signed in genesis.grants:
        entry.sign_grant(judge, facts, m.authority, [], granted_for, signed)
    if kind == "Concern":
        refuse(all(g.grant.access.name in ("Hold", "Custody") for g in facts.grants), "grant-mismatch")
    refuse(founder.role.name == "Holder", "not-yours")
    hold = facts.in_force(founder.basis, judge.now)
    refuse(hold.grant.moves_to in (None, m.home), "grant-mismatch")
    if kind == "Card":
        facts.tenures = [(founder.person, judge.now)]
    entry.may_hold(judge, facts, hold, founder, genesis.vouchers)
    if kind != "Card" and judge.card:
        under_card(judge, facts, founder, genesis)


def under_card(judge, facts, founder, genesis):
    card = judge.card
    refuse((card.scope, card.membership.log) == (genesis.card, facts.membership.log), "log-mismatch")
    refuse(card.status_at(judge.now) == "Active", "not-active")
    refuse(card.authority == facts.membership.authority, "not-an-authority")
    refuse(card.membership.home_epoch == facts.membership.home_epoch, "wrong-generation")
    holder = card.holder()
    refuse(holder and (holder.person, holder.person_key) == (founder.person, founder.person_key), "not-on-card")
    refuse(not any(card.takes_over(by) for by, _ in card.takeovers), "taken-over")
    if facts.kind == "Concern":
        refuse(holder.basis == founder.basis, "not-on-card")
        for g in facts.grants:
            card.in_force(g.id, judge.now)


def heir_author(judge, facts, event):
    """The author of the genesis of an orphaned scope, with the seat that they take."""
    genesis, facts = event.body.value, facts.copy()
    for signed in genesis.grants:
        statements.grant(judge, facts, None, signed)
    return heir(judge, facts, event.device, genesis)


def heir(judge, facts, device, genesis):
    """A guardian or youth; a new holder on a grant in force; of a unit its leader; the person themselves."""
    person, certified = entry.identity(judge, genesis.founder)
    key = certified.device_key
    refuse(crypto.device_id(key) == device, "not-a-member")

    def seat(role, basis):
        fields = {"person": person.person, "person_key": person.person_key, "role": Variant("Role", role)}
        return Struct("Member", {**fields, "devices": [key], "basis": basis})

    if facts.kind == "Unit":
        leads = (person.kind.name, person.unit, person.municipality)
        refuse(leads == ("Leader", facts.scope, facts.membership.home), "not-a-member")
        return seat("Leader", own_basis(person.person_key))
    if facts.kind == "Personal":
        own = person.person == facts.founder and facts.key_of(person.person) == person.person_key
        refuse(own, "not-a-member")
        return seat("Own", own_basis(person.person_key))
    if authority_key(facts.authority, person.person) == person.person_key:
        child = facts.authority.child
        role = "Child" if child and child.person == person.person else "Guardian"
        return seat(role, judge.authority_id(facts.authority))
    for grant in facts.grants:
        if grant.standing(judge.now) == "in force" and may_hold(judge, facts, grant, seat("Holder", grant.id), person, genesis):
            return seat("Holder", grant.id)
    raise Refused("not-a-member")


def may_hold(judge, facts, grant, member, person, genesis):
    try:
        entry.unopposed(judge, facts, grant, member, [person])
        entry.may_hold(judge, facts, grant, member, genesis.vouchers)
    except Refused:
        return False
    return True


def refound(judge, facts, event, author, membership, leaf):
    """Forward from before the rejected commit, or by the heir of an orphaned scope."""
    genesis, orphaned = event.body.value, facts.orphaned(judge.now)
    refuse(facts.rejected or orphaned, "not-rejected")
    judge.allow(facts, author, "Refound")
    to = genesis.carries and (genesis.carries.to.generation, genesis.carries.to.epoch)
    carried = orphaned if to is None else 0 < to[0] and to <= (facts.membership.generation, facts.epoch)
    refuse(carried, "link-missing")
    refuse(orphaned or not genesis.grants, "grant-mismatch")
    for signed in genesis.grants:
        statements.grant(judge, facts, author, signed)
    listed = facts.listed_at(judge.now)
    back = [m for m in facts.present() if authority_key(facts.authority, m.person)] if orphaned else facts.before_commit
    back = [m.but(devices=[d for d in m.devices if d not in listed]) for m in back]
    back = [m for m in back if m.devices or m.role.name in FAMILY]
    seat = heir(judge, facts, event.device, genesis) if orphaned else next((m for m in back if m.person == author.person), None)
    refuse(seat, "not-a-member")
    wanted = facts.membership.but(generation=facts.membership.generation + 1, members=[seat.but(devices=[leaf.key])])
    refuse(membership == wanted and leaf.key == author.key and event.epoch == 0, "membership-mismatch")
    entry.check_leaves(judge, seat, [leaf])
    if orphaned and seat.role.name == "Holder" and facts.status in ("Dormant", "Withdrawn"):
        facts.status = "Active"
    elif orphaned and seat.role.name != "Holder" and facts.status == "Active" and facts.kind not in ("Unit", "Personal"):
        facts.status = "Dormant"
    facts.membership, facts.epoch, facts.epoch_since, facts.gentle = membership, 0, judge.now, False
    facts.listed, facts.before_commit, facts.readmit = set(), back, list(back)
    facts.last_commit, facts.rejected, facts.gaps = facts.seq + 1, False, []
    facts.check = genesis.check
    return facts
