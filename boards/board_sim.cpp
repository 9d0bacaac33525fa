// A Verilated board top whose UART pins are wired to a file descriptor, the master side of a pseudo-terminal.
//
// Bytes from the descriptor become start, data and stop bits on `uart_rx`, cycle by cycle, and `uart_tx` is sampled in the
// middle of each bit: nothing of the design's own UART is assumed but the rate.

#include "Vmodel.h"

#include <poll.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>

#define EXPORT extern "C" __attribute__((visibility("default")))

void vl_fatal(const char* file, int line, const char*, const char* message) {
    throw std::runtime_error(std::string(file) + ":" + std::to_string(line) + ": " + message);
}

namespace {

constexpr uint64_t kBurstCycles = 256;           // between looks at the descriptors
constexpr uint64_t kAwakeCycles = 4'000'000;     // at full speed after the line was last busy
constexpr auto kIdleRun = std::chrono::milliseconds(1);
constexpr int kIdleWaitMs = 20;                  // asleep between idle runs; a byte from the host wakes at once
constexpr size_t kMostUnread = 1 << 20;          // bytes kept for a host that does not read; more are lost, as on a real port

struct Board {
    VerilatedContext context;
    Vmodel model{&context, "board"};
    const uint64_t clock_hz, baud;
    std::atomic<uint64_t> cycles{0}, received{0}, sent{0}, framing_errors{0}, lost{0};
    std::atomic<bool> stop{false};
    std::string error;
    uint64_t now = 0, last_busy = 0;
    std::deque<uint8_t> to_device, to_host;
    bool sending = false, receiving = false, line_was_high = true;
    uint64_t send_start = 0, receive_start = 0;
    unsigned send_bit = 0, receive_bit = 0, send_frame = 0, receive_byte = 0;

    Board(uint64_t clock_hz, uint64_t baud) : clock_hz(clock_hz), baud(baud) {
        model.uart_rx = 1;
        model.rst = 1;
        for (int i = 0; i < 8; ++i) cycle();
        model.rst = 0;
    }
    // Cycles from the start of a frame to half-bit number `halves` of it.
    uint64_t at(unsigned halves) const { return (clock_hz * halves + baud) / (2 * baud); }

    void cycle() {
        model.clk = 0;
        model.eval();
        const bool high = model.uart_tx;
        model.clk = 1;
        model.eval();
        ++now;
        if (sending || !to_device.empty()) drive();
        if (receiving) {
            sample(high);
        } else if (line_was_high && !high) {
            receiving = true;
            receive_start = now;
            receive_bit = receive_byte = 0;
        }
        line_was_high = high;
    }
    void drive() {
        if (!sending) {
            sending = true;
            send_start = now;
            send_bit = 0;
            send_frame = to_device.front() << 1 | 1 << 9;
            to_device.pop_front();
        } else if (now - send_start < at(2 * (send_bit + 1))) {
            return;
        } else if (++send_bit == 10) {
            sending = false;
            sent.fetch_add(1, std::memory_order_relaxed);
            if (!to_device.empty()) drive();
            return;
        }
        model.uart_rx = send_frame >> send_bit & 1;
    }
    void sample(bool high) {
        if (now - receive_start < at(2 * receive_bit + 1)) return;
        if (receive_bit == 0 && high) {  // a glitch, no start bit
            receiving = false;
        } else if (receive_bit == 9) {
            receiving = false;
            if (!high) {
                framing_errors.fetch_add(1, std::memory_order_relaxed);
            } else if (to_host.size() == kMostUnread) {
                lost.fetch_add(1, std::memory_order_relaxed);
            } else {
                to_host.push_back(receive_byte);
                received.fetch_add(1, std::memory_order_relaxed);
            }
        } else {
            if (receive_bit) receive_byte |= unsigned(high) << (receive_bit - 1);
            ++receive_bit;
        }
    }
    // Move bytes between the queues and the descriptor, neither of which blocks.
    void exchange(int terminal) {
        uint8_t buffer[256];
        if (to_device.size() < sizeof buffer) {
            const ssize_t count = read(terminal, buffer, sizeof buffer);
            if (count > 0) to_device.insert(to_device.end(), buffer, buffer + count);
        }
        while (!to_host.empty()) {
            size_t size = 0;
            for (uint8_t byte : to_host) {
                if (size == sizeof buffer) break;
                buffer[size++] = byte;
            }
            const ssize_t count = write(terminal, buffer, size);
            if (count <= 0) break;
            to_host.erase(to_host.begin(), to_host.begin() + count);
        }
        if (sending || receiving || !to_device.empty()) last_busy = now;
    }
    void run(int terminal, int wake) {
        pollfd waits[2] = {{terminal, POLLIN, 0}, {wake, POLLIN, 0}};
        auto asleep_since = std::chrono::steady_clock::now();
        last_busy = now;
        while (!stop.load(std::memory_order_relaxed)) {
            for (uint64_t i = 0; i < kBurstCycles; ++i) cycle();
            cycles.store(now, std::memory_order_relaxed);
            exchange(terminal);
            if (now - last_busy < kAwakeCycles) {
                asleep_since = std::chrono::steady_clock::now();
            } else if (std::chrono::steady_clock::now() - asleep_since > kIdleRun) {
                poll(waits, 2, kIdleWaitMs);
                asleep_since = std::chrono::steady_clock::now();
            }
        }
    }
};

}  // namespace

EXPORT Board* board_new(uint64_t clock_hz, uint64_t baud) { return new Board(clock_hz, baud); }
EXPORT void board_delete(Board* board) { delete board; }
EXPORT void board_stop(Board* board) { board->stop = true; }
EXPORT const char* board_error(Board* board) { return board->error.c_str(); }
EXPORT int board_run(Board* board, int terminal, int wake) {
    try {
        board->run(terminal, wake);
        return 0;
    } catch (const std::exception& error) {  // from vl_fatal: the model cannot go on
        board->error = error.what();
        return 1;
    }
}
EXPORT void board_counters(Board* board, uint64_t* counters) {
    const std::atomic<uint64_t>* sources[] = {&board->cycles, &board->sent, &board->received, &board->framing_errors, &board->lost};
    for (const auto* source : sources) *counters++ = source->load(std::memory_order_relaxed);
}
