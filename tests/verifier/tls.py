"""The encoding of docs/protocol.md section 1, and the types in the page's `tls` blocks.

The page is the only source: a type that it does not define cannot be read here. Decoding is exact; the
decoder notes which types and variants it has met (`Page.met`), so that a test can see what no vector covers.
"""

import re
from dataclasses import dataclass, field

IDS = {"LogId": 16, "ScopeId": 16, "PersonId": 16, "DeviceId": 16, "UnitId": 16, "Hash": 32}
ALIASES = {"PublicKey": "[u8; 32]", "Municipality": "u16", "Millis": "u64"}
INTEGERS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}


class Malformed(Exception):
    """These bytes are not one value of the type that was expected."""


class Struct:
    """A value of a struct: its fields as attributes."""

    def __init__(self, of, fields):
        self.of = of
        self.__dict__.update(fields)

    def __eq__(self, other):
        return isinstance(other, Struct) and self.__dict__ == other.__dict__

    def but(self, **fields):
        """The same value with some fields changed."""
        return Struct(self.of, {**self.__dict__, **fields})


@dataclass(frozen=True)
class Variant:
    """A value of an enum."""

    of: str
    name: str
    value: object = None


@dataclass(frozen=True)
class Signed:
    """Bytes as they were signed, and the signature; nothing is believed yet."""

    of: str
    bytes: bytes
    signature: bytes
    raw: bytes = field(repr=False, default=b"")


def parse_type(text):
    """`vec<Signed<Event>>?` as nested tuples."""
    text = text.strip()
    if text.endswith("?"):
        return ("optional", parse_type(text[:-1]))
    for word in ("vec", "Signed"):
        if text.startswith(word + "<") and text.endswith(">"):
            return (word.lower(), parse_type(text[len(word) + 1 : -1]))
    if match := re.fullmatch(r"\[u8; (\d+)\]", text):
        return ("array", int(match[1]))
    if text in INTEGERS:
        return ("integer", INTEGERS[text])
    if text in ("bytes", "string"):
        return (text,)
    if text in ALIASES:
        return parse_type(ALIASES[text])
    if text in IDS:
        return ("id", text)
    if not re.fullmatch(r"[A-Z]\w*", text):
        raise ValueError(f"the page has a type that is none: {text!r}")
    return ("name", text)


def split_fields(text):
    """`Type name; Type name` (a type may hold spaces and semicolons in its brackets)."""
    parts, depth, start = [], 0, 0
    for at, char in enumerate(text):
        depth += (char in "[<") - (char in "]>")
        if char == ";" and depth == 0:
            parts.append(text[start:at])
            start = at + 1
    parts.append(text[start:])
    return [tuple(p.strip().rsplit(" ", 1)) for p in parts if p.strip()]


def with_length(data):
    """`bytes`: the shortest length, then the bytes."""
    size = len(data)
    if size < 1 << 6:
        return bytes([size]) + data
    if size < 1 << 14:
        return (size | 1 << 14).to_bytes(2, "big") + data
    return (size | 2 << 30).to_bytes(4, "big") + data


