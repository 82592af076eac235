/* The first serial port, polled: what the kernel says when it stops, and before user space runs.
 * 115200 8N1. */
#include "arch/arch.h"
#include "asm.h"
#include "machine.h"

#define COM1       0x3f8
#define SPINS_MAX  100000u /* a port that is not there does not hang the kernel */
#define LINE_EMPTY 0x20u

void serial_init(void)
{
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 0x80);
    out8(COM1 + 0, 1);
    out8(COM1 + 1, 0);
    out8(COM1 + 3, 3);
    out8(COM1 + 2, 0xc7);
    out8(COM1 + 4, 0x0b);
}

void serial_put(char c)
{
    uint32_t spins = 0;
    while (spins < SPINS_MAX && (in8(COM1 + 5) & LINE_EMPTY) == 0) {
        spins++;
    }
    out8(COM1, (uint8_t)c);
}

void serial_text(const char *text)
{
    for (; *text; text++) {
        if (*text == '\n') {
            serial_put('\r');
        }
        serial_put(*text);
    }
}

void serial_number(uint64_t value, uint32_t base)
{
    char digits[65];
    uint32_t i = sizeof(digits) - 1;
    digits[i] = 0;
    do {
        digits[--i] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    serial_text(&digits[i]);
}

void arch_debug_put(uint8_t character)
{
    serial_put((char)character);
}

void arch_stop(uint32_t status)
{
    out8(0xf4, (uint8_t)status); /* QEMU's isa-debug-exit; elsewhere the machine just stays */
}
