"""The golden model of `pim.system`, its configs and programs: against numpy, and what is refused."""

import numpy as np
import pytest

from hdl.common.config import ConfigError
from hdl.pim.commands import Instruction, Op
from hdl.pim.system_config import SystemConfig, decode_system_program, encode_system_program
from hdl.pim.vector_config import LAST, LINK, VectorInstruction, VectorOp
from sim.common.language import encoded
from sim.pim import system_vectors, tiny_gpt_vectors
from sim.pim.gemv import Gemv
from sim.pim.system_compiler import SystemProgram
from sim.pim.system_model import Link, Stuck, System
from sim.pim.tiny_gpt_program import SYMBOLS
from sim.pim.vector_programs import wide_values

CHANNEL = {"profile": "pimgpt", "banks": 4, "rows": 16, "columns": 4, "lanes": 4}
PARAMS = {"channel": CHANNEL, "vector": {"lanes": 4, "words": 1024}, "queue_depth": 4, "link_beats": 2}
CONFIG = SystemConfig.parse(PARAMS)
TINY_GPT = SystemConfig.parse(
    {
        "channel": {"profile": "pimgpt", "banks": 16, "rows": 32, "columns": 64, "lanes": 16},
        "vector": {"lanes": 16, "words": 8192},
    }
)
END = VectorInstruction(VectorOp.END)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"queue_depth": 3}, "params: queue_depth must be a power of 2, not 3"),
        ({"link_beats": 1}, "params.link_beats must be a whole number in 2..1024, not 1"),
        (
            {"channel": CHANNEL | {"dtype": "int8"}},
            "params: channel.dtype must be bf16, which the vector unit computes in, not int8",
        ),
        ({"channel": CHANNEL | {"device": False}}, "params: channel.device must be true: the memory is inside"),
        ({"vector": {"lanes": 3, "words": 64}}, "params.vector: lanes must be a power of 2, not 3"),
    ],
)
def test_system_config_refuses(changes, message):
    with pytest.raises(ConfigError) as refused:
        SystemConfig.parse(PARAMS | changes)
    assert str(refused.value) == message


def test_system_config_knows_its_profile_and_registers():
    registers = CONFIG.registers
    assert CONFIG.identity["channel"]["profile"]["tRP_ns"] == 12
    assert registers["channel_status"].offset_bytes == 0x108
    assert registers["vector_cycles"].offset_bytes == 0x21C
    assert [one.name for one in CONFIG.own_registers.registers][-1] == "cycles"


def test_words_name_their_unit():
    program = [
        Instruction(Op.WR, bank_mask=2, row=5, count=256),
        VectorInstruction(VectorOp.ADD, 8, 4, 4, 1024, 1),
        END,
    ]
    words = encode_system_program(program)
    assert [int(word) >> 63 for word in words] == [0, 1, 1]
    assert decode_system_program(words) == program
    with pytest.raises(ConfigError, match=r"^op must be in 0\.\.31 in a program of a system, not 32$"):
        encode_system_program([VectorInstruction(32)])


def test_links_gather_and_cut():
    one, two, three = (np.full(2, value, np.uint16) for value in (1, 2, 3))
    link = Link(2, 4, 1, 8)
    for beat, last in ((one, False), (two, False), (three, True), (one, False)):
        link.put(beat, last)
    assert [beat.tolist() for beat in link.beats] == [[1, 1, 2, 2], [3, 3, 0, 0]]
    link = Link(2, 1, 1, 4)
    link.put(one, False)
    link.put(two, True)
    assert [beat.tolist() for beat in link.beats] == [[1], [1], [2], [2]]
    assert not link.room


@pytest.mark.parametrize("inputs", [5, 16, 24])
def test_products_are_those_of_plain_numpy(inputs):
    """Of one block, of two whose parts the vector unit adds, and of a vector with zeros behind."""
    rng = np.random.default_rng(inputs)
    weights = (rng.integers(0, 1 << 16, (10, inputs)) & 0x81FF | 0x3E00).astype(np.uint16)
    vector = (rng.integers(0, 1 << 16, inputs) & 0x81FF | 0x3E00).astype(np.uint16)
    plan = Gemv(CONFIG.channel, 10, inputs, row=1)
    program = SystemProgram(CONFIG)
    stage, x, y = program.room(16), program.room(32), program.room(12)
    program.fill(plan, weights, stage)
    program.load_into(x, np.pad(vector, (0, 32 - inputs)))
    program.product(plan, x, y)
    program.store32(y)
    words, data = program.assemble()
    run = System(CONFIG).run(words, data)
    got = wide_values(np.array(run.beats), 10)
    assert got.view(np.uint32).tolist() == plan.direct(weights, vector).view(np.uint32).tolist()
    assert (run.ended, run.eocs, run.illegal, run.channel_illegal) == (1, 1, [], [])


