"""As much of RFC 9420 as shows what a commit does: structures, signatures of leaves, group infos and commits,
the transcript hash. Key material (update paths, Welcomes, confirmation tags) is not touched: it takes keys.
"""

import hashlib
from dataclasses import dataclass, field

import crypto
from crypto import Refused
from tls import Malformed, Reader, with_length

SUITE = 0x004F
MEMBERSHIP = 0xFF77
REQUIRED_CAPABILITIES = 3
PUBLIC_MESSAGE, GROUP_INFO = 1, 4
ADD, REMOVE, EXTERNAL_INIT, CONTEXT_EXTENSIONS = 1, 3, 6, 7
MEMBER, NEW_MEMBER_COMMIT = 1, 4


@dataclass
class Leaf:
    """A leaf node, and what its Basic credential says."""

    key: bytes
    credential: object
    raw: bytes = field(repr=False)
    source: int = 0


@dataclass
class Context:
    """A group context."""

    raw: bytes = field(repr=False)
    group: bytes
    epoch: int
    transcript: bytes
    extensions: list


@dataclass
class Commit:
    """A commit as a membership change."""

    sender: int | None
    epoch: int
    adds: list
    removes: list
    rewrites: bool
    path: Leaf | None
    content: bytes = field(repr=False)
    signature: bytes = field(repr=False)
    tag: bytes = field(repr=False)


def refuse(holds, code):
    if not holds:
        raise Refused(code)


def signed_with_label(key, label, content, signature):
    """RFC 9420 5.1.2."""
    crypto.ed25519(key, with_length(b"MLS 1.0 " + label) + with_length(content), signature)


class MlsReader(Reader):
    """Reads MLS structures; every extension list is a list of (type, bytes)."""

    def many(self, read):
        inside, out = MlsReader(self.page, self.vector()), []
        while inside.rest():
            out.append(read(inside))
        return out

    def u16s(self):
        return self.many(lambda r: r.integer(2))

    def extensions(self):
        return self.many(lambda r: (r.integer(2), r.vector()))

    def leaf(self, binding=None):
        """A leaf made as the protocol demands; `binding` is (group id, index) where it is in a group."""
        start = self.at
        self.vector()
        key = self.vector()
        kind, identity = self.integer(2), self.vector()
        capabilities = [self.u16s() for _ in range(5)]
        source = self.integer(1)
        lifetime = (self.integer(8), self.integer(8)) if source == 1 else None
        if source == 3:
            self.vector()
        extensions = self.extensions()
        signed = self.data[start : self.at]
        signature = self.vector()
        refuse(kind == 1 and len(key) == 32 and not extensions and source in (1, 2, 3), "strange-leaf")
        refuse(SUITE in capabilities[1] and MEMBERSHIP in capabilities[2], "strange-leaf")
        refuse(lifetime in (None, (0, 2**64 - 1)), "strange-leaf")
        bound = b"" if source == 1 else with_length(binding[0]) + binding[1].to_bytes(4, "big")
        signed_with_label(key, b"LeafNodeTBS", signed + bound, signature)
        try:
            credential = self.page.decode("Credential", identity)
        except Malformed as why:
            raise Refused("strange-leaf") from why
        return Leaf(key, credential, self.data[start : self.at], source)

    def key_package(self):
        start = self.at
        version, suite = self.integer(2), self.integer(2)
        self.vector()
        leaf = self.leaf()
        self.extensions()
        signed = self.data[start : self.at]
        signed_with_label(leaf.key, b"KeyPackageTBS", signed, self.vector())
        refuse((version, suite, leaf.source) == (1, SUITE, 1), "mls-refused")
        return leaf

    def context(self):
        start = self.at
        version, suite = self.integer(2), self.integer(2)
        group, epoch = self.vector(), self.integer(8)
        self.vector()
        transcript, extensions = self.vector(), self.extensions()
        refuse((version, suite) == (1, SUITE), "mls-refused")
        return Context(self.data[start : self.at], group, epoch, transcript, extensions)


