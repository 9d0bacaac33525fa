"""`pim.kv`: config errors, and the model against float64 attention, sorted tuples, and pages read by hand."""

from __future__ import annotations

import math
import re
from fractions import Fraction

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pim.flash_config import FlashOp
from hdl.pim.kv_config import EXPONENT_BITS, OUTPUT_BITS, SCALE_BITS, WEIGHT_BITS, KvConfig, KvOp
from sim.pim import flash_model, kv_model, kv_vectors
from sim.pim.kv_model import KvCommand, attention, power_of_two
from sim.pim.kv_study import sample, study

GOOD = {"heads": 3, "head_dim": 8, "max_tokens": 64, "r_max": 4, "k_max": 8, "page_bytes": 32, "page_channels": 2,
        "planes": 2, "blocks": 8, "block_pages": 4}  # fmt: skip
CONFIG = KvConfig.parse(GOOD)  # groups of 16 tokens, 4 pages a kind


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"heads": 0}, "params.heads must be a whole number in 1..64, not 0"),
        ({"head_dim": 24}, "params: head_dim must be a power of 2, not 24"),
        ({"page_bytes": 16, "head_dim": 32}, "params: page_bytes must be at least head_dim = 32, not 16"),
        ({"page_channels": 8}, "params: page_channels must be at most 4, head_dim and page_bytes / 8, not 8"),
        ({"page_bytes": 256}, "params: max_tokens must be at least page_bytes / page_channels = 128, not 64"),
        ({"r_max": 9}, "params: r_max must be at most head_dim = 8, not 9"),
        ({"k_max": 65}, "params: k_max must be at most max_tokens = 64, not 65"),
        ({"blocks": 1}, "params: planes * blocks * block_pages must be at least 12, the pages of a group of tokens, "
                        "not 8"),
        ({"page_size": 4}, 'params.page_size is not a field; did you mean "page_bytes"?'),
    ],
)  # fmt: skip
def test_kv_config_refuses(changed, message):
    with pytest.raises(ConfigError, match=f"^{re.escape(message)}$"):
        KvConfig.parse(GOOD | changed)


def random_head(rng, tokens, dim):
    """Query, keys and values; few different elements make many equal scores."""
    most = int(rng.choice([1, 2, 128]))
    return (rng.integers(-most, most, size, dtype=np.int8) for size in (dim, (tokens, dim), (tokens, dim)))


def test_kv_chooses_as_sorted_tuples_do():
    """The largest channels, and the tokens with the best sums over them; of equal ones the first."""
    rng = np.random.default_rng(5)
    for _ in range(200):
        tokens, dim = int(rng.integers(1, 40)), 8
        q, keys, values = random_head(rng, tokens, dim)
        r, k = int(rng.integers(1, dim + 1)), int(rng.integers(1, 20))
        found = attention(q, keys, values, r, k, 1000)
        channels = sorted(sorted(range(dim), key=lambda c: (-abs(int(q[c])), c))[:r])
        sums = [sum(int(q[c]) * int(key[c]) for c in channels) for key in keys]
        assert found.channels.tolist() == channels
        assert found.tokens.tolist() == sorted(sorted(range(tokens), key=lambda t: (-sums[t], t))[:k])


def test_kv_weights_are_powers_of_two_as_near_as_stated():
    """A straight line over 1/16 octave is at most (ln 2 / 16)^2 / 8 too high, its points half a unit; its fall is cut,
    which adds up to one, and so is what is shifted, which takes up to one."""
    exponents = np.arange(18 << EXPONENT_BITS)
    exact = np.exp2(WEIGHT_BITS - exponents / 2**EXPONENT_BITS)
    wrong = power_of_two(exponents) - exact
    assert (wrong <= exact * (math.log(2) / 16) ** 2 / 8 + 1.5).all()
    assert (wrong > -1.5).all()
    assert power_of_two(np.array([0, 1 << EXPONENT_BITS, 15 << EXPONENT_BITS, 16 << EXPONENT_BITS, 1 << 40])).tolist() \
        == [32768, 16384, 1, 0, 0]  # fmt: skip


