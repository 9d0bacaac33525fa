// Reads and writes words for a host, over the console: README.md, "The monitor". It takes part in no event.
#include <stdbool.h>
#include <stdint.h>

#include "system.h"

// PeakRDL packs its structs; registers are words all the same, and are to be read as such.
typedef system_t __attribute__((aligned(4))) system_words_t;
#define SYSTEM ((volatile system_words_t *)0x80000000)

enum { WATCHDOG_CYCLES = 50000000, DIGITS = 8, SUM_DIGITS = 4, LINE_BYTES = 1 + 2 * DIGITS + SUM_DIGITS };
enum error { BAD_SUM = 1, BAD_COMMAND = 2, FAULT = 3 };

struct sum {
    uint8_t first, second;
};

// Fletcher's checksum of 8-bit sums.
static void add(struct sum *sum, uint8_t octet)
{
    sum->first += octet;
    sum->second += sum->first;
}

static void send(struct sum *sum, uint8_t octet)
{
    while (!(SYSTEM->irq_pending & SYSTEM__IRQ_PENDING__TRANSMIT_bm))
        ;
    SYSTEM->transmit = octet;
    add(sum, octet);
}

static void send_digit(struct sum *sum, uint8_t digit)
{
    send(sum, digit < 10 ? '0' + digit : 'a' - 10 + digit);
}

static void send_byte(struct sum *sum, uint8_t octet)
{
    send_digit(sum, octet >> 4);
    send_digit(sum, octet & 15);
}

static void reply(char kind, uint32_t value)
{
    const union {
        uint32_t word;
        uint8_t octets[4];
    } parts = {value};
    struct sum sum = {0, 0}, none = {0, 0};
    send(&sum, kind);
    for (int place = 3; place >= 0; place--)
        send_byte(&sum, parts.octets[place]);
    send_byte(&none, sum.second);
    send_byte(&none, sum.first);
    send(&none, '\n');
}

// The number of so many hexadecimal digits; false if one of them is none.
static bool number(const uint8_t *text, int digits, uint32_t *value)
{
    *value = 0;
    for (; digits; digits--, text++) {
        const uint8_t digit = *text >= 'a' ? *text - 'a' + 10 : *text - '0';
        if (digit > 15 || (*text >= 'a') != (digit > 9))
            return false;
        *value = (*value << 4) | digit;
    }
    return true;
}

// What a line of text wants, done and answered.
static void execute(const uint8_t *line, int bytes)
{
    struct sum sum = {0, 0};
    uint32_t said, address, data = 0;
    for (int place = 0; place < bytes - SUM_DIGITS; place++)
        add(&sum, line[place]);
    const uint32_t sums = ((uint32_t)sum.second << 8) | sum.first;
    if (bytes <= SUM_DIGITS || !number(line + bytes - SUM_DIGITS, SUM_DIGITS, &said) || said != sums)
        return reply('!', BAD_SUM);
    const bool writes = line[0] == 'w', goes = line[0] == 'g';
    const int wanted = 1 + SUM_DIGITS + (writes ? 2 * DIGITS : DIGITS);
    if (bytes != wanted || !(writes || goes || line[0] == 'r') || !number(line + 1, DIGITS, &address) ||
        (address & 3) || (writes && !number(line + 1 + DIGITS, DIGITS, &data)))
        return reply('!', BAD_COMMAND);
    if (goes) {
        reply('=', address);
        ((void (*)(void))address)();
        return;
    }
    volatile uint32_t *const word = (volatile uint32_t *)address;
    SYSTEM->status = SYSTEM__STATUS__FAULT_bm;
    if (writes)
        *word = data;
    else
        data = *word;
    const bool wrong = SYSTEM->status & SYSTEM__STATUS__FAULT_bm;
    SYSTEM->status = SYSTEM__STATUS__FAULT_bm;
    reply(wrong ? '!' : '=', wrong ? FAULT : data);
}

int main(void)
{
    static uint8_t line[LINE_BYTES];
    int bytes = 0;
    SYSTEM->watchdog = WATCHDOG_CYCLES;
    for (;;) {
        SYSTEM->watchdog = SYSTEM->watchdog;
        const uint32_t received = SYSTEM->receive;
        if (!(received & SYSTEM__RECEIVE__VALID_bm))
            continue;
        const uint8_t octet = received;
        if (octet != '\n') {
            if (bytes < LINE_BYTES)
                line[bytes] = octet;
            bytes++;
            continue;
        }
        if (bytes > LINE_BYTES)
            reply('!', BAD_COMMAND);
        else if (bytes)
            execute(line, bytes);
        bytes = 0;
    }
}
