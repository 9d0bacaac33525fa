// One run of a netlist. An instance outside of loops takes the pulses of its inputs, which are known by then, merged by
// time, with no queue; those of a loop share a heap.

#pragma once

#include "kernel_machine.h"

#include <functional>
#include <memory>
#include <queue>
#include <stdexcept>

namespace sfq {

struct NotAtRest : std::exception {};

// Pulses on a wire, increasing; `data[count]` is kNever.
class Wire {
public:
    const Tick* data = &nothing;
    std::int64_t count = 0;

    // Borrows pulses that end in kNever.
    void lend(const Tick* pulses, std::int64_t length) {
        data = pulses;
        count = length;
    }

    // Room for `most` pulses and the end; what was there is lost.
    Tick* room(std::int64_t most) {
        if (most >= capacity_) {
            capacity_ = 2 * most + 8;
            own_.reset(new Tick[capacity_]);
        }
        return own_.get();
    }

    // The first `length` of `room` are the pulses; in order, and one a tick, unless `sorted` says that they are.
    void keep(std::int64_t length, bool sorted) {
        if (!sorted) {
            std::sort(own_.get(), own_.get() + length);
            length = std::unique(own_.get(), own_.get() + length) - own_.get();
        }
        own_[length] = kNever;
        lend(own_.get(), length);
    }

    void keep(const std::vector<Tick>& pulses) {
        std::copy(pulses.begin(), pulses.end(), room(static_cast<std::int64_t>(pulses.size())));
        keep(static_cast<std::int64_t>(pulses.size()), false);
    }

private:
    inline static const Tick nothing = kNever;
    std::unique_ptr<Tick[]> own_;
    std::int64_t capacity_ = 0;
};

// What a run leaves. Of violations either each one is kept, or they are counted.
struct Log {
    std::vector<Violation>* kept = nullptr;
    std::int64_t* counts = nullptr;  // by place of the pin in `input_wires`, then rule
    std::int64_t violations = 0, deliveries = 0;
};

class Trial {
public:
    Trial(const Netlist& netlist, const Levels& levels)
        : wires(netlist.wire_count),
          netlist_(netlist),
          levels_(levels),
          keys_(netlist.instance_count),
          scales_(netlist.instance_count),
          loop_wires_(netlist.wire_count) {
        std::int32_t most_inputs = 1, most_outputs = 1;
        for (std::int32_t i = 0; i < netlist.instance_count; ++i) {
            most_inputs = std::max(most_inputs, netlist.cell(i).inputs);
            most_outputs = std::max(most_outputs, netlist.cell(i).outputs);
        }
        scratch_.resize(3 * most_inputs + 2 * most_outputs);
        heads_.resize(most_inputs);
        ends_.resize(most_outputs);
        pins_.resize(most_inputs);
        unconnected_.resize(most_outputs);
        std::size_t looped = 0;
        for (const auto& component : levels.components)
            if (component.loop)
                for (auto at = component.begin; at < component.end; ++at) looped += 2 * netlist.cell(levels.order[at]).inputs;
        loop_ticks_.resize(looped);
        machines_.resize(looped ? netlist.instance_count : 0);
    }

    std::vector<Wire> wires;

    // Raises NotAtRest after too many deliveries.
    template <bool Spreads> void run(const Rules& rules, const Spread& spread, Word trial, Log& log) {
        rules_ = &rules;
        spread_ = &spread;
        log_ = &log;
        if (Spreads) draw_scales(key(key(0, spread.seed), trial));
        Tick* ticks = loop_ticks_.data();
        for (const auto& component : levels_.components) {
            if (component.loop)
                run_loop<Spreads>(component, ticks);
            else
                pass_any<Spreads>(levels_.order[component.begin]);
        }
    }

private:
    static constexpr Word kGlobal = Word{1} << 32;  // no instance has this number

    struct Event {
        Tick time;
        std::int32_t instance, pin;
        bool operator>(const Event& other) const {
            if (time != other.time) return time > other.time;
            return instance != other.instance ? instance > other.instance : pin > other.pin;
        }
    };

    const Netlist& netlist_;
    const Levels& levels_;
    const Rules* rules_ = nullptr;
    const Spread* spread_ = nullptr;
    Log* log_ = nullptr;
    std::vector<Word> keys_;      // of the random numbers, by instance
    std::vector<double> scales_;  // of the delays, by instance
    std::vector<Tick> scratch_, loop_ticks_;
    std::vector<const Tick*> heads_;
    std::vector<Tick*> ends_;
    std::vector<std::int32_t> pins_;
    std::vector<Wire> unconnected_;
    std::vector<Machine> machines_;
    std::vector<std::vector<Tick>> loop_wires_;

