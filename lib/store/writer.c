/* A writer: puts objects that are not there, counts edges, and commits both at one instant.
 *
 * An edge is counted when the node that holds it is put for the first time: a node that is there
 * has its edges counted already. What is known but condemned by a collector is put again, for it is
 * about to go. */
#include "store__.h"

#include <stdio.h>
#include <string.h>

enum {
    RENEW_OBJECTS =
        256, /* a writer that finds everything there writes no frames, and keeps its lease too */
    COMMIT_BYTES = 256 << 20, /* so much, and no more, is put again by who was cut off */
};

static cg_err fail(struct store_writer *w, cg_err e)
{
    w->failed = w->failed ? w->failed : e;
    return e;
}

cg_err writer_open(struct store *s, const char *holder, enum store_level level,
                   enum lease_role role, struct store_writer **out, struct cg_errbuf *eb)
{
    struct lease_record lease;
    struct store_writer *w = cg_zalloc(sizeof *w);
    if (!w) {
        return CG_ENOMEM;
    }
    w->s = s;
    w->level = level;
    cg_assert(!s->writer); /* one writer for each struct store: its lookups see what it put */
    cg_err e = pool_new(w, s->o.threads, &w->pool);
    e = e ? e : near_init(&s->near);
    if (!e) {
        e = lease_take(s, holder, role, &lease, eb);
    }
    if (e) {
        store_writer_close(w);
        return e;
    }
    w->leased = true;
    w->fence = lease.fence;
    w->pack_next = lease.pack_next;
    w->pack_end = lease.pack_end;
    w->run_next = lease.run_next;
    w->run_end = lease.run_end;
    w->renew_ns = s->env.now_ns(s->env.ctx) + LEASE_MS * 1000000ull / 3;
    s->writer = w;
    *out = w;
    return CG_OK;
}

cg_err store_writer_open(struct store *s, const char *holder, enum store_level level,
                         struct store_writer **out, struct cg_errbuf *eb)
{
    return writer_open(s, holder, level, LEASE_WRITER, out, eb);
}

/* Files of packs that no state names; what cannot be removed now a collector finds. */
static void remove_packs(struct store_writer *w)
{
    char path[PATH_BYTES];
    for (size_t i = 0; i < w->packs; i++) {
        numbered_path(path, "packs", w->pack[i].id, 8);
        w->s->io->remove(w->s->io->ctx, path);
    }
}

void store_writer_close(struct store_writer *w)
{
    if (!w) {
        return;
    }
    pool_free(w->pool);
    if (w->leased) {
        remove_packs(w);
        lease_drop(w->s, w->fence, w->pack_next, w->run_next);
    }
    near_fini(&w->s->near);
    if (w->s->writer == w) {
        w->s->writer = NULL;
    }
    for (size_t i = 0; i < CG_COUNT(w->open); i++) {
        frame_free(w->open[i]);
    }
    memtable_fini(&w->mem);
    cg_free(w->pack);
    cg_free(w);
}

void store_writer_counts(const struct store_writer *w, struct store_counts *out)
{
    pool_lock(w->pool);
    *out = w->counts;
    pool_unlock(w->pool);
}

cg_err writer_renew(struct store_writer *w, struct cg_errbuf *eb)
{
    pool_lock(w->pool);
    struct lease_record now = {.pack_next = w->pack_next,
                               .pack_end = w->pack_end,
                               .run_next = w->run_next,
                               .run_end = w->run_end};
    bool few = w->pack_end - w->pack_next < LEASE_FEW || w->run_end - w->run_next < LEASE_FEW;
    pool_unlock(w->pool);
    uint64_t clock = w->s->env.now_ns(w->s->env.ctx);
    if (!few && clock < w->renew_ns) {
        return CG_OK;
    }
    cg_err e = lease_renew(w->s, w->fence, &now, eb);
    if (e) {
        return fail(w, e);
    }
    w->renew_ns = clock + LEASE_MS * 1000000ull / 3;
    pool_lock(w->pool);
    if (now.pack_end != w->pack_end) {
        w->pack_next = now.pack_next;
        w->pack_end = now.pack_end;
    }
    w->run_next = now.run_next;
    w->run_end = now.run_end;
    pool_unlock(w->pool);
    return CG_OK;
}

/* ---- objects ---- */

