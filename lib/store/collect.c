/* Collection: what no edge leads to goes, while writers work.
 *
 * First what is dead is *condemned*: listed in a run of its own, under a new epoch. From then on no
 * writer takes a condemned object for one that is there. When every lease is of that epoch or
 * later, nobody can still link one that it had found before: then those that are dead still are
 * freed, and the edges of freed nodes are taken from the counts of what they led to. A set of
 * objects is dead when all edges to it come from within; it is found from those whose count is
 * zero, downward. Large sets go in rounds, so memory is bounded. */
#include "store__.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEAD_MAX = 96 << 10, /* objects a round */
    TOUCHED_MAX =
        64 << 10, /* children whose counts are looked up together, in the order of the index */
    TRIES = 16,   /* when others replace runs meanwhile */
};

/* ---- the dead ---- */

struct closure {
    struct store *s;
    bool condemned_only;
    struct memtable dead; /* with their places; count is 1 when a node was expanded */
    /* Children of the dead. count: what is left of their edges; at: by how much it fell; pack: 0
     * while the count of the index was not added; kind 0: it stays whatever its count. */
    struct memtable child;
    struct store_score *touched;
    size_t touches;
    struct store_score *queue; /* dead nodes, in the order found */
    size_t queued, queue_cap, expanded;
    uint64_t bytes;
    bool more; /* there is more than fits a round */
};

static void closure_fini(struct closure *c)
{
    memtable_fini(&c->dead);
    memtable_fini(&c->child);
    cg_free(c->touched);
    cg_free(c->queue);
}

static cg_err add_dead(struct closure *c, const struct entry *place)
{
    struct entry *e = memtable_at(&c->dead, &place->score);
    if (!e) {
        return CG_ENOMEM;
    }
    *e = *place;
    e->count = 0;
    if (e->kind == STORE_NODE) {
        if (!array_room(&c->queue, &c->queue_cap, c->queued, sizeof *c->queue)) {
            return CG_ENOMEM;
        }
        c->queue[c->queued++] = place->score;
    }
    return CG_OK;
}

static bool may_die(const struct closure *c, const struct sum *sum)
{
    return sum->place.kind && (!c->condemned_only || sum->condemned);
}

/* Those that were condemned when nothing led to them. */
static cg_err find_condemned_seeds(struct closure *c, struct cg_errbuf *eb)
{
    struct run_cursor at;
    cg_err e = cursor_open(c->s, c->s->condemned, &at, eb);
    while (!e && !at.end) {
        struct sum sum;
        e = index_find(c->s, &at.now.score, &sum, eb);
        if (!e && sum.count <= 0 && sum.place.kind) {
            sum.place.score = sum.score;
            e = add_dead(c, &sum.place);
        }
        e = e ? e : cursor_next(c->s, &at, eb);
    }
    cursor_close(&at);
    return e;
}

static cg_err find_seeds(struct closure *c, const struct store_progress *p, struct cg_errbuf *eb)
{
    struct merge m;
    struct sum sum;
    uint64_t done = 0, total;
    cg_err e = merge_open(c->s, c->s->run, (uint32_t)c->s->runs, &m, eb);
    total = e ? 0 : merge_entries(&m);
    while (!e && (e = merge_next(&m, &sum, NULL, NULL, eb)) == CG_OK) {
        if ((++done & 0xffff) == 0) {
            tell(p, "looking for what is dead", done, total);
        }
        if (sum.count > 0 || !sum.place.kind) {
            continue;
        }
        if (c->dead.count >= DEAD_MAX) {
            c->more = true;
            e = CG_ENOENT;
            break;
        }
        sum.place.score = sum.score;
        e = add_dead(c, &sum.place);
    }
    merge_close(&m);
    return e == CG_ENOENT ? CG_OK : e;
}

static int by_bytes(const void *a, const void *b)
{
    return score_cmp(a, b);
}

