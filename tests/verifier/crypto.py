"""Hashes, signatures and seals of docs/protocol.md sections 2, 9, 11 and 12."""

import hashlib
import hmac
import zlib

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF, HKDFExpand

from tls import Malformed

ZERO = bytes(32)


class Refused(Exception):
    """Well formed, and not to be believed."""


def H(label, *parts):
    """The one hash of the protocol."""
    out = hashlib.sha256(b"stafett/1 " + label.encode() + b"\0")
    for part in parts:
        out.update(len(part).to_bytes(8, "big") + part)
    return out.digest()


P = 2**255 - 19
# y of the points whose order divides 8: key and R must be none of them (strict verification).
_Y8 = 0x7A03AC9277FDC74EC6CC392CFA53202A0F67100D760B3CBA4FD83D3D706A17C7
SMALL_ORDER = {0, 1, P - 1, _Y8, P - _Y8}


def _small(point):
    return (int.from_bytes(point, "little") & ((1 << 255) - 1)) % P in SMALL_ORDER


def ed25519(key, message, signature):
    """Strict Ed25519: canonical scalar, no small orders."""
    if len(signature) != 64 or len(key) != 32 or _small(key) or _small(signature[:32]):
        raise Refused("the signature does not match")
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except (InvalidSignature, ValueError) as why:
        raise Refused("the signature does not match") from why


def verify(page, signed, key):
    """The value that `key` signed, under its type's label."""
    label = page.labels[signed.of].encode()
    ed25519(key, b"stafett/1 signed " + label + b"\0" + signed.bytes, signed.signature)
    return page.decode(signed.of, signed.bytes)


def holds(page, signed, key):
    """The value, or None."""
    try:
        return verify(page, signed, key)
    except (Refused, Malformed):
        return None


def object_id(page, signed):
    return H(page.labels[signed.of], signed.bytes)


def device_id(key):
    return H("device", key)[:16]


def head_after(head, record):
    """head[n] from head[n-1]."""
    event = H("event bytes", record.event.raw)
    return H("head", head, record.seq.to_bytes(8, "big"), record.time.to_bytes(8, "big"), event)


def kdf(key, salt, label, context):
    info = b"stafett/1 " + label.encode() + b"\0" + context
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def aead_open(key, sealed, aad):
    try:
        return AESGCM(key).decrypt(bytes(12), sealed, aad)
    except (InvalidTag, ValueError) as why:
        raise Refused("does not open") from why


def place(scope, generation, epoch):
    return scope + generation.to_bytes(4, "big") + epoch.to_bytes(8, "big")


def open_link(key, link, start, end):
    """The key of an earlier place, sealed under that of a later one; each a (scope, generation, epoch)."""
    if len(link) != 48:
        raise Refused("a link has 48 bytes")
    here, there = place(*start), place(*end)
    if start[:2] == end[:2] and start[2] == end[2] + 1:
        return aead_open(kdf(key, b"", "link", here), link, here)
    return aead_open(kdf(key, b"", "carry", here + there), link, there)


