/* The machine under the kernel: protection, privilege, registers that the kernel switches,
 * interrupts, devices, ports. */
#include "kit.h"

#define KERNEL_TEXT 0xffffffffc0200000ULL
#define KERNEL_PHYS 0xffffffff80800000ULL
#define PAGE_FETCH  16u
#define PAGE_WRITE  2u
#define VECTOR_GP   13u

/* Runs body(argument) in a space of its own until it faults. */
static void fault_of(uint64_t (*body)(uint64_t), uint64_t argument, struct message *m)
{
    static struct child c;
    *m = (struct message){.extra = 0};
    child_new(&c, body, argument, CHILD_SPACE);
    child_run(&c);
    child_fault(&c, m);
}

static uint64_t load(uint64_t address)
{
    return *(volatile uint64_t *)address;
}

static uint64_t store(uint64_t address)
{
    *(volatile uint64_t *)address = 1;
    return 0;
}

static uint64_t jump(uint64_t address)
{
    return ((uint64_t(*)(void))address)();
}

static bool page_fault(const struct message *m, uint64_t address, uint64_t code_bits)
{
    return TAG_LABEL(m->tag) == LABEL_FAULT + FAULT_PAGE && m->word[1] == address &&
           (m->word[2] & (PAGE_FETCH | PAGE_WRITE)) == code_bits;
}

static bool exception(const struct message *m, uint64_t vector)
{
    return TAG_LABEL(m->tag) == LABEL_FAULT + FAULT_EXCEPTION && m->word[0] == vector;
}

TEST(machine_kernel_text_is_not_read)
{
    struct message m;
    fault_of(load, KERNEL_TEXT, &m);
    CHECK(page_fault(&m, KERNEL_TEXT, 0));
}

TEST(machine_kernel_memory_is_not_written)
{
    struct message m;
    fault_of(store, KERNEL_PHYS, &m);
    CHECK(page_fault(&m, KERNEL_PHYS, PAGE_WRITE));
}

TEST(machine_kernel_text_is_not_executed)
{
    struct message m;
    fault_of(jump, KERNEL_TEXT, &m);
    CHECK(page_fault(&m, KERNEL_TEXT, PAGE_FETCH));
}

TEST(machine_text_is_not_written)
{
    struct message m;
    uint64_t at = (uint64_t)load;
    fault_of(store, at, &m);
    CHECK(page_fault(&m, at, PAGE_WRITE));
}

TEST(machine_data_is_not_executed)
{
    static uint8_t code[16] = {0xc3};
    struct message m;
    fault_of(jump, (uint64_t)code, &m);
    CHECK(page_fault(&m, (uint64_t)code, PAGE_FETCH));
}

TEST(machine_unmapped_page_faults)
{
    struct message m;
    fault_of(load, 0x123456789000, &m);
    CHECK(page_fault(&m, 0x123456789000, 0));
}

TEST(machine_non_canonical_address_faults)
{
    struct message m;
    fault_of(load, 0x8000000000000000ULL, &m);
    CHECK(exception(&m, VECTOR_GP));
}

static uint64_t privileged(uint64_t which)
{
    switch (which) {
    case 0:
        __asm__ volatile("hlt");
        break;
    case 1:
        __asm__ volatile("cli");
        break;
    case 2:
        __asm__ volatile("movq %%rax, %%cr3" : : "a"(0));
        break;
    case 3:
        __asm__ volatile("wrmsr" : : "a"(0), "c"(0xc0000080), "d"(0));
        break;
    case 4:
        __asm__ volatile("outb %%al, %%dx" : : "a"(0), "d"(0xf4));
        break;
    case 5:
        __asm__ volatile("inb %%dx, %%al" : : "a"(0), "d"(0x3f8));
        break;
    case 6:
        __asm__ volatile("lidt (%%rsp)" : :);
        break;
    case 7:
        __asm__ volatile("int $0x80");
        break;
    case 8:
        __asm__ volatile("int $32");
        break;
    default:
        __asm__ volatile("invlpg (%%rsp)" : :);
    }
    return 0;
}

TEST(machine_privileged_instructions_fault)
{
    for (uint64_t which = 0; which < 10; which++) {
        struct message m;
        fault_of(privileged, which, &m);
        CHECK_EQUAL(TAG_LABEL(m.tag), LABEL_FAULT + FAULT_EXCEPTION);
        CHECK_EQUAL(m.word[0], VECTOR_GP);
    }
}

