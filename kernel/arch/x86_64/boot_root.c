/* The first objects and the root task (abi/boot_info.h says what it finds).
 *
 * Only what cannot be asked for is made here: the first cnode, the untyped ranges, the monitor and
 * the first thread. All else is ordinary invocations in that thread's name, so that boot leaves
 * nothing that a program could not have made. They cannot be refused; one that is stops the
 * machine.
 */
#include "abi/abi.h"
#include "abi/boot_image.h"
#include "abi/boot_info.h"
#include "abi/message.h"
#include "arch/arch.h"
#include "layout.h"
#include "machine.h"
#include "object/decode.h"
#include "object/thread.h"
#include "object/turn.h"
#include "object/untyped.h"

#define ROOT          1u /* the root task's thread */
#define CNODE         1u /* the root task's cnode, by its first slot */
#define CNODE_SLOTS   (HOME_SLOTS / 2)
#define ROOT_PRIORITY (PRIORITIES / 2)
#define ROOT_TIME_US  10000u
#define IOAPIC_FRAME  0xfec00u
#define APIC_FRAME    0xfee00u
#define DEVICE_END    0x100000u /* 4 GiB */
#define PAGE_WORDS    512ULL

static struct boot_info *info;
static uint32_t memory;    /* index in info->untyped of the range that the root task is made of */
static uint32_t next_slot; /* for the next frame */

static uint32_t slot(uint32_t index)
{
    return CNODE + index;
}

static void untyped(uint8_t kind, uint32_t first, uint32_t count)
{
    if (count == 0 || info->untypeds == BOOT_UNTYPEDS_MAX) {
        return;
    }
    struct boot_untyped *u = &info->untyped[info->untypeds];
    *u = (struct boot_untyped){
        .slot = BOOT_UNTYPED + info->untypeds, .kind = kind, .first = first, .count = count};
    range_make(NIL, OBJ_UNTYPED, kind, first, count, slot((uint32_t)u->slot));
    info->untypeds++;
}

static void untypeds(void)
{
    for (uint32_t i = 0; i < machine.ranges; i++) {
        untyped(KIND_FRAME, machine.range_first[i], machine.range_count[i]);
        if (machine.range_count[i] > info->untyped[memory].count) {
            memory = i;
        }
    }
    untyped(KIND_SLOT, CNODE + CNODE_SLOTS, HOME_SLOTS - CNODE - CNODE_SLOTS);
    untyped(KIND_THREAD, ROOT + 1, T_MAX - ROOT - 1);
    untyped(KIND_ENDPOINT, 1, E_MAX - 1);
    untyped(KIND_NOTIFICATION, 1, N_MAX - 1);
    untyped(KIND_REPLY, 1, R_MAX - 1);
    untyped(KIND_CONTEXT, 1, C_MAX - 1);
    untyped(KIND_IRQ, 1, I_MAX - 1);
    untyped(KIND_PORT, 0, ARCH_PORTS);
    untyped(KIND_DEVICE, PHYS_FRAMES, IOAPIC_FRAME - PHYS_FRAMES);
    untyped(KIND_DEVICE, IOAPIC_FRAME + 1, APIC_FRAME - IOAPIC_FRAME - 1);
    untyped(KIND_DEVICE, APIC_FRAME + 1, DEVICE_END - APIC_FRAME - 1);
}

/* The root task invokes the capability at index with six words. */
static void ask(uint32_t index, uint32_t label, uint32_t words, const uint64_t word[6])
{
    uint64_t *reg = &t_reg[ROOT * T_REGS];
    uint32_t code;
    do {
        for (uint32_t k = 0; k < 6; k++) {
            reg[R_W0 + k] = word[k];
        }
        reg[R_TAG] = TAG_NATIVE | TAG(SYS_CALL, label, words, 0);
        invoke(ROOT, slot(index));
        code = TAG_CODE(reg[R_TAG]);
    } while (code == ERR_AGAIN);
    if (code != 0) {
        serial_text("\ninvocation ");
        serial_number(label, 10);
        serial_text(" error ");
        serial_number(code, 10);
        serial_text(" argument ");
        serial_number(reg[R_W0], 10);
        machine_stop("the root task cannot be made");
    }
}

