"""`pulse.front` in Python's integers, a sample at a time: "The front end on paper" in hdl/pulse/README.md."""

from itertools import pairwise


def rounded(x, n):
    return x if n == 0 else (x + 2 ** (n - 1)) // 2**n


def sat(x, bits):
    return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, x))


def low_bits(x, bits):
    """The lowest bits, two's complement."""
    x %= 2**bits
    return x - 2**bits if x >= 2 ** (bits - 1) else x


class Front:
    """The block without a clock: samples in, with `take`; `triggers` are (time, baseline, settled)."""

    def __init__(self, config, settings):
        self.config, self.s = config, settings
        self.u, self.v, self.external = 0, [], 0
        self.saturated = []
        self.armed = False
        self.triggers = []
        self.live = 0
        self.sum, self.added = 0, 0
        self.mean = 0, False
        self.means = []  # at each frame's end

    def baseline(self, n):
        """(B, settled) of sample n."""
        if not self.s["baseline_on"]:
            return 0, True
        frame = n // 128
        return self.means[frame - 2] if frame >= 2 else (0, False)

    def at(self, n):
        return self.v[n] if n >= 0 else 0

    def take(self, lane, external):
        s, n = self.s, len(self.v)
        x = low_bits(lane, self.config.code_bits)
        self.saturated.append(x <= s["code_least"] or x >= s["code_most"])
        u = sat((-x if s["invert"] else x) + s["offset"], 16)
        self.v.append(sat(u - rounded(s["pole"] * self.u, 16), 16))
        self.u = u
        rose = s["external_on"] and external and not self.external
        self.external = external
        if n >= 128:
            candidate = self.fires(n)
            last = self.triggers[-1][0] if self.triggers else -(10**9)
            free = not n - max(3, s["hold_off"]) <= last <= n - 1
            self.live += free
            period = s["period"] // 4 * 4
            due = period and (n - 128) % period == 0
            if (candidate or rose or due) and free:
                self.triggers.append((n, *self.baseline(n)))
        if n % 4 == 3:
            self.group(n // 4)
        if n % 128 == 127:
            self.means.append(self.mean)

    def fires(self, n):
        """Whether sample n is a candidate of the source."""
        s = self.s
        if s["source"] == 0:
            return False
        if s["source"] == 1:
            d = self.v[n] - rounded(self.baseline(n)[0], 8)
        else:
            r, f = s["rise"] or 1, s["flat"]
            d = sum(self.at(n - i) - self.at(n - r - f - i) for i in range(r))
        if s["source"] == 3:
            sets, fires = d >= s["threshold"], d <= 0
        else:
            sets, fires = d < s["threshold"] - s["hysteresis"], d >= s["threshold"]
        if self.armed and fires:
            self.armed = False
            return True
        if sets:
            self.armed = True
        return False

    def group(self, p):
        """Group p is complete."""
        g = p - self.s["gate_before"]
        last = self.triggers[-1][0] // 4 if self.triggers else -(10**9)
        if p < 32 or g - self.s["gate_after"] <= last <= p:
            return
        k = max(2, self.s["baseline_exponent"])
        self.sum += sum(self.v[4 * g : 4 * g + 4])
        self.added += 4
        if self.added == 2**k:
            self.mean = rounded(self.sum * 2**8, k), True
            self.sum, self.added = 0, 0

    def events(self, lost=(), stopped=False):
        """(time, flags, number, baseline, codes) of each window that goes out."""
        s, size, found = self.s, self.config.samples, []
        times = [time for time, _, _ in self.triggers]
        for number, (t, baseline, settled) in enumerate(self.triggers):
            before = number > 0 and t - times[number - 1] <= s["inspect"]
            after = number + 1 < len(times) and times[number + 1] - t <= s["inspect"]
            over = number + 1 < len(times) or t + s["inspect"] < len(self.v) or stopped
            if number in lost or t + size - 1 >= len(self.v) or not over:
                continue
            where = range(t - self.config.pre, t - self.config.pre + size)
            codes = [sat(self.v[n] - rounded(baseline, 8), 16) for n in where]
            flags = (before or after) + 2 * any(self.saturated[n] for n in where) + 8 * (not settled)
            found.append((t, flags, number, baseline, codes))
        return found

    def counters(self, lost=(), stopped=False):
        times = [time for time, _, _ in self.triggers]
        cut = [number for number, t in enumerate(times) if t + self.config.samples - 1 >= len(self.v)]
        near = [new - old <= self.s["inspect"] for old, new in pairwise(times)]
        return {
            "triggers": len(times),
            "windows": len(self.events(lost, stopped)),
            "lost": len(set(lost) | set(cut if stopped else ())),
            "pile_ups": sum(near),
            "saturated": sum(self.saturated),
            "live": self.live,
            "dead": len(self.v) - self.live,
        }
