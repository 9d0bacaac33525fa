// A netlist as flat arrays, as flat_netlist.py makes them, and the order in which its instances are worked off.

#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>
#include <vector>

namespace sfq {

using Tick = std::int64_t;

constexpr Tick kNever = std::numeric_limits<Tick>::max();

// Mirrored by CELL in flat_netlist.py. A reaction's number is first + row + pin, row = state * inputs.
struct Cell {
    std::int32_t inputs, outputs;
    std::int32_t first;    // of its reactions
    std::int32_t windows;  // where the blocks, and the ages, of its reactions begin: `inputs` ticks each
    std::int32_t delays;   // where their delays begin: `outputs` ticks each, 0 where nothing is fired
    std::int32_t blocking, aged;  // whether any of its blocks, or ages, is above 0
};

// Mirrored by REACTION.
struct Reaction {
    std::int32_t row;   // of the state after it
    std::int32_t rank;  // of the pin among those of the state, where pulses come together
};

// Mirrored by INSTANCE.
struct Instance {
    std::int32_t cell;
    std::int32_t inputs, outputs;  // where its pins are in `input_wires`, `output_wires`
};

// Mirrored by FlatArrays.
struct Netlist {
    std::int64_t instance_count, wire_count, input_count;
    const Cell* cells;
    const Reaction* reactions;
    const Tick *blocks, *ages, *delays;
    const Instance* instances;
    const std::int32_t *input_wires, *output_wires;  // -1 where a pin is not connected

    const Cell& cell(int instance) const { return cells[instances[instance].cell]; }
};

// Where a wire leads to.
struct Receiver {
    std::int32_t instance = -1, pin = -1;
};

// Instances that feed each other, or one that feeds only others: a strongly connected component.
struct Component {
    std::int32_t begin, end;  // in `Levels::order`
    bool loop;
};

// Components in an order in which whatever drives a wire comes before what receives it (Tarjan 1972, without recursion).
struct Levels {
    std::vector<Receiver> receivers;       // by wire
    std::vector<std::int32_t> order;       // instances, those of a component side by side
    std::vector<Component> components;
    std::vector<std::int32_t> member_of;   // component by instance

    explicit Levels(const Netlist& netlist) : netlist_(netlist) {
        const std::size_t count = netlist.instance_count;
        receivers.resize(netlist.wire_count);
        for (std::int32_t i = 0; i < static_cast<std::int32_t>(count); ++i)
            for (std::int32_t pin = 0; pin < netlist.cell(i).inputs; ++pin)
                if (const auto wire = netlist.input_wires[netlist.instances[i].inputs + pin]; wire >= 0)
                    receivers[wire] = {i, pin};
        member_of.assign(count, -1);
        number_.assign(count, -1);
        low_.assign(count, 0);
        for (std::int32_t i = 0; i < static_cast<std::int32_t>(count); ++i)
            if (number_[i] < 0) visit(i);
        // A component is found after all that it leads to.
        std::reverse(components.begin(), components.end());
        const auto last = static_cast<std::int32_t>(components.size()) - 1;
        for (auto& member : member_of) member = last - member;
    }

private:
    struct Frame {
        std::int32_t instance, output;
    };

    const Netlist& netlist_;
    std::vector<std::int32_t> number_, low_, open_;
    std::int32_t next_number_ = 0;

    void enter(std::vector<Frame>& path, std::int32_t instance) {
        number_[instance] = low_[instance] = next_number_++;
        open_.push_back(instance);
        path.push_back({instance, 0});
    }

    void visit(std::int32_t root) {
        std::vector<Frame> path;
        enter(path, root);
        while (!path.empty()) {
            auto& [instance, output] = path.back();
            if (output == netlist_.cell(instance).outputs) {
                const std::int32_t done = instance;
                path.pop_back();
                if (!path.empty()) low_[path.back().instance] = std::min(low_[path.back().instance], low_[done]);
                if (low_[done] == number_[done]) close(done);
                continue;
            }
            const auto wire = netlist_.output_wires[netlist_.instances[instance].outputs + output++];
            const auto next = wire < 0 ? -1 : receivers[wire].instance;
            if (next < 0) continue;
            if (number_[next] < 0)
                enter(path, next);
            else if (member_of[next] < 0)
                low_[instance] = std::min(low_[instance], number_[next]);
        }
    }

    void close(std::int32_t root) {
        const auto begin = static_cast<std::int32_t>(order.size());
        std::int32_t member;
        do {
            member = open_.back();
            open_.pop_back();
            member_of[member] = static_cast<std::int32_t>(components.size());
            order.push_back(member);
        } while (member != root);
        const auto end = static_cast<std::int32_t>(order.size());
        components.push_back({begin, end, end - begin > 1 || feeds_itself(root)});
    }

    bool feeds_itself(std::int32_t instance) const {
        for (std::int32_t output = 0; output < netlist_.cell(instance).outputs; ++output)
            if (const auto wire = netlist_.output_wires[netlist_.instances[instance].outputs + output];
                wire >= 0 && receivers[wire].instance == instance)
                return true;
        return false;
    }
};

}  // namespace sfq