static uint64_t divide(uint64_t by)
{
    volatile uint64_t zero = by;
    return 7 / zero;
}

TEST(machine_division_by_zero_is_a_fault)
{
    struct message m;
    fault_of(divide, 0, &m);
    CHECK(exception(&m, 0));
}

static uint64_t breakpoint(uint64_t x)
{
    __asm__ volatile("int3");
    return x + 1;
}

TEST(machine_breakpoint_is_a_fault_after_the_instruction)
{
    struct message m;
    fault_of(breakpoint, 0, &m);
    CHECK(exception(&m, 3));
    CHECK(*(uint8_t *)(m.word[7] - 1) == 0xcc);
}

static uint64_t invalid(uint64_t x)
{
    __asm__ volatile("ud2");
    return x;
}

TEST(machine_invalid_instruction_is_a_fault)
{
    struct message m;
    fault_of(invalid, 0, &m);
    CHECK(exception(&m, 6));
}

/* Fills vector and x87 state from the seed, gives others their turn, and counts what is no longer
 * there. */
static uint64_t hold_fpu(uint64_t seed)
{
    uint64_t wrong = 0;
    for (uint64_t round = 0; round < 50; round++) {
        uint64_t in[4] = {seed, seed + round, ~seed, seed * 3}, out[4];
        uint32_t mode_in = 0x1f80 | (uint32_t)(seed % 4) << 13, mode_out;
        struct message m = {.extra = 0};
        __asm__ volatile("vmovdqu %0, %%ymm5" : : "m"(in));
        __asm__ volatile("ldmxcsr %0" : : "m"(mode_in));
        message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
        __asm__ volatile("vmovdqu %%ymm5, %0" : "=m"(out));
        __asm__ volatile("stmxcsr %0" : "=m"(mode_out));
        for (unsigned k = 0; k < 4; k++) {
            wrong += in[k] != out[k];
        }
        wrong += mode_in != mode_out;
    }
    return wrong;
}

