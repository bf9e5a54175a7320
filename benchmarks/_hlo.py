"""What a compiled program launches, read from its optimised HLO."""

import re
from collections import defaultdict

# Instructions that name or move no data, or whose work is that of the computations they call.
FREE = {
    *("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all"),
    *("while", "call", "conditional", "opt-barrier", "partition-id", "replica-id"),
}
_COMPUTATION = re.compile(r"^(ENTRY )?%?([\w.-]+) \(.*\{$")
_INSTRUCTION = re.compile(r"^ +(?:ROOT )?%?[\w.-]+ = (?:\(.*?\)|\S+) ([\w-]+)\(")
_CALLED = re.compile(r"(?:body|condition|to_apply|true_computation|false_computation)=%?([\w.-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_TRIPS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')


def kernels(hlo: str) -> int:
    """How many kernels a run launches: fusions, calls of libraries, copies and the like, those of a
    loop once for each trip. A loop whose trips are not known counts once.

    Of an instruction in two parts (``copy-start``, ``copy-done``) the first counts.
    """
    computations: dict[str, list[str]] = defaultdict(list)
    entry = name = ""
    for line in hlo.splitlines():
        if header := _COMPUTATION.match(line):
            name = header[2]
            entry = name if header[1] else entry
        elif _INSTRUCTION.match(line):
            computations[name].append(line)
    if not entry:
        raise ValueError("Argument `hlo` must be the text of a module, with an ENTRY computation.")

    def count(name: str) -> int:
        total = 0
        for line in computations[name]:
            opcode = _INSTRUCTION.match(line)[1]  # pyright: ignore[reportOptionalSubscript]
            if opcode in ("while", "call", "conditional"):
                called = _CALLED.findall(line)
                if branches := _BRANCHES.search(line):
                    called += re.findall(r"[\w.-]+", branches[1])
                inner = [count(each) for each in called]
                trips = int(found[1]) if (found := _TRIPS.search(line)) else 1
                total += max(inner) if opcode == "conditional" else trips * sum(inner)
            elif opcode not in FREE and not opcode.endswith("-done"):
                total += 1
        return total

    return count(entry)