def message(page, data, wire_format):
    reader = MlsReader(page, data)
    refuse((reader.integer(2), reader.integer(2)) == (1, wire_format), "mls-refused")
    return reader


def requires_membership(page, data):
    """Whether RequiredCapabilities names the extension of the membership."""
    return MEMBERSHIP in MlsReader(page, data).u16s()


def group_info(page, data):
    """(context, confirmation tag, signer's index, check of the signature under a key)."""
    reader = message(page, data, GROUP_INFO)
    start = reader.at
    context = reader.context()
    reader.extensions()
    tag, signer = reader.vector(), reader.integer(4)
    signed = data[start : reader.at]
    signature = reader.vector()
    refuse(not reader.rest(), "mls-refused")
    return context, tag, signer, lambda key: signed_with_label(key, b"GroupInfoTBS", signed, signature)


def founder_leaf(page, tree, group):
    """The one leaf of a ratchet tree."""
    reader = MlsReader(page, tree)
    inside = MlsReader(page, reader.vector())
    refuse(not reader.rest() and inside.integer(1) == 1 and inside.integer(1) == 1, "membership-mismatch")
    leaf = inside.leaf((group, 0))
    refuse(not inside.rest(), "membership-mismatch")
    return leaf


def commit(page, data, leaves, group):
    """Reads a PublicMessage; `leaves` are those before it. Proposals by value only, of the kinds in use."""
    reader = message(page, data, PUBLIC_MESSAGE)
    start = reader.at
    refuse(reader.vector() == group, "mls-refused")
    epoch, kind = reader.integer(8), reader.integer(1)
    refuse(kind in (MEMBER, NEW_MEMBER_COMMIT), "strange-proposal")
    sender = reader.integer(4) if kind == MEMBER else None
    reader.vector()
    refuse(reader.integer(1) == 3, "mls-refused")
    out = Commit(sender, epoch, [], [], False, None, b"", b"", b"")
    inits = sum(reader.many(lambda r: proposal(r, out)))
    refuse(inits == (0 if kind == MEMBER else 1), "strange-proposal")
    if reader.integer(1):
        out.path = reader.leaf((group, sender if kind == MEMBER else after(leaves, out.removes, [])[1]))
        reader.vector()
    out.content = data[start : reader.at]
    out.signature, out.tag = reader.vector(), reader.vector()
    if kind == MEMBER:
        reader.vector()
    refuse(not reader.rest(), "mls-refused")
    return out


def proposal(reader, out):
    refuse(reader.integer(1) == 1, "strange-proposal")
    kind = reader.integer(2)
    if kind == ADD:
        out.adds.append(reader.key_package())
    elif kind == REMOVE:
        out.removes.append(reader.integer(4))
    elif kind == CONTEXT_EXTENSIONS:
        out.rewrites = True
        reader.extensions()
    elif kind == EXTERNAL_INIT:
        reader.vector()
        return 1
    else:
        raise Refused("strange-proposal")
    return 0


def after(leaves, removes, adds):
    """Leaf keys after removals and additions (each in the leftmost blank place), and the next such place."""
    now = [None if i in removes else key for i, key in enumerate(leaves)]
    for key in adds:
        place = now.index(None) if None in now else len(now)
        now[place : place + 1] = [key]
    while now and now[-1] is None:
        now.pop()
    return now, now.index(None) if None in now else len(now)


def signed_commit(view, context, key):
    """The signature of the framed content, over the context before the commit."""
    content = (1).to_bytes(2, "big") + PUBLIC_MESSAGE.to_bytes(2, "big") + view.content + context.raw
    signed_with_label(key, b"FramedContentTBS", content, view.signature)


def transcript_after(interim, view):
    """The confirmed transcript hash that the commit makes."""
    inside = PUBLIC_MESSAGE.to_bytes(2, "big") + view.content + with_length(view.signature)
    return hashlib.sha256(interim + inside).digest()


def interim_after(confirmed, tag):
    return hashlib.sha256(confirmed + with_length(tag)).digest()