TEST(machine_vector_registers_belong_to_a_thread)
{
    static struct child c[3];
    for (unsigned i = 0; i < 3; i++) {
        child_new(&c[i], hold_fpu, 1 + i, i == 2 ? CHILD_THREAD : CHILD_SPACE);
        child_run(&c[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQUAL(child_result(&c[i]), 0);
    }
}

static uint64_t dirty_fpu(uint64_t seed)
{
    uint64_t in[4] = {seed, seed, seed, seed};
    __asm__ volatile("vmovdqu %0, %%ymm7" : : "m"(in));
    return 0;
}

static uint64_t see_fpu(uint64_t unused)
{
    uint64_t out[4];
    (void)unused;
    __asm__ volatile("vmovdqu %%ymm7, %0" : "=m"(out));
    return out[0] | out[1] | out[2] | out[3];
}

TEST(machine_new_thread_finds_no_vector_registers_of_others)
{
    static struct child a, b;
    struct mark mark = holdings_mark(&kit);
    child_new(&a, dirty_fpu, 0x5555, CHILD_SPACE);
    child_run(&a);
    CHECK_EQUAL(child_result(&a), 0);
    child_new(&b, see_fpu, 0, CHILD_SPACE);
    child_run(&b);
    CHECK_EQUAL(child_result(&b), 0);
    holdings_reset(&kit, &mark); /* and the same thread object anew */
    child_new(&a, see_fpu, 0, CHILD_SPACE);
    child_run(&a);
    CHECK_EQUAL(child_result(&a), 0);
}

/* Holds its FS and GS bases over turns of others. */
static uint64_t hold_bases(uint64_t seed)
{
    uint64_t wrong = 0;
    for (uint64_t round = 0; round < 50; round++) {
        uint64_t fs, gs;
        struct message m = {.extra = 0};
        __asm__ volatile("wrfsbase %0" : : "r"(seed + round));
        __asm__ volatile("wrgsbase %0" : : "r"(seed * 2 + round));
        message_pass(&m, SYS_YIELD, 0, 0, 0, 0);
        __asm__ volatile("rdfsbase %0" : "=r"(fs));
        __asm__ volatile("rdgsbase %0" : "=r"(gs));
        wrong += (fs != seed + round) + (gs != seed * 2 + round);
    }
    return wrong;
}

TEST(machine_fs_and_gs_bases_belong_to_a_thread)
{
    static struct child c[3];
    for (unsigned i = 0; i < 3; i++) {
        child_new(&c[i], hold_bases, (i + 1) * 0x1000, i == 2 ? CHILD_THREAD : CHILD_SPACE);
        child_run(&c[i]);
    }
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQUAL(child_result(&c[i]), 0);
    }
}

/* A system call with the flags that hurt a careless kernel: direction, alignment check, single step
 * is left to another test. */
static uint64_t odd_flags(uint64_t x)
{
    struct message m = {.extra = 0};
    for (unsigned i = 0; i < 20; i++) {
        uint64_t flags;
        m.tag = TAG_NATIVE | TAG(SYS_YIELD, 0, 0, 0);
        __asm__ volatile("pushfq; orq $0x40400, (%%rsp); popfq" : : : "memory", "cc");
        __asm__ volatile("movq %1, %%rdi; call kernel_syscall; pushfq; popq %0; cld"
                         : "=r"(flags)
                         : "r"(&m)
                         : "memory", "cc", "rax", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10",
                           "r11");
        __asm__ volatile("pushfq; andq $~0x40400, (%%rsp); popfq" : : : "memory", "cc");
        if ((flags & 0x40400) != 0x40400) {
            return 1;
        }
    }
    return x - 1;
}

TEST(machine_flags_of_a_caller_do_not_reach_the_kernel)
{
    static struct child c;
    child_new(&c, odd_flags, 1, CHILD_SPACE);
    child_run(&c);
    CHECK_EQUAL(child_result(&c), 0);
}

static uint64_t spin(uint64_t rounds)
{
    do {
        __asm__ volatile("pause");
    } while (--rounds);
    return 0;
}

/* Registers that a parent sets are made harmless: rip, flags and segment bases. */
TEST(machine_written_registers_are_made_harmless)
{
    static const uint64_t address[] = {0x8000000000000000ULL, 0x0000800000000000ULL, KERNEL_TEXT,
                                       0xffffffffffffffffULL};
    for (unsigned i = 0; i < 4; i++) {
        static struct child c;
        struct message m = {.extra = 0};
        uint64_t rsp = address[i];
        child_new(&c, spin, 0, CHILD_SPACE);
        CHECK(thread_write(c.thread, R_FS, address[i], 1, &rsp) == 0);
        CHECK(thread_write(c.thread, R_RIP, address[i], 1, &rsp) == 0);
        child_run(&c);
        child_fault(&c, &m);
        CHECK(TAG_LABEL(m.tag) == LABEL_FAULT + FAULT_PAGE ||
              TAG_LABEL(m.tag) == LABEL_FAULT + FAULT_EXCEPTION);
    }
}

TEST(machine_ports_are_reached_by_capability)
{
    uint64_t answer[MSG_WORDS_REGS];
    uint64_t slot = slot_new(&kit);
    struct range *r = &kit.range[KIND_PORT];
    CHECK(retype_whole(r->untyped, OBJ_PORT, 0, 0x70, 2, kit.cnode, slot) == 0);
    CHECK(port_out(slot, 0, 1, 0x0a) == 0); /* the clock chip's register A */
    CHECK(port_in(slot, 1, 1, answer) == 0);
    CHECK_EQUAL(answer[0] & 0x7f, 0x26);
    CHECK(port_in(slot, 2, 1, answer) == ERR_RANGE);
    CHECK(port_in(slot, 1, 2, answer) == ERR_RANGE);
}

TEST(machine_device_frame_is_mapped_uncached)
{
    const struct boot_info *info = boot_info();
    uint64_t hpet = 0xfed00, slot = slot_new(&kit);
    for (uint64_t i = 0; i < info->untypeds; i++) {
        const struct boot_untyped *u = &info->untyped[i];
        if (u->kind == KIND_DEVICE && hpet >= u->first && hpet - u->first < u->count) {
            CHECK(retype_whole(u->slot, OBJ_DEVICE, 0, hpet - u->first, 1, kit.cnode, slot) == 0);
        }
    }
    uint64_t table = space_table(&kit, &kit_space, 1, 0x1a000000);
    CHECK(device_map(slot, table, 0, RIGHT_READ) == 0);
    CHECK_EQUAL(*(volatile uint32_t *)0x1a000000 >> 16, 0x8086); /* the HPET's vendor */
    CHECK(device_unmap(slot) == 0);
}

/* The clock chip's periodic interrupt, line 8. */
static void clock_chip(uint64_t ports, unsigned reg, unsigned value)
{
    port_out(ports, 0, 1, reg);
    port_out(ports, 1, 1, value);
}

static unsigned clock_chip_read(uint64_t ports, unsigned reg)
{
    uint64_t answer[MSG_WORDS_REGS] = {0};
    port_out(ports, 0, 1, reg);
    port_in(ports, 1, 1, answer);
    return (unsigned)answer[0];
}

struct clock {
    uint64_t irq, ports, line;
};

/* 1,024 interrupts a second, or with slow 16. */
static void clock_start(struct clock *c, uint64_t badge, bool slow)
{
    c->irq = slot_new(&kit);
    c->ports = slot_new(&kit);
    c->line = object_new(&kit, OBJ_NOTIFICATION);
    retype_whole(kit.range[KIND_IRQ].untyped, OBJ_IRQ, 0, 8, 1, kit.cnode, c->irq);
    retype_whole(kit.range[KIND_PORT].untyped, OBJ_PORT, 0, 0x70, 2, kit.cnode, c->ports);
    irq_bind(c->irq, badged_new(&kit, c->line, RIGHT_WRITE, badge));
    clock_chip(c->ports, 0x0a, slow ? 0x2c : 0x26);
    clock_chip(c->ports, 0x0b, clock_chip_read(c->ports, 0x0b) | 0x40);
    clock_chip_read(c->ports, 0x0c); /* ends the chip's request, so that the next is an edge */
}

/* Waits for one interrupt; the bits that came. */
static uint64_t clock_wait(struct clock *c)
{
    struct message m = {.extra = 0};
    unsigned error = message_pass(&m, SYS_RECEIVE, receive_handle(c->line, 0), 0, 0, 0);
    clock_chip_read(c->ports, 0x0c);
    return error == 0 && irq_ack(c->irq) == 0 ? m.handle : 0;
}

static void clock_stop(struct clock *c)
{
    clock_chip(c->ports, 0x0a, 0x26);
    clock_chip(c->ports, 0x0b, clock_chip_read(c->ports, 0x0b) & ~0x40U);
    clock_chip_read(c->ports, 0x0c);
}

TEST(machine_interrupt_arrives_as_a_notification)
{
    struct clock c;
    clock_start(&c, 0x10, false);
    for (unsigned i = 0; i < 5; i++) { /* nothing else is ready meanwhile: the processor idles */
        CHECK_EQUAL(clock_wait(&c), 0x10);
    }
    clock_stop(&c);
}

TEST(machine_unacknowledged_interrupt_does_not_come_again)
{
    struct clock c;
    struct message m = {.extra = 0};
    clock_start(&c, 1, false);
    CHECK(message_pass(&m, SYS_RECEIVE, receive_handle(c.line, 0), 0, 0, 0) == 0);
    uint64_t start = kit_now();
    while (kit_now() - start < 5000 * boot_info()->ticks_per_us) { /* five periods */
        clock_chip_read(c.ports, 0x0c);
    }
    CHECK_EQUAL(message_pass(&m, SYS_RECEIVE_TRY, receive_handle(c.line, 0), 0, 0, 0), ERR_WAIT);
    CHECK(irq_ack(c.irq) == 0);
    CHECK_EQUAL(clock_wait(&c), 1);
    clock_stop(&c);
}

/* A thread without end, of lower priority than the tests: they run again only when an interrupt
 * comes. */
TEST(machine_interrupts_stay_on_whatever_flags_are_written)
{
    static struct child c;
    struct clock clock;
    uint64_t answer[MSG_WORDS_REGS];
    child_new(&c, spin, 0, CHILD_SPACE);
    CHECK(thread_write(c.thread, R_RFLAGS, 0x3000, 0, NULL) ==
          0); /* no interrupts, all port rights */
    child_run(&c);
    clock_start(&clock, 1, true);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQUAL(clock_wait(&clock), 1);
    }
    clock_stop(&clock);
    CHECK(thread_suspend(c.thread) == 0);
    CHECK(thread_read(c.thread, R_RFLAGS, 1, answer) == 0);
    CHECK_EQUAL(answer[0] & 0x3200, 0x200);
}

TEST(machine_time_goes_on)
{
    uint64_t a = kit_now();
    uint64_t us = boot_info()->ticks_per_us;
    CHECK(us >= 100 && us < 100000);
    while (kit_now() - a < 1000 * us) {
    }
    CHECK(kit_now() > a);
}
