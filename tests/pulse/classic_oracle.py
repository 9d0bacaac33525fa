"""`pulse.classic` in Python's integers, a window at a time: "Classic estimators on paper" in hdl/pulse/README.md."""

from tests.pulse.filter_oracle import rounded, sat


def crossing(v, least):
    """(i, q) of the first crossing with i >= least, or None."""
    for i in range(max(1, least), len(v)):
        if v[i - 1] <= 0 < v[i]:
            return i, -v[i - 1] * 2**16 // (v[i] - v[i - 1])
    return None


def record(config, registers, table, window):
    """(time, energy, psd, flags, short gate) of a row of codes."""
    y = [int(code) for code in window]
    size = config.samples
    assert len(y) == size
    k = registers["baseline_exponent"]
    while 2**k > size:
        k -= 1
    baseline = sum(y[: 2**k]) * 2 ** (8 - k) if k else 0
    samples = [2**8 * code - baseline for code in y]
    flags = set()

    def s(i):
        return samples[i] if i >= 0 else 0

    edge = crossing([s(i) - registers["threshold"] for i in range(size)], 1)
    if edge is None:
        flags.add(5)
        t = 0
    else:
        j, q = edge
        t = (j - 1) * 2**16 + q
        if registers["time_source"] == 1:
            c = [s(i - registers["delay"]) - rounded(registers["fraction"] * s(i), 8) for i in range(size)]
            zero = crossing(c, j)
            if zero is None:
                flags.add(6)
            else:
                i, q = zero
                t = (i - 1) * 2**16 + q + (int(table[q // 2**10]) if registers["table_on"] else 0)

    r, f = registers["rise"] or 1, registers["flat"]
    trapezoid = max(sum(s(i - n) - s(i - r - f - n) for n in range(r)) for i in range(size))
    start = registers["gate_start"]
    long, short = (
        sum(s(i) for i in range(size) if start <= i < start + registers[name]) for name in ("gate_long", "gate_short")
    )
    energy = {0: max(samples), 1: trapezoid}.get(registers["energy_source"], long)
    psd = sat(short * 2**15 // long, 16) if long > 0 else 0
    if any(code <= registers["code_least"] or code >= registers["code_most"] for code in y):
        flags.add(1)
    energy = sat(rounded(energy, registers["energy_exponent"]), 32)
    return t - registers["time_offset"], energy, psd, sum(2**bit for bit in flags), short