def test_a_program_whose_units_wait_for_each_other_is_told():
    store = VectorInstruction(VectorOp.STORE, n=16, flags=LINK | LAST)
    wait = VectorInstruction(VectorOp.COPY)
    take = Instruction(Op.WR_GB, count=4)
    assert System(CONFIG).run([store, *[wait] * 4, take, END]).ended == 1
    with pytest.raises(Stuck) as told:
        System(CONFIG).run([store, *[wait] * 5, take, END])
    assert str(told.value) == (
        "fetch waits for room for word 5 of the vector unit; channel waits for instructions; vector unit waits for "
        "room for load 2 of 4 of STORE"
    )
    assert System(CONFIG).run([take, store, *[wait] * 5, END]).ended == 1


def test_random_programs_end_and_reach_every_route():
    routes, config = set(), SystemConfig.parse(PARAMS | {"channel": CHANNEL | {"banks": 8}})
    for seed in range(5):
        arrays = system_vectors.random_arrays(config, seed, 40)
        program = decode_system_program(arrays["program"])
        run = System(config).run(program, arrays["data"])
        assert run.ended == 1
        routes |= {(one.op, one.flags & 24) for one in program if isinstance(one, VectorInstruction) and one.op < 5}
    assert {(op, flags) for op, flags in routes if op} == {(op, flags) for op in (1, 2, 3, 4) for flags in (0, 8, 24)}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"program": np.array([0], np.uint64)}, "program must end in END of the vector unit"),
        ({"program": np.array([], np.uint64)}, "program must be uint64 (n,) with n at least 1, not uint64 (0,)"),
        ({"data": np.zeros((1, 4), np.uint16)}, "data must be uint16 (0, 4) for this program, not uint16 (1, 4)"),
        ({"data": None}, "data must be uint16 (0, 4) for this program, not none"),
    ],
)
def test_system_arrays_are_checked(changes, message):
    arrays = {"program": encode_system_program([END]), "data": np.zeros((0, 4), np.uint16)}
    system_vectors.check(CONFIG, arrays)
    with pytest.raises(ValueError) as refused:
        system_vectors.check(CONFIG, arrays | changes)
    assert str(refused.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": np.array([96], np.uint8)}, "prompt must be in 0..95, not 96"),
        ({"noise": np.zeros((2, 95), np.float32)}, "noise must have 96 symbols, not 95"),
        ({"noise": np.full((2, 96), np.nan, np.float32)}, "noise must be finite"),
        ({"prompt": np.zeros(128, np.uint8)}, "prompt and characters but the last must be at most 128, not 129"),
    ],
)
def test_tiny_gpt_arrays_are_checked(changes, message):
    arrays = {"prompt": np.zeros(127, np.uint8), "noise": np.zeros((2, 96), np.float32)}
    tiny_gpt_vectors.check(TINY_GPT, arrays)
    with pytest.raises(ValueError) as refused:
        tiny_gpt_vectors.check(TINY_GPT, arrays | changes)
    assert str(refused.value) == message


def test_tiny_gpt_as_a_program_is_the_gpt_in_numpy():
    """A prompt, a character drawn, one that was chosen between equals, and what follows from it."""
    noise = tiny_gpt_vectors.gumbel(np.random.default_rng(3), 3, 0.7)
    noise[1] = 0
    noise[1, [40, 70]] = 1e30  # takes the logits up: both sums are equal, and the first is chosen
    arrays = {"prompt": encoded("If").astype(np.uint8), "noise": noise}
    want = tiny_gpt_vectors.model(TINY_GPT, arrays)
    of_system = tiny_gpt_vectors.program_of(TINY_GPT, arrays)
    run = System(TINY_GPT).run(decode_system_program(of_system["program"]), of_system["data"])
    beats = np.array(run.beats).reshape(3, SYMBOLS // 16 + 1, 16)
    logits = (beats[:, :-1].reshape(3, -1).astype(np.uint32) << 16).view(np.float32)
    assert logits.view(np.uint32).tolist() == want["logits"].view(np.uint32).tolist()
    numbers = (beats[:, -1, 0].astype(np.uint32) << 16).view(np.float32)
    assert numbers.tolist() == want["text"].tolist()
    assert want["text"][1] == 40
    assert run.illegal == run.channel_illegal == []


def test_a_system_that_does_not_hold_the_tiny_gpt_is_refused():
    arrays = {"prompt": np.zeros(1, np.uint8), "noise": np.zeros((1, 96), np.float32)}
    wrong = {
        r"link_beats must be at least 36 for the tiny GPT, not 2": {},
        r"rows \d+\.\.\d+ do not fit into banks of 16 rows": {"link_beats": 64},
        r"channel\.banks must be a multiple of 4, the most lanes, not 2": {"channel": CHANNEL | {"banks": 2}},
    }
    for message, changes in wrong.items():
        with pytest.raises(ConfigError, match=f"^{message}$"):
            tiny_gpt_vectors.program_of(SystemConfig.parse(PARAMS | changes), arrays)