@pytest.mark.parametrize("dim", [8, 32, 128])
def test_kv_of_everything_is_attention_in_float64(dim):
    """With all channels and all tokens, up to what cut exponents, lines and cuts of weights come to."""
    for seed in range(10):
        tokens = 100 + 10 * seed
        head = sample(seed, tokens, dim)
        found = attention(head.q, head.keys, head.values, dim, tokens, head.scale)
        _, output = head.exact()
        relative = 2.0**-EXPONENT_BITS * math.log(2) + (math.log(2) / 16) ** 2 / 8
        cut = 2.5 * tokens / found.weights.sum()
        spread = np.abs(head.values.astype(float) - output).max(axis=0)
        assert (np.abs(found.output / 2**OUTPUT_BITS - output) <= spread * 2 * (relative + cut) + 2**-9).all()


def test_kv_means_are_rounded_to_the_nearest():
    """Against exact fractions; weights by hand."""
    rng = np.random.default_rng(6)
    for _ in range(50):
        q, keys, values = random_head(rng, 12, 8)
        found = attention(q, keys, values, 8, 7, int(rng.integers(1 << 20)))
        for channel in range(8):
            total = sum(int(w) * int(values[t, channel]) for w, t in zip(found.weights, found.tokens, strict=True))
            mean = Fraction(256 * total, int(found.weights.sum()))
            assert found.output[channel] == math.floor(mean + Fraction(1, 2))


def test_kv_scale_is_the_difference_of_octaves():
    q = np.array([64, 0, 0, 0, 0, 0, 0, 0], np.int8)
    keys = np.zeros((3, 8), np.int8)
    keys[:, 0] = [3, 2, 1]  # scores 192, 128, 64
    found = attention(q, keys, keys, 1, 3, 1 << SCALE_BITS - 6)
    assert found.weights.tolist() == [1 << 15, 1 << 14, 1 << 13]
    assert found.output[0] == math.floor(256 * (3 * 4 + 2 * 2 + 1) / 7 + 0.5)


