"""The baton passes: handover commits and takeovers (docs/protocol.md section 18)."""

import crypto
import entry
from crypto import Refused
from facts import FAMILY, authority_key, party, refuse
from tls import Malformed

NOBODY = bytes(16)


def take_over(judge, facts, author, said):
    """The unit leader steps in, once a tenure."""
    holder = facts.holder()
    refuse(facts.kind == "Card" and holder, "not-yours")
    refuse(said.reason != crypto.ZERO, "reason-missing")
    mine, theirs = facts.grant(facts.member(author.person).basis), facts.grant(holder.basis)
    refuse(mine and mine.grant.access.name == "Custody" and mine.standing(judge.now) == "in force", "grant-missing")
    refuse(theirs and party(mine.grant.grantee) == party(theirs.grant.grantee), "grant-mismatch")
    refuse(not facts.takes_over(author.person), "already-signed")
    facts.takeovers.append((author.person, judge.now))


def may_offer(judge, facts, author, signed):
    """The offer, if its author may make it here and now."""
    refuse(signed.by == author.person, "not-yours")
    offer = crypto.verify(judge.page, signed.offer, facts.key_of(signed.by))
    holder = facts.holder()
    relieved = (facts.scope, facts.membership.log, holder.person if holder else NOBODY)
    refuse((offer.scope, offer.log, getattr(offer, "from")) == relieved, "handover-mismatch")
    refuse(offer.reason != crypto.ZERO, "reason-missing")
    judge.allow(facts, author, "HandOver")
    moves, status = offer.part.name == "Moves", facts.status_at(judge.now)
    if status == "Dormant" and author.role in ("Holder", "Custodian"):
        refuse(not moves, "not-active")
    elif author.role == "Custodian":
        card = facts if facts.kind == "Card" else judge.card
        refuse(not card or card.took_over(author.person, judge.now), "takeover-first")
    check_part(judge, facts, offer, moves)
    return offer


def check_part(judge, facts, offer, moves):
    refuse(offer.to.unit or offer.to.person, "handover-mismatch")
    away = offer.to.municipality != facts.membership.home
    refuse(moves or facts.kind != "Card", "handover-mismatch")
    refuse(facts.kind != "Journal" or moves != away, "handover-mismatch")
    refuse(facts.kind in ("Card", "Journal", "Concern"), "handover-mismatch")
    if not moves:
        return refuse(offer.basis == crypto.ZERO, "handover-mismatch")
    grant = facts.in_force(offer.basis, judge.now).grant
    to = ("Unit", offer.to.unit) if offer.to.unit else ("Person", offer.to.person)
    fits = grant.access.name == "Hold" and (grant.grantee.name, grant.grantee.value) == to
    refuse(fits, "grant-mismatch")
    goes = facts.membership.home if grant.moves_to is None else grant.moves_to
    return refuse(goes == offer.to.municipality, "move-not-consented")


def accepted(judge, offer, offer_id, signed):
    """Who takes it, by their own word and their municipality's."""
    refuse(signed, "not-accepted")
    claimed = judge.page.decode("HandoverAcceptance", signed.bytes)
    taken = crypto.verify(judge.page, signed, claimed.person_key)
    refuse((taken.offer, taken.scope) == (offer_id, offer.scope), "not-accepted")
    refuse(offer.to.municipality in judge.trusted, "not-identified")
    try:
        said = crypto.verify(judge.page, taken.certificate, judge.trusted[offer.to.municipality])
    except (Malformed, Refused) as why:
        raise Refused("not-identified") from why
    own = (said.municipality, said.person, said.person_key)
    refuse(own == (offer.to.municipality, taken.person, taken.person_key), "not-identified")
    if offer.to.unit:
        refuse(said.kind.name in ("Employee", "Leader") and said.unit == offer.to.unit.unit, "handover-mismatch")
    if offer.to.person:
        wanted = (offer.to.person.person, offer.to.person.person_key)
        refuse((taken.person, taken.person_key) == wanted, "handover-mismatch")
    return taken


