// The compiled event kernel: a netlist of pulse logic in flat arrays, once, or in many trials of which each has delays of
// its own. kernel.py holds its other end.

#include "kernel_trial.h"

#include <atomic>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using namespace sfq;

enum Code : int { kDone, kNotAtRest, kNoMemory };

constexpr std::int64_t kBatch = 8;  // trials that a thread takes at once

struct Simulator {
    Netlist netlist;
    Levels levels;
    Trial trial;
    std::vector<Violation> violations;

    explicit Simulator(const Netlist& given) : netlist(given), levels(netlist), trial(netlist, levels) {}
};

// Mirrored by StimulusArrays in kernel.py: pulses of the input wires, one wire after the other, each ending in kNever.
struct Stimulus {
    const Tick* pulses;
    const std::int64_t* counts;
};

// Mirrored by TrialArrays in kernel.py.
struct Trials {
    std::int64_t first, count, threads;
    std::int64_t outputs;            // wires that are looked at
    const std::int32_t* wires;       // by output
    const std::int64_t* expected;    // pulses, by output
    std::int64_t slots;              // all expected pulses
    Tick* arrivals;                  // by trial and slot; -1 for outputs with another number of pulses
    std::int64_t* pulses;            // by trial and output
    std::int64_t* violations;        // by trial
    std::int64_t* broken;            // by place of the pin in `input_wires`, then rule: over all trials
    std::int64_t pins;               // places in `input_wires`
    std::int64_t deliveries;         // over all trials
};

void drive(Trial& trial, const Netlist& netlist, const Stimulus& stimulus) {
    const Tick* at = stimulus.pulses;
    for (std::int64_t wire = 0; wire < netlist.input_count; ++wire) {
        trial.wires[wire].lend(at, stimulus.counts[wire]);
        at += stimulus.counts[wire] + 1;
    }
}

// What is looked at of one trial.
void look(const Trial& trial, const Trials& trials, std::int64_t place) {
    Tick* slot = trials.arrivals + place * trials.slots;
    for (std::int64_t output = 0; output < trials.outputs; ++output) {
        const Wire& wire = trial.wires[trials.wires[output]];
        const std::int64_t expected = trials.expected[output];
        trials.pulses[place * trials.outputs + output] = wire.count;
        if (wire.count == expected)
            std::copy_n(wire.data, expected, slot);
        else
            std::fill_n(slot, expected, Tick{-1});
        slot += expected;
    }
}

template <typename Work> int guarded(Work&& work) {
    try {
        work();
        return kDone;
    } catch (const NotAtRest&) {
        return kNotAtRest;
    } catch (const std::bad_alloc&) {
        return kNoMemory;
    }
}

}  // namespace

// Null if there is no memory. The arrays must stay.
EXPORT void* sfq_new(const Netlist* netlist) {
    Simulator* made = nullptr;
    guarded([&] { made = new Simulator(*netlist); });
    return made;
}

EXPORT void sfq_delete(Simulator* simulator) { delete simulator; }

// Runs once, without a spread; `counts`: pulses by wire, then violations, then deliveries.
EXPORT int sfq_run(Simulator* simulator, const Stimulus* stimulus, const Rules* rules, std::int64_t* counts) {
    return guarded([&] {
        auto& [netlist, levels, trial, violations] = *simulator;
        violations.clear();
        Log log;
        log.kept = &violations;
        drive(trial, netlist, *stimulus);
        trial.run<false>(*rules, Spread{}, 0, log);
        std::stable_sort(violations.begin(), violations.end(), [](const Violation& a, const Violation& b) {
            return a.time != b.time ? a.time < b.time : a.instance < b.instance;
        });
        for (const Wire& wire : trial.wires) *counts++ = wire.count;
        *counts++ = static_cast<std::int64_t>(violations.size());
        *counts = log.deliveries;
    });
}

// What the last run left: the pulses of all wires, one wire after the other, and the violations.
EXPORT void sfq_read(const Simulator* simulator, Tick* pulses, Violation* violations) {
    for (const Wire& wire : simulator->trial.wires) pulses = std::copy_n(wire.data, wire.count, pulses);
    std::copy(simulator->violations.begin(), simulator->violations.end(), violations);
}

// Trials `first` to `first + count - 1`, the same for any number of threads.
EXPORT int sfq_trials(
    const Simulator* simulator, const Stimulus* stimulus, const Rules* rules, const Spread* spread, Trials* trials
) {
    std::atomic<std::int64_t> next{0};
    std::atomic<int> code{kDone};
    std::mutex merging;
    const auto work = [&] {
        const int ended = guarded([&] {
            Trial trial(simulator->netlist, simulator->levels);
            std::vector<std::int64_t> broken(trials->pins * kRules);
            std::int64_t deliveries = 0;
            drive(trial, simulator->netlist, *stimulus);
            for (std::int64_t begin; code == kDone && (begin = next.fetch_add(kBatch)) < trials->count;)
                for (auto place = begin; place < std::min(begin + kBatch, trials->count); ++place) {
                    Log log;
                    log.counts = broken.data();
                    trial.run<true>(*rules, *spread, static_cast<Word>(trials->first + place), log);
                    look(trial, *trials, place);
                    trials->violations[place] = log.violations;
                    deliveries += log.deliveries;
                }
            const std::lock_guard<std::mutex> lock(merging);
            for (std::size_t i = 0; i < broken.size(); ++i) trials->broken[i] += broken[i];
            trials->deliveries += deliveries;
        });
        if (ended != kDone) code = ended;
    };
    std::vector<std::thread> helpers;
    try {
        for (std::int64_t i = 1; i < trials->threads; ++i) helpers.emplace_back(work);
    } catch (const std::system_error&) {
        // There are no more threads; those that there are do all the work.
    }
    work();
    for (auto& helper : helpers) helper.join();
    return code;
}