    void deliver(std::int64_t count) {
        log_->deliveries += count;
        if (log_->deliveries > rules_->most) throw NotAtRest();
    }

    // Of all instances in one loop, in which none waits for what the netlist does.
    void draw_scales(Word trial) {
        const double drawn = spread_->global_sigma > 0 ? normal(spread_->normals, key(trial, kGlobal), 0) : 0.0;
        const double global = 1.0 + spread_->global_sigma * drawn;
        for (std::size_t i = 0; i < keys_.size(); ++i) keys_[i] = key(trial, i);
        for (std::size_t i = 0; i < keys_.size(); ++i) {
            const double own = spread_->sigma > 0 ? normal(spread_->normals, keys_[i], 0) : 0.0;
            scales_[i] = spread_->scales[i] * global * (1.0 + spread_->sigma * own);
        }
    }

    template <bool Spreads> void reset(Machine& machine, int instance, int inputs) const {
        std::fill_n(machine.blocked, inputs, Tick{0});
        std::fill_n(machine.last, inputs, kLongAgo);
        machine.row = 0;
        machine.taken = 0;
        if (rules_->policy == kRandomise) machine.coin = rules_->coins[instance];
        if (Spreads) {
            machine.key = keys_[instance];
            machine.scale = scales_[instance];
            machine.window_scale = spread_->windows ? machine.scale : 1.0;
        }
    }

    // Records a pulse that comes too soon; whether it is obeyed.
    __attribute__((noinline)) bool violated(Machine& machine, int instance, Tick now, int pin, bool early, bool young) {
        const auto note = [&](Rule rule) {
            ++log_->violations;
            if (log_->counts) ++log_->counts[(netlist_.instances[instance].inputs + pin) * kRules + rule];
            if (log_->kept) log_->kept->push_back({now, instance, pin, rule, 0});
        };
        if (early) note(kTransitionTime);
        if (young) note(kPriorInput);
        return rules_->policy == kFlag || (rules_->policy == kRandomise && machine.toss());
    }

    // Takes pulses that come together, in the order of the pins in the state before them.
    template <int P, int O, typename Take>
    __attribute__((noinline)) void take_together(const Table<P, O>& table, int row, std::int32_t* pins, int count, Take&& take_one) {
        const Reaction* const of_state = table.reactions + row;
        std::sort(pins, pins + count, [&](int a, int b) { return of_state[a].rank < of_state[b].rank; });
        for (int i = 0; i < count; ++i) take_one(pins[i]);
    }

    template <bool Spreads> void pass_any(int instance) {
        const Cell& cell = netlist_.cell(instance);
        const auto pins = [](int inputs, int outputs) { return std::int64_t{inputs} << 32 | outputs; };
        switch (pins(cell.inputs, cell.outputs)) {
            case pins(1, 1): return pass<Spreads, 1, 1>(instance, cell);
            case pins(1, 2): return pass<Spreads, 1, 2>(instance, cell);
            case pins(2, 1): return pass<Spreads, 2, 1>(instance, cell);
            case pins(3, 1): return pass<Spreads, 3, 1>(instance, cell);
            default: return pass<Spreads, 0, 0>(instance, cell);
        }
    }

    // All pulses through an instance outside of loops.
    template <bool Spreads, int P, int O> void pass(int number, const Cell& cell) {
        const Table<P, O> table(netlist_, cell);
        const Instance& instance = netlist_.instances[number];
        const int inputs = table.inputs(), outputs = table.outputs();
        Tick local[3 * P + 2 * O + 1];
        const Tick* local_heads[P + 1];
        Tick* local_ends[O + 1];
        Tick* const next = P ? local : scratch_.data();
        Tick* const latest = next + 3 * inputs;
        const Tick** const heads = P ? local_heads : heads_.data();
        Tick** const ends = O ? local_ends : ends_.data();

        std::int64_t total = 0;
        for (int pin = 0; pin < inputs; ++pin) {
            const auto at = netlist_.input_wires[instance.inputs + pin];
            const Wire& wire = at < 0 ? nothing_ : wires[at];
            heads[pin] = wire.data;
            next[pin] = *wire.data;
            total += wire.count;
        }
        deliver(total);
        for (int output = 0; output < outputs; ++output) {
            ends[output] = driven(instance, output).room(total);
            latest[output] = -1;
        }
        bool sorted = true;
        if (total) {
            Machine machine{next + inputs, next + 2 * inputs};
            reset<Spreads>(machine, number, inputs);
            const Tick until = rules_->until;
            Tick now = 0;
            const auto send = [&](int output, Tick time, bool fired) {
                fired &= time <= until;
                *ends[output] = time;
                ends[output] += fired;
                sorted &= !fired | (time > latest[output]);
                latest[output] = fired ? time : latest[output];
            };
            const auto soon = [&](int pin, bool early, bool young) {
                return violated(machine, number, now, pin, early, young);
            };
            const auto take_one = [&](int pin) { take<Spreads>(table, machine, *spread_, pin, now, soon, send); };
            for (std::int64_t left = total; left > 0;) {
                int pin = 0;
                now = next[0];
                int together = 1;
                for (int other = 1; other < inputs; ++other) {
                    together = next[other] == now ? together + 1 : next[other] < now ? 1 : together;
                    pin = next[other] < now ? other : pin;
                    now = std::min(now, next[other]);
                }
                if (__builtin_expect(together == 1, 1)) {
                    next[pin] = *++heads[pin];
                    --left;
                    take_one(pin);
                    continue;
                }
                int count = 0;
                for (int other = 0; other < inputs; ++other)
                    if (next[other] == now) {
                        pins_[count++] = other;
                        next[other] = *++heads[other];
                    }
                left -= count;
                take_together(table, machine.row, pins_.data(), count, take_one);
            }
        }
        for (int output = 0; output < outputs; ++output) {
            Wire& wire = driven(instance, output);
            wire.keep(ends[output] - wire.room(0), sorted);
        }
    }

