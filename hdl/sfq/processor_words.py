"""The words of `sfq.processor`: what the host sends it, and what it answers. 64 bits each, least significant bit first.

To the processor:

    word    bits 63..60, 59..56   55..40             39..0
    NEXT    1, -                  row                state word; sets the times of the row to 0
    FIRE    2, output             row                delay of the output, 0 if it does not fire
    WINDOW  3, pin                row                blocked time of the pin, and in bits 39..20 its least age
    STATE   4, -                  instance           state word; forgets pulses and windows, leaves no output connected
    WIRE    5, output             instance           the pin that the output leads to, WATCHED or not, CONNECTED
    COIN    6, -                  instance           where its coin begins
    LIMIT   7, which              -                  0: last tick; 1: most answers; 2: most pulses taken
    RUN     8, -                  -                  begins, with the policy
    PULSE   9, WATCHED and pin    (59..40)           tick
    END     10, -                 -                  no more pulses; ends the run once all is quiet

A *row* is a state and a pin, {state, pin}; a *pin* without more is one of an instance, {instance, pin}. A *state word*
is the state and, above it, its pins in the order in which pulses that come together are taken, the first one lowest.
Times are ticks; 0 asks nothing. Bits that a word does not use are 0.

From the processor:

    answer     bits 63..62   61..60   59..40   39..0
    PULSE      1             -        pin      tick of a pulse that came to a watched pin
    VIOLATION  2             rules    pin      tick of a pulse that came too soon, and by which rules
    END        3             ends a run: status in bits 61..56, pulses taken in 55..28, answers in 27..0
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum, IntFlag

WORD_BITS = 64
DATA_BITS, ADDRESS_BITS, LANE_BITS, OPCODE_BITS = 40, 16, 4, 4
TIME_BITS = DATA_BITS
PIN_BITS = 19
"""Most of {instance, pin}."""
WINDOW_BITS = 20
COUNT_BITS = 28
COIN_BITS = 16

CONNECTED = 1 << PIN_BITS + 1
WATCHED = 1 << PIN_BITS
"""Of a pin's number in a WIRE or PULSE word: its pulses are answers."""

POLICIES = ("flag", "drop", "randomise")
RULES = ("transition_time", "prior_input")
"""By the bit that says that it was broken."""


class Opcode(IntEnum):
    """Of words to the processor."""

    NEXT = 1
    FIRE = 2
    WINDOW = 3
    STATE = 4
    WIRE = 5
    COIN = 6
    LIMIT = 7
    RUN = 8
    PULSE = 9
    END = 10


class Limit(IntEnum):
    """Lanes of LIMIT."""

    UNTIL = 0
    ANSWERS = 1
    DELIVERIES = 2


class Answer(IntEnum):
    """Kinds of words from the processor."""

    PULSE = 1
    VIOLATION = 2
    END = 3


class Status(IntFlag):
    """What went wrong in a run."""

    QUEUE_FULL = 1
    TIME_OVERFLOW = 2
    LATE_PULSE = 4
    BAD_WORD = 8
    BAD_ORDER = 16
    UNFINISHED = 32


STATUS_BITS = 6


def word(opcode: Opcode, data: int = 0, *, lane: int = 0, address: int = 0) -> int:
    """A word to the processor."""
    return data | address << DATA_BITS | lane << DATA_BITS + ADDRESS_BITS | opcode << WORD_BITS - OPCODE_BITS


def pulse(time: int, pin: int, *, watched: bool) -> int:
    """A PULSE word."""
    return time | (pin | WATCHED * watched) << TIME_BITS | Opcode.PULSE << WORD_BITS - OPCODE_BITS


@dataclass(frozen=True)
class Happening:
    """A PULSE or VIOLATION: when, at which pin, and of a violation the bits of `RULES`."""

    kind: Answer
    time: int
    pin: int
    rules: int


@dataclass(frozen=True)
class Finish:
    """The END of a run: what went wrong, how many answers there were, more than were sent if a LIMIT said so, and how
    many pulses were taken."""

    status: Status
    answers: int
    deliveries: int


def parse(answer: int) -> Happening | Finish:
    """What a word from the processor says."""
    kind = Answer(answer >> WORD_BITS - 2)
    if kind == Answer.END:
        status, counts = Status(answer >> 2 * COUNT_BITS & 0x3F), answer & (1 << 2 * COUNT_BITS) - 1
        return Finish(status, counts & (1 << COUNT_BITS) - 1, counts >> COUNT_BITS)
    pin = answer >> TIME_BITS & (1 << PIN_BITS) - 1
    return Happening(kind, answer & (1 << TIME_BITS) - 1, pin, answer >> TIME_BITS + 20 & 3)
