// The compiled twin of channel_model.py: a channel from event to event. channel_kernel.py holds its other end.

#include "channel_kernel.h"

#include <new>

#define EXPORT extern "C" __attribute__((visibility("default")))

namespace {

using namespace pim;

// A column of `STEP` in channel_lanes.py.
struct Step {
    std::int32_t final, is_register, bank, row, col, left, buf, gb, acc;
};

struct Entry : Step {
    std::int32_t index;
    bool opened;
};

struct Candidate {
    Cycle ready;
    Need need;
    Entry* entry;  // none: the refresher
};

// Mirrored by BURST_FIELDS in channel_run.py.
struct Burst {
    Cycle cycle, command, bank, row, col, buf, index, count, step;
};

// Mirrored by ResultArray in channel_kernel.py.
struct Result {
    Cycle end, misses, stalls[kStalls], issued[kCommands], latest[kCommands];
};

// The entry that works, and those that follow it.
class Lane {
  public:
    bool empty() const { return count_ == 0; }
    int size() const { return count_; }
    Entry& operator[](int place) { return entries_[place]; }
    void push(const Step& step, std::int32_t index) {
        static_cast<Step&>(entries_[count_]) = step;
        entries_[count_].index = index;
        entries_[count_++].opened = false;
    }
    void leave() {
        if (!count_ || entries_[0].left) return;
        entries_[0] = entries_[1];
        --count_;
    }

  private:
    Entry entries_[3];
    int count_ = 0;
};

class Channel {
  public:
    explicit Channel(const Config& config)
        : config_(config),
          rules_(config.rules, config.rules + 4 * config.rule_count),
          times_((config_.rules = rules_.data(), config_)) {
        for (auto& rows : rows_) std::fill_n(rows, kMostBanks, -1);
        set_deadlines();
    }

    const std::vector<Burst>& bursts() const { return bursts_; }

    void run(const Step* steps, std::int64_t count, Cycle start, Result& result) {
        bursts_.clear();
        next_ = last_ = steps;
        advance(start, result);
        result = Result{};
        first_ = steps;
        last_ = steps + count;
        advance(kNever, result);
        result.end = now_ - 1;
    }

  private:
    void set_deadlines() {
        owed_from_ = forced_from_ = kNever;
        if (!config_.refresh) return;
        owed_from_ = (refreshes_ + 1) * config_.refresh_interval;
        forced_from_ = (std::min(refreshes_, due_at_last_) + kPostponed) * config_.refresh_interval;
    }

    void advance(Cycle stop, Result& result) {
        while (now_ < stop) {
            bank_lane_.leave();
            register_lane_.leave();
            Cycle horizon = stop;
            if (next_ != last_) {
                if (dispatch()) horizon = now_ + 1;
            } else if (stop == kNever && bank_lane_.empty() && register_lane_.empty() && !ahead_) {
                horizon = stop = std::max(now_, answered_) + 1;
            }
            need_ = bank_lane_.empty() ? Need{} : need_of(bank_lane_[0]);
            const Cycle calm_until = find_candidates();
            issue(std::min(horizon, calm_until), result);
        }
    }

    // Takes one instruction if it can; says whether the next might be taken in the next cycle.
    bool dispatch() {
        const Step& step = *next_;
        const bool busy = !bank_lane_.empty() || !register_lane_.empty();
        if (ahead_) return false;
        if (step.final >= 0) {
            Lane& own = step.is_register ? register_lane_ : bank_lane_;
            Lane& other = step.is_register ? bank_lane_ : register_lane_;
            if (busy && !(config_.overlap && has_room(step, own, other))) return false;
            own.push(step, static_cast<std::int32_t>(next_ - first_));
            ++next_;
            return config_.overlap || (next_ != last_ && next_->final == kSkip);
        }
        if (step.final == kAhead) {
            if (busy) return false;
            ahead_ = now_ / config_.refresh_interval - refreshes_ > -kPostponed ? step.left : 0;
        }
        ++next_;
        return true;
    }

    bool has_room(const Step& one, Lane& own, Lane& other) const {
        if (own.size() >= config_.lane_depth) return false;
        for (int place = 0; place < other.size(); ++place) {
            const Step& reg = one.is_register ? one : other[place];
            const Step& bank = one.is_register ? other[place] : one;
            if (is_mac(bank.final) && (reg.final == WRGB ? reg.gb == bank.gb : reg.acc == bank.acc)) return false;
        }
        return true;
    }

    bool any_open(int buf) const {
        return std::any_of(rows_[buf], rows_[buf] + config_.banks, [](std::int32_t row) { return row >= 0; });
    }

