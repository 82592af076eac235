/* Merging runs. Entries of one score become one; of an object that was put twice by writers that
 * did not know of each other one place stays, and when it is a node the edges of the other copy are
 * taken back from the counts. */
#include "store__.h"

#include <stdlib.h>
#include <string.h>

enum {
    RUNS_FEW = 8,   /* fewer are not worth the work */
    RUNS_MANY = 24, /* so many are merged whatever their sizes */
};

struct unlinking {
    struct memtable *counts;
    int32_t by;
};

static cg_err unlink_child(void *aux, enum store_object kind, const struct store_score *child)
{
    (void)kind;
    const struct unlinking *u = aux;
    struct entry *e = memtable_at(u->counts, child);
    if (!e) {
        return CG_ENOMEM;
    }
    e->count -= u->by;
    return CG_OK;
}

cg_err compact_unlink(struct store_writer *w, const struct sum *node, int32_t by,
                      struct memtable *counts, struct cg_errbuf *eb)
{
    struct unlinking u = {.counts = counts, .by = by};
    struct cg_span bytes;
    cg_err e = store_get_at(w->s, &node->place, &node->score, &bytes, eb);
    return e ? e : node_edges(bytes, unlink_child, &u);
}

cg_err sum_entry(const struct sum *sum, struct entry *out, struct cg_errbuf *eb)
{
    *out = sum->place;
    out->score = sum->score;
    out->count = (int32_t)sum->count;
    return sum->count == out->count
               ? CG_OK
               : cg_fail(eb, CG_EOVERFLOW, "more than 2^31 edges lead to one object");
}

static cg_err merge_runs(struct store_writer *w, struct run **runs, uint32_t count, uint32_t id,
                         struct run_record *merged, struct memtable *counts, struct cg_errbuf *eb)
{
    struct merge m;
    struct run_out *out = NULL;
    struct sum sum;
    cg_err e = merge_open(w->s, runs, count, &m, eb);
    if (e) {
        return e;
    }
    for (uint32_t i = 0; i < count; i++) {
        run_forget_filter(runs[i]); /* the new run's takes as much */
    }
    e = run_create(w->s, id, RUN_ENTRIES, merge_entries(&m), &out, eb);
    while (!e && (e = merge_next(&m, &sum, NULL, NULL, eb)) == CG_OK) {
        struct entry entry;
        if (sum.places > 1 && sum.place.kind == STORE_NODE) {
            e = compact_unlink(w, &sum, (int32_t)sum.places - 1, counts, eb);
        }
        e = e ? e : sum_entry(&sum, &entry, eb);
        if (!e && (entry.kind || entry.count)) {
            e = run_add(out, &entry, eb);
        }
    }
    merge_close(&m);
    if (e != CG_ENOENT || run_empty(out)) {
        run_abandon(out);
        *merged = (struct run_record){0};
        return e == CG_ENOENT ? CG_OK : e;
    }
    return run_end(out, merged, eb);
}

struct replacing {
    struct store_writer *w;
    const uint32_t *old;
    uint32_t count;
    struct run_record merged, counts;
};

static cg_err replace_edit(struct store *s, struct state *next, void *arg, struct cg_errbuf *eb)
{
    (void)s;
    struct replacing *r = arg;
    cg_err e = writer_enter(r->w, next, STORE_GOES_ON, eb);
    for (uint32_t i = 0; i < r->count && !e; i++) {
        e = state_drop_run(next, r->old[i]) ? CG_OK
                                            : cg_fail(eb, CG_EAGAIN, "another merged these runs");
    }
    e = e ? e : state_add_run(next, &r->merged);
    return e ? e : state_add_run(next, &r->counts);
}

static cg_err compact(struct store_writer *w, struct run **runs, uint32_t count, uint32_t id,
                      struct cg_errbuf *eb)
{
    struct memtable counts = {0};
    uint32_t *ids = cg_alloc(count * sizeof *ids);
    struct replacing r = {.w = w, .old = ids, .count = count};
    for (uint32_t i = 0; i < count && ids; i++) {
        ids[i] = runs[i]->rec.id; /* the runs themselves may be closed by what follows */
    }
    cg_err e = ids ? merge_runs(w, runs, count, id, &r.merged, &counts, eb) : CG_ENOMEM;
    e = e ? e : writer_run(w, &counts, RUN_ENTRIES, &r.counts, eb);
    memtable_fini(&counts);
    e = e ? e : state_commit(w->s, replace_edit, &r, eb);
    if (!e) {
        writer_entered(w);
        for (uint32_t i = 0; i < count; i++) {
            run_remove(w->s, RUN_ENTRIES, ids[i]);
        }
    } else if (e == CG_EAGAIN && r.merged.entries) {
        run_remove(w->s, RUN_ENTRIES, r.merged.id);
    }
    cg_free(ids);
    return e == CG_EAGAIN ? CG_OK : e;
}

static int by_entries(const void *a, const void *b)
{
    const struct run *const *x = a, *const *y = b;
    return (*x)->rec.entries < (*y)->rec.entries ? -1 : (*x)->rec.entries > (*y)->rec.entries;
}

/* The smallest runs, as far as each is at most twice as long as all before it: so an entry is
 * merged a number of times that grows with the logarithm of the index. */
cg_err compact_if_many(struct store_writer *w, struct cg_errbuf *eb)
{
    struct store *s = w->s;
    uint32_t all = 0, take = 0, id;
    uint64_t before = 0;
    if (s->runs < RUNS_FEW) {
        return CG_OK;
    }
    cg_err e = writer_run_id(w, &id, eb); /* first: it may change which runs there are */
    struct run **runs = e ? NULL : cg_alloc(s->runs * sizeof *runs);
    if (!runs) {
        return e ? e : CG_ENOMEM;
    }
    for (size_t i = 0; i < s->runs; i++) {
        if (s->run[i]->rec.kind == RUN_ENTRIES) {
            runs[all++] = s->run[i];
        }
    }
    if (all) {
        qsort(runs, all, sizeof *runs, by_entries);
    }
    while (take < all && (take == 0 || runs[take]->rec.entries <= 2 * before)) {
        before += runs[take++]->rec.entries;
    }
    take = all >= RUNS_MANY ? all : take;
    e = take >= RUNS_FEW ? compact(w, runs, take, id, eb) : CG_OK;
    cg_free(runs);
    return e;
}