static cg_err submit(struct store_writer *w, enum store_object kind, struct cg_errbuf *eb)
{
    struct frame *f = w->open[kind];
    w->open[kind] = NULL;
    cg_err e = writer_renew(w, eb);
    if (e) {
        frame_free(f);
        return e;
    }
    e = pool_submit(w->pool, f, eb);
    return e ? fail(w, e) : CG_OK;
}

static cg_err frame_for(struct store_writer *w, enum store_object kind, size_t len,
                        struct frame **out, struct cg_errbuf *eb)
{
    if (w->open[kind] && !frame_fits(w->open[kind], len)) {
        cg_err e = submit(w, kind, eb);
        if (e) {
            return e;
        }
    }
    if (!w->open[kind]) {
        w->open[kind] = pool_frame(w->pool);
        if (!w->open[kind]) {
            return fail(w, CG_ENOMEM);
        }
        frame_reset(w->open[kind], kind, w->frames++);
    }
    *out = w->open[kind];
    return CG_OK;
}

cg_err writer_append(struct store_writer *w, enum store_object kind, const void *data, size_t len,
                     const struct store_score *score, struct cg_errbuf *eb)
{
    struct frame *f;
    cg_assert(len <= STORE_NODE_BYTES_MAX);
    cg_err e = frame_for(w, kind, len, &f, eb);
    struct entry *entry = e ? NULL : memtable_at(&w->mem, score);
    if (!entry) {
        return e ? e : fail(w, CG_ENOMEM);
    }
    entry->kind = (uint8_t)kind;
    entry->pack = PENDING_PACK;
    entry->at = f->number;
    entry->slot = (uint16_t)f->count;
    entry->size = (uint16_t)object_units((uint32_t)len);
    memcpy(f->raw + f->raw_len, data, len);
    f->score[f->count] = *score;
    f->len[f->count++] = (uint32_t)len;
    f->raw_len += (uint32_t)len;
    w->counts.objects_new++;
    w->counts.bytes_new += len;
    return CG_OK;
}

cg_err writer_edge(struct store_writer *w, const struct store_score *child, int32_t by)
{
    struct entry *e = memtable_at(&w->mem, child);
    if (!e) {
        return fail(w, CG_ENOMEM);
    }
    e->count += by;
    return CG_OK;
}

static cg_err count_edge(void *aux, enum store_object kind, const struct store_score *child)
{
    (void)kind;
    return writer_edge(aux, child, 1);
}

cg_err writer_put_scored(struct store_writer *w, enum store_object kind, const void *data,
                         size_t len, const struct store_score *score, struct cg_errbuf *eb)
{
    bool has = false;
    if (w->failed) {
        return cg_fail(eb, w->failed, "this writer failed before");
    }
    cg_err e = w->counts.objects % RENEW_OBJECTS == 0 ? writer_renew(w, eb) : CG_OK;
    bool much = w->counts.bytes_new - w->bytes_committed >= COMMIT_BYTES;
    if (!e && (much || w->mem.count >= MEMTABLE_ENTRIES_MAX)) {
        e = store_commit(w, NULL, 0, STORE_GOES_ON, eb);
    }
    if (e) {
        return e;
    }
    w->counts.objects++;
    const struct entry *own = memtable_find(&w->mem, score);
    if (own && own->kind) {
        return CG_OK;
    }
    e = index_has(w->s, score, &has, eb);
    if (e || has) {
        return e ? fail(w, e) : CG_OK;
    }
    e = writer_append(w, kind, data, len, score, eb);
    if (!e && kind == STORE_NODE) {
        struct cg_span bytes = {.data = data, .len = (uint32_t)len};
        e = node_edges(bytes, count_edge, w);
        cg_assert(e != CG_EBADFORMAT); /* it was encoded here, or read and checked */
    }
    return e;
}

cg_err writer_put(struct store_writer *w, enum store_object kind, const void *data, size_t len,
                  struct store_score *score, struct cg_errbuf *eb)
{
    scorer_score(w->s->scorer, kind, data, len, score);
    return writer_put_scored(w, kind, data, len, score, eb);
}

/* ---- what was gathered becomes durable ---- */

cg_err writer_flush(struct store_writer *w, struct cg_errbuf *eb)
{
    cg_err e = w->failed;
    for (int kind = STORE_DATA; kind <= STORE_NODE && !e; kind++) {
        e = w->open[kind] ? submit(w, kind, eb) : CG_OK;
    }
    e = e ? e : pool_drain(w->pool, eb);
    if (e) {
        return fail(w, e);
    }
    for (uint32_t i = 0; i < w->mem.cap; i++) {
        struct entry *entry = &w->mem.slot[i];
        if (w->mem.used[i] && entry->kind && entry->pack == PENDING_PACK) {
            struct placed p = pool_placed(w->pool, entry->at);
            entry->pack = p.pack;
            entry->at = p.at;
        }
    }
    pool_forget(w->pool);
    return CG_OK;
}