/* One object from the root task's memory, to slot index. Returns its first frame. */
static uint32_t make(uint32_t index, uint32_t type, uint32_t size)
{
    struct boot_untyped *u = &info->untyped[memory];
    uint32_t unit = type_unit(type, size);
    if (unit == LARGE_FRAMES) {
        u->used += (LARGE_FRAMES - (u->first + u->used) % LARGE_FRAMES) % LARGE_FRAMES;
    }
    uint64_t word[6] = {type, size, u->used, 1, BOOT_CNODE, index};
    ask((uint32_t)u->slot, INV_UNTYPED_RETYPE, 6, word);
    u->used += unit;
    return (uint32_t)(u->first + u->used - unit);
}

static void make_other(uint8_t kind, uint32_t index, uint32_t type)
{
    for (uint32_t i = 0; i < info->untypeds; i++) {
        struct boot_untyped *u = &info->untyped[i];
        if (u->kind == kind) {
            uint64_t word[6] = {type, 0, 0, 1, BOOT_CNODE, index};
            ask((uint32_t)u->slot, INV_UNTYPED_RETYPE, 6, word);
            u->used = 1;
            return;
        }
    }
}

static void table(uint32_t index, uint32_t level, uint32_t above, uint64_t address)
{
    make(index, OBJ_TABLE, level);
    uint64_t word[6] = {above, (address >> (12 + 9 * level)) % TABLE_ENTRIES};
    ask(index, INV_TABLE_MAP, 2, word);
}

/* A new page of the root task, filled from words (0: with zeroes). */
static uint64_t *page(uint64_t address, uint64_t rights, const uint64_t *words)
{
    uint32_t index = next_slot++;
    uint64_t *to = &phys[make(index, OBJ_FRAME, 0) * PAGE_WORDS];
    for (uint32_t k = 0; words && k < PAGE_WORDS; k++) {
        to[k] = words[k];
    }
    uint64_t word[6] = {BOOT_TABLE_1, address / 4096 % TABLE_ENTRIES, rights};
    ask(index, INV_FRAME_MAP, 3, word);
    return to;
}

static const uint64_t *image_page(uint64_t number)
{
    return &phys[(machine.image_first + number) * PAGE_WORDS];
}

static const struct image_header *check_image(void)
{
    const struct image_header *image = (const struct image_header *)image_page(0);
    if (machine.image_count == 0 || image->magic != IMAGE_MAGIC ||
        image->pages > machine.image_count || image->segments > IMAGE_SEGMENTS) {
        machine_stop("there is no boot image; give one by -initrd");
    }
    for (uint32_t i = 0; i < image->segments; i++) {
        const struct image_segment *s = &image->segment[i];
        if (s->page > image->pages || s->pages > image->pages - s->page || s->address < BOOT_TEXT ||
            s->address > BOOT_STACK || s->pages * 4096 > BOOT_STACK - s->address) {
            machine_stop("the boot image's root task is out of bounds");
        }
    }
    return image;
}

static void segments(const struct image_header *image)
{
    for (uint32_t i = 0; i < image->segments; i++) {
        const struct image_segment *s = &image->segment[i];
        for (uint32_t p = 0; p < s->pages; p++) {
            page(s->address + p * 4096ULL, s->rights, image_page(s->page + p));
        }
    }
}

/* The whole image again, in large frames that the root task reads. */
static void image_frames(const struct image_header *image)
{
    info->image_slot = next_slot;
    info->image_bytes = image->pages * 4096;
    for (uint64_t done = 0; done < image->pages; done += LARGE_FRAMES) {
        uint32_t index = next_slot++;
        uint32_t frame = make(index, OBJ_FRAME, 1);
        for (uint64_t k = 0; k < LARGE_FRAMES * PAGE_WORDS && done + k / PAGE_WORDS < image->pages;
             k++) {
            phys[frame * PAGE_WORDS + k] = image_page(done)[k];
        }
        uint64_t word[6] = {BOOT_TABLE_I, (BOOT_IMAGE >> 21) % TABLE_ENTRIES + done / LARGE_FRAMES,
                            RIGHT_READ};
        ask(index, INV_FRAME_MAP, 3, word);
        info->image_frames++;
    }
}

