"""Checks every file of tests/vectors: what must be read is read, and what must be refused is refused."""

import base64
import hashlib
import json
from pathlib import Path

import crypto
from crypto import H, Refused
from tls import Malformed, parse_type

REFUSALS = (Malformed, Refused)


class Wrong(Exception):
    """A vector that does not hold."""


def must(holds, what):
    if not holds:
        raise Wrong(what)


def unhex(vector, *names):
    return [bytes.fromhex(vector[n]) for n in names]


def refuses(check):
    try:
        check()
    except REFUSALS:
        return True
    return False


def wire(page, v):
    (data,) = unhex(v, "hex")
    value = page.decode(v["type"], data)
    shown = page.show(parse_type(v["type"]), value)
    # Codes hide their secret when they are printed; codes.json has their fields.
    must(v["type"] == "Code" or shown == v["value"], f"reads as {shown}")
    must(page.encode(v["type"], value) == data, "is encoded otherwise")
    for cut in range(0, len(data), 1 if len(data) < 3000 else 97):
        must(refuses(lambda: page.decode(v["type"], data[:cut])), f"is read when cut at {cut}")
    must(refuses(lambda: page.decode(v["type"], data + b"\0")), "is read with a byte behind it")


def wire_refused(page, v):
    page.decode(v["type"], bytes.fromhex(v["hex"]))


def signed_refused(page, v):
    key, data = unhex(v, "key", "hex")
    must(page.labels[v["type"]] == v["label"], "the page has another label")
    return crypto.verify(page, page.decode(f"Signed<{v['type']}>", data), key)


def signed(page, v):
    value = signed_refused(page, v)
    object_ = page.decode(f"Signed<{v['type']}>", bytes.fromhex(v["hex"]))
    must(crypto.object_id(page, object_).hex() == v["id"], "another id")
    must(page.show(parse_type(v["type"]), value) == v["value"], "reads otherwise")


def proof(label, secret, ticket, *parts):
    return crypto.hmac.digest(secret, H(label, ticket, H("proof parts", *parts)), "sha256")


def number(id1, key1, id2, key2):
    first, second = sorted([(id1, key1), (id2, key2)])
    d = H("comparison number", *first, *second)
    m = H("comparison number, second half", d)
    fives = [h[i : i + 5] for h in (d, m) for i in range(0, 30, 5)]
    return " ".join(f"{int.from_bytes(f, 'big') % 100_000:05}" for f in fives).encode()


HASHES = {
    "H": lambda label, *parts: H(label.decode(), *parts),
    "PersonId": lambda key: H("person", key)[:16],
    "DeviceId": crypto.device_id,
    "LogId": lambda key, salt: H("log", key, salt)[:16],
    "letter key hash": lambda key: H("letter key", key),
    "key hash": lambda key: H("key", key),
    "ticket hash": lambda ticket: H("ticket", ticket),
    "authority id": lambda authority: H("consent authority", authority),
    "own basis": lambda key: H("own basis", key),
    "MLS group id": lambda scope, generation: H("group", scope, generation),
    "consent text hash": lambda salt, text: H("consent text", salt, text),
    "handover reason hash": lambda salt, text: H("handover reason", salt, text),
    "Welcome hash": lambda welcome: H("welcome", welcome),
    "actor id": lambda device, run: run + H("actor", device, run)[:16],
    "comparison number": number,
    "proof of person key": lambda *parts: proof("proof of person key", *parts),
    "proof of device key": lambda *parts: proof("proof of device key", *parts),
    "name key": lambda *parts: proof("name key", *parts),
}


def hashed(_page, v):
    must(HASHES[v["what"]](*(bytes.fromhex(p) for p in v["in"])).hex() == v["out"], "another value")


def chain(page, v):
    head, heads, records = crypto.ZERO, [], []
    for data in v["records"]:
        record = page.decode("Record", bytes.fromhex(data))
        if record.seq != len(records) + 1 or (records and record.time < records[-1].time):
            raise Refused("does not continue the chain")
        head = crypto.head_after(head, record)
        heads.append(head.hex())
        records.append(record)
    signed_ = page.decode("Signed<Receipt>", bytes.fromhex(v["receipt"]))
    receipt = crypto.verify(page, signed_, bytes.fromhex(v["key"]))
    position = (receipt.position.seq, receipt.position.head, receipt.time)
    if position != (records[-1].seq, head, records[-1].time):
        raise Refused("the receipt stands for something else")
    must(v.get("heads", heads) == heads, "other heads")


def stream(_page, v):
    key, exporter = unhex(v, "key", "exporter")
    digest = "sha-256=:" + base64.b64encode(hashlib.sha256(b"").digest()).decode() + ":"
    parameters = (
        '("@method" "@path" "content-digest");alg="ed25519";'
        f'keyid="{crypto.device_id(key).hex()}";nonce="{exporter.hex()}"'
    )
    base = f'"@method": GET\n"@path": /v1/stream\n"content-digest": {digest}\n"@signature-params": {parameters}'
    given = v["headers"]
    signature = given["Signature"]
    if given["Content-Digest"] != digest or given["Signature-Input"] != f"stafett={parameters}":
        raise Refused("other headers")
    if not signature.startswith("stafett=:") or not signature.endswith(":"):
        raise Refused("no signature of this label")
    try:
        raw = base64.b64decode(signature[9:-1], validate=True)
    except ValueError as why:
        raise Refused("not base64") from why
    crypto.ed25519(key, base.encode(), raw)


def needed(holds, why):
    if not holds:
        raise Refused(why)


