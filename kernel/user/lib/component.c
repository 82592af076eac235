/* Components: see component.h. */
#include "component.h"

#include "arch/regs.h"
#include "elf.h"

#define COMPONENT_MAX 0x10000000ULL /* bytes of a component's own segments, at most */

static void check(unsigned error, const char *what)
{
    if (error) {
        give_up(what, error);
    }
}

/* Maps the frame at the scratch page, fills it, and takes it out again. */
static void fill(struct holdings *h, struct space *own, uint64_t frame, uint64_t at,
                 const void *bytes, uint64_t count)
{
    check(space_map(h, own, COMPONENT_SCRATCH, frame, RIGHT_READ | RIGHT_WRITE),
          "map a page to fill it");
    memcpy((uint8_t *)COMPONENT_SCRATCH + at, bytes, count);
    check(frame_unmap(frame), "unmap a filled page");
}

static void load_segment(struct holdings *h, struct space *own, struct component *c,
                         const struct elf_segment *s, const uint8_t *file)
{
    uint64_t rights = RIGHT_READ | (s->write ? RIGHT_WRITE : 0) | (s->execute ? RIGHT_EXECUTE : 0);
    uint64_t end = s->address + s->memory;
    for (uint64_t page = s->address & -4096ULL; page < end; page += 4096) {
        uint64_t frame = frame_new(h);
        uint64_t from = page > s->address ? page : s->address;
        uint64_t to = page + 4096 < s->address + s->file ? page + 4096 : s->address + s->file;
        if (from < to) {
            fill(h, own, frame, from - page, file + s->offset + (from - s->address), to - from);
        }
        check(space_map(h, &c->space, page, frame, rights), "map a component's page");
    }
}

static uint64_t load(struct holdings *h, struct space *own, const struct component_plan *plan,
                     struct component *c)
{
    struct elf elf;
    const char *why = "it is not in the boot image";
    uint64_t bytes = 0;
    const uint8_t *file = boot_file(plan->file, &bytes);
    if (!file || !elf_read(file, bytes, COMPONENT_MAX, &elf, &why)) {
        print(plan->file);
        print(": ");
        print(why);
        print("\n");
        give_up("start a component", 0);
    }
    for (unsigned i = 0; i < elf.segments; i++) {
        load_segment(h, own, c, &elf.segment[i], file);
    }
    for (unsigned i = 0; i < BOOT_STACK_PAGES; i++) {
        check(space_map(h, &c->space, BOOT_STACK + i * 4096ULL, frame_new(h),
                        RIGHT_READ | RIGHT_WRITE),
              "map a component's stack");
    }
    return elf.entry;
}

static void grant(struct holdings *h, struct component *c, uint64_t slot, uint64_t handle,
                  uint64_t rights)
{
    check(cnode_copy(c->cnode, slot, h->cnode, handle, rights), "give a component a capability");
}

static void give_image(struct holdings *h, struct component *c)
{
    const struct boot_info *info = boot_info();
    for (uint64_t i = 0; i < info->image_frames; i++) {
        uint64_t frame = copy_new(h, info->image_slot + i, RIGHT_READ);
        check(
            space_map_large(h, &c->space, BOOT_IMAGE + i * LARGE_FRAMES * 4096, frame, RIGHT_READ),
            "map the boot image for a component");
    }
}

/* Ranges of its own, told in its information. */
static void give_ranges(struct holdings *h, const struct component_plan *plan, struct component *c,
                        struct boot_info *info)
{
    for (unsigned kind = 1; kind < KINDS; kind++) {
        if (plan->count[kind] == 0) {
            continue;
        }
        struct boot_untyped *u = &info->untyped[info->untypeds];
        const struct range *r = &h->range[kind];
        *u = (struct boot_untyped){.slot = BOOT_UNTYPED + info->untypeds,
                                   .kind = kind,
                                   .first = r->first + r->used,
                                   .count = plan->count[kind]};
        grant(h, c, u->slot, untyped_new(h, kind, u->count), RIGHTS_ALL);
        info->untypeds++;
    }
}

static void inform(struct holdings *h, struct space *own, const struct component_plan *plan,
                   struct component *c)
{
    static struct boot_info info;
    info = (struct boot_info){.magic = BOOT_MAGIC,
                              .ticks_per_us = boot_info()->ticks_per_us,
                              .window = boot_info()->window,
                              .slots = plan->slots,
                              .free_slot = BOOT_FRAMES};
    for (unsigned i = 0; i < plan->grants; i++) {
        grant(h, c, plan->grant_slot[i], plan->grant[i], plan->grant_rights[i]);
        if (plan->grant_slot[i] >= info.free_slot) {
            info.free_slot = plan->grant_slot[i] + 1;
        }
    }
    give_ranges(h, plan, c, &info);
    if (plan->image) {
        info.image_bytes = boot_info()->image_bytes;
        give_image(h, c);
    }
    for (size_t i = 0; i + 1 < BOOT_LINE && plan->line[i]; i++) {
        info.line[i] = plan->line[i];
    }
    uint64_t frame = frame_new(h);
    fill(h, own, frame, 0, &info, sizeof(info));
    check(space_map(h, &c->space, BOOT_INFO, frame, RIGHT_READ), "map a component's information");
}

void component_start(struct holdings *h, struct space *own, const struct component_plan *plan,
                     struct component *c)
{
    uint64_t tick = boot_info()->ticks_per_us;
    c->cnode = cnode_new(h, plan->slots);
    c->thread = object_new(h, OBJ_THREAD);
    c->context = object_new(h, OBJ_CONTEXT);
    space_new(h, &c->space);
    uint64_t entry = load(h, own, plan, c);
    inform(h, own, plan, c);
    grant(h, c, BOOT_CNODE, c->cnode, RIGHTS_ALL);
    grant(h, c, BOOT_SPACE, c->space.handle, RIGHTS_ALL);
    grant(h, c, BOOT_THREAD, c->thread, RIGHTS_ALL);
    grant(h, c, BOOT_CONTEXT, c->context, RIGHT_READ);
    grant(h, c, BOOT_TABLE_3, space_table(h, &c->space, 3, BOOT_TEXT), RIGHTS_ALL);
    grant(h, c, BOOT_TABLE_2, space_table(h, &c->space, 2, BOOT_TEXT), RIGHTS_ALL);
    grant(h, c, BOOT_TABLE_I, space_table(h, &c->space, 2, BOOT_IMAGE), RIGHTS_ALL);
    grant(h, c, BOOT_TABLE_1, space_table(h, &c->space, 1, BOOT_TEXT), RIGHTS_ALL);
    check(context_configure(c->context, plan->budget_us * tick, plan->period_us * tick),
          "configure a component's time");
    check(thread_bind(c->thread, ROLE_CNODE, c->cnode), "bind a component's cnode");
    check(thread_bind(c->thread, ROLE_SPACE, c->space.handle), "bind a component's space");
    check(thread_bind(c->thread, ROLE_CONTEXT, c->context), "bind a component's time");
    if (plan->fault) {
        check(thread_bind(c->thread, ROLE_FAULT, plan->fault), "bind a component's fault endpoint");
    }
    uint64_t stack = BOOT_STACK + BOOT_STACK_PAGES * 4096ULL;
    check(thread_priority(c->thread, plan->priority), "set a component's priority");
    check(thread_write(c->thread, R_RIP, entry, 1, &stack), "set a component's registers");
    check(thread_resume(c->thread), "let a component run");
}
