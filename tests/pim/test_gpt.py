"""A token of GPT models on channels; the tiny GPT, by programs and in plain numpy."""

import json

import numpy as np
import pytest
from ml_dtypes import bfloat16
from typer.testing import CliRunner

from bench.pim_gpt import EXPECTED_CYCLES
from flows.cli import app
from flows.errors import BadInput
from flows.pim.orders import ordered_channel, simulator
from hdl.pim.commands import Command, Instruction, Op, decode_program, encode_program
from sim.common.language import encoded
from sim.pim.arithmetic import added, gemv_bf16, widened
from sim.pim.channel_kernel import KernelChannel
from sim.pim.channel_model import Channel
from sim.pim.compiler import schedule
from sim.pim.device_model import Device
from sim.pim.gpt_models import MODELS, Gpt
from sim.pim.gpt_token import CACHE, KINDS, REFRESHES, at_rows, attention, layer, parts, token, vocabulary
from sim.pim.tiny_gpt import CONTEXT, WEIGHTS_FILE, DeviceProducts, PlainProducts, TinyGpt, load, perplexity
from sim.pim.tiny_gpt_train import Pass, initial


def called(*argv):
    done = CliRunner().invoke(app, ["pim", *map(str, argv)])
    return done, json.loads(done.stdout.splitlines()[-1]) if done.exit_code == 0 else None


def tokens(order, refresh=None, context=512):
    config = ordered_channel("pimgpt", order, refresh)
    for name, gpt in MODELS.items():
        with simulator(config) as burst:
            yield name, config, token(burst, gpt, context)


def test_tokens_take_what_the_closed_form_expects_and_nearly_all_macs_hit_their_row():
    for name, config, done in tokens("serial"):
        assert 0.95 < (done.product_cycles + done.cycles[REFRESHES]) / EXPECTED_CYCLES[name] < 1, name
        assert done.row_hits >= 0.981, name
        assert done.utilisation(config) >= 0.56, name
        # Every weight is multiplied once; a column or a bank that is not full counts, too.
        macs = sum(done.macs[kind] for kind in KINDS if kind not in ("scores", "values"))
        weights = MODELS[name].weights
        assert weights <= macs * config.banks * config.lanes * 8 <= 1.02 * weights, name


def test_two_row_buffers_keep_the_multipliers_busy():
    for name, config, done in tokens("two-rows"):
        assert done.utilisation(config) >= 0.85, name
        assert done.row_hits >= 0.981, name


@pytest.mark.parametrize("order", ["serial", "two-rows"])
def test_refreshes_of_a_token_are_all_that_fall_due_in_it(order):
    """None is left to the token after: at its end as many are done ahead as before it."""
    for name, config, done in tokens(order):
        due = done.total_cycles / config.timing.tREFI_cycles
        assert abs(done.issued[Command.REF] - due) <= 1, name
        assert done.cycles[REFRESHES] > 0.9 * due * config.timing.tRFC_cycles, name


def test_packed_models_hit_their_rows_with_two_row_buffers_too():
    config = ordered_channel("pimgpt", "two-rows", None)
    with simulator(config) as burst:
        small = token(burst, MODELS["gpt2-small"], 512, tight=True)
    for name, context in (("gpt2-xl", 1024), ("gpt3-large", 600)):
        with simulator(config) as burst:
            assert token(burst, MODELS[name], context, tight=True).rows <= config.rows
    assert small.row_hits >= 0.981


@pytest.mark.deep
def test_two_row_buffers_without_refresh():
    for _, config, done in tokens("two-rows", "off"):
        assert done.utilisation(config) >= 0.85
        assert not done.cycles[REFRESHES]


def test_heads_that_are_left_over_share_the_channels():
    assert parts(12, 8, 512) == [512, 256]
    assert parts(25, 8, 512) == [512, 512, 512, 64]
    assert parts(16, 8, 100) == [100, 100]
    assert parts(3, 8, 100) == [50]


def programs(config, gpt, context, channels):
    """A token's products, one after the other, and the rows that its model takes."""
    products, row, found = layer(config, gpt, context, channels), 0, []
    scores = next(one.rows for one in products if one.kind == "scores")
    for _ in range(gpt.layers):
        cached, row = row, row + next(one.rows for one in products if one.kind == CACHE)
        for one in products:
            if one.kind in (CACHE, "scores", "values"):
                found.append(at_rows(one, cached + (scores if one.kind == "values" else 0)))
            else:
                found.append(at_rows(one, row))
                row += one.rows
    last = vocabulary(config, gpt, channels)
    return [*found, at_rows(last, row)], row + last.rows


