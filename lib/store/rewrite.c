/* What collection does to files: the index made anew as one run, and packs that are mostly dead
 * written again. */
#include "store__.h"

#include <stdlib.h>
#include <string.h>

enum {
    /* Before compression. A pack that is full by its number of objects has more: so small packs
     * become fewer whatever is in them. */
    SMALL_PACK_RAW = PACK_OBJECTS_MAX * ENTRY_SIZE_UNIT,
    SMALL_PACKS_MANY = 8,
    MOVED_MAX = 96 << 10, /* objects a round: their new places are kept in memory */
};

/* ---- one run for all ---- */

struct live {
    uint32_t pack;
    uint64_t bytes;
};

struct remaking {
    const struct remake *r;
    struct store *s;
    struct live *live; /* of the packs of the state, in order */
    size_t packs;
    uint32_t *old; /* runs that are replaced */
    size_t olds;
    struct memtable extra; /* edges of copies that are let go */
    struct run_record run, more;
};

static int by_pack(const void *a, const void *b)
{
    const struct live *x = a, *y = b;
    return x->pack < y->pack ? -1 : x->pack > y->pack;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static struct live *live_of(struct remaking *m, uint32_t pack)
{
    struct live key = {.pack = pack};
    return m->packs ? bsearch(&key, m->live, m->packs, sizeof *m->live, by_pack) : NULL;
}

static cg_err remake_begin(struct remaking *m)
{
    const struct state *st = &m->s->state;
    m->live = cg_zalloc((st->packs + 1) * sizeof *m->live);
    m->old = cg_alloc((st->runs + 1) * sizeof *m->old);
    if (!m->live || !m->old) {
        return CG_ENOMEM;
    }
    for (size_t i = 0; i < st->packs; i++) {
        m->live[m->packs++].pack = st->pack[i].id;
    }
    if (m->packs) {
        qsort(m->live, m->packs, sizeof *m->live, by_pack);
    }
    for (size_t i = 0; i < st->runs; i++) {
        if (st->run[i].kind == RUN_ENTRIES || m->r->end_condemned) {
            m->old[m->olds++] = st->run[i].id;
        }
    }
    return CG_OK;
}

static cg_err pass_sum(struct remaking *m, struct sum *sum, struct run_out *out,
                       struct cg_errbuf *eb)
{
    struct entry entry;
    cg_err e = CG_OK;
    if (sum->places > 1 && sum->place.kind == STORE_NODE) {
        e = compact_unlink(m->r->w, sum, (int32_t)sum->places - 1, &m->extra, eb);
    }
    if (e || !m->r->map(m->r->aux, sum)) {
        return e;
    }
    struct live *l = sum->place.kind ? live_of(m, sum->place.pack) : NULL;
    if (l) {
        l->bytes += (uint64_t)sum->place.size * ENTRY_SIZE_UNIT;
    }
    e = sum_entry(sum, &entry, eb);
    return e || (!entry.kind && !entry.count) ? e : run_add(out, &entry, eb);
}

/* Pages of the runs that are merged are not looked up meanwhile: without their filters there is
 * room for those of the new run. */
static cg_err merge_all(struct remaking *m, struct merge *out, uint64_t *entries,
                        struct cg_errbuf *eb)
{
    const struct remake *r = m->r;
    struct run **all = cg_alloc((m->s->runs + r->mores + 1) * sizeof *all);
    if (!all) {
        return CG_ENOMEM;
    }
    *entries = 0;
    for (size_t i = 0; i < m->s->runs; i++) {
        run_forget_filter(m->s->run[i]);
        *entries += m->s->run[i]->rec.entries;
        all[i] = m->s->run[i];
    }
    for (size_t i = 0; i < r->mores; i++) {
        all[m->s->runs + i] = r->more[i];
    }
    cg_err e = merge_open(m->s, all, (uint32_t)(m->s->runs + r->mores), out, eb);
    cg_free(all);
    return e;
}

static cg_err remake_run(struct remaking *m, const struct store_progress *p, struct cg_errbuf *eb)
{
    struct merge merge;
    struct run_out *out = NULL;
    struct sum sum;
    uint64_t done = 0, total;
    cg_err e = merge_all(m, &merge, &total, eb);
    if (e) {
        return e;
    }
    e = run_create(m->s, m->r->id, RUN_ENTRIES, total, &out, eb);
    while (!e && (e = merge_next(&merge, &sum, NULL, NULL, eb)) == CG_OK) {
        if ((++done & 0xffff) == 0) {
            tell(p, "index", done, total);
        }
        if (sum.count || sum.place.kind) { /* not one that only the condemned list */
            e = pass_sum(m, &sum, out, eb);
        }
    }
    merge_close(&merge);
    if (e != CG_ENOENT || run_empty(out)) {
        run_abandon(out);
        return e == CG_ENOENT ? CG_OK : e;
    }
    return run_end(out, &m->run, eb);
}

static cg_err remake_edit(struct store *s, struct state *next, void *arg, struct cg_errbuf *eb)
{
    (void)s;
    struct remaking *m = arg;
    size_t kept = 0;
    if (m->r->alone && next->number != m->r->alone) {
        return cg_fail(eb, CG_EAGAIN, "another changed the store meanwhile");
    }
    for (size_t i = 0; i < next->packs; i++) {
        struct pack_record *p = &next->pack[i];
        const struct live *l = live_of(m, p->id);
        p->live = l ? l->bytes : p->live;
        if (!l || l->bytes) { /* nothing in the index lies in a pack that goes */
            next->pack[kept++] = *p;
        }
    }
    next->packs = kept;
    for (size_t i = 0; i < m->olds; i++) {
        if (!state_drop_run(next, m->old[i])) {
            return cg_fail(eb, CG_EAGAIN, "another merged these runs");
        }
    }
    if (m->r->end_condemned) {
        next->condemned_epoch = 0;
    }
    next->epoch += m->r->alone != 0; /* what is gone was not condemned: who remembers it, forgets */
    cg_err e = writer_enter(m->r->w, next, STORE_GOES_ON, eb);
    e = e ? e : state_add_run(next, &m->run);
    return e ? e : state_add_run(next, &m->more);
}

/* Files of packs that were in the state before and are not now. */
static void remove_gone(struct remaking *m)
{
    char path[PATH_BYTES];
    for (size_t i = 0; i < m->packs; i++) {
        if (!state_pack(&m->s->state, m->live[i].pack)) {
            store_forget_pack(m->s, m->live[i].pack);
            numbered_path(path, "packs", m->live[i].pack, 8);
            m->s->io->remove(m->s->io->ctx, path);
            numbered_path(path, "parity", m->live[i].pack, 8);
            m->s->io->remove(m->s->io->ctx, path);
        }
    }
    for (size_t i = 0; i < m->olds; i++) {
        run_remove(m->s, RUN_ENTRIES, m->old[i]);
    }
}

cg_err remake_index(const struct remake *r, const struct store_progress *p, struct cg_errbuf *eb)
{
    struct remaking m = {.r = r, .s = r->w->s};
    cg_err e = remake_begin(&m);
    e = e ? e : remake_run(&m, p, eb);
    e = e ? e : writer_run(r->w, &m.extra, RUN_ENTRIES, &m.more, eb);
    e = e ? e : state_commit(m.s, remake_edit, &m, eb);
    if (!e) {
        writer_entered(r->w);
        remove_gone(&m);
    } else if (e == CG_EAGAIN) {
        const struct run_record *made[] = {&m.run, &m.more};
        for (size_t i = 0; i < CG_COUNT(made); i++) {
            if (made[i]->entries) {
                run_remove(m.s, RUN_ENTRIES, made[i]->id);
            }
        }
    }
    memtable_fini(&m.extra);
    cg_free(m.live);
    cg_free(m.old);
    return e;
}

/* ---- packs ---- */

static cg_err move_living(struct store_writer *w, uint32_t pack, const struct survey *l,
                          struct cg_errbuf *eb)
{
    struct store *s = w->s;
    cg_err e = CG_OK;
    for (size_t i = 0; i < l->count && !e; i++) {
        const struct seen *o = &l->seen[i];
        struct frame_in *f;
        struct cg_span bytes;
        struct entry place = {.pack = pack, .at = o->at, .slot = o->slot};
        if (!o->lives) {
            continue;
        }
        e = store_frame(s, pack, o->at, &f, eb);
        enum store_object kind = e ? 0 : f->kind;
        e = e ? e : store_get_at(s, &place, &o->score, &bytes, eb);
        e = e ? e : writer_append(w, kind, bytes.data, bytes.len, &o->score, eb);
    }
    return e;
}

static cg_err move_pack(struct store_writer *w, uint32_t id, struct cg_errbuf *eb)
{
    struct survey v = {0};
    cg_err e = survey_pack(w->s, id, false, false, &v, NULL, eb);
    e = e ? e : survey_living(w->s, id, &v, eb);
    e = e ? e : move_living(w, id, &v, eb);
    survey_fini(&v);
    return e;
}

static size_t small_packs(const struct state *st)
{
    size_t n = 0;
    for (size_t i = 0; i < st->packs; i++) {
        n += st->pack[i].raw < SMALL_PACK_RAW;
    }
    return n;
}

/* More than a quarter is dead; or it is one of many small ones. */
static bool worth_moving(const struct pack_record *p, bool small_too)
{
    return p->live < p->raw - p->raw / 4 || (small_too && p->raw < SMALL_PACK_RAW);
}

struct moved {
    const struct memtable *places;
    const uint32_t *gone;
    size_t gones;
};

static bool move_place(void *aux, struct sum *sum)
{
    const struct moved *m = aux;
    if (sum->place.kind &&
        bsearch(&sum->place.pack, m->gone, m->gones, sizeof *m->gone, by_number)) {
        /* One that was not moved (its other copy was chosen then) keeps its pack for now. */
        const struct entry *to = memtable_find(m->places, &sum->score);
        sum->place.pack = to ? to->pack : sum->place.pack;
        sum->place.at = to ? to->at : sum->place.at;
        sum->place.slot = to ? to->slot : sum->place.slot;
    }
    return true;
}

static cg_err rewrite_round(struct store_writer *w, const uint32_t *gone, size_t gones,
                            const struct store_progress *p, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    for (size_t i = 0; i < gones && !e; i++) {
        tell(p, "packs", i, gones);
        e = move_pack(w, gone[i], eb);
        gones = w->mem.count > MOVED_MAX ? i + 1 : gones;
    }
    struct moved m = {.places = &w->mem, .gone = gone, .gones = gones};
    struct remake r = {.w = w, .map = move_place, .aux = &m};
    e = e ? e : writer_flush(w, eb);
    e = e ? e : writer_run_id(w, &r.id, eb);
    if (!e) {
        e = remake_index(&r, p, eb);
    }
    memtable_clear(&w->mem);
    return e;
}

cg_err rewrite_packs(struct store_writer *w, const struct store_progress *p,
                     struct store_collected *out, struct cg_errbuf *eb)
{
    struct store *s = w->s;
    cg_err e = CG_OK;
    for (;;) {
        uint32_t *gone = cg_alloc((s->state.packs + 1) * sizeof *gone);
        size_t gones = 0;
        bool small_too = small_packs(&s->state) >= SMALL_PACKS_MANY;
        if (!gone) {
            return CG_ENOMEM;
        }
        for (size_t i = 0; i < s->state.packs; i++) {
            const struct pack_record *r = &s->state.pack[i];
            if (worth_moving(r, small_too)) {
                gone[gones++] = r->id;
            }
        }
        if (gones) {
            qsort(gone, gones, sizeof *gone, by_number);
            e = rewrite_round(w, gone, gones, p, eb);
            out->packs_rewritten += e ? 0 : gones;
        }
        cg_free(gone);
        if (e || !gones) {
            return e;
        }
    }
}