cg_err writer_run_id(struct store_writer *w, uint32_t *id, struct cg_errbuf *eb)
{
    cg_err e = writer_renew(w, eb);
    if (!e) {
        cg_assert(w->run_next < w->run_end);
        *id = w->run_next++;
    }
    return e;
}

cg_err writer_run(struct store_writer *w, const struct memtable *m, enum run_kind kind,
                  struct run_record *rec, struct cg_errbuf *eb)
{
    struct run_out *out;
    uint32_t id;
    *rec = (struct run_record){0};
    if (m->count == 0) {
        return CG_OK;
    }
    struct entry *all = memtable_sorted(m);
    cg_err e = all ? writer_run_id(w, &id, eb) : CG_ENOMEM;
    e = e ? e : run_create(w->s, id, kind, m->count, &out, eb);
    if (e) {
        cg_free(all);
        return e;
    }
    for (uint32_t i = 0; i < m->count && !e; i++) {
        e = all[i].kind || all[i].count || kind == RUN_CONDEMNED ? run_add(out, &all[i], eb)
                                                                 : CG_OK;
    }
    cg_free(all);
    if (e || run_empty(out)) {
        run_abandon(out);
        return e;
    }
    return run_end(out, rec, eb);
}

cg_err state_add_run(struct state *next, const struct run_record *rec)
{
    if (rec->entries == 0) {
        return CG_OK;
    }
    if (!array_room(&next->run, &next->runs_cap, next->runs, sizeof *next->run)) {
        return CG_ENOMEM;
    }
    next->run[next->runs++] = *rec;
    return CG_OK;
}

cg_err writer_enter(struct store_writer *w, struct state *next, enum store_commit how,
                    struct cg_errbuf *eb)
{
    struct lease_record *lease;
    cg_err e = lease_check(w->s, next, w->fence, &lease, eb);
    if (e) {
        return e;
    }
    lease->pack_next = lease->pack_low = w->pack_next;
    lease->run_next = lease->run_low = w->run_next;
    if (how == STORE_SETTLED) {
        lease->epoch = next->epoch;
    } else if (how == STORE_FINAL) {
        lease_end(next, w->fence, w->pack_next, w->run_next);
    }
    for (size_t i = 0; i < w->packs; i++) {
        if (!array_room(&next->pack, &next->packs_cap, next->packs, sizeof *next->pack)) {
            return CG_ENOMEM;
        }
        next->pack[next->packs++] = w->pack[i];
    }
    return CG_OK;
}

void writer_entered(struct store_writer *w)
{
    w->packs = 0;
}

/* ---- commit ---- */

static bool ref_name_ok(const char *name)
{
    size_t len = strlen(name);
    for (const char *c = name; *c; c++) {
        if ((unsigned char)*c <= ' ' || *c == '/' || *c == 0x7f) {
            return false;
        }
    }
    return len >= 1 && len <= STORE_NAME_BYTES_MAX && name[0] != '.';
}

struct ref_delta {
    struct store_score score;
    int32_t by;
};
struct commit {
    struct store_writer *w;
    const struct store_ref_change *change;
    size_t count;
    enum store_commit how;
    struct run_record run;
    struct ref_delta *delta; /* what the changes do to the counts; two a change */
    size_t deltas;
};

static cg_err check_ref(struct commit *c, const struct store_ref_change *ch, struct cg_errbuf *eb)
{
    const struct ref_record *old = state_ref(&c->w->s->state, ch->name);
    if ((old ? old->epoch : 0) != ch->epoch) {
        return cg_fail(eb, CG_EAGAIN, "%s was changed by another", ch->name);
    }
    if (!ref_name_ok(ch->name)) {
        return cg_fail(eb, CG_EINVAL,
                       "%s: a reference has 1 to 255 bytes, none a blank or a slash, no dot first",
                       ch->name);
    }
    if (ch->score && !store_has(c->w->s, ch->score)) {
        return cg_fail(eb, CG_ENOENT, "%s: the store has no object of that score", ch->name);
    }
    if (ch->score) {
        c->delta[c->deltas++] = (struct ref_delta){.score = *ch->score, .by = 1};
    }
    if (old) {
        c->delta[c->deltas++] = (struct ref_delta){.score = old->score, .by = -1};
    }
    return CG_OK;
}

