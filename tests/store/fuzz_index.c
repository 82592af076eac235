/* Fuzz target: entries made of the bytes, put through a memtable and a run, are found again, and
 * nothing else is. */
#include "../../lib/store/store__.h"
#include "tree_testkit.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { TAKE = 6 };

static struct store_score score_of(const uint8_t *data)
{
    struct store_score s;
    memset(s.b, data[0],
           sizeof s.b); /* prefixes that are equal for long, for fences that are equal too */
    s.b[data[1] % STORE_SCORE_BYTES] = data[2];
    s.b[STORE_SCORE_BYTES - 1] = data[3];
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct disk *d;
    static struct store_io io;
    static struct store *s;
    static uint32_t id = 1;
    struct memtable m = {0};
    struct cg_errbuf eb = {0};
    struct run_out *out;
    struct run_record rec;
    struct run *r;
    struct entry found;
    bool there;
    cg_err e;
    if (!s) {
        d = disk_new();
        io = disk_io(d);
        cg_assert(kit_init(&io) == CG_OK);
        s = kit_open(&io, &e);
    }
    for (size_t at = 0; at + TAKE <= size; at += TAKE) {
        struct store_score score = score_of(data + at);
        struct entry *entry = memtable_at(&m, &score);
        entry->count += (int8_t)data[at + 4];
        entry->pack = data[at + 5];
    }
    if (m.count == 0) {
        return 0;
    }
    struct entry *all = memtable_sorted(&m);
    cg_assert(run_create(s, id++, RUN_ENTRIES, m.count, &out, &eb) == CG_OK);
    for (uint32_t i = 0; i < m.count; i++) {
        cg_assert(run_add(out, &all[i], &eb) == CG_OK);
    }
    cg_assert(run_end(out, &rec, &eb) == CG_OK && rec.entries == m.count);
    cg_assert(run_open(s, &rec, &r, &eb) == CG_OK);
    for (uint32_t i = 0; i < m.count; i++) {
        struct store_score near = all[i].score;
        cg_assert(run_find(s, r, &all[i].score, &found, &there, &eb) == CG_OK && there);
        cg_assert(found.count == all[i].count && found.pack == all[i].pack);
        near.b[STORE_SCORE_BYTES - 2] ^= 1;
        cg_assert(run_find(s, r, &near, &found, &there, &eb) == CG_OK);
        cg_assert(there == (memtable_find(&m, &near) != NULL));
    }
    run_close(&io, r);
    run_remove(s, RUN_ENTRIES, rec.id);
    cg_free(all);
    memtable_fini(&m);
    return 0;
}
