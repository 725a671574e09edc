"""Where the conditions of a Rust file stand, and the file with a switch at each: what `run` builds.

A mutant is one condition (of an `if`, a closure that chooses, an arm, what a function with `-> bool` answers), or one
operand of `&&` and `||` in it, always true or always false; or one check whose error is passed on (`check(…)?;`) left
out. Each is a number; `mutant::is(&[(number, forced)], value)` answers `forced`
where that number is chosen and `value` otherwise. No parser: what the patterns take wrongly does not compile, and
`run` then leaves those places as they are.
"""

import re

METHODS = "any all filter find position is_some_and is_none_or is_ok_and retain".split()

MODULE = """#![allow(missing_docs, clippy::all)]
use std::io::Write as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

static CHOSEN: OnceLock<Option<usize>> = OnceLock::new();
static TRACE: OnceLock<Option<String>> = OnceLock::new();
static SEEN: [AtomicBool; 8192] = [const { AtomicBool::new(false) }; 8192];

pub fn is(mutants: &[(usize, bool)], value: bool) -> bool {
    let chosen = CHOSEN.get_or_init(|| std::env::var("MUTANT").ok().and_then(|v| v.parse().ok()));
    if let Some(path) = TRACE.get_or_init(|| std::env::var("MUTANT_TRACE").ok()) {
        for (number, forced) in mutants {
            if value != *forced && !SEEN[*number].swap(true, Ordering::Relaxed) {
                let mut file = std::fs::OpenOptions::new().create(true).append(true).open(path).unwrap();
                writeln!(file, "{number}").unwrap();
            }
        }
    }
    match chosen {
        Some(number) => mutants.iter().find(|(n, _)| n == number).map_or(value, |(_, forced)| *forced),
        None => value,
    }
}
"""


def blanked(text):
    """Comments and strings as spaces, so that places stay where they are."""
    spaces = lambda match: re.sub(r"[^\n]", " ", match.group(0))
    return re.sub(r'"(?:\\.|[^"\\])*"', spaces, re.sub(r"//[^\n]*", spaces, text))


def end_of(plain, at, stops):
    """Where the expression at `at` ends: at one of `stops`, or where its bracket closes."""
    depth = 0
    for i in range(at, len(plain)):
        if depth == 0 and any(plain.startswith(stop, i) for stop in stops):
            return i
        if plain[i] in "([{":
            depth += 1
        elif plain[i] in ")]}":
            depth -= 1
            if depth < 0:
                return i
    return len(plain)


def operands(plain, operator):
    """The parts between the operators that stand in no bracket."""
    parts, depth, begin, i = [], 0, 0, 0
    while i < len(plain):
        depth += (plain[i] in "([{") - (plain[i] in ")]}")
        if depth == 0 and plain.startswith(operator, i):
            parts.append((begin, i))
            begin = i = i + len(operator)
        else:
            i += 1
    return parts + [(begin, len(plain))]


def trimmed(plain, begin, end):
    part = plain[begin:end]
    return begin + len(part) - len(part.lstrip()), end - len(part) + len(part.rstrip())


def answers(plain):
    """Where what a function with `-> bool` answers begins and ends, if no `if` or `match` says it."""
    for match in re.finditer(r"-> bool \{\n", plain):
        end = end_of(plain, match.end(), [])
        depth, begin = 0, match.end()
        for i in range(match.end(), end):
            depth += (plain[i] in "([{") - (plain[i] in ")]}")
            if depth == 0 and (plain[i] == ";" or plain.startswith("}\n", i)):
                begin = i + 1
        source = plain[begin:end]
        if source.strip() and not re.match(r"\s*(?:match|if)\b", source):
            yield *trimmed(plain, begin, end), False


COMPARED = re.compile(r"==|!=|&&|\|\||<=|>=| < | > ")


def compares(plain):
    """Whether it compares outside of all brackets: then it is a condition."""
    depth, bare = 0, ""
    for sign in plain:
        depth -= sign in ")]}"
        bare += sign if depth == 0 else ""
        depth += sign in "([{"
    return COMPARED.search(bare)