static cg_err count_refs(struct commit *c, int32_t sign)
{
    cg_err e = CG_OK;
    for (size_t i = 0; i < c->deltas && !e; i++) {
        e = writer_edge(c->w, &c->delta[i].score, sign * c->delta[i].by);
    }
    return e;
}

static cg_err change_ref(struct state *next, const struct store_ref_change *ch,
                         struct cg_errbuf *eb)
{
    struct ref_record *r = state_ref(next, ch->name);
    if ((r ? r->epoch : 0) != ch->epoch) {
        return cg_fail(eb, CG_EAGAIN, "%s was changed by another", ch->name);
    }
    if (!ch->score && !r) {
        return CG_OK;
    }
    if (!ch->score) {
        cg_free(r->name);
        size_t after = next->refs - (size_t)(r - next->ref) - 1;
        memmove(r, r + 1, after * sizeof *r);
        next->refs--;
        return CG_OK;
    }
    if (!r) {
        char *name = cg_strdup(ch->name);
        if (!name || !array_room(&next->ref, &next->refs_cap, next->refs, sizeof *next->ref)) {
            cg_free(name);
            return CG_ENOMEM;
        }
        size_t at = next->refs;
        while (at > 0 && strcmp(next->ref[at - 1].name, name) > 0) {
            next->ref[at] = next->ref[at - 1];
            at--;
        }
        next->refs++;
        r = &next->ref[at];
        r->name = name;
    }
    r->score = *ch->score;
    r->time_ns = ch->time_ns;
    r->epoch = next->number + 1;
    return CG_OK;
}

static cg_err commit_edit(struct store *s, struct state *next, void *arg, struct cg_errbuf *eb)
{
    (void)s;
    struct commit *c = arg;
    cg_err e = writer_enter(c->w, next, c->how, eb);
    e = e ? e : state_add_run(next, &c->run);
    for (size_t i = 0; i < c->count && !e; i++) {
        e = change_ref(next, &c->change[i], eb);
    }
    return e;
}

static cg_err prepare(struct commit *c, struct cg_errbuf *eb)
{
    cg_err e = c->count ? store_refresh(c->w->s, eb) : CG_OK;
    for (size_t i = 0; i < c->count && !e; i++) {
        e = check_ref(c, &c->change[i], eb);
    }
    return e ? e : count_refs(c, 1);
}

/* Nobody names these files and nobody will. */
static void forget_run(struct store_writer *w, const struct run_record *rec)
{
    char path[PATH_BYTES];
    if (rec->entries) {
        numbered_path(path, "index", rec->id, 8);
        w->s->io->remove(w->s->io->ctx, path);
    }
}

static cg_err commit(struct commit *c, struct cg_errbuf *eb)
{
    struct store_writer *w = c->w;
    cg_err e = prepare(c, eb);
    if (e) {
        return e;
    }
    e = writer_flush(w, eb);
    e = e ? e : writer_run(w, &w->mem, RUN_ENTRIES, &c->run, eb);
    if (e) {
        return fail(w, e);
    }
    e = state_commit(w->s, commit_edit, c, eb);
    if (e == CG_EAGAIN) {
        forget_run(w, &c->run);
        count_refs(c, -1); /* their entries are there, so this takes no memory */
        return e;
    }
    /* After another failure the state may yet have been published: the files stay, a collector
     * sorts it out. */
    writer_entered(w);
    if (e) {
        return fail(w, e);
    }
    memtable_clear(&w->mem);
    w->bytes_committed = w->counts.bytes_new;
    w->leased = c->how != STORE_FINAL;
    return w->leased ? compact_if_many(w, eb) : CG_OK;
}

cg_err store_commit(struct store_writer *w, const struct store_ref_change *changes, size_t count,
                    enum store_commit how, struct cg_errbuf *eb)
{
    struct commit c = {.w = w, .change = changes, .count = count, .how = how};
    if (w->failed) {
        return cg_fail(eb, w->failed, "this writer failed before");
    }
    c.delta = cg_alloc(2 * count * sizeof *c.delta);
    cg_err e = c.delta ? commit(&c, eb) : CG_ENOMEM;
    cg_free(c.delta);
    return e;
}
