// An instance at work, and what a pulse does to it. event_model.py says what is right; here the same is quick.

#pragma once

#include "kernel_netlist.h"
#include "kernel_random.h"

#include <vector>

namespace sfq {

enum Policy : std::int32_t { kFlag, kDrop, kRandomise };
enum Rule : std::int32_t { kTransitionTime, kPriorInput, kRules };

constexpr Tick kLongAgo = -(Tick{1} << 62);

// Mirrored by VIOLATION in kernel.py.
struct Violation {
    Tick time;
    std::int32_t instance, pin, rule, spare;
};

// Mirrored by SpreadArrays in kernel.py. Without a spread all of it is unused.
struct Spread {
    const double* normals;  // table of the normal distribution
    const double* scales;   // of the delays, by instance
    double sigma;           // relative, of an instance's scale
    double global_sigma;    // relative, of a trial's scale
    double jitter;          // ticks
    Word seed;
    std::int32_t windows;   // whether windows scale with delays
    std::int32_t spare;
};

// What does not change in a run.
struct Rules {
    Tick until;                 // the last tick that is looked at
    std::int64_t most;          // deliveries
    const std::uint16_t* coins; // by instance; of kRandomise
    std::int32_t policy;
    std::int32_t spare;
};

// An instance's state. `blocked` and `last` have a tick for each input.
struct Machine {
    Tick *blocked, *last;
    std::int32_t row = 0;
    std::uint16_t coin = 0;
    Word taken = 0;  // pulses that were obeyed
    Word key = 0;    // of its random numbers
    double scale = 1, window_scale = 1;

    // The top bit of a xorshift of 16 bits.
    bool toss() {
        std::uint16_t word = coin;
        word ^= static_cast<std::uint16_t>(word << 7);
        word ^= word >> 9;
        word ^= static_cast<std::uint16_t>(word << 8);
        coin = word;
        return word >> 15;
    }
};

// The tables of a cell, P inputs and O outputs; 0 stands for any number.
template <int P, int O> struct Table {
    const Reaction* reactions;
    const Tick *blocks, *ages, *delays;
    const int any_inputs, any_outputs;
    const bool blocking, aged;

    Table(const Netlist& netlist, const Cell& cell)
        : reactions(netlist.reactions + cell.first),
          blocks(netlist.blocks + cell.windows),
          ages(netlist.ages + cell.windows),
          delays(netlist.delays + cell.delays),
          any_inputs(cell.inputs),
          any_outputs(cell.outputs),
          blocking(cell.blocking),
          aged(cell.aged) {}

    int inputs() const { return P ? P : any_inputs; }
    int outputs() const { return O ? O : any_outputs; }
};

// Takes one pulse. `violated(pin, early, young)` is told of one that comes too soon, and says whether it is obeyed;
// `send(output, time, fired)` is called for every output, fired or not.
template <bool Spreads, int P, int O, typename Violated, typename Send>
inline void take(
    const Table<P, O>& table, Machine& machine, const Spread& spread, int pin, Tick now, Violated&& violated, Send&& send
) {
    const auto window = [&](Tick time) {
        return Spreads ? ticks(static_cast<double>(time) * machine.window_scale, 0) : time;
    };
    const int reaction = machine.row + pin;
    const Tick* const ages = table.ages + reaction * table.inputs();
    const Tick* const blocks = table.blocks + reaction * table.inputs();
    const bool early = now < machine.blocked[pin];
    bool young = false;
    if (table.aged)
        for (int other = 0; other < table.inputs(); ++other) young |= now - machine.last[other] < window(ages[other]);
    if (__builtin_expect(early | young, 0) && !violated(pin, early, young)) return;
    machine.row = table.reactions[reaction].row;
    if (table.blocking)
        for (int other = 0; other < table.inputs(); ++other)
            machine.blocked[other] = std::max(machine.blocked[other], now + window(blocks[other]));
    machine.last[pin] = now;
    for (int output = 0; output < table.outputs(); ++output) {
        const Tick nominal = table.delays[reaction * table.outputs() + output];
        Tick delay = nominal;
        if (Spreads && nominal) {
            double drawn = static_cast<double>(nominal) * machine.scale;
            if (spread.jitter > 0)
                drawn += spread.jitter * normal(spread.normals, machine.key, machine.taken * table.outputs() + output + 1);
            delay = ticks(drawn, 1);
        }
        send(output, now + delay, nominal != 0);
    }
    ++machine.taken;
}

}  // namespace sfq
