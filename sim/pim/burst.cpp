// The burst simulator of a channel: the cycles of the order and the times in hdl/pim/README.md, with runs of column
// commands that nothing can come between taken at once. Cycles count from reset; the first is 1. `burst.py` holds the
// other end of each struct.

#include <algorithm>
#include <cstdint>
#include <vector>

namespace {

using Cycle = int64_t;
constexpr Cycle NEVER = INT64_MAX / 4;
constexpr int COMMANDS = 14, BUFFERS = 2, BANKS = 16, CLOSED = -1, OWED = 8;

enum Command { NOP, ACT, ACTG, PRE, PREA, REF, RD, WR, MACB, MAC, WRGB, WRMAC, RDMAC, TMOD };
enum Op { WR_GB = 1, WR_BIAS, RD_MAC, MAC_ABK, MAC_SBK, OP_RD, OP_WR, REFRESH, EOC };
enum Level { CHANNEL, BUFFER, BANK };

struct Config {
    int64_t banks, buffers, overlap, group_banks, single_shot, faw, refresh, refresh_interval, mode_switch, answer;
    int64_t latency[COMMANDS];            // from the command to the end of its data
    int64_t rules[3][COMMANDS][COMMANDS]; // by level, previous, next; 0: none
};

struct Counters {
    int64_t commands[COMMANDS], row_misses, refreshes_forced, latest_refresh;
};

struct Program {
    int64_t cycles, macs, column_commands, row_misses;
};

struct Instruction {
    int op, row, count, acc, gb, buf, bank;
    explicit Instruction(uint64_t word = 0)
        : op(int(word >> 58)), row(int(word >> 20 & 0x3FFF)), count(int(word >> 6 & 0xFF)), acc(int(word & 1)),
          gb(int(word >> 1 & 1)), buf(int(word >> 2 & 1)), bank(0) {
        if (count == 0) count = 256;
        const auto mask = unsigned(word >> 34 & 0xFFFF);
        while (bank < 15 && !(mask >> bank & 1)) bank++;
        if (op == WR_BIAS || op == RD_MAC) count = 1;
        if (op != MAC_ABK) buf = 0;
    }
    bool multiplies() const { return op == MAC_ABK || op == MAC_SBK; }
    bool for_registers() const { return op <= RD_MAC; }
    bool conflicts(const Instruction& other) const {
        const Instruction& mac = multiplies() ? *this : other;
        const Instruction& reg = multiplies() ? other : *this;
        if (!mac.multiplies() || !reg.for_registers()) return false;
        return reg.op == WR_GB ? reg.gb == mac.gb : reg.acc == mac.acc;
    }
};

struct Entry {
    Instruction at;
    bool opened = false; // an activation was issued for it since its last column command
};

struct Lane {
    Entry entries[2];
    int used = 0;
    void push(const Instruction& one) { entries[used++] = Entry{one, false}; }
    void pop() {
        entries[0] = entries[1];
        used--;
    }
};

struct Rule {
    int level, next;
    Cycle cycles;
};

struct Candidate {
    int command = NOP, buffer = 0, bank = 0;
    Entry* entry = nullptr;
    Cycle ready = NEVER;
};

struct Channel {
    Config config;
    Counters counters{}, before{}; // since reset; when the program began
    Cycle now = 1, next_due = 0, start = 1, data_end = 0, answered = 0, debt = 0, due_since = 0, last_refresh = 0;
    Cycle channel_ready[COMMANDS] = {}, buffer_ready[BUFFERS][COMMANDS] = {}, bank_ready[BANKS][COMMANDS] = {};
    Cycle activations[4] = {-NEVER, -NEVER, -NEVER, -NEVER}; // the latest first
    int open[BUFFERS][BANKS], all_open[BUFFERS] = {CLOSED, CLOSED}, groups[BUFFERS] = {};
    bool register_mode = false, refreshing = false, active = false; // REFRESH works; the refresher is active
    int to_refresh = 0; // refreshes that REFRESH still wants
    int open_banks[BUFFERS] = {};
    Lane bank_lane, register_lane;
    std::vector<Rule> rules[COMMANDS]; // by previous command

