// The loop of the bulk harness: arrays in and out of a Verilated design over its AXI4-Streams, with seeded stalls.
//
// `design.h`, written by harness.py from the design's ports, says what the streams are called. A cycle is: drive inputs,
// evaluate with the clock low, see which handshakes hold, evaluate the rising edge.

#include "design.h"
#include "harness_activity.h"
#include "harness_memory.h"

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#define EXPORT extern "C" __attribute__((visibility("default")))

void vl_fatal(const char* file, int line, const char*, const char* message) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + message);
}

// SplitMix64 (Steele, Lea, Flood 2014).
inline uint64_t random_bits(uint64_t& state) {
    uint64_t z = state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

namespace {

enum Code : int { kDone, kLimit, kHang, kWaits, kSurplus, kDropped, kChanged, kFatal };

// Mirrored by `StreamState` in harness_abi.py.
struct StreamJob {
    uint8_t* data;           // beats, each Stream::kBytes
    uint8_t* last;           // TLAST of each beat, or null
    uint64_t* stamps;        // cycle of each beat's handshake, or null
    uint64_t beats;          // to give, or to expect
    uint64_t packets;        // after so many TLASTs no more beats are expected; 0: `beats` says how many
    uint64_t done;           // given, or taken
    uint64_t stall;          // probability that a stall begins, times 2^32
    uint64_t random;         // state of the generator
};

// Mirrored by `_Job`.
struct Job {
    uint64_t max_cycles;     // leave early, to reset in mid-flight
    uint64_t max_idle_cycles;
    uint64_t drain_cycles;
    uint64_t cycles;         // passed in this run
    uint64_t first_input;    // cycle of the first beat taken by the design
    uint64_t last_output;    // cycle of the last beat it gave
    int32_t stream;          // which one an error is about
};

// Length of a stall that begins now, or 0: three in four last one cycle, the others 2 to 16, 3 on the average.
// `until_valid` says, for an output and one stall in four, that READY shall stay low until VALID is seen, however long.
inline uint32_t stall_cycles(StreamJob& job, bool& until_valid) {
    const uint64_t bits = random_bits(job.random);
    if ((bits & 0xFFFFFFFFu) >= job.stall) return 0;
    until_valid = (bits >> 40 & 3) == 0;
    return (bits >> 32 & 3) ? 1 : 2 + (bits >> 34 & 63) % 15;
}

template <typename Stream> struct Input {
    bool valid = false;
    uint32_t stall = 0;

    void quiet(Model& model) {
        valid = Stream::valid(model) = false;
        stall = 0;
    }
    void drive(Model& model, StreamJob& job) {
        if (valid || job.done == job.beats) return;
        if (stall) {
            --stall;
            return;
        }
        bool until_valid;
        stall = stall_cycles(job, until_valid);
        if (stall) {
            --stall;
            return;
        }
        std::memcpy(Stream::data(model), job.data + job.done * Stream::kBytes, Stream::kBytes);
        if (Stream::kLast) Stream::last(model) = job.last[job.done];
        valid = Stream::valid(model) = true;
    }
    // Whether a beat was taken. Call before the clock edge; its effects are seen by the design after it.
    bool taken(Model& model) const { return valid && Stream::ready(model); }
    void finish(Model& model, StreamJob& job, uint64_t cycle) {
        if (job.stamps) job.stamps[job.done] = cycle;
        ++job.done;
        valid = Stream::valid(model) = false;
        // Without VALID the payload means nothing, and a design that reads it all the same shall be caught.
        uint8_t* data = static_cast<uint8_t*>(Stream::data(model));
        for (size_t i = 0; i < Stream::kBytes; i += 8) {
            const uint64_t noise = random_bits(job.random);
            std::memcpy(data + i, &noise, Stream::kBytes - i < 8 ? Stream::kBytes - i : 8);
        }
        if (Stream::kLast) Stream::last(model) = job.random & 1;
    }
};

template <typename Stream> struct Output {
    bool held = false;       // offered in an earlier cycle and not taken yet
    bool await_valid = false;
    uint32_t stall = 0;
    uint8_t payload[Stream::kBytes];
    uint8_t payload_last = 0;

    void quiet(Model& model) {
        Stream::ready(model) = false;
        await_valid = false;
        stall = 0;
    }
    void drive(Model& model, StreamJob& job, bool drain) {
        bool ready = drain;
        if (!drain && await_valid) {
            await_valid = !held;  // VALID may not wait for READY, so it comes
            ready = held;
        } else if (!drain && stall) {
            --stall;
        } else if (!drain) {
            stall = stall_cycles(job, await_valid);
            ready = stall == 0;
            if (stall) --stall;
        }
        Stream::ready(model) = ready;
    }
    void ready_up(Model& model) { Stream::ready(model) = true; }
    // After evaluation with the clock low.
    Code take(Model& model, StreamJob& job, uint64_t cycle, bool& moved) {
        const uint8_t* data = static_cast<const uint8_t*>(Stream::data(model));
        if (!Stream::valid(model)) {
            if (held) return kDropped;
            return kDone;
        }
        const uint8_t last = Stream::kLast ? Stream::last(model) : 0;
        if (held && (std::memcmp(payload, data, Stream::kBytes) || payload_last != last)) return kChanged;
        if (job.done == job.beats) return kSurplus;
        held = !Stream::ready(model);
        if (held) {
            std::memcpy(payload, data, Stream::kBytes);
            payload_last = last;
            return kDone;
        }
        std::memcpy(job.data + job.done * Stream::kBytes, data, Stream::kBytes);
        if (Stream::kLast) job.last[job.done] = last;
        if (job.stamps) job.stamps[job.done] = cycle;
        ++job.done;
        if (last && job.packets && --job.packets == 0) job.beats = job.done;
        moved = true;
        return kDone;
    }
};

template <typename Body, typename... Items> void each(std::tuple<Items...>& items, Body body) {
    std::apply([&](auto&... item) { int index = 0; (body(item, index++), ...); }, items);
}

struct Harness {
    VerilatedContext context;
    Activity activity{context};
    Model model{&context, "dut"};
    Wrapped<Input, InputStreams> inputs;
    Wrapped<Output, OutputStreams> outputs;
    Memory memory;
    std::string error;

    Harness() {
        for (const Port& port : kPorts)
            if (port.input) std::memset(port.at(model), 0, port.bytes);
        settle();
    }
    void settle() {
        clock(model) = 0;
        model.eval();
    }
    void begin() {
        memory.drive(model);
        settle();
    }
    void edge() {
        memory.sample(model);
        activity.cycle();
        clock(model) = 1;
        model.eval();
        context.timeInc(1);
    }
    void quiet() {
        each(inputs, [&](auto& stream, int) { stream.quiet(model); });
        each(outputs, [&](auto& stream, int) { stream.quiet(model); });
    }
    void step(uint64_t cycles) {
        for (; cycles; --cycles) {
            begin();
            edge();
        }
        settle();
    }
    // Cycles until a port is not zero, or `most`.
    uint64_t wait(const Port& port, uint64_t most) {
        const uint8_t* value = static_cast<const uint8_t*>(port.at(model));
        uint64_t passed = 0;
        for (; passed < most && !*value; ++passed) step(1);
        return passed;
    }
    // Index of the first output stream with VALID high while reset is, or -1.
    int reset(uint64_t cycles) {
        quiet();
        memory.restart();
        ::reset(model) = 1;
        step(cycles);
        int offender = -1;
        each(outputs, [&](auto& stream, int index) {
            stream.held = false;
            if (offender < 0 && valid(stream)) offender = kInputs + index;
        });
        ::reset(model) = 0;
        settle();
        return offender;
    }
    template <typename Stream> bool valid(Output<Stream>&) { return Stream::valid(model); }

    // Nothing moves any more. Does an output wait for READY before it gives VALID?
    Code hang(Job& job) {
        bool withheld = false;
        each(outputs, [&](auto& stream, int) { withheld |= stream.await_valid; stream.quiet(model); });
        if (!withheld) return kHang;
        for (int cycle = 0; cycle < 8; ++cycle) {
            Code code = kHang;
            each(outputs, [&](auto& stream, int) { stream.ready_up(model); });
            begin();
            each(outputs, [&](auto& stream, int index) {
                if (valid(stream)) code = kWaits, job.stream = kInputs + index;
            });
            if (code != kHang) return code;
            edge();
        }
        return kHang;
    }

    Code run(Job& job, StreamJob* streams) {
        StreamJob* const out = streams + kInputs;
        uint64_t idle = 0, drained = 0;
        const uint64_t never = ~uint64_t(0);
        bool complete = false;
        Code code = kDone;
        job.first_input = job.last_output = never;
        for (job.cycles = 0; drained <= job.drain_cycles; ++job.cycles) {
            if (job.cycles == job.max_cycles) return quiet(), settle(), kLimit;
            if (idle > job.max_idle_cycles) return hang(job);
            each(inputs, [&](auto& stream, int index) { stream.drive(model, streams[index]); });
            each(outputs, [&](auto& stream, int index) { stream.drive(model, out[index], complete); });
            begin();
            bool given = false, moved = false, taken[kInputs + 1];
            each(inputs, [&](auto& stream, int index) { moved |= taken[index] = stream.taken(model); });
            if (moved && job.first_input == never) job.first_input = job.cycles;
            each(outputs, [&](auto& stream, int index) {
                const Code seen = stream.take(model, out[index], job.cycles, given);
                if (seen != kDone && code == kDone) code = seen, job.stream = kInputs + index;
            });
            if (code != kDone) return code;
            if (given) job.last_output = job.cycles;
            edge();
            each(inputs, [&](auto& stream, int index) {
                if (taken[index]) stream.finish(model, streams[index], job.cycles);
            });
            idle = moved || given ? 0 : idle + 1;
            if (complete) {
                idle = 0;
                ++drained;
            } else if (idle <= 1) {
                complete = true;
                for (int i = 0; i < kInputs + kOutputs; ++i) complete &= streams[i].done == streams[i].beats;
            }
        }
        quiet();
        settle();
        return kDone;
    }
};

template <typename Body> int guarded(Harness* harness, Body body) {
    try {
        return body();
    } catch (const std::exception& error) {  // from vl_fatal: the model cannot go on
        harness->error = error.what();
        return kFatal;
    }
}

}  // namespace

EXPORT const char* harness_ports() { return kPortsDigest; }
EXPORT Harness* harness_new() { return new Harness; }
EXPORT void harness_delete(Harness* harness) { delete harness; }
EXPORT const char* harness_error(Harness* harness) { return harness->error.c_str(); }
EXPORT int harness_run(Harness* harness, Job* job, StreamJob* streams) {
    return guarded(harness, [&] { return harness->run(*job, streams); });
}
EXPORT int harness_reset(Harness* harness, uint64_t cycles, int32_t* offender) {
    return guarded(harness, [&] { return *offender = harness->reset(cycles), 0; });
}
EXPORT int harness_step(Harness* harness, uint64_t cycles) {
    return guarded(harness, [&] { return harness->step(cycles), 0; });
}
EXPORT int harness_record(Harness* harness, const char* path) {
    return guarded(harness, [&] { return harness->activity.record(harness->model, path), 0; });
}
EXPORT void harness_memory(Harness* harness, MemoryState* memory) { harness->memory.attach(memory); }
EXPORT int harness_wait(Harness* harness, int32_t port, uint64_t most, uint64_t* passed) {
    return guarded(harness, [&] { return *passed = harness->wait(kPorts[port], most), 0; });
}
EXPORT void harness_read(Harness* harness, int32_t port, uint8_t* value) {
    std::memcpy(value, kPorts[port].at(harness->model), kPorts[port].bytes);
}
EXPORT void harness_write(Harness* harness, int32_t port, const uint8_t* value) {
    std::memcpy(kPorts[port].at(harness->model), value, kPorts[port].bytes);
}