def padded(length):
    """Steps of 64 bytes until 1,024, then Padmé."""
    if length <= 1024:
        step = 64
    else:
        exponent = length.bit_length() - 1
        step = 1 << (exponent - ((exponent.bit_length() - 1) + 1))
    return max(64, -(-length // step) * step)


def unpad(plain, sealed_length):
    """u32 length, that many bytes, zeros up to the size of the table."""
    length = int.from_bytes(plain[:4], "big")
    inside, zeros = plain[4 : 4 + length], plain[4 + length :]
    if len(plain) < 4 or len(inside) != length or any(zeros) or padded(4 + length + 16) != sealed_length:
        raise Refused("not padded as it must be")
    return inside


def open_change(page, key, salt, context_bytes, sealed):
    """The changes in a change event."""
    context = page.decode("SealContext", context_bytes)
    if len(sealed) > 256 * 1024:
        raise Refused("too large")
    sealing = kdf(key, salt, "change", context.device + context.counter.to_bytes(8, "big"))
    compressed = unpad(aead_open(sealing, sealed, context_bytes), len(sealed))
    inflate = zlib.decompressobj(-15)
    try:
        packed = inflate.decompress(compressed, 4 * 1024 * 1024 + 1)
    except zlib.error as why:
        raise Refused("does not inflate") from why
    if len(packed) > 4 * 1024 * 1024 or not inflate.eof or inflate.unused_data:
        raise Refused("inflates to too much, or is not one stream")
    changes = []
    while packed:
        length = int.from_bytes(packed[:4], "big")
        if len(packed) < 4 + length:
            raise Refused("a change is longer than what is there")
        changes.append(packed[4 : 4 + length])
        packed = packed[4 + length :]
    if not 1 <= len(changes) <= 10_000 or len(changes) != context.count:
        raise Refused("another number of changes")
    return changes


STEP = 64 * 1024
PART = 1024 * 1024


def stepped(plain):
    """Zeros behind, so that with the tag it is a whole number of steps."""
    return plain + bytes(-(len(plain) + 16) % STEP)


def unstep(plain):
    """u32 length, that many bytes, less than a step of zeros."""
    length = int.from_bytes(plain[:4], "big")
    inside, zeros = plain[4 : 4 + length], plain[4 + length :]
    if len(plain) < 4 or len(inside) != length or any(zeros) or len(zeros) >= STEP:
        raise Refused("not padded as it must be")
    return inside


def checkpoint_key(page, key, header):
    head = page.decode("CheckpointHead", header)
    if head.parts:
        raise Refused("the header is the head with no parts")
    return kdf(key, head.salt, "checkpoint", head.author)


def seal_checkpoint(page, key, header, document):
    plain = stepped(len(document).to_bytes(4, "big") + document)
    return AESGCM(checkpoint_key(page, key, header)).encrypt(bytes(12), plain, header)


def open_checkpoint(page, key, header, sealed):
    if len(sealed) % STEP:
        raise Refused("not a whole number of steps")
    return unstep(aead_open(checkpoint_key(page, key, header), sealed, header))


def part_contexts(scope, size):
    count = -(-(size + 4) // (PART - 16))
    return [scope + part.to_bytes(2, "big") + count.to_bytes(2, "big") for part in range(count)]


def seal_attachment(key, scope, file):
    """The parts of a file, each under a key of its own."""
    plain = len(file).to_bytes(4, "big") + file
    parts = []
    for n, context in enumerate(part_contexts(scope, len(file))):
        chunk = stepped(plain[n * (PART - 16) : (n + 1) * (PART - 16)])
        parts.append(AESGCM(kdf(key, b"", "attachment", context)).encrypt(bytes(12), chunk, context))
    return parts


def open_attachment(key, scope, size, parts):
    contexts = part_contexts(scope, size)
    if len(contexts) != len(parts):
        raise Refused("another number of parts")
    opened = [aead_open(kdf(key, b"", "attachment", c), p, c) for c, p in zip(contexts, parts)]
    file = unstep(b"".join(opened))
    if len(file) != size:
        raise Refused("another size")
    return file


def change_tag(key, salt, changes):
    inside = b"".join(hashlib.sha256(c[8:]).digest() for c in changes)
    return hmac.digest(kdf(key, salt, "change tag", b""), inside, "sha256")


# X-Wing with HKDF-SHA-256 and AES-128-GCM, as HPKE (RFC 9180) names them.
SUITE = b"HPKE" + (0x647A).to_bytes(2, "big") + (1).to_bytes(2, "big") + (1).to_bytes(2, "big")
KEM_BYTES = 1088 + 32


def xwing_key(seed):
    """The two halves of the key pair that DeriveKeyPair makes of 32 random bytes, and its public key."""
    secret = hashlib.shake_256(hashlib.shake_256(seed).digest(32)).digest(96)
    lattice = MLKEM768PrivateKey.from_seed_bytes(secret[:64])
    curve = X25519PrivateKey.from_private_bytes(secret[64:])
    public = lattice.public_key().public_bytes_raw() + curve.public_key().public_bytes_raw()
    return lattice, curve, public


def xwing_open(seed, kem):
    lattice, curve, public = xwing_key(seed)
    if len(kem) != KEM_BYTES:
        raise Refused("an encapsulated key has 1,120 bytes")
    by_lattice = lattice.decapsulate(kem[:1088])
    by_curve = curve.exchange(X25519PublicKey.from_public_bytes(kem[1088:]))
    return hashlib.sha3_256(by_lattice + by_curve + kem[1088:] + public[-32:] + b"\\.//^\\").digest()


def hpke_open(seed, kem, info, aad, sealed):
    """HPKE base mode, one message."""

    def extract(salt, label, ikm):
        return hmac.digest(salt or ZERO, b"HPKE-v1" + SUITE + label + ikm, "sha256")

    def expand(key, label, context, length):
        info = length.to_bytes(2, "big") + b"HPKE-v1" + SUITE + label + context
        return HKDFExpand(hashes.SHA256(), length, info).derive(key)

    context = b"\0" + extract(b"", b"psk_id_hash", b"") + extract(b"", b"info_hash", info)
    secret = extract(xwing_open(seed, kem), b"secret", b"")
    key, nonce = expand(secret, b"key", context, 16), expand(secret, b"base_nonce", context, 12)
    try:
        return AESGCM(key).decrypt(nonce, sealed, aad)
    except (InvalidTag, ValueError) as why:
        raise Refused("does not open") from why