    // What an entry of the bank lane needs next.
    Need need_of(const Entry& entry) const {
        const int buf = entry.buf;
        if (entry.final != MAC) {
            const std::int32_t held = rows_[0][entry.bank];
            return {held == entry.row ? entry.final : held < 0 ? ACT : PRE, 0, entry.bank, 0};
        }
        const int begun = whole_[buf] == entry.row ? groups_open_[buf] : 0;
        if (begun == config_.banks / config_.group_banks) return {MAC, buf, 0, 0};
        if (!begun && any_open(buf)) return {PREA, buf, 0, 0};
        return {ACTG, buf, begun * static_cast<int>(config_.group_banks), begun};
    }

    void add(const Need& need, Entry* entry) { candidates_[count_++] = {times_.cycle(need), need, entry}; }

    // What can go, in order of priority; returns until when no refresh changes that.
    Cycle find_candidates() {
        count_ = 0;
        const bool column = need_.command && !is_row(need_.command);
        const bool boundary = !need_.command || (is_row(need_.command) && !need_.group);
        const Cycle wanted_from = boundary ? std::min(owed_from_, forced_from_) : forced_from_;
        Cycle calm_until = kNever;
        if (refreshing_ || ahead_ || now_ >= wanted_from) {
            refreshing_ = true;
            int buf = 0;
            while (buf < config_.row_buffers && !any_open(buf)) ++buf;
            add(buf < config_.row_buffers ? Need{PREA, buf, 0, 0} : Need{REF, 0, 0, 0}, nullptr);
        } else {
            calm_until = wanted_from;
            if (need_.command && !column) add(need_, &bank_lane_[0]);
            if (column && bank_lane_.size() > 1) open_ahead();
        }
        if (!register_lane_.empty()) add({register_lane_[0].final, 0, 0, 0}, &register_lane_[0]);
        if (column && !refreshing_) add(need_, &bank_lane_[0]);
        return calm_until;
    }

    void open_ahead() {
        Entry& following = bank_lane_[1];
        if (bank_lane_[0].final != MAC || following.final != MAC || bank_lane_[0].buf == following.buf) return;
        const Need opening = need_of(following);
        if (is_row(opening.command)) add(opening, &following);
    }

    void issue(Cycle horizon, Result& result) {
        Cycle at = kNever;
        int place = 0;
        for (int number = 0; number < count_; ++number) {
            const Cycle ready = std::max(candidates_[number].ready, now_);
            if (ready < at) at = ready, place = number;
        }
        if (at >= horizon) {
            stall(horizon - now_, result);
            now_ = horizon;
            return;
        }
        stall(at - now_, result);
        const Candidate& chosen = candidates_[place];
        Entry* entry = chosen.entry;
        if (entry && config_.mode_switch && entry->is_register != register_mode_) {
            register_mode_ = !register_mode_;
            send({TMOD, 0, 0, 0}, at, 1, entry, result);
        } else if (entry && chosen.need.command == entry->final && entry->left > 1) {
            return issue_burst(place, at, horizon, result);
        } else {
            send(chosen.need, at, 1, entry, result);
        }
        now_ = at + 1;
    }

    // Columns of a burst, one or more, and of one that alternates with it.
    void issue_burst(int place, Cycle at, Cycle horizon, Result& result) {
        const Candidate chosen = candidates_[place];
        const Cycle step = times_.step(chosen.need.command);
        Cycle count = std::min<Cycle>(chosen.entry->left, columns(horizon - at, step)), beside = horizon, first_of_twin = 0;
        const Candidate* twin = nullptr;
        for (int number = 0; number < count_; ++number) {
            if (number == place) continue;
            const Candidate& other = candidates_[number];
            const Cycle first = std::max(other.ready, at + 1);
            // One that comes before it takes its cycle; one that comes after it a cycle between two columns.
            if (number < place) {
                count = std::min(count, columns(first - at, step));
            } else if (step > 1) {
                count = std::min(count, (first - at) / step + 1);
            }
            const bool alternating = (is_mac(chosen.need.command) && other.need.command == WRGB) ||
                                     (chosen.need.command == WRGB && is_mac(other.need.command));
            if (alternating && first < at + step && step == times_.step(other.need.command)) {
                twin = &other;
                first_of_twin = first;
            } else {
                beside = std::min(beside, first);
            }
        }
        if (twin && twin->entry->left > 1 && !chosen.entry->opened && !twin->entry->opened) {
            // Not its last: what follows it in its lane may take the other's cycle.
            const Cycle most = std::min(chosen.entry->left - 1, twin->entry->left);
            const Cycle pairs = std::min(most, columns(beside - first_of_twin, step));
            if (pairs > 1) {
                send(chosen.need, at, pairs, chosen.entry, result);
                send(twin->need, first_of_twin, pairs, twin->entry, result);
                now_ = first_of_twin + (pairs - 1) * step + 1;
                return stall(now_ - at - 2 * pairs, result);
            }
        }
        send(chosen.need, at, count, chosen.entry, result);
        stall((count - 1) * (step - 1), result);
        now_ = at + (count - 1) * step + 1;
    }

