// The memory behind a design's AXI4 manager port (IHI 0022, part A): full-width INCR bursts, answered in order.
//
// Everything that it drives depends on its registers alone, so one evaluation a cycle is enough. Latency, stalls on
// every channel and bandwidth are those of `Memory` in harness_abi.py.

#pragma once

#include <cstdint>
#include <cstring>
#include <deque>
#include <stdexcept>
#include <string>

// Mirrored by `MemoryState` in harness_abi.py.
struct MemoryState {
    uint8_t* data;
    uint64_t base;             // byte address of data[0]
    uint64_t bytes;
    uint64_t latency_cycles;   // from a request to the first beat of its answer, at least
    uint64_t stall;            // probability that a channel stands still in a cycle, times 2^32
    uint64_t bandwidth;        // beats that both directions together may move in a cycle, times 2^32
    uint64_t random;           // state of the generator
    uint64_t read_beats;
    uint64_t written_beats;
    uint64_t refused_beats;    // outside of the memory: answered with SLVERR
};

inline uint64_t random_bits(uint64_t& state);

#ifdef MEM

class Memory {
    static constexpr uint64_t kBytes = MEM_BYTES;
    static constexpr uint64_t kBeat = uint64_t(1) << 32;
    static constexpr size_t kOutstanding = 8;
    static constexpr uint64_t kOkay = 0, kSlaveError = 2, kIncrementing = 1, kPage = 4096;
    struct Burst {
        uint64_t address, beats, due, id;
    };
    MemoryState nothing{};
    MemoryState* state = &nothing;
    std::deque<Burst> reads, writes;   // accepted
    std::deque<Burst> answers;         // written, to be acknowledged; `beats` is the response
    uint64_t now = 0, budget = 0, write_response = kOkay;
    bool offers_read = false, offers_answer = false, takes_read = false, takes_write = false, takes_data = false;

    bool moves() { return (random_bits(state->random) & 0xFFFFFFFFu) >= state->stall; }
    bool affords() const { return budget >= kBeat; }
    uint8_t* at(uint64_t address) {
        const uint64_t offset = address - state->base;
        return address >= state->base && offset + kBytes <= state->bytes ? state->data + offset : nullptr;
    }
    static Burst request(const char* channel, uint64_t address, uint64_t length, uint64_t size, uint64_t kind,
                         uint64_t due, uint64_t id) {
        const uint64_t beats = length + 1;
        const char* wrong = nullptr;
        if (uint64_t(1) << size != kBytes) wrong = "a narrow burst";
        if (kind != kIncrementing) wrong = "a burst that is not incrementing";
        if (address % kBytes) wrong = "an unaligned address";
        if (address / kPage != (address + beats * kBytes - 1) / kPage) wrong = "a burst over a 4 KiB boundary";
        if (wrong) throw std::runtime_error(std::string(channel) + ": " + wrong);
        return {address, beats, due, id};
    }

  public:
    void attach(MemoryState* memory) {
        state = memory ? memory : &nothing;
        restart();
    }
    void restart() {
        reads.clear(), writes.clear(), answers.clear();
        offers_read = offers_answer = false;
        write_response = kOkay;
    }
    void drive(Model& m) {
        if (state == &nothing) return;  // whoever pokes the port's pins is the memory
        ++now;
        budget += state->bandwidth;
        if (budget > 2 * kBeat) budget = 2 * kBeat;
        if (!offers_read && !reads.empty() && reads.front().due <= now && moves() && affords()) {
            offers_read = true;
            budget -= kBeat;
            const Burst& burst = reads.front();
            const uint8_t* source = at(burst.address);
            const uint64_t noise = random_bits(state->random);
            for (uint64_t i = 0; i < kBytes; i += 4)
                std::memcpy(reinterpret_cast<uint8_t*>(&m.MEM(rdata)) + i, source ? source + i : (uint8_t*)&noise, 4);
            m.MEM(rresp) = source ? kOkay : kSlaveError;
            m.MEM(rlast) = burst.beats == 1;
            m.MEM(rid) = burst.id;
        }
        if (!offers_answer && !answers.empty() && answers.front().due <= now && moves()) {
            offers_answer = true;
            m.MEM(bresp) = answers.front().beats;
            m.MEM(bid) = answers.front().id;
        }
        m.MEM(rvalid) = offers_read;
        m.MEM(bvalid) = offers_answer;
        m.MEM(arready) = takes_read = reads.size() < kOutstanding && moves();
        m.MEM(awready) = takes_write = writes.size() < kOutstanding && moves();
        m.MEM(wready) = takes_data = !writes.empty() && moves() && affords();
    }
    // After evaluation with the clock low: what the coming edge moves.
    void sample(Model& m) {
        if (state == &nothing) return;
        const uint64_t due = now + 1 + state->latency_cycles;
        if (offers_read && m.MEM(rready)) {
            offers_read = false;
            Burst& burst = reads.front();
            ++(at(burst.address) ? state->read_beats : state->refused_beats);
            burst.address += kBytes;
            if (--burst.beats == 0) reads.pop_front();
        }
        if (offers_answer && m.MEM(bready)) offers_answer = false, answers.pop_front();
        if (takes_data && m.MEM(wvalid)) {
            budget -= kBeat;
            Burst& burst = writes.front();
            uint8_t* target = at(burst.address);
            const uint8_t* source = reinterpret_cast<const uint8_t*>(&m.MEM(wdata));
            if (target) {
                for (uint64_t i = 0; i < kBytes; ++i)
                    if (uint64_t(m.MEM(wstrb)) >> i & 1) target[i] = source[i];
                ++state->written_beats;
            } else {
                write_response = kSlaveError;
                ++state->refused_beats;
            }
            burst.address += kBytes;
            if (bool(m.MEM(wlast)) != (--burst.beats == 0)) throw std::runtime_error("W: WLAST is not in the last beat");
            if (burst.beats == 0) {
                answers.push_back({0, write_response, due, burst.id});
                write_response = kOkay;
                writes.pop_front();
            }
        }
        if (takes_read && m.MEM(arvalid))
            reads.push_back(request("AR", m.MEM(araddr), m.MEM(arlen), m.MEM(arsize), m.MEM(arburst), due, m.MEM(arid)));
        if (takes_write && m.MEM(awvalid))
            writes.push_back(request("AW", m.MEM(awaddr), m.MEM(awlen), m.MEM(awsize), m.MEM(awburst), 0, m.MEM(awid)));
    }
};

#else

// A design without a memory port.
struct Memory {
    void attach(MemoryState*) {}
    void restart() {}
    template <typename Any> void drive(Any&) {}
    template <typename Any> void sample(Any&) {}
};

#endif
