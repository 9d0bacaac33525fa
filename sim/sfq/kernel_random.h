// Random numbers that depend on nothing but their place: seed, trial, instance, number. random_stream.py says what they
// are, and gives the table of the normal distribution.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

namespace sfq {

using Word = std::uint64_t;

constexpr Word kStep = 0x9E3779B97F4A7C15u;
constexpr int kSegmentBits = 6, kFractionBits = 52;
constexpr double kMostTicks = static_cast<double>(std::int64_t{1} << 40);

// SplitMix64 (Steele, Lea, Flood 2014).
inline Word mix(Word z) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

inline Word key(Word outer, Word index) { return mix(outer + (index + 1) * kStep); }

// Normal number `number` of the stream of a key, by linear interpolation in the table.
inline double normal(const double* table, Word key, Word number) {
    const Word word = mix(key + (number + 1) * kStep);
    const Word tail = word << 1 | 1;
    const int zeros = __builtin_clzll(tail);
    const Word rest = tail << zeros << 1;
    const double* at = table + ((static_cast<Word>(63 - zeros) << kSegmentBits) | rest >> (64 - kSegmentBits));
    const double fraction = std::ldexp(1.0, -kFractionBits) * static_cast<double>(
        static_cast<std::int64_t>(rest << kSegmentBits >> (64 - kFractionBits)));
    const double size = at[0] + fraction * (at[1] - at[0]);
    // The sign's bit, without a branch, which would be missed every other time.
    Word bits;
    std::memcpy(&bits, &size, sizeof bits);
    bits |= word >> 63 << 63;
    double result;
    std::memcpy(&result, &bits, sizeof result);
    return result;
}

// The nearest whole tick, halves to even, at least `least` and at most 2^40. The least is that of integers, as
// compilers make a branch of a choice between doubles of which one is known; what is below all integers becomes a negative
// one on all machines that we know of.
inline std::int64_t ticks(double value, std::int64_t least) {
    value = value > kMostTicks ? kMostTicks : value;
    const std::int64_t nearest = std::lrint(value);
    return nearest < least ? least : nearest;
}

}  // namespace sfq
