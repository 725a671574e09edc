"""Commits as changes of the membership (docs/protocol.md section 8, Commit)."""

import entry
import handover
import mls
from facts import DAY, FAMILY, authority_key, refuse

LEAVES, UNIT_LEAVES, GAPS = 64, 512, 64


def decide(judge, facts, event, author, view, removed, after):
    """`removed`: keys that go; `after`: the membership in the new group context."""
    commit = event.body.value
    refuse(event.epoch == facts.epoch, "wrong-epoch")
    before = facts.copy()
    listed = facts.listed_at(judge.now)
    if view.sender is None:
        resync(judge, facts, author, commit, view, removed)
    else:
        by_member(judge, facts, author, commit, view, removed, after, listed)
    facts.last_commit = before.seq + 1
    if facts.next_authority == facts.membership.authority:
        facts.next_authority = None
    here = set(facts.devices())
    stayed = [m.but(devices=[d for d in m.devices if d in here]) for m in before.membership.members]
    if commit.handover is not None:
        stayed = facts.membership.members
    there = {m.person for m in stayed}
    waiting = [m for m in before.readmit if not before.member(m.person) and m.person not in there]
    if commit.handover is not None:
        waiting = [m for m in waiting if m.role.name != "Holder"]
    facts.before_commit = [m for m in stayed if m.devices] + waiting
    facts.epoch, facts.epoch_since, facts.rejected, facts.check = facts.epoch + 1, judge.now, False, commit.check
    facts.listed &= here
    return facts


def check_path(judge, membership, author, leaf):
    """The committer stays the same device of the same person."""
    member = next((m for m in membership.members if m.person == author.person), None)
    refuse(member, "not-a-member")
    refuse(leaf.key == author.key, "person-changed")
    entry.check_leaves(judge, member, [leaf])


def resync(judge, facts, author, commit, view, removed):
    judge.allow(facts, author, "Resync")
    own = removed == [author.key] and not view.adds and not view.rewrites and view.path
    refuse(own and view.path.key == author.key, "resync-foreign")
    refuse(commit.link is None and commit.welcome is None, "link-missing")
    check_path(judge, facts.membership, author, view.path)
    facts.gentle = False
    facts.gaps = (facts.gaps + [facts.epoch + 1])[-GAPS:]


def by_member(judge, facts, author, commit, view, removed, after, listed):
    refuse(commit.link is not None, "link-missing")
    refuse((commit.welcome is not None) == bool(view.adds), "welcome-mismatch")
    refuse(listed <= set(removed), "removal-first")
    if view.path:
        check_path(judge, after if view.rewrites else facts.membership, author, view.path)
    if commit.handover is not None:
        refuse(view.rewrites, "handover-mismatch")
        handover.decide(judge, facts, author, commit, view, removed, after, listed, check_fixed, check_leaves)
        return
    if not view.rewrites:
        judge.allow(facts, author, "Renew")
        refuse(not view.adds and not removed, "membership-mismatch")
        last = facts.renewed.get(author.device, 0)
        refuse(not last or judge.now >= last + DAY, "too-soon")
        facts.renewed[author.device], facts.gentle = judge.now, True
        return
    rewrite(judge, facts, author, commit, view, removed, after, listed)


def check_fixed(facts, old, new):
    """Nothing but the members changes, and the authority where a statement has named a new one."""
    authority = new.authority if new.authority == facts.next_authority else old.authority
    wanted = old.but(members=new.members, authority=authority)
    refuse(new == wanted and new != facts.membership, "membership-mismatch")
    ordered = [m.person for m in new.members] == sorted({m.person for m in new.members})
    refuse(ordered and all(m.devices == sorted(set(m.devices)) and m.devices for m in new.members), "membership-mismatch")
    bound = UNIT_LEAVES if facts.kind == "Unit" else LEAVES
    refuse(sum(len(m.devices) for m in new.members) <= bound, "too-many-members")


def check_leaves(facts, view, removed, new):
    """The membership lists exactly the leaves."""
    named = [d for m in new.members for d in m.devices]
    added = [leaf.key for leaf in view.adds]
    stay = [d for d in facts.devices() if d not in removed]
    refuse(sorted(stay + added) == sorted(named) and len(set(named)) == len(named), "membership-mismatch")
    refuse(not set(added) & set(facts.devices()), "membership-mismatch")
    refuse(not view.adds or not facts.gaps, "link-repair-first")


def rewrite(judge, facts, author, commit, view, removed, new, listed):
    check_fixed(facts, facts.membership, new)
    check_leaves(facts, view, removed, new)
    step = Step(judge, facts.copy(), author, listed, view.adds, commit.vouchers)
    gentle, seats = True, {}
    for person in {m.person for m in facts.membership.members + new.members}:
        was, is_ = facts.member(person), next((m for m in new.members if m.person == person), None)
        narrowed = step.one(was, is_, seats)
        gentle = gentle and not narrowed
    for person, until in seats.items():
        seat = next((m for m in new.members if m.person == person), None)
        if seat:
            facts.employments.pop((person, seat.basis), None)
        if seat and until is not None:
            facts.employments[person, seat.basis] = until
            facts.lift_end(seat)
    facts.gentle, facts.membership = gentle, new
    refuse(sum(m.role.name == "Holder" for m in new.members) <= 1, "holder-by-handover")
    facts.settle_who_waits(step.facts)


