"""Lists of jobs in Python's integers, from hdl/attention/README.md: linear layers, formats, and who reads what.

Element types come from ml_dtypes. A list's jobs are right, and reach nothing beyond the window.
"""

from fractions import Fraction

import ml_dtypes
import numpy as np

from tests.attention.paper_oracle import aligned, attend_row

INT8, INT4, INT2, MXINT8, MXINT4, MXFP4, NVFP4, MXFP6, BFP12 = range(9)
BITS = {INT8: 8, INT4: 4, INT2: 2, MXINT8: 8, MXINT4: 4, MXFP4: 4, NVFP4: 4, MXFP6: 6, BFP12: 4}
BLOCK = {MXINT8: 32, MXINT4: 32, MXFP4: 32, NVFP4: 16, MXFP6: 32, BFP12: 64}
G_K = {MXINT8: 0, MXINT4: 4, MXFP4: 3, NVFP4: 0, MXFP6: 1, BFP12: 4}
G_V = {MXINT8: 6, MXINT4: 10, MXFP4: 9, NVFP4: 5, MXFP6: 7, BFP12: 10}
STEPS = {MXFP4: (ml_dtypes.float4_e2m1fn, 2), NVFP4: (ml_dtypes.float4_e2m1fn, 2), MXFP6: (ml_dtypes.float6_e2m3fn, 8)}
OUTPUT_BITS = {0: 16, 1: 8, 2: 4}


def elements(row, code, count):
    """Integers of a row of bytes, from the lowest bit on, without their scales."""
    bits, number = BITS[code], int.from_bytes(bytes(row), "little")
    codes = [number >> (bits * place) & ((1 << bits) - 1) for place in range(count)]
    if code in STEPS:
        dtype, step = STEPS[code]
        return [int(x * step) for x in np.array(codes, np.uint8).view(dtype).astype(float)]
    return [each - (1 << bits) if each >> (bits - 1) else each for each in codes]


def padded(size, word):
    return (size + word - 1) // word * word


