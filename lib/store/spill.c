/* Entries that come in any order and are read in the order of scores. A table gathers them; full,
 * it goes to a temporary run, and runs that grow many become one: memory is bounded whatever
 * comes. */
#include "store__.h"

enum { SPILL_RUNS_MAX = 48 }; /* each has CURSOR_PAGES in memory while all are read */

static cg_err open_spilled(struct spill *p, struct run_out *out, cg_err e, struct cg_errbuf *eb)
{
    struct run_record rec;
    struct run *r;
    if (e) {
        run_abandon(out);
        return e;
    }
    e = array_room(&p->run, &p->runs_cap, p->runs, sizeof *p->run) ? CG_OK : CG_ENOMEM;
    if (e) {
        run_abandon(out);
        return e;
    }
    e = run_end(out, &rec, eb);
    if (!e && (e = run_open(p->s, &rec, &r, eb)) != CG_OK) {
        run_remove(p->s, RUN_TEMPORARY, rec.id);
    }
    if (!e) {
        p->run[p->runs++] = r;
    }
    return e;
}

static cg_err create(struct spill *p, uint64_t entries, struct run_out **out, struct cg_errbuf *eb)
{
    uint32_t id;
    p->s->env.random(p->s->env.ctx, &id, sizeof id);
    return run_create(p->s, id, RUN_TEMPORARY, entries, out, eb);
}

static void close_first(struct spill *p, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint32_t id = p->run[i]->rec.id;
        run_close(p->s->io, p->run[i]);
        run_remove(p->s, RUN_TEMPORARY, id);
    }
    for (size_t i = count; i < p->runs; i++) {
        p->run[i - count] = p->run[i];
    }
    p->runs -= count;
}

static cg_err make_one(struct spill *p, struct cg_errbuf *eb)
{
    struct merge m;
    struct sum sum;
    struct run_out *out;
    size_t before = p->runs;
    cg_err e = merge_open(p->s, p->run, (uint32_t)p->runs, &m, eb);
    if (e) {
        return e;
    }
    e = create(p, merge_entries(&m), &out, eb);
    if (e) {
        merge_close(&m);
        return e;
    }
    while (!e && (e = merge_next(&m, &sum, NULL, NULL, eb)) == CG_OK) {
        struct entry entry;
        e = sum_entry(&sum, &entry, eb);
        e = e ? e : run_add(out, &entry, eb);
    }
    merge_close(&m);
    e = open_spilled(p, out, e == CG_ENOENT ? CG_OK : e, eb);
    if (!e) {
        close_first(p, before);
    }
    return e;
}

static cg_err table_to_run(struct spill *p, struct cg_errbuf *eb)
{
    struct run_out *out;
    cg_err e = p->runs == SPILL_RUNS_MAX ? make_one(p, eb) : CG_OK;
    struct entry *all = e ? NULL : memtable_sorted(&p->m);
    if (!all) {
        return e ? e : CG_ENOMEM;
    }
    e = create(p, p->m.count, &out, eb);
    if (!e) {
        for (uint32_t i = 0; i < p->m.count && !e; i++) {
            e = run_add(out, &all[i], eb);
        }
        e = open_spilled(p, out, e, eb);
    }
    cg_free(all);
    return e;
}

cg_err spill_at(struct spill *p, const struct store_score *score, struct entry **out,
                struct cg_errbuf *eb)
{
    uint32_t most = p->s->o.list_entries ? p->s->o.list_entries : MEMTABLE_ENTRIES_MAX;
    if (p->m.count >= most) {
        cg_err e = table_to_run(p, eb);
        if (e) {
            return e;
        }
        memtable_clear(&p->m);
    }
    *out = memtable_at(&p->m, score);
    return *out ? CG_OK : CG_ENOMEM;
}

cg_err spill_merge(struct spill *p, struct run *more, struct merge *m, struct cg_errbuf *eb)
{
    cg_err e = p->m.count ? table_to_run(p, eb) : CG_OK;
    memtable_fini(&p->m);
    struct run **runs = e ? NULL : cg_alloc((p->runs + 1) * sizeof *runs);
    if (!runs) {
        return e ? e : CG_ENOMEM;
    }
    size_t count = 0;
    for (; count < p->runs; count++) {
        runs[count] = p->run[count];
    }
    if (more) {
        runs[count++] = more;
    }
    e = merge_open(p->s, runs, (uint32_t)count, m, eb);
    cg_free(runs);
    return e;
}

void spill_fini(struct spill *p)
{
    close_first(p, p->runs);
    memtable_fini(&p->m);
    cg_free(p->run);
    *p = (struct spill){0};
}