    // Columns of a burst that go before so many cycles are over.
    static Cycle columns(Cycle cycles, Cycle step) { return (cycles + step - 1) / step; }

    void send(const Need& need, Cycle cycle, Cycle count, Entry* entry, Result& result) {
        const int command = need.command;
        const Cycle step = times_.step(command), last = cycle + (count - 1) * step;
        times_.issued(need, last);
        result.issued[command] += count;
        result.latest[command] = last;
        const bool final = entry && command == entry->final;
        const std::int32_t row = entry && (final || command == ACT || command == ACTG) ? entry->row : 0;
        bursts_.push_back({cycle, command, need.bank, row, final ? entry->col : 0, need.buf, entry ? entry->index : -1, count, step});
        if (final) {
            entry->left -= static_cast<std::int32_t>(count);
            entry->col += static_cast<std::int32_t>(count);
            result.misses += entry->opened;
            entry->opened = false;
            if (command == RDMAC && !config_.overlap) answered_ = cycle + config_.answer;
        } else if (command == REF) {
            refreshed(cycle);
        } else if (command != TMOD) {
            change_rows(need, row);
            if (entry && (command == ACT || command == ACTG)) entry->opened = true;
        }
    }

    void refreshed(Cycle cycle) {
        ++refreshes_;
        due_at_last_ = cycle / config_.refresh_interval;
        refreshing_ = false;
        ahead_ = due_at_last_ - refreshes_ > -kPostponed ? std::max<Cycle>(0, ahead_ - 1) : 0;
        set_deadlines();
    }

    void change_rows(const Need& need, std::int32_t row) {
        const int command = need.command, buf = need.buf;
        if (command == ACT || command == PRE) {
            rows_[0][need.bank] = command == ACT ? row : -1;
            whole_[0] = -1;
        } else if (command == ACTG) {
            std::fill_n(rows_[buf] + need.bank, config_.group_banks, row);
            whole_[buf] = row;
            groups_open_[buf] = need.group + 1;
        } else {
            std::fill_n(rows_[buf], config_.banks, -1);
            whole_[buf] = -1;
            groups_open_[buf] = 0;
        }
    }

    void stall(Cycle cycles, Result& result) {
        Stall cause = register_lane_.empty() ? kIdle : kTiming;
        if (refreshing_) {
            cause = kRefresh;
        } else if (need_.command) {
            cause = is_row(need_.command) || bank_lane_[0].opened ? kRow : kTiming;
        }
        result.stalls[cause] += cycles;
    }

    Config config_;
    std::vector<std::int32_t> rules_;
    NotBefore times_;
    Cycle now_ = 1, answered_ = 0, owed_from_ = kNever, forced_from_ = kNever;
    Cycle refreshes_ = 0, due_at_last_ = 0, ahead_ = 0;
    bool refreshing_ = false, register_mode_ = false;
    std::int32_t rows_[kMostBuffers][kMostBanks];
    std::int32_t whole_[kMostBuffers] = {-1, -1};
    int groups_open_[kMostBuffers] = {};
    Lane bank_lane_, register_lane_;
    Need need_{};  // of the bank lane's entry
    Candidate candidates_[4];
    int count_ = 0;
    const Step *first_ = nullptr, *next_ = nullptr, *last_ = nullptr;
    std::vector<Burst> bursts_;
};

}  // namespace

EXPORT void* pim_new(const Config* config) { return new (std::nothrow) Channel(*config); }

EXPORT void pim_delete(void* channel) { delete static_cast<Channel*>(channel); }

// Returns the number of bursts, or -1 where memory is short.
EXPORT std::int64_t pim_run(void* channel, const void* steps, std::int64_t count, std::int64_t start, void* result) {
    auto& one = *static_cast<Channel*>(channel);
    try {
        one.run(static_cast<const Step*>(steps), count, start, *static_cast<Result*>(result));
    } catch (const std::bad_alloc&) {
        return -1;
    }
    return static_cast<std::int64_t>(one.bursts().size());
}

EXPORT void pim_read(const void* channel, void* bursts) {
    const auto& found = static_cast<const Channel*>(channel)->bursts();
    std::copy(found.begin(), found.end(), static_cast<Burst*>(bursts));
}