/* Looks up the touched children in the order of the index: so each page is read once. */
static cg_err settle_touched(struct closure *c, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    if (c->touches) {
        qsort(c->touched, c->touches, sizeof *c->touched, by_bytes);
    }
    for (size_t i = 0; i < c->touches && !e; i++) {
        struct entry *child = memtable_find(&c->child, &c->touched[i]);
        cg_assert(child);
        if (child->pack == 0) {
            struct sum sum;
            e = index_find(c->s, &child->score, &sum, eb);
            if (e) {
                break;
            }
            child->count += (int32_t)sum.count;
            child->kind = may_die(c, &sum) ? sum.place.kind : 0;
            child->pack = sum.place.kind ? sum.place.pack : UINT32_MAX;
            child->slot = sum.place.slot;
            child->size = sum.place.size;
            if (child->kind && child->count <= 0 && !memtable_find(&c->dead, &child->score)) {
                sum.place.score = child->score;
                e = add_dead(c, &sum.place);
            }
        } else if (child->kind && child->count <= 0 && !memtable_find(&c->dead, &child->score)) {
            struct sum sum;
            e = index_find(c->s, &child->score, &sum, eb);
            sum.place.score = child->score;
            e = e ? e : add_dead(c, &sum.place);
        }
    }
    c->touches = 0;
    return e;
}

static cg_err touch(void *aux, enum store_object kind, const struct store_score *score)
{
    (void)kind;
    struct closure *c = aux;
    struct entry *child = memtable_at(&c->child, score);
    if (!child) {
        return CG_ENOMEM;
    }
    child->count--;
    child->at++;
    c->touched[c->touches++] = *score;
    return CG_OK;
}

/* A node has at most so many edges: its items are counted by 16 bits. */
enum { EDGES_MAX = 65536 };

static cg_err expand(struct closure *c, struct cg_errbuf *eb)
{
    struct entry *node = memtable_find(&c->dead, &c->queue[c->expanded]);
    struct cg_span bytes;
    cg_assert(node);
    struct entry place = *node;
    cg_err e = store_get_at(c->s, &place, &place.score, &bytes, eb);
    e = e ? e : node_edges(bytes, touch, c);
    if (!e) {
        memtable_find(&c->dead, &c->queue[c->expanded])->count = 1;
        c->expanded++;
    }
    return e;
}

/* Nodes that were not expanded stay for another round: their children still count their edges. */
static uint32_t closure_count(struct closure *c)
{
    uint32_t n = 0;
    c->bytes = 0;
    for (uint32_t i = 0; i < c->dead.cap; i++) {
        struct entry *e = &c->dead.slot[i];
        if (c->dead.used[i] && e->kind == STORE_NODE && e->count == 0) {
            e->kind = 0;
            c->more = true;
        }
        if (c->dead.used[i] && e->kind) {
            n++;
            c->bytes += (uint64_t)e->size * ENTRY_SIZE_UNIT;
        }
    }
    return n;
}

static cg_err closure_find(struct closure *c, struct store *s, bool condemned_only,
                           const struct store_progress *p, struct cg_errbuf *eb)
{
    *c = (struct closure){.s = s, .condemned_only = condemned_only};
    c->touched = cg_alloc((TOUCHED_MAX + EDGES_MAX) * sizeof *c->touched);
    cg_err e = !c->touched      ? CG_ENOMEM
               : condemned_only ? find_condemned_seeds(c, eb)
                                : find_seeds(c, p, eb);
    while (!e && c->expanded < c->queued) {
        if (c->child.count + EDGES_MAX / 16 > DEAD_MAX && !condemned_only) {
            e = settle_touched(c, eb);
            break;
        }
        e = expand(c, eb);
        if (!e && (c->touches >= TOUCHED_MAX || c->expanded == c->queued)) {
            e = settle_touched(c, eb);
            tell(p, "following what is dead", c->expanded, c->queued);
        }
    }
    return e;
}

static const struct entry *dead_one(const struct closure *c, const struct store_score *score)
{
    const struct entry *e = memtable_find(&c->dead, score);
    return e && e->kind ? e : NULL;
}

/* ---- condemning ---- */

struct condemning {
    struct store_writer *w;
    struct run_record run;
};

