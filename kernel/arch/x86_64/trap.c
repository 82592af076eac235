/* Descriptor tables, and which entry of object/ a trap belongs to. */
#include "arch/arch.h"
#include "asm.h"
#include "layout.h"
#include "machine.h"
#include "object/thread.h"

#define GATE_INTERRUPT 0x8e00ULL /* present, for the kernel, interrupts off */
#define GATE_USER      0x6000ULL /* user mode may raise it by instruction: breakpoint, overflow */
#define STUB_BYTES     16u
#define VECTOR_FPU     7u
#define FMASK          0x257fd5ULL /* every flag but the fixed one: no interrupts, no steps, no AC */

struct tss {
    uint32_t reserved0;
    uint64_t rsp0, rsp1, rsp2, reserved1, ist[7], reserved2;
    uint16_t reserved3, ports;
} __attribute__((packed));

struct table_pointer {
    uint16_t limit;
    uint64_t base;
} __attribute__((packed));

#define IN_WINDOW __attribute__((section(".data.window")))
/* null, kernel code and data, (two unused), user data and code, TSS */
static uint64_t gdt[9] IN_WINDOW = {0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0,
                                    0, 0x00cff3000000ffff, 0x00affb000000ffff};
static uint64_t idt[VECTORS * 2] IN_WINDOW = {0};
static struct tss tss IN_WINDOW = {0};
static uint8_t rescue_stack[3][RESCUE_STACK_BYTES] IN_WINDOW __attribute__((aligned(16))) = {{0}};

extern char trap_stubs[], entry_stack_top[], syscall_entry[], kernel_stack_top[];

static void gate(uint32_t vector, uint64_t flags, uint64_t stack)
{
    uint64_t to = (uint64_t)trap_stubs + vector * STUB_BYTES;
    idt[vector * 2] = (to & 0xffff) | ((uint64_t)CS_KERNEL << 16) | (stack << 32) |
                      ((GATE_INTERRUPT | flags) << 32) | ((to & 0xffff0000) << 32);
    idt[vector * 2 + 1] = to >> 32;
}

void segments_init(void)
{
    uint64_t base = (uint64_t)&tss;
    tss.rsp0 = (uint64_t)entry_stack_top;
    tss.ports = sizeof(tss); /* no bitmap: ports only by invocation */
    for (uint32_t i = 0; i < 3; i++) {
        tss.ist[i] = (uint64_t)rescue_stack[i] + RESCUE_STACK_BYTES;
    }
    gdt[TSS_SEL / 8] = (sizeof(tss) - 1) | ((base & 0xffffff) << 16) | (0x89ULL << 40) |
                       ((base >> 24 & 0xff) << 56);
    gdt[TSS_SEL / 8 + 1] = base >> 32;
    for (uint32_t v = 0; v < VECTORS; v++) {
        gate(v, v == 3 || v == 4 ? GATE_USER : 0, 0);
    }
    gate(2, 0, 1);
    gate(8, 0, 2);
    gate(18, 0, 3);
    struct table_pointer gdtr = {sizeof(gdt) - 1, (uint64_t)gdt};
    struct table_pointer idtr = {sizeof(idt) - 1, (uint64_t)idt};
    __asm__ volatile("lgdt %0\n\tlidt %1\n\tltr %w2" : : "m"(gdtr), "m"(idtr), "r"(TSS_SEL));
    msr_write(MSR_STAR, ((uint64_t)(SS_USER - 8) << 48) | ((uint64_t)CS_KERNEL << 32));
    msr_write(MSR_LSTAR, (uint64_t)syscall_entry);
    msr_write(MSR_FMASK, FMASK);
}

void trap_dispatch(uint64_t vector, uint64_t code, uint64_t address)
{
    if (vector == VECTOR_TIMER) {
        apic_ack();
        apic_timer_fired();
        entry_timer();
    } else if (vector >= VECTOR_IRQ && vector < VECTOR_IRQ + ARCH_IRQS) {
        arch_irq_mask((uint32_t)(vector - VECTOR_IRQ));
        apic_ack();
        entry_interrupt((uint32_t)(vector - VECTOR_IRQ));
    } else if (vector == VECTOR_FPU) {
        fpu_use();
    } else if (vector < VECTOR_IRQ) {
        entry_fault(vector, code, address);
    }
}

static void line(const char *name, uint64_t value)
{
    serial_text(name);
    serial_number(value, 16);
}

void machine_stop(const char *why)
{
    serial_text("\nkernel stopped: ");
    serial_text(why);
    serial_text("\n");
    for (;;) {
        arch_stop(0x7f);
        __asm__ volatile("cli; hlt");
    }
}

/* frame: vector, error code, rip, cs, rflags, rsp */
void trap_panic(const uint64_t *frame)
{
    uint64_t address;
    __asm__ volatile("movq %%cr2, %0" : "=r"(address));
    line("\nvector ", frame[0]);
    line(" code ", frame[1]);
    line(" rip ", frame[2]);
    line(" rsp ", frame[5]);
    line(" address ", address);
    line(" thread ", current);
    machine_stop("trap in the kernel");
}

void arch_panic(uint32_t where)
{
    serial_text("\nline ");
    serial_number(where, 10);
    machine_stop("a broken invariant");
}