AHEAD = [Instruction(Op.REFRESH, count=8), Instruction(Op.EOC)]


def total_cycles(run, products, config):
    """What a token takes by `run(words, start)`: after the results that the host computes a function of the channel
    refreshes, and the next product begins when the last refresh is over; as it did before the first one."""

    def refreshed(start):
        done = run(encode_program(AHEAD), start)
        return start + done.cycles + (config.timing.tRFC_cycles if done.issued.get(Command.REF) else 0)

    first = start = refreshed(1 + run(encode_program(AHEAD[1:]), 1).cycles)
    for product in products:
        done = run(product.words, start)
        assert done.skipped == ()
        start += done.cycles
        if product.kind in ("scores", "projection", "feed_1", "feed_2", "vocabulary"):
            start = refreshed(start)
    return start - first


@pytest.mark.parametrize("order", ["serial", "overlap", "two-rows"])
def test_a_small_models_token_takes_as_long_in_the_golden_model(order):
    """With refresh."""
    config, gpt = ordered_channel("pimgpt", order, "on"), Gpt(2, 96, 3, vocabulary=500)
    with simulator(config) as burst:
        done = token(burst, gpt, 70, channels=2)
    channel = Channel(config)
    products, rows = programs(config, gpt, 70, 2)

    def run(words, start):
        return channel.run(decode_program(words), start=start, commands=False)

    assert (done.total_cycles, done.rows) == (total_cycles(run, products, config), rows)


@pytest.mark.deep
@pytest.mark.parametrize("order", ["serial", "overlap", "two-rows"])
@pytest.mark.parametrize("name", ["gpt2-small", "gpt2-xl"])
def test_a_models_token_takes_as_long_in_the_compiled_model(order, name, library):
    config, gpt = ordered_channel("pimgpt", order, None), MODELS[name]
    with simulator(config) as burst:
        done = token(burst, gpt, 512)
    products, rows = programs(config, gpt, 512, 8)
    with KernelChannel(config, library) as channel:

        def run(words, start):
            return channel.run(words, start=start, commands=False)

        assert (done.total_cycles, done.rows) == (total_cycles(run, products, config), rows)