static void bind(uint32_t role, uint32_t index)
{
    uint64_t word[6] = {role, index};
    ask(BOOT_THREAD, INV_THREAD_BIND, 2, word);
}

static void inform(void)
{
    for (uint32_t k = 0; k < MACHINE_LINE && k + 1 < BOOT_LINE; k++) {
        info->line[k] = machine.line[k];
    }
    info->magic = BOOT_MAGIC;
    info->ticks_per_us = machine.ticks_per_us;
    info->slots = CNODE_SLOTS;
    info->free_slot = next_slot;
#ifdef WINDOW
    info->window = 1;
#endif
}

void boot_root(void)
{
    static struct boot_info first_info;
    info = &first_info;
    next_slot = BOOT_FRAMES;
    slots_init();
    schedule_init();
    range_make(NIL, OBJ_CNODE, 0, CNODE, CNODE_SLOTS, slot(BOOT_CNODE));
    untypeds();
    range_make(NIL, OBJ_MONITOR, 0, 0, 0, slot(BOOT_MONITOR));
    object_make(NIL, OBJ_THREAD, 0, ROOT, slot(BOOT_THREAD));
    cap_copy(slot(BOOT_CNODE), THREAD_SLOT(ROOT, ROLE_CNODE), RIGHTS_ALL, 0);
    thread_bound(ROOT, ROLE_CNODE);

    make(BOOT_SPACE, OBJ_SPACE, 0);
    make_other(KIND_CONTEXT, BOOT_CONTEXT, OBJ_CONTEXT);
    table(BOOT_TABLE_3, 3, BOOT_SPACE, BOOT_TEXT);
    table(BOOT_TABLE_2, 2, BOOT_TABLE_3, BOOT_TEXT);
    table(BOOT_TABLE_I, 2, BOOT_TABLE_3, BOOT_IMAGE);
    table(BOOT_TABLE_1, 1, BOOT_TABLE_2, BOOT_TEXT);

    const struct image_header *image = check_image();
    uint64_t *told = page(BOOT_INFO, RIGHT_READ, 0);
    for (uint32_t p = 0; p < BOOT_STACK_PAGES; p++) {
        page(BOOT_STACK + p * 4096ULL, RIGHT_READ + RIGHT_WRITE, 0);
    }
    segments(image);
    info->segment_frames = next_slot - BOOT_FRAMES - 1 - BOOT_STACK_PAGES;
    image_frames(image);

    uint64_t time[6] = {machine.ticks_per_us * ROOT_TIME_US, machine.ticks_per_us * ROOT_TIME_US};
    ask(BOOT_CONTEXT, INV_CONTEXT_CONFIGURE, 2, time);
    bind(ROLE_SPACE, BOOT_SPACE);
    bind(ROLE_CONTEXT, BOOT_CONTEXT);
    uint64_t priority[6] = {ROOT_PRIORITY};
    ask(BOOT_THREAD, INV_THREAD_PRIORITY, 1, priority);
    inform();
    for (uint32_t k = 0; k < (sizeof(first_info) + 7) / 8; k++) {
        told[k] = ((const uint64_t *)info)[k];
    }
    uint64_t nothing[6] = {0};
    uint64_t entry = image->entry;
    ask(BOOT_THREAD, INV_THREAD_RESUME, 0, nothing);
    for (uint32_t r = 0; r < R_RIP; r++) {
        t_reg[ROOT * T_REGS + r] = 0;
    }
    t_reg[ROOT * T_REGS + R_RIP] = entry;
    t_reg[ROOT * T_REGS + R_RSP] = BOOT_STACK + BOOT_STACK_PAGES * 4096ULL;
    t_reg[ROOT * T_REGS + R_FULL] = 1;
    schedule_enter();
    schedule();
}