    explicit Channel(const Config& given) : config(given), next_due(given.refresh_interval) {
        for (auto& buffer : open) std::fill(buffer, buffer + BANKS, CLOSED);
        for (int command = 0; command < COMMANDS; command++)
            for (int level = CHANNEL; level <= BANK; level++)
                for (int next = 0; next < COMMANDS; next++)
                    if (const Cycle cycles = config.rules[level][command][next])
                        rules[command].push_back({level, next, cycles});
    }

    bool any_open(int buffer) const { return open_banks[buffer] > 0; }

    void set_row(int buffer, int bank, int row) {
        open_banks[buffer] += (row != CLOSED) - (open[buffer][bank] != CLOSED);
        open[buffer][bank] = row;
    }

    // Times.

    Cycle ready(int command, int buffer, int bank) const {
        Cycle at = channel_ready[command];
        switch (command) {
        case ACT:
            if (config.faw) at = std::max(at, activations[3] + config.faw);
            [[fallthrough]];
        case PRE:
        case RD:
        case WR:
        case MACB:
            return std::max({at, buffer_ready[0][command], bank_ready[bank][command]});
        case ACTG:
            if (config.faw && !config.single_shot) at = std::max(at, activations[4 - config.group_banks] + config.faw);
            return groups[buffer] ? at : std::max(at, buffer_ready[buffer][command]);
        case PREA:
        case MAC:
            return std::max(at, buffer_ready[buffer][command]);
        case REF:
            return std::max({at, buffer_ready[0][command], buffer_ready[1][command]});
        default:
            return at;
        }
    }

    void note(int command, int buffer, int bank, Cycle at) {
        for (const Rule& rule : rules[command]) {
            const auto wait = [&](Cycle& ready) { ready = std::max(ready, at + rule.cycles); };
            if (rule.level == CHANNEL) wait(channel_ready[rule.next]);
            else if (rule.level == BANK) wait(bank_ready[bank][rule.next]);
            else if (command != REF) wait(buffer_ready[buffer][rule.next]);
            else for (auto& one : buffer_ready) wait(one[rule.next]);
        }
        if (config.latency[command]) data_end = std::max(data_end, at + config.latency[command] + 2);
        if (command == RDMAC && config.answer) answered = at + config.answer;
    }

    void activate(Cycle at, int64_t banks) {
        for (; banks > 0; banks--) {
            std::copy_backward(activations, activations + 3, activations + 4);
            activations[0] = at;
        }
    }

    // What each lane wants.

    Candidate want(int command, int buffer, int bank, Entry* entry) const {
        return {command, buffer, bank, entry, ready(command, buffer, bank)};
    }

    Candidate row_command(Entry& entry) const { // NOP where the row is open
        const Instruction& one = entry.at;
        if (one.op != MAC_ABK) {
            const int row = open[0][one.bank];
            return row == one.row ? Candidate{} : want(row == CLOSED ? ACT : PRE, 0, one.bank, &entry);
        }
        if (all_open[one.buf] == one.row) return {};
        if (groups[one.buf] == 0 && any_open(one.buf)) return want(PREA, one.buf, 0, &entry);
        return want(ACTG, one.buf, 0, &entry);
    }

    Candidate column_command(Entry& entry) const {
        static const int of[] = {NOP, WRGB, WRMAC, RDMAC, MAC, MACB, RD, WR};
        return want(of[entry.at.op], entry.at.buf, entry.at.bank, &entry);
    }

    Candidate refresher() const {
        for (int buffer = 0; buffer < config.buffers; buffer++)
            if (any_open(buffer)) return want(PREA, buffer, 0, nullptr);
        return want(REF, 0, 0, nullptr);
    }

    bool at_row_boundary() {
        if (bank_lane.used == 0) return true;
        Entry& entry = bank_lane.entries[0];
        const Candidate row = row_command(entry);
        return row.command != NOP && !(row.command == ACTG && groups[entry.at.buf] > 0);
    }