static cg_err condemn_edit(struct store *s, struct state *next, void *arg, struct cg_errbuf *eb)
{
    (void)s;
    const struct condemning *c = arg;
    cg_err e = writer_enter(c->w, next, STORE_GOES_ON, eb);
    struct lease_record *own = e ? NULL : state_lease(next, c->w->fence);
    if (own) {
        next->condemned_epoch = ++next->epoch;
        own->epoch = next->epoch; /* a collector links nothing that it found */
        e = state_add_run(next, &c->run);
    }
    return e;
}

static cg_err condemn(struct store_writer *w, struct closure *c, struct cg_errbuf *eb)
{
    struct memtable list = {0};
    struct condemning cd = {.w = w};
    cg_err e = CG_OK;
    for (uint32_t i = 0; i < c->dead.cap && !e; i++) {
        if (c->dead.used[i] && c->dead.slot[i].kind) {
            e = memtable_at(&list, &c->dead.slot[i].score) ? CG_OK : CG_ENOMEM;
        }
    }
    e = e ? e : writer_run(w, &list, RUN_CONDEMNED, &cd.run, eb);
    memtable_fini(&list);
    return e ? e : state_commit(w->s, condemn_edit, &cd, eb);
}

static bool writers_from_before(const struct state *st)
{
    for (size_t i = 0; i < st->leases; i++) {
        if (st->lease[i].epoch < st->condemned_epoch) {
            return true;
        }
    }
    return false;
}

/* ---- freeing ---- */

static bool drop_dead(void *aux, struct sum *sum)
{
    const struct closure *c = aux;
    const struct entry *dead = dead_one(c, &sum->score);
    return !dead;
}

static cg_err survivors(const struct closure *c, struct memtable *counts)
{
    for (uint32_t i = 0; i < c->child.cap; i++) {
        const struct entry *child = &c->child.slot[i];
        if (c->child.used[i] && !dead_one(c, &child->score)) {
            struct entry *e = memtable_at(counts, &child->score);
            if (!e) {
                return CG_ENOMEM;
            }
            e->count = -(int32_t)child->at;
        }
    }
    return CG_OK;
}

static cg_err free_condemned(struct store_writer *w, const struct store_progress *p,
                             struct store_collected *out, struct cg_errbuf *eb)
{
    struct memtable counts = {0};
    struct closure c = {0};
    struct remake r = {
        .w = w, .map = drop_dead, .aux = &c, .counts = &counts, .end_condemned = true};
    cg_err e = writer_run_id(w, &r.id, eb);
    e = e ? e : closure_find(&c, w->s, true, p, eb);
    uint32_t n = e ? 0 : closure_count(&c);
    e = e ? e : survivors(&c, &counts);
    e = e ? e : remake_index(&r, p, eb);
    if (!e) {
        out->objects += n;
        out->bytes += c.bytes;
    }
    memtable_fini(&counts);
    closure_fini(&c);
    return e;
}

/* One round; *again: another may find more. */
static cg_err collect_round(struct store_writer *w, const struct store_progress *p,
                            struct store_collected *out, bool *again, struct cg_errbuf *eb)
{
    struct store *s = w->s;
    *again = false;
    if (!s->condemned) {
        struct closure c;
        cg_err e = closure_find(&c, s, false, p, eb);
        uint32_t n = e ? 0 : closure_count(&c);
        e = e || n == 0 ? e : condemn(w, &c, eb);
        closure_fini(&c);
        if (e || n == 0) {
            return e;
        }
    }
    if (writers_from_before(&s->state)) {
        out->waiting = s->condemned->rec.entries;
        return CG_OK;
    }
    *again = true;
    return free_condemned(w, p, out, eb);
}

/* ---- files that no state names ---- */

static bool state_names(const struct state *st, bool packs, uint64_t id)
{
    for (size_t i = 0; i < (packs ? st->packs : st->runs); i++) {
        if ((packs ? st->pack[i].id : st->run[i].id) == id) {
            return true;
        }
    }
    return false;
}

