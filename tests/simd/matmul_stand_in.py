"""A stand-in for the gateware of simd.matmul, in Python on the module's pins: what the bench itself is tested with.

It moves operands and results over the bus in the block's order of work and takes the arithmetic from the golden model.
`NIELLO_FAULT` names what it does wrong, if anything.
"""

import itertools
import os

import cocotb
import numpy as np
from cocotb.triggers import ClockCycles, Edge, RisingEdge
from cocotbext.axi import AxiBus, AxiLiteBus, AxiLiteSlave, AxiMaster

from hdl.simd.modes import MODES, OUTPUT_FORMATS, STATUS
from sim.simd import matmul_edge
from sim.simd.matmul_edge import BIT, CONFIG, REGISTERS
from sim.simd.matmul_memory import output_slot_bits, pack, row_bytes, unpack
from sim.simd.matmul_model import BIAS_EXPONENTS, matmul, most_depth

FAULT = os.environ.get("NIELLO_FAULT", "")
OFFSETS = {register.offset_bytes: register for register in REGISTERS.registers}
START, CLEAR = (REGISTERS["control"][name].mask for name in ("start", "clear_counters"))
STICKY = sum(mask for name, mask in BIT.items() if name != "busy")
ADDRESSES = ["a_address", "a_stride", "b_address", "b_stride", "c_address", "c_stride", "bias_address"]

PIN_FAULTS = {
    "withdraws requests": ("ar", "arvalid", 0),
    "changes requests": ("aw", "awaddr", 0),
    "changes data": ("w", "wdata", 0),
    "changes strobes": ("w", "wstrb", 0),
}
"""Channel, pin, and the value that it takes while the channel waits."""