CALL = r"(?:self\.|Self::|[a-z_:]+::|[a-z_]+\.)*[a-z_]+\([^;{}]*\)\?;"


def places(plain):
    """Conditions and checks, as (begin, end, is a check); one may lie in another."""
    found = set(answers(plain))
    for match in re.finditer(r"\bif ", plain):
        end = end_of(plain, match.end(), [" {", " =>"])
        if "let " not in plain[match.end():end]:
            found.add((match.end(), end, False))
    for match in re.finditer(r"\.(?:%s)\((?:move )?\|[^|]*\|\s*" % "|".join(METHODS), plain):
        if plain[match.end()] != "{":
            found.add((match.end(), end_of(plain, match.end(), []), False))
    bound = r"\n +let \w+ = (?:(?:move )?\|[^|]*\| )?([^;{]+);\n"
    for pattern in (bound, r"=> ([^;{\n]+),\n", r"=> \{\n +([^;{]+)\n +\}\n"):
        for match in re.finditer(pattern, plain):
            if compares(match.group(1)):
                found.add((match.start(1), match.end(1), False))
    for match in re.finditer(r"\n +(%s)\n" % CALL, plain):
        found.add((match.start(1), match.end(1), True))
    return sorted(found, key=lambda place: (place[0], -place[1]))


class Switches:
    """Puts switches into files and numbers them."""

    def __init__(self, skipped):
        self.skipped, self.mutants = skipped, []

    def number(self, what):
        self.mutants.append({"id": len(self.mutants), "what": what})
        return len(self.mutants) - 1

    def switch(self, begin, end, forced, inner=None):
        word = " ".join(self.text[begin:end].split())
        pairs = ", ".join("(%d, %s)" % (self.number("`%s` is %s" % (word, value)), value) for value in forced)
        if inner is None and self.text[begin] == "(" and end_of(self.plain, begin + 1, []) == end - 1:
            inner = "(%s)" % self.condition(begin + 1, end - 1)
        return "crate::mutant::is(&[%s], %s)" % (pairs, inner or self.inside(begin, end))

    def condition(self, begin, end):
        plain = self.plain[begin:end]
        for operator, one, whole in (("||", "false", "true"), ("&&", "true", "false")):
            other = "&&" if operator == "||" else "||"
            parts = [trimmed(plain, a, b) for a, b in operands(plain, operator)]
            if len(parts) > 1 and len(operands(plain, other)) == 1:
                inner = (" %s " % operator).join(self.switch(begin + a, begin + b, [one]) for a, b in parts)
                return self.switch(begin, end, [whole], inner)
        return self.switch(begin, end, ["true", "false"])

    def check(self, begin, end):
        number = self.number("`%s` is left out" % " ".join(self.text[begin:end].split()))
        return "if !crate::mutant::is(&[(%d, true)], false) { %s }" % (number, self.inside(begin, end))

    def inside(self, begin, end):
        """The text between, with a switch at each place that lies in it."""
        out, at = [], begin
        for first, last, check in self.places:
            if first < at or last > end or (first, last) == (begin, end):
                continue
            line, ends = (self.text.count("\n", 0, at) + 1 for at in (first, last))
            place = "%s:%d:%s" % (self.name, line, " ".join(self.text[first:last].split())[:80])
            if place in self.skipped:
                continue
            before, name = len(self.mutants), self.name
            replacement = (self.check if check else self.condition)(first, last)
            for mutant in self.mutants[before:]:
                # What lies deeper knows its own place already.
                for key, value in (("file", name), ("line", line), ("end", ends), ("place", place)):
                    mutant.setdefault(key, value)
            out += [self.text[at:first], replacement]
            at = last
        return "".join(out) + self.text[at:end]

    def file(self, name, text):
        """The text with its switches; each mutant learns its file, its lines and the name of its place."""
        self.name, self.text, self.plain = name, text, blanked(text)
        self.places = places(self.plain.split("#[cfg(test)]")[0])
        return self.inside(0, len(text))
