"""`pulse.cnn` in Python's integers, from an image's words: "The network on paper" in hdl/pulse/README.md."""

import zlib
from fractions import Fraction
from math import floor

from hdl.pulse.cnn_words import LAYER_STRIDE, decode_layer


def rounded(x, n):
    return x if n == 0 else (x + 2 ** (n - 1)) // 2**n


def sat(x, bits):
    return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, x))


def signed(x, bits):
    x %= 2**bits
    return x - 2**bits if x >= 2 ** (bits - 1) else x


class Watched:
    """A place as it was before a layer, and the addresses that the layer needs of it."""

    def __init__(self, elements):
        self.elements, self.read = list(elements), set()

    def at(self, address):
        self.read.add(address)
        return self.elements[address]


class Machine:
    """The memories, which an image's words fill, and the places."""

    def __init__(self, config):
        self.config = config
        self.words = {}
        self.places = [[0] * config.activations, [0] * config.activations, [0] * config.samples]

    def load(self, runs):
        """Runs of words, each with its first one's address; gives the checksum of what is written."""
        written = b""
        for first, words in runs:
            written += b"".join(one.to_bytes(4, "little") for one in (first, *words))
            for place, word in enumerate(words):
                number = first % 2**20 + place
                memory, element = first >> 28, first >> 20 & 0xFF
                assert self.holds(memory, element, number), (memory, element, number)
                self.words[memory, element, number] = word
        return zlib.crc32(written)

    def holds(self, memory, element, number):
        """Whether there is such a word."""
        config = self.config
        most = [16 * config.layers, 2 * config.channel_words, config.weight_words * config.products // 4]
        return memory < 3 and element < (1 if memory == 0 else config.elements) and number < most[memory]

    def weight(self, element, word, i):
        number, byte = divmod(word * self.config.products + i, 4)
        return signed(self.words[2, element, number] >> 8 * byte, self.config.weight_bits)

    def run(self, start, window, normalise, gain, gain_shift):
        """The reference, and the results in their order."""
        reference = self.take(window, normalise, gain, gain_shift)
        results = []
        for number in range(start, self.config.layers):
            layer = decode_layer([self.words[0, 0, number * LAYER_STRIDE + i] for i in range(9)])
            results += self.layer(layer)
            if layer["last"]:
                return reference, results
        raise AssertionError("no layer is the last")

    def take(self, window, normalise, gain, gain_shift):
        b = self.config.activation_bits
        if not normalise:
            self.places[2] = [sat(rounded(int(x) * gain, gain_shift), b) for x in window]
            return 1
        h = max(1, *(int(x) for x in window))
        e = next(e for e in range(16) if 2**14 <= h * 2**e < 2**15)
        r = 2**30 // (h * 2**e)
        self.places[2] = [sat(rounded(int(x) * 2**e * r, 30 - (b - 1)), b) for x in window]
        return h

    def layer(self, f):
        """Computes a layer; gives results where it is the last one."""
        p, given = self.config.elements, Watched(self.places[f["source"]])
        assert (f["groups"] - 1) * p < f["channels"] <= f["groups"] * p
        assert f["high"] <= len(given.elements)
        results, written = [], set()
        for g in range(f["groups"]):
            for x in range(f["positions"]):
                for element in range(p):
                    c = g * p + element
                    if c >= f["channels"]:
                        continue
                    total = self.sum(f, given, g, x, element)
                    address = f["target_base"] + x * f["target_step"] + c
                    y = total if f["raw"] else self.requantised(f, total, g, element, address)
                    if f["last"]:
                        results.append(y)
                    else:
                        self.places[f["target"]][address] = y
                        assert address not in written
                        written.add(address)
        if f["source"] == f["target"]:
            assert not written & given.read
        return results

    def sum(self, f, given, g, x, element):
        def at(a):
            return given.at(a) if f["low"] <= a < f["high"] else f["pad"]

        a, c = self.config.products, g * self.config.elements + element
        o = f["base"] + x * f["step"]
        bias = signed(self.words[1, element, 2 * (f["channel_base"] + g)], 32)
        if f["op"] == 0:
            total = bias
            for t in range(f["taps"]):
                for j in range(f["chunks"]):
                    word = f["weight_base"] + (g * f["taps"] + t) * f["chunks"] + j
                    for i in range(a):
                        w = self.weight(element, word, i)
                        if w:
                            total += w * at(o + t * f["tap_step"] + j * a + i)
        else:
            seen = [at(o + t * f["tap_step"] + c) for t in range(f["taps"])]
            total = max(seen) if f["op"] == 1 else bias + sum(seen)
        return signed(total, 32)

    def requantised(self, f, total, g, element, address):
        word = self.words[1, element, 2 * (f["channel_base"] + g) + 1]
        factor, shift = signed(word, 16), word >> 16
        u = floor(Fraction(total * factor, 2**shift) + (Fraction(1, 2) if shift else 0))
        if f["add"]:
            assert f["source"] != f["target"]
            u += self.places[f["target"]][address] - f["zero"]
        if f["activation"] == 1:
            u = max(u, 0)
        elif f["activation"] == 2 and u < 0:
            u //= 2 ** f["leak"]
        return sat(u + f["zero"], self.config.activation_bits if f["wide"] else 8)