class Page:
    """Types and labels of docs/protocol.md."""

    def __init__(self, text):
        self.structs, self.enums, self.met = {}, {}, set()
        for block in re.findall(r"^```tls\n(.*?)^```", text, re.M | re.S):
            self._read(block)
        rows = re.findall(r"^\| (\w+) \| `([^`|]+)` \| [^|]*(?:key|device)[^|]* \|$", text, re.M)
        self.labels = {name: label for name, label in rows if name in self.structs}

    def _read(self, block):
        block = re.sub(r"//.*|→[^|\n]*", "", block)
        starts = [m.start() for m in re.finditer(r"^\s*[A-Z]\w*\s*[={]", block, re.M)] + [len(block)]
        for start, end in zip(starts, starts[1:]):
            text = " ".join(block[start:end].split())
            if match := re.fullmatch(r"(\w+) \{(.*)\}", text):
                self._define(self.structs, match[1], [(n, parse_type(t)) for t, n in split_fields(match[2])])
            elif match := re.fullmatch(r"(\w+) = (.*)", text):
                self._define(self.enums, match[1], dict(self._variant(v) for v in match[2].split("|")))
            else:
                raise ValueError(f"cannot read on the page: {text}")

    def _variant(self, text):
        name, number, *of = text.split(None, 2)
        return int(number), (name, parse_type(of[0]) if of else None)

    def _define(self, table, name, what):
        if name in self.structs or name in self.enums:
            raise ValueError(f"{name} is defined twice")
        table[name] = what

    def decode(self, of, data):
        """Exactly one value of the type."""
        reader = Reader(self, data)
        value = reader.value(parse_type(of) if isinstance(of, str) else of)
        if reader.rest():
            raise Malformed(f"{len(reader.rest())} bytes behind a {of}")
        return value

    def encode(self, of, value):
        """The one encoding of a value."""
        of = parse_type(of) if isinstance(of, str) else of
        kind = of[0]
        if kind == "optional":
            return b"\0" if value is None else b"\1" + self.encode(of[1], value)
        if kind == "vec":
            return with_length(b"".join(self.encode(of[1], v) for v in value))
        if kind == "integer":
            return value.to_bytes(of[1], "big")
        if kind in ("array", "id"):
            return value
        if kind in ("bytes", "string"):
            return with_length(value.encode() if kind == "string" else value)
        if kind == "signed":
            return with_length(value.bytes) + value.signature
        if of[1] in self.enums:
            number, inner = next((n, t) for n, (v, t) in self.enums[of[1]].items() if v == value.name)
            return bytes([number]) + (b"" if inner is None else self.encode(inner, value.value))
        return b"".join(self.encode(t, getattr(value, n)) for n, t in self.structs[of[1]])

    def show(self, of, value):
        """A value in the notation of the vectors."""
        kind = of[0]
        if kind == "optional":
            return "None" if value is None else f"Some({self.show(of[1], value)})"
        if kind == "vec":
            return "[" + ", ".join(self.show(of[1], v) for v in value) + "]"
        if kind == "signed":
            return f"Signed<{self.labels[value.of]}>({len(value.bytes)} bytes)"
        if kind == "array":
            return str(list(value))
        if kind == "id":
            return f"{of[1]}({value.hex()})"
        if kind == "bytes":
            return f"VLBytes {{ {'0x' + value.hex() if value else 'b' + chr(34) * 2} }}"
        if kind == "string":
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if kind == "integer":
            return str(value)
        name = of[1]
        if name in self.enums:
            of = next(t for n, t in self.enums[name].values() if n == value.name)
            return value.name if of is None else f"{value.name}({self.show(of, value.value)})"
        fields = ", ".join(f"{n}: {self.show(t, getattr(value, n))}" for n, t in self.structs[name])
        return f"{name} {{ {fields} }}"


class Reader:
    """Reads values off the front of bytes."""

    def __init__(self, page, data):
        self.page, self.data, self.at = page, data, 0

    def rest(self):
        return self.data[self.at :]

    def take(self, count):
        if count > len(self.data) - self.at:
            raise Malformed("the bytes end too early")
        self.at += count
        return self.data[self.at - count : self.at]

    def integer(self, size):
        return int.from_bytes(self.take(size), "big")

    def length(self):
        """A QUIC variable-length integer in its shortest form, at most 2^30 - 1."""
        first = self.integer(1)
        size = 1 << (first >> 6)
        if size == 8:
            raise Malformed("a length beyond 2^30 - 1")
        value = (first & 0x3F) << 8 * (size - 1) | self.integer(size - 1)
        if size > 1 and value < 1 << (8 * (size // 2) - 2):
            raise Malformed("a length in more bytes than need be")
        return value

    def vector(self):
        return self.take(self.length())

    def value(self, of):
        kind = of[0]
        if kind == "integer":
            return self.integer(of[1])
        if kind == "array":
            return self.take(of[1])
        if kind == "id":
            return self.take(IDS[of[1]])
        if kind == "bytes":
            return self.vector()
        if kind == "string":
            try:
                return self.vector().decode("utf-8")
            except UnicodeDecodeError as why:
                raise Malformed("a text that is not UTF-8") from why
        if kind == "vec":
            inside, items = Reader(self.page, self.vector()), []
            while inside.rest():
                items.append(inside.value(of[1]))
            return items
        if kind == "optional":
            there = self.integer(1)
            if there > 1:
                raise Malformed("an optional begins with 0 or 1")
            return self.value(of[1]) if there else None
        if kind == "signed":
            start = self.at
            return Signed(of[1][1], self.vector(), self.take(64), self.data[start : self.at])
        return self.named(of[1])

    def named(self, name):
        if name in self.page.enums:
            number = self.integer(1)
            if number not in self.page.enums[name]:
                raise Malformed(f"{name} has no variant {number}")
            variant, of = self.page.enums[name][number]
            self.page.met.add(f"{name}.{variant}")
            return Variant(name, variant, None if of is None else self.value(of))
        if name not in self.page.structs:
            raise Malformed(f"docs/protocol.md does not define {name}")
        self.page.met.add(name)
        return Struct(name, {n: self.value(t) for n, t in self.page.structs[name]})