/* Numbers only grow: what a living writer may have written lately is not below this. */
static uint32_t low_water(const struct state *st, bool packs)
{
    uint32_t low = packs ? st->pack_next : st->run_next;
    for (size_t i = 0; i < st->leases; i++) {
        uint32_t l = packs ? st->lease[i].pack_low : st->lease[i].run_low;
        low = l < low ? l : low;
    }
    return low;
}

static void sweep_folder(struct store *s, const char *folder, bool packs)
{
    struct cg_str names = {0};
    char path[PATH_BYTES];
    cg_err e = s->io->list(s->io->ctx, folder, &names);
    for (size_t at = 0; !e && at < names.len; at += strlen(names.data + at) + 1) {
        uint64_t id;
        if (numbered_name(names.data + at, 8, &id) && id < low_water(&s->state, packs) &&
            !state_names(&s->state, packs, id)) {
            numbered_path(path, folder, id, 8);
            s->io->remove(s->io->ctx, path);
        }
    }
    cg_str_fini(&names);
}

static void sweep_states(struct store *s)
{
    struct cg_str names = {0};
    char path[PATH_BYTES];
    cg_err e = s->io->list(s->io->ctx, "state", &names);
    for (size_t at = 0; !e && at < names.len; at += strlen(names.data + at) + 1) {
        const char *name = names.data + at;
        uint64_t number;
        bool old = numbered_name(name, 16, &number) && number + STATES_KEPT <= s->state.number;
        if (old || (strncmp(name, "tmp-", 4) == 0 && strlen(name) < 32)) {
            snprintf(path, sizeof path, "state/%.32s", name);
            s->io->remove(s->io->ctx, path); /* a writer whose file that was publishes again */
        }
    }
    cg_str_fini(&names);
}

static uint64_t disk_bytes(const struct state *st)
{
    uint64_t n = 0;
    for (size_t i = 0; i < st->packs; i++) {
        n += st->pack[i].bytes;
    }
    for (size_t i = 0; i < st->runs; i++) {
        n += RUN_HEAD_BYTES + (st->run[i].entries / PAGE_ENTRIES + 2) * PAGE_BYTES;
    }
    return n;
}

/* ---- all of it ---- */

static cg_err collect_dry(struct store *s, const struct store_progress *p,
                          struct store_collected *out, struct cg_errbuf *eb)
{
    struct closure c;
    cg_err e = closure_find(&c, s, false, p, eb);
    if (!e) {
        out->objects = closure_count(&c);
        out->bytes = c.bytes;
    }
    closure_fini(&c);
    return e;
}

static cg_err collect_with(struct store_writer *w, const struct store_progress *p,
                           struct store_collected *out, struct cg_errbuf *eb)
{
    bool again = true;
    cg_err e = CG_OK;
    for (int tries = 0; again && !e;) {
        e = collect_round(w, p, out, &again, eb);
        if (e == CG_EAGAIN && ++tries < TRIES) {
            e = CG_OK;
            again = true;
        }
    }
    for (int tries = 0; !e; tries++) {
        e = rewrite_packs(w, p, out, eb);
        if (e != CG_EAGAIN || tries == TRIES) {
            break;
        }
        e = CG_OK;
    }
    /* On a full disk what was dead as a whole is gone already; moving the rest waits for room. */
    return e == CG_ENOSPC ? CG_OK : e ? e : store_commit(w, NULL, 0, STORE_FINAL, eb);
}

cg_err store_collect(struct store *s, bool dry_run, const struct store_progress *p,
                     struct store_collected *out, struct cg_errbuf *eb)
{
    struct store_writer *w;
    *out = (struct store_collected){0};
    cg_err e = store_refresh(s, eb);
    out->disk_before = out->disk_after = disk_bytes(&s->state);
    if (e || dry_run) {
        return e ? e : collect_dry(s, p, out, eb);
    }
    e = writer_open(s, "collect", STORE_DEFAULT, true, &w, eb);
    if (e) {
        return e;
    }
    e = collect_with(w, p, out, eb);
    store_writer_close(w);
    if (!e) {
        sweep_folder(s, "packs", true);
        sweep_folder(s, "index", false);
        sweep_states(s);
        out->disk_after = disk_bytes(&s->state);
    }
    return e;
}
