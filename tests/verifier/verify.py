"""An independent reader of Stafett's protocol: checks test vectors, replays audit exports.

    verify.py vectors FOLDER        every test vector
    verify.py audit FILE…           an export of `stafett audit export`
    verify.py verdicts FILE…        lines that STAFETT_VERDICTS made, judged again
    verify.py types                 the types of docs/protocol.md, as JSON

It shares no code with the project; types come from the `tls` blocks of docs/protocol.md, rules are written
from the same page. Prints one line of JSON for each file; the exit status is 1 if anything does not hold.
"""

import json
import sys
from pathlib import Path

import audit
import check_vectors
import verdicts
from crypto import Refused
from tls import Malformed, Page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "protocol.md"


def audit_file(page, name):
    """`events checks violations` of one export; what cannot be read is a violation, too."""
    try:
        report = audit.replay(page, json.loads(Path(name).read_text()))
    except (Malformed, Refused, ValueError, KeyError) as why:
        rule = f"the file cannot be read: {type(why).__name__} {why}"
        return {"events": 0, "checks": 1, "violations": [{"scope": "", "seq": 0, "rule": rule}]}
    return report.about | {"events": report.events, "checks": report.checks, "violations": report.violations}


def main(arguments):
    page = Page(PAGE.read_text())
    match arguments:
        case ["types"]:
            variants = [f"{e}.{name}" for e, v in page.enums.items() for name, _ in v.values()]
            print(json.dumps({"types": sorted(page.structs | page.enums), "variants": sorted(variants)}))
            return 0
        case ["vectors", folder]:
            count, failures = check_vectors.check(page, folder)
            print(json.dumps({"vectors": count, "failures": failures, "met": sorted(page.met)}))
            return 1 if failures else 0
        case ["verdicts", *files] if files:
            report = verdicts.check(page, files)
            print(json.dumps(report))
            return 1 if report["differing"] else 0
        case ["audit", *files] if files:
            reports = [audit_file(page, name) for name in files]
            for report in reports:
                print(json.dumps(report))
            return 1 if any(r["violations"] for r in reports) else 0
        case _:
            print(__doc__, file=sys.stderr)
            return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