def decoded(row, code, count, word):
    """Integers e of a row, and the exponent x of each."""
    if code not in BLOCK:
        return elements(row, code, count), [0] * count
    scales = [int(each) for each in row[: count // BLOCK[code]]]
    e = elements(row[padded(len(scales), word) :], code, count)
    if code == NVFP4:
        significands = [each % 8 + (8 if each % 128 // 8 else 0) for each in scales]
        e = [each * significands[place // 16] for place, each in enumerate(e)]
        scales = [max(each % 128 // 8, 1) for each in scales]
    return e, [scales[place // BLOCK[code]] for place in range(count)]


def row_bytes(code, count, word):
    return (padded(count // BLOCK[code], word) if code in BLOCK else 0) + padded(-(-count * BITS[code] // 8), word)


def rows_at(memory, job, name, rows, size):
    starts = [job[f"{name}_address"] + row * job[f"{name}_stride"] for row in range(rows)]
    return [memory[start : start + size].tolist() for start in starts]


def write_rows(memory, job, rows, bits):
    for place, row in enumerate(rows):
        number = sum((value & ((1 << bits) - 1)) << (bits * n) for n, value in enumerate(row))
        start, size = job["o_address"] + place * job["o_stride"], len(row) * bits // 8
        memory[start : start + size] = list(number.to_bytes(size, "little"))


def linear_row(x, weights, a, h, relu, bits):
    """One row of a linear layer: y as a list of integers, and its status as a set of names."""
    exact = [(sum(i * j for i, j in zip(x, row, strict=True)) * a + 2 ** (h - 1)) // 2**h for row in weights]
    if relu:
        exact = [max(0, y) for y in exact]
    y = [max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, each)) for each in exact]
    return y, ({"scale_underflow"} if a == 0 else set()) | ({"output_saturated"} if y != exact else set())


def sparse_size(code, count, word):
    """Bytes of a part of `count` inputs: 2 bits and an element for half of them."""
    return padded(-(-count // 8), word), padded(-(-count // 2 * BITS[code] // 8), word)


def sparse_row(row, code, inputs, dim, word):
    """Dense weights of a row that keeps two of each four inputs, part by part."""
    dense, at = [0] * inputs, 0
    for start in range(0, inputs, dim):
        part = min(dim, inputs)
        before, size = sparse_size(code, part, word)
        places = int.from_bytes(bytes(row[at : at + before]), "little")
        kept = elements(row[at + before : at + before + size], code, part // 2)
        for place, e in enumerate(kept):
            dense[start + place // 2 * 4 + (places >> (2 * place)) % 4] += e
        at += before + size
    return dense


def tile_of(config, job):
    return config.lanes * 2 if job["dual"] or job["sparse"] else config.lanes


def weight_rows(config, memory, job, outputs, size):
    """Rows of weights, put together where their parts are apart."""
    if not job["v_stride"]:
        return rows_at(memory, job, "k", outputs, size)
    parts = job["chunks"] * config.lanes // config.dim
    places = [job | {"k_address": job["k_address"] + part * job["v_stride"]} for part in range(parts)]
    pieces = [rows_at(memory, place, "k", outputs, size // parts) for place in places]
    return [[byte for piece in row for byte in piece] for row in zip(*pieces, strict=True)]


def do_linear(config, memory, job):
    inputs, outputs, code = job["chunks"] * config.lanes, job["tiles"] * tile_of(config, job), job["k_format"]
    if job["sparse"]:
        size = max(1, inputs // config.dim) * sum(sparse_size(code, min(inputs, config.dim), config.bus_bytes))
        rows = weight_rows(config, memory, job, outputs, size)
        weights = [sparse_row(row, code, inputs, config.dim, config.bus_bytes) for row in rows]
    else:
        size = row_bytes(code, inputs, config.bus_bytes)
        weights = [elements(row, code, inputs) for row in weight_rows(config, memory, job, outputs, size)]
    xs = [elements(row, INT8, inputs) for row in rows_at(memory, job, "q", job["rows"], inputs)]
    bits = OUTPUT_BITS[job["o_format"]]
    done = [linear_row(x, weights, job["a"], job["h"], job["relu"], bits) for x in xs]
    write_rows(memory, job, [y for y, _ in done], bits)
    return set().union(*(status for _, status in done))


def aligned_score(lanes, code, exponent):
    """The score of a query and a key (integers, exponents), chunk by chunk."""

    def score(q, key):
        e, xs = key
        total = 0
        for start in range(0, len(q), lanes):
            chunk = sum(q[f] * e[f] for f in range(start, start + lanes))
            total += aligned(chunk << G_K[code], max(0, exponent - xs[start])) if code in BLOCK else chunk
        return total

    return score


def value_row(row, code, count, word, exponent):
    e, xs = decoded(row, code, count, word)
    if code not in BLOCK:
        return e
    return [round(Fraction(each << G_V[code], 1 << max(0, exponent - x))) for each, x in zip(e, xs, strict=True)]


def tiles_apart(items, tile, most, nothing):
    """A job's items (keys, values) so that each tile of them takes the room of the largest: nobody sees the rest."""
    cut = [items[start : start + tile] for start in range(0, len(items), tile)]
    return [each for part in cut for each in part + [nothing] * (most - len(part))]


def do_attention(config, memory, chain):
    """Jobs of the same rows, from one with `first` to one with `last`; keys carry the score of their job."""
    last, lanes, word = chain[-1], config.lanes, config.bus_bytes
    dim, bits = last["chunks"] * lanes, OUTPUT_BITS[last["o_format"]]
    most = 2 * lanes if config.dual_issue or config.sparse else lanes
    k, v, found = [], [], set()
    for job in chain:
        tile = tile_of(config, job)
        count = min(job["keys"] - job["key"], job["tiles"] * tile)
        for name, code, exponent in (
            ("k", job["k_format"], job["k_exponent"]),
            ("v", job["v_format"], job["v_exponent"]),
        ):
            rows = rows_at(memory, job, name, count, row_bytes(code, dim, word))
            if code in BLOCK and any(max(decoded(row, code, dim, word)[1]) > exponent for row in rows):
                found.add("exponent_clipped")
            if name == "k":
                score = aligned_score(lanes, code, exponent)
                k += tiles_apart([(score, decoded(row, code, dim, word)) for row in rows], tile, most, None)
            else:
                v += tiles_apart([value_row(row, code, dim, word, exponent) for row in rows], tile, most, [0] * dim)
    outputs = []
    for row, q in enumerate(rows_at(memory, last, "q", last["rows"], dim)):
        seen = []
        for job in chain:
            tile = tile_of(config, job)
            lo, hi = job["lo"] + job["step"] * row, job["hi"] + job["step"] * row
            keys = range(job["key"], min(job["keys"], job["key"] + job["tiles"] * tile))
            seen += tiles_apart([j <= hi and (j < job["sink"] or j >= lo) for j in keys], tile, most, False)
        widths = {"lanes": most, "p_bits": config.p_bits, "guard_bits": config.guard_bits, "bits": bits}
        widths |= {"v_bits": 14 if set(config.built_formats) - {"int8", "int4", "int2"} else 8}
        o, status = attend_row(
            elements(q, INT8, dim),
            k,
            v,
            last["a"],
            last["h"],
            seen,
            fraction_bits=last["fraction"],
            score=lambda q, key: key[0](q, key[1]),
            **widths,
        )
        outputs.append(o)
        found |= status
    write_rows(memory, last, outputs, bits)
    return found


def run_list(config, memory, jobs):
    """Do the jobs in order, and say which status bits are set."""
    status, chain = {"done"}, []
    for job in jobs:
        if job["linear"]:
            status |= do_linear(config, memory, job)
            continue
        chain.append(job)
        if job["last"]:
            status |= do_attention(config, memory, chain)
            chain = []
    return status