def code(page, v):
    text = "".join(v["text"].split()).replace("-", "")
    needed(text.startswith("stafett1"), "another prefix")
    letters, data = text.removeprefix("stafett1"), b""
    for group, at in enumerate(range(0, len(letters), 11), 1):
        digits = ["0123456789abcdefghjkmnpqrtuvwxy".find(letter) for letter in letters[at : at + 11]]
        needed(len(digits) == 11 and min(digits) >= 0, f"group {group} is cut off or has another letter")
        *digits, check = digits
        needed((group + sum(d * w for w, d in enumerate(digits, 2))) % 31 == check, f"group {group} is mistyped")
        number = 0
        for digit in digits:
            number = number * 31 + digit
        needed(number < 2**48, f"group {group} is no six bytes")
        data += number.to_bytes(6, "big")
    body, rest = data[2 : 2 + int.from_bytes(data[:2], "big")], data[2 + int.from_bytes(data[:2], "big") :]
    check = H("code checksum", body)[:4]
    needed(len(body) == int.from_bytes(data[:2], "big") and rest[:4] == check, "the checksum does not fit")
    needed(len(rest) < 4 + 6 and not any(rest[4:]), "more than zeros behind it")
    data = body
    read = page.decode("Code", data)
    for name, wanted in v.get("code", {}).items():
        value = getattr(read, name)
        must((value.hex() if isinstance(value, bytes) else value) == wanted, f"another {name}")


def key_chain(_page, v):
    scope, key, check, link = unhex(v, "scope", "key", "check", "link")
    start, end = (scope, v["generation"], v["epoch"]), (scope, *v["to"])
    before = crypto.open_link(key, link, start, end)
    must(crypto.kdf(key, b"", "check", crypto.place(*start)) == check, "another check")
    must(v.get("before", before.hex()) == before.hex(), "opens to another key")


def change(page, v):
    if "padded" in v:
        return must(all(crypto.padded(n) == size for n, size in v["padded"]), "other sizes")
    key, salt, context, sealed = unhex(v, "key", "salt", "context", "sealed")
    changes = crypto.open_change(page, key, salt, context, sealed)
    if "changes" in v:
        must([c.hex() for c in changes] == v["changes"], "other changes")
        must(crypto.change_tag(key, salt, changes).hex() == v["tag"], "another tag")


def letter(page, v):
    seed, public, to, kem, sealed = unhex(v, "seed", "public", "to", "kem", "sealed")
    must(crypto.xwing_key(seed)[2] == public, "another public key")
    plain = crypto.hpke_open(seed, kem, b"stafett/1 letter", to, sealed)
    inside = crypto.unpad(plain, len(sealed))
    must(v.get("plain", inside.hex()) == inside.hex(), "another text")


def pattern(size):
    """What stands in the documents and files of these vectors."""
    return bytes(n % 251 for n in range(size))


def altered(parts, how):
    """Parts as a liar hands them on: a bit flipped, the end cut off, or in another order."""
    if how == "flip":
        parts[-1] = parts[-1][:-1] + bytes([parts[-1][-1] ^ 1])
    elif how == "cut":
        parts[-1] = parts[-1][:-1]
    elif how == "turn":
        parts.reverse()
    return parts


def sealed(page, v):
    key, size, how = bytes.fromhex(v["key"]), v["size"], v.get("altered")
    if v["what"] == "checkpoint":
        header, opener = unhex(v, "header", "opener")
        parts = [crypto.seal_checkpoint(page, key, header, pattern(size))]
        opened = crypto.open_checkpoint(page, key, opener, altered(list(parts), how)[0])
        ids = [hashlib.sha256(parts[0]).hexdigest()]
    else:
        scope, opener = unhex(v, "scope", "opener")
        parts = crypto.seal_attachment(key, scope, pattern(size))
        opened = crypto.open_attachment(key, opener, size, altered(list(parts), how))
        hashes = [H("attachment part", p) for p in parts]
        length = 32 * len(hashes)
        manifest = scope + (bytes([length]) if length < 64 else (0x4000 | length).to_bytes(2, "big")) + b"".join(hashes)
        must(page.encode("AttachmentManifest", page.decode("AttachmentManifest", manifest)) == manifest, "no manifest")
        ids = [h.hex() for h in [*hashes, H("attachment", manifest)]]
    must(opened == pattern(size), "opens to something else")
    must(ids == v["ids"], "is sealed otherwise")


FILES = {
    "wire.json": (wire, wire_refused),
    "signed.json": (signed, signed_refused),
    "hashes.json": (hashed, hashed),
    "chain.json": (chain, chain),
    "stream.json": (stream, stream),
    "codes.json": (code, code),
    "keys.json": (key_chain, key_chain),
    "changes.json": (change, change),
    "letters.json": (letter, letter),
    "sealed.json": (sealed, sealed),
}


def check(page, folder):
    """Every vector of every file; answers their number and what does not hold."""
    count, failures = 0, []
    there = {p.name for p in Path(folder).glob("*.json")}
    failures += [f"{name}: the file is missing" for name in FILES.keys() - there]
    failures += [f"{name}: nobody knows how to check this file" for name in there - FILES.keys()]
    for name in sorted(there & FILES.keys()):
        holds, refused = FILES[name]
        for v in json.loads((Path(folder) / name).read_text())["vectors"]:
            count += 1
            what = f"{name} {v.get('type', v.get('what', ''))} {v.get('name', v.get('refused', ''))}"
            try:
                if "refused" not in v:
                    holds(page, v)
                elif not refuses(lambda: refused(page, v)):
                    failures.append(f"{what}: was believed")
            except (Wrong, *REFUSALS) as why:
                failures.append(f"{what}: {why}")
    return count, failures
