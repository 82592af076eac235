/* Collection: what no edge leads to goes, while writers work.
 *
 * First what is dead is *condemned*: listed in a run of its own, under a new epoch. From then on no
 * writer takes a condemned object for one that is there. When every lease is of that epoch or
 * later, nobody can still link one that it had found before: then those that are dead still are
 * freed, and the edges of freed nodes are taken from the counts of what they led to. A set of
 * objects is dead when all edges to it come from within; it is found from those whose count is
 * zero, downward (closure.c). */
#include "store__.h"

#include <stdio.h>
#include <string.h>

enum { TRIES = 16 }; /* when others replace runs meanwhile */

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

static cg_err add_score(void *aux, const struct entry *entry)
{
    struct cg_errbuf eb = {0};
    return run_add(aux, entry, &eb);
}

static cg_err condemn(struct store_writer *w, const struct closure *c, struct cg_errbuf *eb)
{
    struct condemning cd = {.w = w};
    struct run_out *out = NULL;
    uint32_t id;
    cg_err e = writer_run_id(w, &id, eb);
    e = e ? e : run_create(w->s, id, RUN_CONDEMNED, c->dead, &out, eb);
    e = e ? e : closure_each(c, add_score, out, eb);
    if (e) {
        run_abandon(out);
        return e;
    }
    e = run_end(out, &cd.run, eb);
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

static bool stays(void *aux, struct sum *sum)
{
    (void)aux;
    return !(sum->marks & MARK_DEAD);
}

static cg_err free_dead(struct store_writer *w, const struct closure *c, struct remake *r,
                        const struct store_progress *p, struct store_collected *out,
                        struct cg_errbuf *eb)
{
    r->w = w;
    r->map = stays;
    r->more = c->run;
    r->mores = c->runs;
    cg_err e = remake_index(r, p, eb);
    if (!e) {
        out->objects += c->dead;
        out->bytes += c->bytes;
    }
    return e;
}

static cg_err free_condemned(struct store_writer *w, const struct store_progress *p,
                             struct store_collected *out, struct cg_errbuf *eb)
{
    struct closure c = {0};
    struct remake r = {.end_condemned = true};
    cg_err e = writer_run_id(w, &r.id, eb);
    e = e ? e : closure_find(&c, w->s, true, p, eb);
    e = e ? e : free_dead(w, &c, &r, p, out, eb);
    closure_fini(&c);
    return e;
}

/* When no writer is there but the collector, and nothing happens until the dead are gone, nobody
 * can have found one of them, and they need not be condemned first. *done: there is nothing left to
 * condemn. */
static cg_err condemn_or_free(struct store_writer *w, const struct store_progress *p,
                              struct store_collected *out, bool *done, struct cg_errbuf *eb)
{
    struct closure c = {0};
    struct remake r = {0};
    cg_err e = writer_run_id(w, &r.id, eb);
    e = e ? e : closure_find(&c, w->s, false, p, eb);
    *done = !e && c.dead == 0;
    if (!e && c.dead && w->s->state.leases == 1) {
        r.alone = w->s->state.number;
        e = free_dead(w, &c, &r, p, out, eb);
        *done = e == CG_OK;
        e = e == CG_EAGAIN ? CG_OK : e;
    }
    /* The closure is of an older state than the newest, which matters not: what is condemned is
     * looked at again before it goes. */
    e = e || *done ? e : condemn(w, &c, eb);
    closure_fini(&c);
    return e;
}

/* One round; *again: another may find more. */
static cg_err collect_round(struct store_writer *w, const struct store_progress *p,
                            struct store_collected *out, bool *again, struct cg_errbuf *eb)
{
    struct store *s = w->s;
    bool left = s->condemned != NULL, done = false; /* left by a collector before */
    *again = false;
    cg_err e = left ? CG_OK : condemn_or_free(w, p, out, &done, eb);
    if (e || done) {
        return e;
    }
    if (writers_from_before(&s->state)) {
        out->waiting = s->condemned->rec.entries;
        return CG_OK;
    }
    *again = left;
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

static void sweep_temporary(struct store *s, const char *folder, const char *name)
{
    char path[PATH_BYTES];
    if (strncmp(name, "tmp-", 4) == 0 && strlen(name) < 32) {
        snprintf(path, sizeof path, "%s/%.32s", folder, name);
        s->io->remove(s->io->ctx, path);
    }
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
        sweep_temporary(s, folder, names.data + at);
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
        if (numbered_name(name, 16, &number) && number + STATES_KEPT <= s->state.number) {
            numbered_path(path, "state", number, 16);
            s->io->remove(s->io->ctx, path);
        }
        sweep_temporary(s, "state", name); /* a writer whose file that was publishes again */
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
        out->objects = c.dead;
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
    e = writer_open(s, "collect", STORE_DEFAULT, LEASE_COLLECTOR, &w, eb);
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