def test_kv_pages_hold_what_the_layout_says():
    """Two heads in turns, read out of the flash model by hand; groups have slots in the order in which they filled."""
    rng = np.random.default_rng(7)
    commands = [KvCommand(KvOp.APPEND, head) for _ in range(33) for head in (0, 2)]
    data = rng.integers(-128, 128, (66, 2, 8), dtype=np.int8)
    found = kv_model.run(CONFIG, commands, data.reshape(-1))
    assert len(found.flash) == 4 * CONFIG.group_pages
    flash = kv_vectors.flash_of(CONFIG)
    reads = [flash_model.Command(FlashOp.READ, page % 2, page // 2) for page in range(4 * CONFIG.group_pages)]
    pages = np.array(flash_model.run(flash, [*found.flash, *reads], found.flash_data).packets).view(np.int8)
    for head, slots in ((0, (0, 2)), (1, (1, 3))):
        keys, values = data[head::2, 0], data[head::2, 1]
        for group, slot in enumerate(slots):
            own = pages[12 * slot : 12 * slot + 12].reshape(3, -1)
            tokens = slice(16 * group, 16 * group + 16)
            assert own[0].reshape(8, 16).tolist() == keys[tokens].T.tolist()
            assert own[1].reshape(16, 8).tolist() == keys[tokens].tolist()
            assert own[2].reshape(16, 8).tolist() == values[tokens].tolist()


def test_kv_reads_only_pages_that_hold_something_wanted():
    """Each read begins and ends with something wanted; no page is read twice."""
    for seed in range(30):
        rng = np.random.default_rng(seed)
        length = int(rng.integers(1, 65))
        commands = [*[KvCommand(KvOp.APPEND)] * length, kv_vectors.random_query(CONFIG, rng, 0)]
        found = kv_model.run(CONFIG, commands, kv_vectors.random_data(CONFIG, rng, commands))
        reads = [one for one in found.flash if one.op == FlashOp.READ_SLICE]
        chosen, groups = found.attentions[0], length // 16
        want = [(g * 12 + page, "c") for g in range(groups) for page in sorted({c // 2 for c in chosen.channels})]
        in_flash = [t for t in chosen.tokens.tolist() if t < 16 * groups]
        for kind in (4, 8):
            want += [(t // 16 * 12 + kind + t % 16 // 4, "t") for t in sorted({t // 4 * 4 for t in in_flash})]
        assert [one.page * 2 + one.plane for one in reads] == [page for page, _ in want]
        for read, (page, kind) in zip(reads, want, strict=True):
            size = 16 if kind == "c" else 8
            number = page % 4 * (2 if kind == "c" else 4) + (0 if kind == "c" else page // 12 * 16)
            ends = {number + read.offset // size, number + (read.offset + read.count) // size - 1}
            assert ends <= set((chosen.channels if kind == "c" else chosen.tokens).tolist())
        reading = found.readings[0]
        assert (sum(reading.pages), sum(reading.bytes)) == (len(reads), sum(one.count for one in reads))
        assert reading.in_buffer == len(chosen.tokens) - len(in_flash)


def test_kv_refuses_what_cannot_be_done_and_goes_on():
    config = KvConfig.parse(GOOD | {"blocks": 2})  # a slot
    append, query = KvCommand(KvOp.APPEND), KvCommand(KvOp.QUERY, 0, 1, 1)
    cases = [
        ([KvCommand(7)], "bad_command"),
        ([KvCommand(KvOp.APPEND, 3)], "bad_head"),
        ([KvCommand(KvOp.QUERY, 255, 1, 1)], "bad_head"),
        ([query], "bad_query"),
        ([append, KvCommand(KvOp.QUERY, 0, 0, 1)], "bad_query"),
        ([append, KvCommand(KvOp.QUERY, 0, 5, 1)], "bad_query"),
        ([append, KvCommand(KvOp.QUERY, 0, 1, 9)], "bad_query"),
        ([append] * 32, "full"),
    ]
    for commands, bit in cases:
        data = np.ones(sum(one.data_bytes(config) for one in commands) + 16 + 8, np.int8)
        found = kv_model.run(config, [*commands, KvCommand(KvOp.APPEND, 1), KvCommand(KvOp.QUERY, 1, 1, 1)], data)
        assert found.refusals == {bit}
        assert found.done == [True] * (len(commands) - 1) + [False, True, True]
        assert found.outputs[0].tolist() == [256] * 8
    with pytest.raises(ValueError, match="^data must be 16 bytes, as the commands take, not 3$"):
        kv_model.run(config, [append], np.zeros(3, np.int8))


def test_kv_clear_frees_all_slots():
    config = KvConfig.parse(GOOD | {"blocks": 2})
    appends = [KvCommand(KvOp.APPEND)] * 16
    found = kv_model.run(config, [*appends, KvCommand(KvOp.CLEAR), *appends], np.ones(512, np.int8))
    assert all(found.done)
    erased = [(one.plane, one.page) for one in found.flash if one.op == FlashOp.ERASE]
    assert erased == [(0, 0), (1, 0), (0, 4), (1, 4)]
    assert flash_model.run(kv_vectors.flash_of(config), found.flash, found.flash_data).done.all()


def test_kv_recalls_more_with_more_channels_and_reads_less_than_all():
    flash = {"page_bytes": 128, "page_channels": 1, "planes": 8, "blocks": 64, "block_pages": 8}
    config = KvConfig(heads=1, head_dim=32, max_tokens=512, r_max=32, k_max=64, **flash)
    means = []
    for r in (2, 8, 32):
        found = [study(config, sample(seed, 500, 32), r, 32) for seed in range(6)]
        means.append(np.mean([one.recall for one in found]))
        assert all(one.hits == 1 for one in found) == (r == 32)
        assert all(one.pages < one.dense_pages for one in found)
    assert means == sorted(means)
    assert means[1] > 0.8