def decide(judge, facts, author, commit, view, removed, new, listed, check_fixed, check_leaves):
    """The commit that hands over, or closes the scope in a handover."""
    h = commit.handover
    offer = may_offer(judge, facts, author, h.offer)
    moves, taken = offer.part.name == "Moves", None
    if moves:
        taken = accepted(judge, offer, crypto.object_id(judge.page, h.offer.offer), h.acceptance)
    else:
        refuse(h.acceptance is None, "handover-mismatch")
    old = facts.membership
    if moves and offer.to.municipality != old.home:
        old = old.but(home=offer.to.municipality, home_epoch=old.home_epoch + 1)
    check_fixed(facts, old, new)
    check_leaves(facts, view, removed, new)
    check_members(judge, facts, offer, taken, commit, view, new)
    refuse(set(removed) <= listed, "not-yours")
    effect(judge, facts, offer, taken, new)


def check_members(judge, facts, offer, taken, commit, view, new):
    old_holder = getattr(offer, "from")
    for m in new.members:
        was = facts.member(m.person)
        if taken and m.person == taken.person:
            new_holder(judge, facts, offer, taken, commit, view, was, m)
            continue
        refuse(was and set(m.devices) <= set(was.devices), "handover-mismatch")
        role = m.role.name if m.person == old_holder else was.role.name
        refuse(m == was.but(devices=m.devices, role=m.role) and m.role.name == role, "handover-mismatch")
        refuse(m.person != old_holder or role == "Archivist", "handover-mismatch")
    refuse(not taken or any(m.person == taken.person for m in new.members), "handover-mismatch")


def new_holder(judge, facts, offer, taken, commit, view, was, member):
    seat = (member.role.name, member.basis, member.person_key)
    refuse(seat == ("Holder", offer.basis, taken.person_key), "handover-mismatch")
    again = was and was.role.name == "Holder" and was.basis == member.basis
    family = authority_key(facts.authority, taken.person) or (was and was.role.name in FAMILY)
    refuse(not again and not family, "handover-mismatch")
    refuse(facts.key_of(taken.person) in (None, taken.person_key), "key-not-pinned")
    had = was.devices if was else []
    leaves = [leaf for leaf in view.adds if leaf.key in member.devices and leaf.key not in had]
    certificates = entry.check_leaves(judge, member, leaves)
    refuse(all(c.municipality == offer.to.municipality for c in certificates), "not-identified")
    card = judge.card if facts.kind != "Card" else None
    refuse(not card or card.held(taken.person, judge.now), "not-on-card")
    grant = facts.grant(member.basis)
    if grant.grant.grantee.name == "Unit" and grant.grant.grantee.value.leader == member.person:
        entry.not_ended(facts, grant.grant.grantee.value.unit, member, grant.since)
    entry.unopposed(judge, facts, grant, member, certificates)
    entry.may_hold(judge, facts, grant, member, commit.vouchers)


def effect(judge, facts, offer, taken, new):
    """Facts after it."""
    was, before, old_holder = facts.copy(), facts.membership, facts.holder()
    relieved = old_holder if old_holder and not (taken and old_holder.person == taken.person) else None
    facts.membership, facts.gentle = new, False
    facts.settle_who_waits(was)
    facts.forget(lambda m: m.role.name == "Holder" and not (taken and m.person == taken.person))
    if not taken:
        facts.status = "Closed"
        return
    facts.status = "Active"
    if old_holder and old_holder.basis != offer.basis:
        end_old_unit(judge, facts, old_holder, offer.basis, taken.person)
    if relieved and facts.member(relieved.person):
        facts.take_seat(facts.member(relieved.person))
    if facts.kind == "Card":
        facts.tenures.append((taken.person, judge.now))
    if before.home != new.home:
        facts.moves.append((facts.seq + 1, before.home, before.home_epoch))


def end_old_unit(judge, facts, old_holder, basis, taken):
    """The party that lets go keeps neither a grant to hold nor its leader's seat."""
    old, new = facts.grant(old_holder.basis), facts.grant(basis)
    if not old:
        return
    other = party(old.grant.grantee) != party(new.grant.grantee)
    ended = set()
    for g in facts.grants:
        access = g.grant.access.name
        ends = g.id == old.id or (other and access in ("Hold", "Custody") and g.id != basis)
        if not g.ended and ends and party(g.grant.grantee) == party(old.grant.grantee):
            g.ended = max(judge.now, 1)
            ended.add(g.id)
    for m in facts.membership.members:
        if m.role.name == "Custodian" and m.basis in ended and m.person != taken:
            facts.take_seat(m)
