/* Address spaces: see space.h. */
#include "space.h"

static unsigned shift(unsigned level) /* of the bytes that one entry of the level's table covers */
{
    return 12 + 9 * (level - 1);
}

static uint64_t key(unsigned level, uint64_t address)
{
    return (address >> shift(level + 1)) << 3 | level;
}

void space_new(struct holdings *h, struct space *s)
{
    s->handle = object_new(h, OBJ_SPACE);
    s->tables = 0;
}

void space_knows(struct space *s, unsigned level, uint64_t address, uint64_t handle)
{
    if (s->tables == SPACE_TABLES) {
        give_up("remember another page table", SPACE_TABLES);
    }
    s->table[s->tables].key = key(level, address);
    s->table[s->tables].handle = handle;
    s->tables++;
}

static uint64_t known(const struct space *s, unsigned level, uint64_t address)
{
    for (unsigned i = s->tables; i > 0; i--) {
        if (s->table[i - 1].key == key(level, address)) {
            return s->table[i - 1].handle;
        }
    }
    return 0;
}

uint64_t space_table(struct holdings *h, struct space *s, unsigned level, uint64_t address)
{
    uint64_t table = s->handle;
    for (unsigned l = 3; l >= level; l--) {
        uint64_t below = known(s, l, address);
        if (below == 0) {
            below = table_new(h, l);
            unsigned error = table_map(below, table, (address >> shift(l + 1)) % TABLE_ENTRIES);
            if (error) {
                give_up("map a page table", error);
            }
            space_knows(s, l, address, below);
        }
        table = below;
    }
    return table;
}

unsigned space_map(struct holdings *h, struct space *s, uint64_t address, uint64_t frame,
                   uint64_t rights)
{
    uint64_t table = space_table(h, s, 1, address);
    return frame_map(frame, table, (address >> 12) % TABLE_ENTRIES, rights);
}

unsigned space_map_large(struct holdings *h, struct space *s, uint64_t address, uint64_t frame,
                         uint64_t rights)
{
    uint64_t table = space_table(h, s, 2, address);
    return frame_map(frame, table, (address >> 21) % TABLE_ENTRIES, rights);
}