    int candidates(Candidate* found, bool refresher_active) {
        int count = 0;
        if (refresher_active) found[count++] = refresher();
        Candidate column;
        if (!refresher_active && bank_lane.used) {
            const Candidate row = row_command(bank_lane.entries[0]);
            column = row.command == NOP ? column_command(bank_lane.entries[0]) : Candidate{};
            if (row.command != NOP) {
                found[count++] = row;
            } else if (bank_lane.used == 2 && config.buffers == 2) { // the opener
                const Instruction &first = bank_lane.entries[0].at, &next = bank_lane.entries[1].at;
                if (first.op == MAC_ABK && next.op == MAC_ABK && first.buf != next.buf) {
                    const Candidate opener = row_command(bank_lane.entries[1]);
                    if (opener.command != NOP) found[count++] = opener;
                }
            }
        }
        if (register_lane.used) found[count++] = column_command(register_lane.entries[0]);
        if (column.command != NOP) found[count++] = column;
        return count;
    }

    // What goes.

    void issue(const Candidate& one, Cycle at, int64_t count, Cycle period) {
        const bool needs_registers = one.command >= WRGB && one.command <= RDMAC;
        if (config.mode_switch && one.entry && needs_registers != register_mode) {
            register_mode = needs_registers;
            counters.commands[TMOD]++;
            return note(TMOD, 0, 0, at);
        }
        counters.commands[one.command] += count;
        note(one.command, one.buffer, one.bank, at + (count - 1) * period);
        switch (one.command) {
        case ACT:
            activate(at, 1);
            set_row(0, one.bank, one.entry->at.row);
            all_open[0] = CLOSED;
            one.entry->opened = true;
            return;
        case PRE:
            set_row(0, one.bank, CLOSED);
            all_open[0] = CLOSED;
            return;
        case ACTG: {
            const int first = groups[one.buffer]++ * int(config.group_banks);
            if (!config.single_shot) activate(at, config.group_banks);
            for (int bank = first; bank < first + config.group_banks; bank++) set_row(one.buffer, bank, one.entry->at.row);
            one.entry->opened = true;
            if (first + config.group_banks < config.banks) return;
            all_open[one.buffer] = one.entry->at.row;
            groups[one.buffer] = 0;
            return;
        }
        case PREA:
            for (int bank = 0; bank < config.banks; bank++) set_row(one.buffer, bank, CLOSED);
            all_open[one.buffer] = CLOSED;
            groups[one.buffer] = 0;
            return;
        case REF:
            counters.latest_refresh = std::max(counters.latest_refresh, at - last_refresh);
            counters.refreshes_forced += debt >= OWED;
            last_refresh = at;
            debt--;
            due_since = 0;
            active = false;
            if (refreshing && (--to_refresh == 0 || debt == -OWED)) refreshing = false;
            return;
        }
        counters.row_misses += one.entry->opened;
        one.entry->opened = false;
        one.entry->at.count -= int(count);
        if (one.entry->at.count == 0) (one.entry->at.for_registers() ? register_lane : bank_lane).pop();
    }

    // Order. An entry leaves with its last command: nothing looks at it before the next cycle.

    bool may_take(const Instruction& one) const {
        const bool empty = bank_lane.used == 0 && register_lane.used == 0;
        if (refreshing) return false;
        if (one.op == EOC) return empty && now >= answered;
        if (one.op == REFRESH || !config.overlap) return empty;
        const Lane& own = one.for_registers() ? register_lane : bank_lane;
        const Lane& other = one.for_registers() ? bank_lane : register_lane;
        if (own.used == 2) return false;
        for (int place = 0; place < other.used; place++)
            if (one.conflicts(other.entries[place].at)) return false;
        return true;
    }

    void fall_due() {
        for (; config.refresh && now >= next_due; next_due += config.refresh_interval) {
            debt++;
            due_since++;
        }
    }