class Step:
    """One commit's effect on one person."""

    def __init__(self, judge, facts, author, listed, adds, vouchers):
        self.judge, self.facts, self.author, self.listed = judge, facts, author, listed
        self.adds, self.vouchers = {leaf.key: leaf for leaf in adds}, vouchers

    def one(self, was, is_, seats):
        """Whether somebody lost something; a new seat is noted with its end."""
        if was and is_:
            return self.stays(was, is_, seats)
        if is_:
            return self.enters(is_, seats)
        self.leaves(was)
        return True

    def gained(self, was, member):
        fresh = [d for d in member.devices if not was or d not in was.devices]
        refuse(all(d in self.adds for d in fresh), "membership-mismatch")
        return [self.adds[d] for d in fresh]

    def admit(self, person):
        """Also where a scope takes no content, for who comes back, whose lost key is replaced, and the family that enters."""
        back = any(m.person == person for m in self.facts.readmit) or person in self.facts.new_keys
        back = back or (not self.facts.member(person) and authority_key(self.facts.authority, person) is not None)
        self.judge.allow(self.facts, self.author, "Admit", active=back)

    def enters(self, member, seats):
        if not (self.facts.kind == "Unit" and member.role.name == "Leader"):
            self.admit(member.person)
        certificates = entry.check_leaves(self.judge, member, self.gained(None, member))
        until = entry.check_entry(self.judge, self.facts, member, certificates, self.vouchers)
        if until is not None or all(m.person != member.person for m in self.facts.readmit):
            seats[member.person] = until
        return False

    def leaves(self, was):
        self.judge.allow(self.facts, self.author, "RemoveListed")
        refuse(was.role.name != "Holder" or self.facts.status == "Withdrawn", "holder-by-handover")
        everything = all(d in self.listed for d in was.devices)
        refuse(everything, "family-stays" if was.role.name in FAMILY else "not-yours")

    def stays(self, was, member, seats):
        facts, own = self.facts, member.person == self.author.person
        new_key = facts.new_keys.get(member.person)
        refuse(member.person_key in (was.person_key, new_key), "key-not-pinned")
        gained = self.gained(was, member)
        same = (was.role, was.basis) == (member.role, member.basis)
        if gained:
            if own:
                self.judge.allow(facts, self.author, "OwnDevices")
            else:
                self.admit(member.person)
            entry.pinned(facts, member)
            if same:
                entry.seat_stands(self.judge, facts, member)
        certificates = entry.check_leaves(self.judge, member, gained)
        lost = [d for d in was.devices if d not in member.devices]
        refuse(all(d in self.listed or own for d in lost), "not-yours")
        refuse(not own or self.author.key not in lost, "not-yours")
        if same:
            return bool(lost)
        self.judge.allow(facts, self.author, "Admit")
        refuse("Holder" not in (was.role.name, member.role.name), "holder-by-handover")
        refuse(was.role.name not in FAMILY or member.role == was.role, "family-stays")
        seats[member.person] = entry.check_entry(self.judge, facts, member, certificates, self.vouchers)
        return True


def view_of(judge, group, event):
    """(view, removed keys, leaves after, context after, interim after): MLS's part of a commit."""
    commit = event.body.value
    view = mls.commit(judge.page, commit.mls, group.leaves, group.context.group)
    refuse(view.epoch == group.context.epoch, "mls-refused")
    context, tag, signer, signed_by = mls.group_info(judge.page, commit.group_info)
    removed = []
    for index in view.removes:
        refuse(index < len(group.leaves) and group.leaves[index], "mls-refused")
        removed.append(group.leaves[index])
    added = [leaf.key for leaf in view.adds] + ([view.path.key] if view.sender is None and view.path else [])
    leaves, _ = mls.after(group.leaves, view.removes, added)
    author = group.leaves[view.sender] if view.sender is not None else view.path and view.path.key
    refuse(author, "mls-refused")
    mls.signed_commit(view, group.context, author)
    signed_by(leaves[signer] if signer < len(leaves) else b"")
    refuse((context.group, context.epoch) == (group.context.group, view.epoch + 1), "mls-refused")
    refuse(context.transcript == mls.transcript_after(group.interim, view) and tag == view.tag, "mls-refused")
    others = [[e for e in c.extensions if e[0] != mls.MEMBERSHIP] for c in (group.context, context)]
    refuse(others[0] == others[1], "extensions-changed")
    return view, author, removed, leaves, context, mls.interim_after(context.transcript, tag)
