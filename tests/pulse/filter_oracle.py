"""`pulse.filter` in Python's integers, a window at a time: "The optimal filter on paper" in hdl/pulse/README.md."""


def rounded(x, n):
    return x if n == 0 else (x + 2 ** (n - 1)) // 2**n


def clamp(x, least, most):
    return max(least, min(most, x))


def sat(x, bits):
    return clamp(x, -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def record(config, registers, weights, templates, window):
    """(time, energy, shape, flags, chi) of a row of codes; weights and templates by row's letter, place and tap."""
    s, n, p = config.samples, config.taps, config.pre
    y = [int(code) for code in window]
    assert len(y) == s
    t = registers["guess"]
    stretches, step = config.stretches, registers["stretch_step"] if config.stretches > 1 else 0
    center = m = (stretches - 1) // 2
    x, epsilon = {"a": 0}, 0
    for _ in range(registers["passes"] or 1):
        flags = set()
        if x["a"] > 0:
            jump = len([i for i in range(1, stretches) if 2 * abs(epsilon) >= (2 * i - 1) * step])
            m = clamp(m - jump if epsilon < 0 else m + jump, 0, stretches - 1)
        q = (t + 2**11) // 2**12
        start = clamp((q + 8) // 16 - p, 0, s - n)
        k = clamp(q - 16 * (start + p) + 8, 0, 15)
        if start != (q + 8) // 16 - p or k != q - 16 * (start + p) + 8:
            flags.add(4)
        place = 16 * m + k
        x = {
            row: sat(rounded(sum(int(w[place][i]) * y[start + i] for i in range(n)), registers[f"exponent_{row}"]), 32)
            for row, w in weights.items()
        }
        delta = epsilon = 0
        if x["a"] <= 0:
            flags.add(5)
        else:
            exact = x["b"] * 2**16 // x["a"]
            delta = clamp(exact, -98304, 98304)
            if delta != exact:
                flags.add(6)
            if config.shape:
                epsilon = clamp(x["c"] * 2**16 // x["a"], -98304, 98304)
        t = (start + p) * 2**16 + (k - 8) * 2**12 + delta
    chi = 0
    for i in range(n):
        f = rounded(sum(x[row] * int(tap[place][i]) for row, tap in templates.items()), registers["exponent_template"])
        chi += sat(rounded(2**8 * y[start + i] - f - x["z"], 4), 24) ** 2
    chi = min(chi, 2**40 - 1)
    limit = registers["chi_base"] + (max(x["a"], 0) // 2**8) ** 2 * registers["chi_share"] // 2**16
    if chi > limit:
        flags.add(0)
    if any(code <= registers["code_least"] or code >= registers["code_most"] for code in y):
        flags.add(1)
    shape = sat((epsilon + (m - center) * step) // 2, 16) if config.shape and x["a"] > 0 else 0
    return t, x["a"], shape, sum(2**bit for bit in flags), chi