@pytest.mark.parametrize("order", ["serial", "overlap", "two-rows"])
@pytest.mark.parametrize(("context", "shares"), [(200, [200, 200, 100]), (1100, [1100, 37])])
def test_attention_of_several_heads_in_one_program_is_that_of_each(order, context, shares):
    """Scores of all heads and values of a channel with some and a part of one, against each head's product in numpy."""
    config, gpt, random = ordered_channel("pimgpt", order, None), Gpt(1, 120, 3), np.random.default_rng(4)
    keys, values = attention(config, gpt, context, 2, shares)
    tokens = -(-context // (2 * config.banks)) * config.banks  # of one of two channels
    for work, heads in (
        (keys, [(tokens, gpt.head_width)] * gpt.heads),
        (values, [(gpt.head_width, share) for share in shares]),
    ):
        tiles = -(-heads[0][0] // config.banks)
        padded = [-(-inputs // config.lanes) * config.lanes for _, inputs in heads]
        matrices, vectors = [], []
        for (outputs, inputs), width in zip(heads, padded, strict=True):
            matrix, vector = np.zeros((tiles * config.banks, width), np.uint16), np.zeros(width, np.uint16)
            matrix[:outputs, :inputs] = random.normal(size=(outputs, inputs)).astype(bfloat16).view(np.uint16)
            vector[:inputs] = random.normal(size=inputs).astype(bfloat16).view(np.uint16)
            matrices.append(matrix)
            vectors.append(vector)

        device, contents = Device(config), {}
        columns = [matrix.reshape(tiles, config.banks, -1, config.lanes) for matrix in matrices]
        for block in work:
            for tile in range(block.tiles):
                piece, (row, first) = block.pieces[tile % len(block.pieces)], block.place(tile)
                assert first + piece.columns <= config.columns
                held = contents.setdefault(row, np.zeros((config.banks, config.columns, config.lanes), np.uint16))
                assert not held[:, first : first + piece.columns].any()
                part = columns[piece.vector][tile // len(block.pieces)]
                held[:, first : first + piece.columns] = part[:, piece.first : piece.first + piece.columns]
        for row, held in contents.items():
            device.fill(row, held)

        beside = [
            np.concatenate(
                [vectors[one.vector].reshape(-1, config.lanes)[one.first : one.first + one.columns] for one in b.pieces]
            )
            for b in work
        ]
        program = schedule(config, work)
        results = device.run(program.instructions, [beside[place][column] for place, column in program.inputs])
        parts_of = {}
        for (place, tile), result in zip(program.results, results, strict=True):
            piece = work[place].pieces[tile % len(work[place].pieces)]
            parts_of.setdefault((piece.vector, piece.first), []).append((tile, result))
        for number, (matrix, vector) in enumerate(zip(matrices, vectors, strict=True)):
            pieces = sorted(piece for block in work for piece in block.pieces if piece.vector == number)
            got = None
            for piece in pieces:
                part = widened(np.concatenate([one for _, one in sorted(parts_of[number, piece.first], key=at_tile)]))
                got = part if got is None else added(got, part)
            widths = [piece.columns for piece in pieces]
            assert sum(widths) * config.lanes == len(vector)
            assert np.array_equal(got, gemv_bf16(matrix, vector, config.lanes, widths))


def at_tile(one):
    return one[0]


def test_commands_of_gpt_and_gemv(tmp_path):
    picture = tmp_path / "token.svg"
    _, found = called("gpt", "gpt2-small", "--context", 100, "--plot", picture)
    assert found["cycles"] == sum(found["cycles_by_product"].values())
    assert found["implied_gpu_us"] == [round(found["token_us"] * times, 1) for times in (41, 137)]
    assert picture.read_text().startswith("<svg ")
    _, found = called("gemv", 4096, 4096, "--profile", "aim", "--order", "overlap", "--no-mode-switch")
    assert found["cycles"] <= 29_100
    for argv, message in (
        (("gpt", "gpt2-smal"), 'gpt2-smal is no model; did you mean "gpt2-small"?'),
        (("gpt", "gpt2-xl", "--context", 1025), "context must be in 1..1024 for gpt2-xl, not 1025"),
        (("gpt", "gpt3-xl", "--channels", 3), "--channels must be one of 1, 2, 4, 8, not 3"),
        (("gpt", "gpt2-medium", "--channels", 1), "rows a bank on 1 channels, a bank has 16384; --pack saves rows"),
        (("gemv", 0, 7), "M must be in 1..1048576, not 0"),
        (("gemv", 7, 7, "--order", "both"), "--order must be one of serial, overlap, two-rows, not both"),
        (("gemv", 7, 7, "--refresh", "no"), "--refresh must be on or off, not no"),
        (("gemv", 7, 7, "--order", "overlap"), "--order overlap and the mode switches of aim exclude one another"),
        (("gemv", 7, 7, "--profile", "ain"), "ain is no profile"),
    ):
        done, _ = called(*argv)
        assert isinstance(done.exception, BadInput) and message in str(done.exception), argv


def test_gradients_of_the_training_are_slopes_of_its_loss():
    random = np.random.default_rng(3)
    weights = {name: value.astype(np.float64) for name, value in initial(random).items()}
    inputs, targets = random.integers(0, 96, (2, 2, 12))
    gradients = Pass(weights, inputs, targets).backward()
    for name, value in weights.items():
        way = random.normal(size=value.shape)
        ends = [Pass(weights | {name: value + side * way}, inputs, targets).loss for side in (1e-5, -1e-5)]
        slope = (ends[0] - ends[1]) / 2e-5
        assert slope == pytest.approx(float((gradients[name] * way).sum()), rel=1e-4, abs=1e-7), name


def tiny_config():
    return ordered_channel("pimgpt", "two-rows", None)


def test_the_tiny_gpt_steps_alike_by_programs_and_in_plain_numpy():
    weights, config = load(), tiny_config()
    assert WEIGHTS_FILE.stat().st_size < 300_000
    models = [TinyGpt(weights, kind(config)) for kind in (DeviceProducts, PlainProducts)]
    for number in encoded("A class"):
        logits = [one.step(int(number)) for one in models]
        assert np.array_equal(*logits)
    assert logits[0].std() > 0.5


@pytest.mark.deep
def test_the_tiny_gpt_writes_the_same_text_by_programs_and_in_plain_numpy():
    weights, config = load(), tiny_config()
    texts = [TinyGpt(weights, kind(config)).write("The ", 100, seed=7) for kind in (DeviceProducts, PlainProducts)]
    assert texts[0] == texts[1] and len(texts[0]) == 100


@pytest.mark.deep
def test_the_tiny_gpt_knows_the_held_out_text_better_than_a_bigram():
    weights = load()
    found = perplexity(weights, PlainProducts(tiny_config()), 4 * CONTEXT)
    assert found < 0.75 * float(weights["bigram_perplexity"])
