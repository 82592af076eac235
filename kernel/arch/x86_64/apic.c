/* Local APIC (one-shot timer, acknowledgement), IOAPIC (the pins as interrupts), and the old 8259s
 * switched off.
 *
 * The time that the kernel knows is the time-stamp counter. QEMU's TCG has no TSC-deadline mode, so
 * a due time becomes a count of the APIC timer; its rate and the counter's are measured against the
 * 8254 once, at boot.
 */
#include "arch/arch.h"
#include "asm.h"
#include "layout.h"
#include "machine.h"

#define APIC_TASK_PRIORITY 0x80u
#define APIC_EOI           0xb0u
#define APIC_SPURIOUS      0xf0u
#define APIC_TIMER         0x320u
#define APIC_LINT0         0x350u
#define APIC_LINT1         0x360u
#define APIC_ERROR         0x370u
#define APIC_INITIAL       0x380u
#define APIC_CURRENT       0x390u
#define APIC_DIVIDE        0x3e0u
#define APIC_MASKED        0x10000u
#define DIVIDE_BY_1        0xbu

#define IOAPIC_TABLE 0x10u
#define PIT_HZ       1193182u
#define PIT_COUNT    11932u /* 10 ms */
#define WAIT_TICKS   0xf000000000ULL

#define RATE_SHIFT 24u /* timer_rate: APIC counts a tick of the clock, times 2^24 */
static uint64_t timer_rate;
static uint64_t timer_due;  /* what the timer is set to, ARCH_NEVER when it is not running */
static uint64_t timer_span; /* the longest wait that the timer can count, in ticks */

static volatile uint32_t *apic(uint32_t reg)
{
    return (volatile uint32_t *)(APIC_BASE + reg);
}

static uint32_t ioapic_read(uint32_t reg)
{
    *(volatile uint32_t *)IOAPIC_BASE = reg;
    return *(volatile uint32_t *)(IOAPIC_BASE + 0x10);
}

static void ioapic_write(uint32_t reg, uint32_t value)
{
    *(volatile uint32_t *)IOAPIC_BASE = reg;
    *(volatile uint32_t *)(IOAPIC_BASE + 0x10) = value;
}

static void pic_off(void)
{
    out8(0x20, 0x11); /* moved behind the exceptions first, should one still speak */
    out8(0xa0, 0x11);
    out8(0x21, VECTOR_IRQ);
    out8(0xa1, VECTOR_IRQ + 8);
    out8(0x21, 4);
    out8(0xa1, 2);
    out8(0x21, 1);
    out8(0xa1, 1);
    out8(0x21, 0xff);
    out8(0xa1, 0xff);
}

/* Ticks of the clock and counts of the APIC timer during 10 ms of the 8254's channel 2. */
static void measure(uint64_t *ticks, uint64_t *counts)
{
    out8(0x61, (uint8_t)((in8(0x61) & ~2u) | 1u));
    out8(0x43, 0xb0);
    out8(0x42, PIT_COUNT & 0xff);
    out8(0x42, PIT_COUNT >> 8);
    out8(0x61, (uint8_t)(in8(0x61) & ~1u)); /* the gate's rising edge starts it */
    out8(0x61, (uint8_t)(in8(0x61) | 1u));
    *apic(APIC_INITIAL) = 0xffffffff;
    uint64_t start = tsc_read();
    while ((in8(0x61) & 0x20) == 0 && tsc_read() - start < WAIT_TICKS) {
    }
    *counts = 0xffffffff - *apic(APIC_CURRENT);
    *ticks = tsc_read() - start;
    *apic(APIC_INITIAL) = 0;
}