class StandIn:
    def __init__(self, dut):
        self.dut = dut
        self.bus = AxiMaster(AxiBus.from_prefix(dut, "m_axi"), dut.clk, dut.rst, max_burst_len=8)
        self.csr = AxiLiteSlave(AxiLiteBus.from_prefix(dut, "s_axil"), dut.clk, dut.rst, target=self)
        self.job = None
        self.kept = ({}, {})
        self.forget()
        cocotb.start_soon(self.follow_reset())
        cocotb.start_soon(self.drive())

    def forget(self):
        self.words = {register.name: register.reset for register in REGISTERS.registers}
        self.status = self.cycles = self.beats = self.jobs = 0
        if self.job is not None:
            self.job.cancel()
        self.job = None

    async def follow_reset(self):
        while True:
            await Edge(self.dut.rst)
            if int(self.dut.rst.value):
                kept = self.status
                self.forget()
                self.status = kept if FAULT == "status outlives reset" else 0

    async def drive(self):
        while True:
            await RisingEdge(self.dut.clk)
            self.cycles += self.job is not None
            bits = self.status & ~BIT["bad_job"] if FAULT == "no interrupt for bad jobs" else self.status
            self.dut.irq.value = bool(bits & self.words["irq_enable"])
            if FAULT in PIN_FAULTS:
                channel, pin, value = PIN_FAULTS[FAULT]
                valid, ready = (int(getattr(self.dut, f"m_axi_{channel}{end}").value) for end in ("valid", "ready"))
                if valid and not ready:
                    getattr(self.dut, f"m_axi_{pin}").value = value

    async def read(self, address, length):
        register = OFFSETS[address]
        live = {"status": self.status | (BIT["busy"] if self.job else 0), "control": 0}
        live |= {name: getattr(self, name) for name in ("cycles", "beats", "jobs")}
        return int(live.get(register.name, self.words[register.name])).to_bytes(4, "little")

    async def write(self, address, data):
        name, word = OFFSETS[address].name, int.from_bytes(data, "little")
        if name == "status":
            self.status &= 0 if FAULT == "any write clears all" and word else ~word
        elif name == "control":
            if word & CLEAR:
                self.cycles = self.beats = self.jobs = 0
            if word & START and (self.job is None or FAULT == "start while busy"):
                self.start()
        else:
            self.words[name] = word

    def start(self):
        fields = {name: REGISTERS[name].decode(self.words[name]) for name in ("format", "exponents")}
        mode = {MODES[name].code: name for name in CONFIG.modes}.get(fields["format"]["mode"])
        output = fields["format"]["output_format"]
        shape = [self.words[name] for name in "mnk"]
        bias_exponent = fields["exponents"]["bias"]
        bias_exponent -= bias_exponent >> 7 << 8
        if (
            mode is None
            or output not in [OUTPUT_FORMATS.index(name) for name in CONFIG.outputs]
            or min(shape) == 0
            or shape[2] > (65535 if FAULT == "K of p16_1 unbounded" else most_depth(MODES[mode]))
            or any(self.words[name] % CONFIG.bus_bytes for name in ADDRESSES if name != FAULT)
            or (bias_exponent not in BIAS_EXPONENTS and FAULT != "bias exponent unbounded")
        ):
            self.status |= BIT["done"] | BIT["bad_job"]
            return
        options = {
            "bias_exponent": bias_exponent,
            "scale_exponent": fields["exponents"]["scale"] - (fields["exponents"]["scale"] >> 6 << 7),
            "out_format": OUTPUT_FORMATS[output],
            "overflow": "inf" if fields["format"]["infinity"] else "saturate",
            "relu": bool(fields["format"]["relu"]) and FAULT != "no relu",
        }
        self.job = cocotb.start_soon(self.work(mode, *shape, fields["format"]["has_bias"], options))

    async def work(self, mode, m, n, k, has_bias, options):
        words, slot_bits = self.words, MODES[mode].slot_bits
        limit = row_bytes(k, slot_bits)
        chunk = CONFIG.depth_beats * 4
        loaded, found = self.kept if FAULT == "keeps operands" else ({}, {})
        for i, j in itertools.product(range(0, m, CONFIG.rows), range(0, n, CONFIG.columns)):
            rows, columns = min(CONFIG.rows, m - i), min(CONFIG.columns, n - j)
            parts = {"a": [], "b": []}
            for start in range(0, limit, chunk):
                for name, first, count in (("a", i, rows), ("b", j, columns)):
                    if loaded.get(name) != (first, start) or FAULT == "reads again":
                        loaded[name] = (first, start)
                        found[name] = [
                            await self.load(
                                words[f"{name}_address"] + (first + row) * words[f"{name}_stride"] + start,
                                min(chunk, limit - start),
                            )
                            for row in range(count)
                        ]
                    parts[name].append(found[name])
            self.beats += -(-k // MODES[mode].elements_per_beat) * (2 if FAULT == "beats twice" else 1)
            a, b = (
                unpack(np.frombuffer(b"".join(b"".join(p) for p in zip(*part, strict=True)), np.uint8)
                       .reshape(-1, limit), slot_bits, k).astype(np.uint16)
                for part in parts.values()
            )  # fmt: skip
            bias = await self.load(words["bias_address"] + 4 * j, 4 * columns) if has_bias else bytes(4 * columns)
            result = matmul(mode, a, b.T, bias=np.frombuffer(bias, "<i4"), **options)
            bits = np.bitwise_or.reduce(result.status, axis=None)
            self.status |= sum(BIT[name] for place, name in enumerate(STATUS) if bits >> place & 1)
            await self.store(result.codes, options["out_format"], i, j)
        self.status |= BIT["done"]
        self.jobs += 1
        self.job = None

    async def load(self, address, size):
        word = CONFIG.bus_bytes
        start = address - address % word
        end = -(-(address + size) // word) * word + (word if FAULT == "reads too far" else 0)
        answer = await self.bus.read(start, end - start, arid=address // word % 2 if FAULT == "two IDs" else 0)
        self.check(answer)
        return answer.data[address - start : address - start + size]

    async def store(self, codes, output, i, j):
        bits = output_slot_bits(output)
        for row, packed in enumerate(pack(codes, bits)):
            data = packed.tobytes() + (b"\0" if FAULT == "writes a byte too much" else b"")
            if FAULT == "columns swapped":
                data = data[::-1]
            address = self.words["c_address"] + (i + row) * self.words["c_stride"] + j * bits // 8
            write = self.bus.write(address, data, awid=0)
            if FAULT == "does not wait for answers":
                cocotb.start_soon(write)
                await ClockCycles(self.dut.clk, 10)
            else:
                self.check(await write)

    def check(self, answer):
        response = int(answer.resp)
        if response == 2 or (response == 3 and FAULT != "DECERR unseen"):
            self.status |= BIT["bus_error"]


class BenchOfStandIn(matmul_edge.Bench):
    def __init__(self, dut):
        StandIn(dut)
        super().__init__(dut)


matmul_edge.Bench = BenchOfStandIn

from sim.simd.matmul_bench import *  # noqa: E402, F403