    Wire& driven(const Instance& instance, int output) {
        const auto wire = netlist_.output_wires[instance.outputs + output];
        return wire < 0 ? unconnected_[output] : wires[wire];
    }

    // All pulses through a loop; `ticks` is room for its machines, and moves on behind it.
    template <bool Spreads> void run_loop(const Component& component, Tick*& ticks) {
        std::priority_queue<Event, std::vector<Event>, std::greater<>> ahead;
        const auto member = levels_.member_of[levels_.order[component.begin]];
        for (auto at = component.begin; at < component.end; ++at) {
            const auto number = levels_.order[at];
            const Instance& instance = netlist_.instances[number];
            const Cell& cell = netlist_.cell(number);
            machines_[number] = {ticks, ticks + cell.inputs};
            ticks += 2 * cell.inputs;
            reset<Spreads>(machines_[number], number, cell.inputs);
            for (int output = 0; output < cell.outputs; ++output)
                if (const auto wire = netlist_.output_wires[instance.outputs + output]; wire >= 0) {
                    loop_wires_[wire].clear();
                    // Nothing of an earlier run may be taken for a pulse that comes into the loop.
                    wires[wire].keep(loop_wires_[wire]);
                }
        }
        for (auto at = component.begin; at < component.end; ++at) {
            const auto number = levels_.order[at];
            for (int pin = 0; pin < netlist_.cell(number).inputs; ++pin)
                if (const auto wire = netlist_.input_wires[netlist_.instances[number].inputs + pin]; wire >= 0)
                    for (std::int64_t i = 0; i < wires[wire].count; ++i) ahead.push({wires[wire].data[i], number, pin});
        }
        while (!ahead.empty()) {
            const auto [now, number, first] = ahead.top();
            int count = 0;
            while (!ahead.empty() && ahead.top().time == now && ahead.top().instance == number) {
                if (!count || pins_[count - 1] != ahead.top().pin) pins_[count++] = ahead.top().pin;
                ahead.pop();
            }
            const Instance& instance = netlist_.instances[number];
            const Table<0, 0> table(netlist_, netlist_.cell(number));
            Machine& machine = machines_[number];
            const auto send = [&](int output, Tick time, bool fired) {
                const auto wire = netlist_.output_wires[instance.outputs + output];
                if (!fired || wire < 0 || time > rules_->until) return;
                loop_wires_[wire].push_back(time);
                const auto [to, pin] = levels_.receivers[wire];
                if (to >= 0 && levels_.member_of[to] == member) ahead.push({time, to, pin});
            };
            const auto soon = [&](int pin, bool early, bool young) {
                return violated(machine, number, now, pin, early, young);
            };
            take_together(table, machine.row, pins_.data(), count, [&](int pin) {
                take<Spreads>(table, machine, *spread_, pin, now, soon, send);
            });
            deliver(count);
        }
        for (auto at = component.begin; at < component.end; ++at) {
            const auto number = levels_.order[at];
            for (int output = 0; output < netlist_.cell(number).outputs; ++output)
                if (const auto wire = netlist_.output_wires[netlist_.instances[number].outputs + output]; wire >= 0)
                    wires[wire].keep(loop_wires_[wire]);
        }
    }

    inline static const Wire nothing_;
};

}  // namespace sfq
