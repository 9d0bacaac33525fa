"""The array's arithmetic a row at a time in Python's integers, written from "Numbers" in hdl/attention/README.md."""

import math


def half_up(x, n):
    return math.floor(x / 2**n + 0.5) if n <= 0 else (x + (1 << (n - 1))) // (1 << n)


def exponential(u, p_bits):
    """p of a key whose logit is u / 1024 below the tile's exponent."""
    table = [round(2**15 * 2 ** (-j / 16)) for j in range(17)]
    whole, part = divmod(u, 1024)
    i, g = divmod(part, 64)
    y = table[i] - ((table[i] - table[i + 1]) * g + 32) // 64
    shift = 15 - p_bits + whole
    return 0 if shift > 16 else half_up(y, shift)


def aligned(x, n):
    return 0 if n > 40 else x if n == 0 else half_up(x, n)


def dot(q, k):
    return sum(int(x) * int(y) for x, y in zip(q, k, strict=True))


def attend_row(q, k, v, a, h, seen, lanes=16, p_bits=8, guard_bits=12, fraction_bits=8, bits=16, score=dot, v_bits=8):
    """One query: o as a list of d integers, and its status as a set of names. `seen` has a bool a key.

    A key is what `score` takes beside the query.
    """
    status = {"scale_underflow"} if a == 0 else set()
    l_bits = p_bits + guard_bits + lanes.bit_length() - 1 + 4
    m = total = out = None
    for start in range(0, len(k), lanes):
        keys = [j for j in range(start, min(start + lanes, len(k))) if seen[j]]
        if not keys:
            continue
        logits = []
        for j in keys:
            t = (score(q, k[j]) * a + 2 ** (h - 1)) // 2**h
            if not -(2**19) <= t < 2**19:
                status.add("logit_saturated")
            logits.append(max(-(2**19), min(2**19 - 1, t)))
        top = -(-max(logits) // 1024)
        p = [exponential(top * 1024 - t, p_bits) for t in logits]
        tile_l = sum(p) << guard_bits
        tile_o = [sum(w * int(v[j][f]) for w, j in zip(p, keys, strict=True)) << guard_bits for f in range(len(v[0]))]
        if m is None:
            m, total, out = top, tile_l, tile_o
        elif top <= m:
            total += aligned(tile_l, m - top)
            out = [x + aligned(y, m - top) for x, y in zip(out, tile_o, strict=True)]
        else:
            total = aligned(total, top - m) + tile_l
            out = [aligned(x, top - m) + y for x, y in zip(out, tile_o, strict=True)]
            m = top
        if total >= 2 ** (l_bits - 1):
            total, out, m = aligned(total, 1), [aligned(x, 1) for x in out], m + 1
        assert total < 2**l_bits
        assert all(abs(x) < 2 ** (l_bits + v_bits - 1) for x in out)
    if m is None:
        return [0] * len(q), status | {"empty_row"}
    x = total.bit_length() - 17
    l17 = total >> x if x >= 0 else total << -x
    bar = [aligned(y, x) if x >= 0 else y << -x for y in out]
    exact = [half_up(y * (2**33 // l17), 33 - fraction_bits) for y in bar]
    o = [max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, y)) for y in exact]
    return o, status | ({"output_saturated"} if o != exact else set())
