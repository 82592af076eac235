/* The longest entry: what takes the kernel long, each as many entries as it asks for. */
#include "bench.h"

#define COPIES        256u
#define FILLED        200u /* slots of the cnode that is deleted */
#define REGION        0x1c000000ULL
#define LONGEST_WORDS 512u

static uint32_t longest;
static unsigned longest_label;

static void keep_longest(uint32_t ticks, unsigned label)
{
    if (ticks > longest) {
        longest = ticks;
        longest_label = label;
    }
}

/* Makes the call until it is done; `seen` hears of each entry. Returns the error. */
static unsigned slices(void (*seen)(uint32_t, unsigned), uint64_t handle, unsigned label,
                       unsigned words, const uint64_t *word)
{
    do {
        uint32_t ticks = timed(handle, label, words, word);
        if (seen) {
            seen(ticks, label);
        }
    } while (message_error(&bench_message) == ERR_AGAIN);
    return message_error(&bench_message);
}

#define SLICES(seen, handle, label, ...)                                                           \
    must(slices(seen, handle, label, sizeof((uint64_t[]){__VA_ARGS__}) / 8,                        \
                (uint64_t[]){__VA_ARGS__}),                                                        \
         #label)

/* A cnode with as many slots as one call gives, filled, emptied by deleting it. */
static void cnodes(void (*seen)(uint32_t, unsigned))
{
    struct range *r = &kit.range[KIND_SLOT];
    uint64_t slot = slot_new(&kit), endpoint = object_new(&kit, OBJ_ENDPOINT);
    SLICES(seen, r->untyped, INV_UNTYPED_RETYPE, OBJ_CNODE, 0, r->used, CNODE_SLICE, kit.cnode,
           slot);
    SLICES(seen, slot, INV_CNODE_EXTEND, r->untyped, CNODE_SLICE);
    for (uint64_t i = 1; i < FILLED; i++) {
        SLICES(seen, slot, INV_CNODE_MINT, i, kit.cnode, endpoint, RIGHTS_ALL, i);
    }
    SLICES(seen, kit.cnode, INV_CNODE_DELETE, slot);
}

/* Copies of copies, revoked from the first. */
static void copies(void (*seen)(uint32_t, unsigned))
{
    uint64_t slot = slots_new(&kit, COPIES), first = object_new(&kit, OBJ_NOTIFICATION);
    for (uint64_t i = 0; i < COPIES; i++) {
        uint64_t from = i % 3 == 0 || i < 2 ? first : slot + i - 1;
        SLICES(seen, kit.cnode, INV_CNODE_COPY, slot + i, kit.cnode, from, RIGHTS_ALL);
    }
    SLICES(seen, kit.cnode, INV_CNODE_REVOKE, first);
}

/* Frames, small and large, zeroed and mapped, and the tables that they are mapped in deleted. */
static void memory(void (*seen)(uint32_t, unsigned))
{
    struct range *r = &kit.range[KIND_FRAME];
    uint64_t space = object_new(&kit, OBJ_SPACE), table[4] = {0, 0, 0, space};
    for (unsigned level = 3; level > 0; level--) {
        table[level - 1] = table_new(&kit, level);
        SLICES(seen, table[level - 1], INV_TABLE_MAP, table[level], 1);
    }
    uint64_t slot = slots_new(&kit, 4ULL * RETYPE_OBJECTS);
    for (uint64_t i = 0; i < 4; i++) {
        SLICES(seen, r->untyped, INV_UNTYPED_RETYPE, OBJ_FRAME, 0, r->used + i * RETYPE_OBJECTS,
               RETYPE_OBJECTS, kit.cnode, slot + i * RETYPE_OBJECTS);
    }
    for (uint64_t i = 0; i < 4ULL * RETYPE_OBJECTS; i++) {
        SLICES(seen, slot + i, INV_FRAME_MAP, table[0], i * 7, RIGHT_READ);
    }
    uint64_t large = slot_new(&kit), at = r->used + 64 + 512;
    at -= (r->first + at) % LARGE_FRAMES;
    SLICES(seen, r->untyped, INV_UNTYPED_RETYPE, OBJ_FRAME, 1, at, 1, kit.cnode, large);
    SLICES(seen, large, INV_FRAME_MAP, table[1], 5, RIGHT_READ);
    for (unsigned level = 0; level < 4; level++) {
        SLICES(seen, kit.cnode, INV_CNODE_DELETE, table[level]);
    }
    SLICES(seen, kit.cnode, INV_CNODE_DELETE, large);
}

/* Tables, each with as much in it as one slice unmaps, and threads with all that they can be bound
 * to: one revoke ends several. */
static void ends(void (*seen)(uint32_t, unsigned))
{
    uint64_t tables = untyped_new(&kit, KIND_FRAME, 8ULL * TABLE_FRAMES),
             table = slots_new(&kit, 8);
    uint64_t threads = untyped_new(&kit, KIND_THREAD, 8), thread = slots_new(&kit, 8);
    uint64_t frame = frames_new(&kit, 8ULL * UNMAP_SLICE);
    SLICES(seen, tables, INV_UNTYPED_RETYPE, OBJ_TABLE, 1, 0, 8, kit.cnode, table);
    SLICES(seen, threads, INV_UNTYPED_RETYPE, OBJ_THREAD, 0, 0, 8, kit.cnode, thread);
    for (uint64_t i = 0; i < 8; i++) {
        for (uint64_t k = 0; k < UNMAP_SLICE; k++) {
            SLICES(seen, frame + i * UNMAP_SLICE + k, INV_FRAME_MAP, table + i, 511 - k,
                   RIGHT_READ);
        }
        SLICES(seen, thread + i, INV_THREAD_BIND, ROLE_CNODE, kit.cnode);
        SLICES(seen, thread + i, INV_THREAD_BIND, ROLE_SPACE, BOOT_SPACE);
        SLICES(seen, thread + i, INV_THREAD_BIND, ROLE_FAULT, object_new(&kit, OBJ_ENDPOINT));
        SLICES(seen, thread + i, INV_THREAD_BIND, ROLE_BUFFER, frame);
        SLICES(seen, thread + i, INV_THREAD_BIND, ROLE_NOTIFICATION,
               object_new(&kit, OBJ_NOTIFICATION));
        SLICES(seen, thread + i, INV_THREAD_BIND, ROLE_CONTEXT, object_new(&kit, OBJ_CONTEXT));
    }
    SLICES(seen, kit.cnode, INV_CNODE_REVOKE, tables);
    SLICES(seen, kit.cnode, INV_CNODE_REVOKE, threads);
}

/* What a monitor may ask. */
static void monitor(void (*seen)(uint32_t, unsigned))
{
    for (uint64_t field = 0; field < FIELDS; field++) {
        uint64_t word[3] = {field, 0, DUMP_SLICE};
        slices(seen, BOOT_MONITOR, INV_MONITOR_SUM, 3,
               word); /* refused where the table is shorter */
        word[2] = DUMP_WORDS;
        slices(seen, BOOT_MONITOR, INV_MONITOR_READ, 3, word);
    }
}

void longest_work(void (*seen)(uint32_t ticks, unsigned label))
{
    static struct kit_state state;
    kit_begin(&state);
    cnodes(seen);
    copies(seen);
    ends(seen);
    memory(seen); /* the last: it takes frames without keeping books */
    monitor(seen);
    kit_end(&state);
}

void measure_longest(void)
{
    static uint32_t figure[ROUNDS];
    for (unsigned i = 0; i < 3; i++) {
        longest_work(keep_longest);
    }
    for (unsigned i = 0; i < ROUNDS; i++) {
        figure[i] = longest;
    }
    print("# the longest entry is of label ");
    print_number(longest_label);
    print("\n");
    row("longest_entry", "", figure);
}
