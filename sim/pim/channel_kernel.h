// Commands, configs and the rules of time of the compiled twin of channel_model.py.

#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

namespace pim {

using Cycle = std::int64_t;

constexpr Cycle kNever = Cycle{1} << 62;
constexpr Cycle kLongAgo = -(Cycle{1} << 40);
constexpr int kPostponed = 8;

// As in hdl/pim/commands.py.
enum Command : int { NOP, ACT, ACTG, PRE, PREA, REF, RD, WR, MACB, MAC, WRGB, WRMAC, RDMAC, TMOD, kCommands };

enum Level : int { kChannel, kBuffer, kBank };
enum Stall : int { kRefresh, kRow, kTiming, kIdle, kStalls };

constexpr int kSkip = -1, kAhead = -2;  // steps that are no command
constexpr int kMostBanks = 16, kMostBuffers = 2;

// Mirrored by ConfigArray in channel_kernel.py.
struct Config {
    std::int64_t banks, group_banks, row_buffers, overlap, lane_depth, mode_switch, single_shot;
    std::int64_t faw, refresh, refresh_interval, answer, rule_count;
    const std::int32_t* rules;  // level, previous, next, cycles
};

struct Need {
    int command, buf, bank, group;
};

inline bool is_row(int command) { return command == ACT || command == ACTG || command == PRE || command == PREA; }
inline bool is_single(int command) { return command == ACT || command == PRE || (command >= RD && command <= MACB); }
inline bool is_mac(int command) { return command == MAC || command == MACB; }

// From which cycle on a command may come: what not_before.py says.
class NotBefore {
  public:
    explicit NotBefore(const Config& config) : config_(config) {
        std::fill_n(activations_, 4, kLongAgo);
        for (std::int64_t at = 0; at < config.rule_count; ++at) {
            const std::int32_t* rule = config.rules + 4 * at;
            after_[rule[0]][rule[1]].push_back({rule[2], rule[3]});
            if (rule[1] == rule[2]) steps_[rule[1]] = std::max<Cycle>(steps_[rule[1]], rule[3]);
        }
    }

    // From a command to the next of its burst.
    Cycle step(int command) const { return std::max<Cycle>(1, steps_[command]); }

    Cycle cycle(const Need& need) const {
        const int command = need.command;
        Cycle found = channel_[command];
        if (command == REF) {
            for (int buf = 0; buf < config_.row_buffers; ++buf) found = std::max(found, buffer_[buf][command]);
            return found;
        }
        if (!need.group) found = std::max(found, buffer_[need.buf][command]);
        if (is_single(command)) found = std::max(found, bank_[need.bank][command]);
        const int banks = staggered(command);
        if (banks && config_.faw) found = std::max(found, activations_[banks - 1] + config_.faw);
        return found;
    }

    void issued(const Need& need, Cycle cycle) {
        Cycle* const times[] = {channel_, buffer_[need.buf], bank_[need.bank]};
        for (int level : {kChannel, kBuffer, kBank})
            for (const After& one : after_[level][need.command])
                times[level][one.next] = std::max(times[level][one.next], cycle + one.cycles);
        for (int bank = staggered(need.command); bank > 0; --bank) {
            std::copy(activations_ + 1, activations_ + 4, activations_);
            activations_[3] = cycle;
        }
    }

  private:
    struct After {
        int next, cycles;
    };

    // Banks that a command puts into the window of four activations.
    int staggered(int command) const {
        if (command == ACT) return 1;
        return command == ACTG && !config_.single_shot ? static_cast<int>(config_.group_banks) : 0;
    }

    const Config& config_;
    std::vector<After> after_[3][kCommands];
    Cycle steps_[kCommands] = {};
    Cycle channel_[kCommands] = {};
    Cycle buffer_[kMostBuffers][kCommands] = {};
    Cycle bank_[kMostBanks][kCommands] = {};
    Cycle activations_[4];
};

}  // namespace pim
