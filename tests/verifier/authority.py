"""Changes of the consent authority, and objections to them (docs/protocol.md section 8, Statements)."""

import crypto
import founding
from facts import DAY, FAMILY, authority_key, quorum_met, refuse, youth_decides

OBJECTION_TIME, DECISIONS = 7 * DAY, 8


def unit_behind(facts, member):
    grant_ = facts.grant(member.basis) if member else None
    return grant_.grant.grantee.value if grant_ and grant_.grant.grantee.name == "Unit" else None


def authority_change(judge, facts, _author, signed):
    refuse(signed.change, "decision-missing")
    change = judge.page.decode("AuthorityChange", signed.change[0].change.bytes)
    present, holder = facts.authority, facts.holder()
    wanted = (facts.scope, facts.membership.log, judge.authority_id(present))
    refuse((change.scope, change.log, getattr(change, "from")) == wanted, "grant-mismatch")
    leader, signers, third = unit_behind(facts, holder), [], False
    for s in signed.change:
        key = authority_key(present, s.signer)
        key = key or (facts.key_of(holder.person) if holder and holder.person == s.signer else None)
        key = key or (leader.leader_key if leader and leader.leader == s.signer else None)
        if not key:
            key = outsider_key(judge, facts, change, leader, s)
            third = True
        crypto.verify(judge.page, s.change, key)
        refuse(s.change.bytes == signed.change[0].change.bytes, "grant-mismatch")
        signers.append(s.signer)
    by_quorum = quorum_met(present, signers, judge.now) and none_passed_over(judge, present, change.to, signers)
    by_decision = change.decision != crypto.ZERO and holder and leader and leader.leader != holder.person
    by_decision = by_decision and third and {holder.person, leader.leader} <= set(signers) and keeps(present, change.to)
    refuse(by_quorum or by_decision, "decision-missing")
    founding.check_authority(change.to, holder.person if holder else bytes(16))
    for p in change.to.guardians + ([change.to.child] if change.to.child else []):
        known = authority_key(present, p.person) or facts.key_of(p.person)
        refuse(known in (None, p.key), "key-not-pinned")
    id_ = crypto.object_id(judge.page, signed.change[0].change)
    if not by_quorum and waits(judge, facts, id_, change, signers):
        return
    for m in [m for m in facts.present() if m.role.name in FAMILY and not authority_key(change.to, m.person)]:
        facts.take_seat(m)
    facts.next_authority, facts.decisions = change.to, []


def outsider_key(judge, facts, change, leader, signature):
    """Of somebody with no part in the scope: a leader of another unit or an administrator at the home."""
    refuse(signature.certificate and judge.home in judge.trusted, "not-an-authority")
    said = crypto.verify(judge.page, signature.certificate, judge.trusted[judge.home])
    refuse((said.municipality, said.person) == (facts.membership.home, signature.signer), "not-an-authority")
    elsewhere = said.kind.name == "Leader" and said.unit and not (leader and said.unit == leader.unit)
    refuse(elsewhere or said.kind.name == "Administrator", "not-an-authority")
    refuse(not facts.seat(said.person) and not authority_key(change.to, said.person), "not-an-authority")
    refuse(all(g["person"] != said.person for g in facts.gone), "not-an-authority")
    parties = [g.grant.grantee.value for g in facts.grants if g.since]
    named = [p.person if hasattr(p, "person") else p.leader for p in parties]
    units = [p.unit for p in parties if hasattr(p, "unit")]
    refuse(said.person not in named and (not said.unit or said.unit not in units), "not-an-authority")
    return said.person_key


def none_passed_over(judge, present, to, signers):
    """Whoever is dropped has signed, and everybody if the youth's part changes."""
    if youth_decides(present, judge.now):
        return True
    kept = {g.person for g in to.guardians}
    must = [g.person for g in present.guardians if g.person not in kept]
    if (present.child, present.youth_from) != (to.child, to.youth_from):
        must = [g.person for g in present.guardians]
    return set(must) <= set(signers)


def keeps(present, to):
    return (present.child, present.youth_from) == (to.child, to.youth_from) and bool(staying(present, to))


def staying(present, to):
    return {g.person for g in present.guardians} & {g.person for g in to.guardians}


def waits(judge, facts, id_, change, signers):
    """A decision is noted first; a week later it acts, over an objection only if all who stay have signed."""
    noted = next((d for d in facts.decisions if d[0] == id_), None)
    if not noted:
        facts.decisions = (facts.decisions + [(id_, judge.now, ())])[-DECISIONS:]
        return True
    refuse(judge.now >= noted[1] + OBJECTION_TIME, "decision-waiting")
    refuse(not noted[2] or staying(facts.authority, change.to) <= set(signers), "decision-objected")
    return False


def objection(_judge, facts, author, said):
    noted = next((d for d in facts.decisions if d[0] == said.change), None)
    refuse(noted, "decision-missing")
    refuse(author.person not in noted[2], "already-signed")
    more = (said.change, noted[1], (*noted[2], author.person))
    facts.decisions = [more if d[0] == said.change else d for d in facts.decisions]
