"""A second opinion on verdicts that our own rule gave: lines of {trusted, home, now, card, before, record, refused}.

`before` and `card` name chains by their heads; a chain is known by the records that were accepted before."""

import json
from pathlib import Path

from audit import POLICY, Chain, Judge
from crypto import Refused
from facts import table
from tls import Malformed


def check(page, files):
    """Cases, how many were accepted, those on chains that no line has shown, and where opinions differ."""
    cells = table(POLICY.read_text())
    cases = accepted = unknown = 0
    differing = []
    for name in files:
        chains = {}
        for number, line in enumerate(Path(name).read_text().splitlines(), 1):
            case = json.loads(line)
            if any(case[k] and case[k] not in chains for k in ("before", "card")):
                unknown += 1
                continue
            cases += 1
            judge = Judge(page, cells, {n: bytes.fromhex(k) for n, k in case["trusted"]}, case["home"])
            judge.now = case["now"]
            judge.card = chains[case["card"]].facts if case["card"] else None
            chain = Chain()
            if case["before"]:
                chain.facts, chain.group = chains[case["before"]].facts, chains[case["before"]].group
            verdict = take(judge, chain, bytes.fromhex(case["record"]))
            if not verdict:
                accepted += 1
                chains[chain.facts.head.hex()] = chain
            if bool(verdict) != bool(case["refused"]):
                differing.append({"file": str(name), "line": number, "ours": verdict, "theirs": case["refused"]})
    return {"cases": cases, "accepted": accepted, "unknown": unknown, "differing": differing}


def take(judge, chain, data):
    try:
        record = judge.page.decode("Record", data)
        if record.time != judge.now:
            return "time-backwards"
        chain.take(judge, record)
    except (Refused, Malformed) as why:
        return str(why)
    return ""