void apic_init(void)
{
    uint64_t ticks, counts;
    pic_off();
    msr_write(MSR_APIC_BASE, (msr_read(MSR_APIC_BASE) & 0xfff) | 0xfee00800);
    *apic(APIC_SPURIOUS) = 0x100 | VECTOR_SPURIOUS;
    *apic(APIC_TASK_PRIORITY) = 0;
    *apic(APIC_LINT0) = APIC_MASKED;
    *apic(APIC_LINT1) = APIC_MASKED;
    *apic(APIC_ERROR) = APIC_MASKED;
    *apic(APIC_DIVIDE) = DIVIDE_BY_1;
    *apic(APIC_TIMER) = APIC_MASKED | VECTOR_TIMER;
    measure(&ticks, &counts);
    if (ticks == 0 || counts == 0) {
        machine_stop("the clock or the APIC timer stands still");
    }
    machine.ticks_per_us = (ticks * PIT_HZ / PIT_COUNT + 500000) / 1000000;
    timer_rate = (counts << RATE_SHIFT) / ticks;
    timer_span = ((0xffffffffULL << RATE_SHIFT) / (timer_rate + 1)) / 2;
    timer_due = ARCH_NEVER;
    *apic(APIC_TIMER) = VECTOR_TIMER;
    for (uint32_t pin = 0; pin < ARCH_IRQS; pin++) {
        ioapic_write(IOAPIC_TABLE + pin * 2 + 1, 0);
        ioapic_write(IOAPIC_TABLE + pin * 2, APIC_MASKED | (VECTOR_IRQ + pin));
    }
}

void apic_ack(void)
{
    *apic(APIC_EOI) = 0;
}

void apic_timer_fired(void)
{
    timer_due = ARCH_NEVER;
}

#ifdef KERNEL_CHECK
static uint64_t skipped; /* ticks that the checks took: they do not count */

uint64_t arch_now(void)
{
    return tsc_read() - skipped;
}
#else
uint64_t arch_now(void)
{
    return tsc_read();
}
#endif

/* A wait longer than the timer counts ends early: entry_timer then finds nothing due and sets it
 * again. */
static void timer_start(void)
{
    if (timer_due == ARCH_NEVER) {
        *apic(APIC_INITIAL) = 0;
        return;
    }
    uint64_t now = arch_now();
    uint64_t wait = timer_due > now ? timer_due - now : 0;
    wait = wait > timer_span ? timer_span : wait;
    *apic(APIC_INITIAL) = (uint32_t)((wait * timer_rate) >> RATE_SHIFT) + 1;
}

void arch_timer_set(uint64_t due)
{
    if (due != timer_due) {
        timer_due = due;
        timer_start();
    }
}

#ifdef KERNEL_CHECK
void apic_skip(uint64_t since)
{
    skipped += tsc_read() - since;
    timer_start();
}
#endif

void arch_irq_mask(uint32_t irq)
{
    ioapic_write(IOAPIC_TABLE + irq * 2, ioapic_read(IOAPIC_TABLE + irq * 2) | APIC_MASKED);
}

void arch_irq_unmask(uint32_t irq)
{
    ioapic_write(IOAPIC_TABLE + irq * 2, ioapic_read(IOAPIC_TABLE + irq * 2) & ~APIC_MASKED);
}

uint32_t arch_port_in(uint32_t port, uint32_t bytes)
{
    uint32_t value = 0;
    if (bytes == 1) {
        __asm__ volatile("inb %w1, %b0" : "+a"(value) : "Nd"(port));
    } else if (bytes == 2) {
        __asm__ volatile("inw %w1, %w0" : "+a"(value) : "Nd"(port));
    } else {
        __asm__ volatile("inl %w1, %0" : "+a"(value) : "Nd"(port));
    }
    return value;
}

void arch_port_out(uint32_t port, uint32_t bytes, uint32_t value)
{
    if (bytes == 1) {
        __asm__ volatile("outb %b0, %w1" : : "a"(value), "Nd"(port));
    } else if (bytes == 2) {
        __asm__ volatile("outw %w0, %w1" : : "a"(value), "Nd"(port));
    } else {
        __asm__ volatile("outl %0, %w1" : : "a"(value), "Nd"(port));
    }
}