    // What one cycle does after the dispatch; where nothing is ready, or much at once, goes to the cycle after. `limit`:
    // the dispatcher may do something then.
    void act(Cycle limit) {
        if (config.refresh && !active)
            active = refreshing || debt >= OWED || due_since >= OWED || (debt >= 1 && at_row_boundary());
        Candidate found[4];
        const int count = candidates(found, active);
        const Cycle until = std::min(limit, config.refresh ? next_due : NEVER);
        Cycle soonest = until;
        for (int place = 0; place < count; place++) {
            const Candidate& one = found[place];
            if (one.ready > now) {
                soonest = std::min(soonest, one.ready);
                continue;
            }
            int64_t times = 1;
            Cycle period = 1;
            const int64_t wanted = one.entry && one.command >= RD && one.command <= WRMAC ? one.entry->at.count : 1;
            if (wanted > 1 && limit > now + 1 && in_mode(one)) {
                period = std::max<Cycle>(1, config.rules[CHANNEL][one.command][one.command]);
                Cycle other = until; // when another could go
                for (int rival = 0; rival < count; rival++)
                    if (rival < place || (rival > place && period > 1)) other = std::min(other, found[rival].ready);
                if (other > now) times = std::clamp<int64_t>((other - now + period - 1) / period, 1, wanted);
            }
            issue(one, now, times, period);
            now += (times - 1) * period + 1;
            return;
        }
        now = std::max(now + 1, soonest);
    }

    bool in_mode(const Candidate& one) const {
        return !config.mode_switch || (one.command >= WRGB && one.command <= RDMAC) == register_mode;
    }

    // Programs, each ended by EOC, one after the other; `skipped`: takes a cycle of the dispatcher alone.
    void run(const uint64_t* words, const uint8_t* skipped, int64_t count, Program* programs) {
        int64_t at = 0;
        while (at < count) {
            fall_due();
            const Instruction next(words[at]);
            Cycle limit = NEVER;
            if (skipped[at] ? !refreshing : may_take(next)) {
                at++;
                if (!skipped[at - 1] && next.op == EOC) {
                    finish(programs++);
                    continue;
                }
                if (!skipped[at - 1]) take(next);
                limit = now + 1;
            } else if (next.op == EOC && bank_lane.used == 0 && register_lane.used == 0 && !refreshing) {
                limit = answered;
            }
            act(limit);
        }
    }

    void take(const Instruction& one) {
        if (one.op == REFRESH) {
            to_refresh = one.count;
            refreshing = debt > -OWED;
        } else {
            (one.for_registers() ? register_lane : bank_lane).push(one);
        }
    }

    // Cycle `now` takes EOC: the next program starts when this one's cycles are over; the refresher works on.
    void finish(Program* program) {
        const Cycle end = std::max(now + 2, data_end);
        const auto made = [this](int command) { return counters.commands[command] - before.commands[command]; };
        *program = {end - start, made(MAC), made(MAC) + made(MACB) + made(RD) + made(WR),
                    counters.row_misses - before.row_misses};
        before = counters;
        wait(end);
    }

    // The dispatcher rests until cycle `end`, with which a program starts.
    void wait(Cycle end) {
        while (now < end) {
            fall_due();
            act(end);
        }
        start = data_end = now;
    }
};

} // namespace

extern "C" {

__attribute__((visibility("default"))) void* pim_new(const Config* config) { return new Channel(*config); }

__attribute__((visibility("default"))) void pim_delete(void* handle) { delete static_cast<Channel*>(handle); }

__attribute__((visibility("default"))) void pim_run(void* handle, const uint64_t* words, const uint8_t* skipped,
                                                    int64_t count, Program* programs, Counters* counters) {
    auto* channel = static_cast<Channel*>(handle);
    channel->run(words, skipped, count, programs);
    *counters = channel->counters;
}

__attribute__((visibility("default"))) void pim_wait(void* handle, int64_t cycles) {
    auto* channel = static_cast<Channel*>(handle);
    channel->wait(channel->now + cycles);
}
}
