"""Genesis of a scope and its re-founding (docs/protocol.md section 8)."""

import crypto
import entry
import mls
from crypto import H
from facts import Facts, named, own_basis, refuse


def open_group(judge, event, genesis):
    """(membership, leaf, context, interim transcript hash) of a group with its founder alone."""
    context, tag, signer, signed_by = mls.group_info(judge.page, genesis.group_info)
    generation = event.generation.to_bytes(4, "big")
    refuse(context.group == H("group", event.scope, generation) and context.epoch == 0, "wrong-generation")
    leaf = mls.founder_leaf(judge.page, genesis.tree, context.group)
    signed_by(leaf.key)
    refuse(signer == 0 and leaf.credential == genesis.founder, "person-changed")
    membership = read_membership(judge, context)
    return membership, leaf, context, mls.interim_after(context.transcript, tag)


def read_membership(judge, context):
    """The membership in a group context that has exactly the two extensions."""
    kinds = sorted(kind for kind, _ in context.extensions)
    refuse(kinds == [mls.REQUIRED_CAPABILITIES, mls.MEMBERSHIP], "extensions-changed")
    return judge.page.decode("Membership", dict(context.extensions)[mls.MEMBERSHIP])


def check_authority(authority, holder):
    people = named(authority)
    once = len({p.person for p in people}) == len(people) == len({p.key for p in people})
    alone = not authority.guardians and authority.child and authority.youth_from
    enough = authority.quorum <= len(authority.guardians) and (authority.quorum or alone)
    refuse(once and enough and holder not in [p.person for p in people], "quorum-missing")


def found(judge, event, membership, leaf):
    """The first facts of a scope."""
    genesis = event.body.value
    refuse(event.scope == membership.scope, "wrong-scope")
    refuse(membership.home == judge.home, "wrong-home")
    refuse((event.generation, membership.generation, event.epoch) == (1, 1, 0), "wrong-generation")
    refuse(event.counter == 1, "counter-gap")
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
        leads = (certificate.kind.name, certificate.unit, founder.role.name)
        refuse(leads == ("Leader", facts.scope, "Leader"), "not-yours")
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
    entry.may_hold(judge, hold, founder, genesis.vouchers)
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
    if facts.kind == "Concern":
        refuse(holder.basis == founder.basis, "not-on-card")
        card.in_force(founder.basis, judge.now)


def refound(judge, facts, event, author, membership, leaf):
    """Forward from before the rejected commit."""
    refuse(facts.rejected, "not-rejected")
    judge.allow(facts, author, "Refound")
    listed = facts.listed_at(judge.now)
    back = [m.but(devices=[d for d in m.devices if d not in listed]) for m in facts.before_commit]
    back = [m for m in back if m.devices or m.role.name in ("Guardian", "Child")]
    before = next((m for m in back if m.person == author.person), None)
    refuse(before, "not-a-member")
    alone = [before.but(devices=[leaf.key])]
    wanted = facts.membership.but(generation=facts.membership.generation + 1, members=alone)
    refuse(membership == wanted and leaf.key == author.key and event.epoch == 0, "membership-mismatch")
    entry.check_leaves(judge, before, [leaf])
    facts.membership, facts.epoch, facts.epoch_since, facts.gentle = membership, 0, judge.now, False
    facts.listed, facts.before_commit, facts.readmit = set(), back, list(back)
    facts.last_commit, facts.rejected, facts.gaps = 0, False, []
    facts.check = event.body.value.check
    return facts
