/* See work_testkit.h. */
#include "work_testkit.h"
#include "../store/tree_testkit.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

struct cg_str work_text[WORK_STEPS + 1];

void work_text_fini(void)
{
    for (int i = 0; i <= WORK_STEPS; i++) {
        cg_str_fini(&work_text[i]);
    }
}

static cg_err steps(struct work *r, struct shadow_tree *s, struct active *t, uint64_t *seed, int n,
                    bool record)
{
    cg_err e = CG_OK;
    for (int i = 0; !e && i < n && r->done < WORK_STEPS; i++) {
        e = shadow_step(s, t, seed);
        if (!e) {
            r->done++;
            if (record) {
                shadow_text(s, &work_text[r->done]);
            }
        }
    }
    return e;
}

static cg_err commit(struct work *r, struct shadow_tree *s, struct active *t, uint64_t *seed,
                     bool record)
{
    struct active_job *j;
    char name[16];
    int at = r->done;
    bool snapshot = disk_random(seed) % 2 && r->snapshots < WORK_SNAPSHOTS_MAX;
    snprintf(name, sizeof name, "line@%d", r->snapshots);
    cg_err e = active_freeze(t, snapshot ? name : NULL, &j, NULL);
    if (e) {
        return e;
    }
    e = steps(r, s, t, seed, (int)(disk_random(seed) % 5), record);
    active_job_run(j);
    cg_err done = active_job_done(t, j, 0, NULL);
    if (!done) {
        r->synced = at > r->synced ? at : r->synced;
        if (snapshot) {
            r->snapshot[r->snapshots++] = at;
        }
    }
    return e ? e : done;
}

/* A sync as a server does it: changes, and at times a whole commit, come between its steps. What
 * was done before it was begun is durable when it is done. */
static cg_err flush(struct work *r, struct shadow_tree *s, struct active *t, uint64_t *seed,
                    bool record)
{
    struct active_flush *f;
    int at = r->done;
    cg_err e = active_flush_begin(t, &f, NULL);
    if (e) {
        return e;
    }
    e = steps(r, s, t, seed, (int)(disk_random(seed) % 4), record);
    e = e || disk_random(seed) % 3 ? e : commit(r, s, t, seed, record);
    active_flush_run(f);
    e = e ? e : steps(r, s, t, seed, (int)(disk_random(seed) % 4), record);
    e = e || disk_random(seed) % 3 ? e : commit(r, s, t, seed, record);
    cg_err done = active_flush_done(t, f, NULL);
    r->synced = !done && at > r->synced ? at : r->synced;
    return e ? e : done;
}

void work_run(struct disk *d, struct work *r, uint64_t seed, bool record,
              void (*after)(struct world *w, struct work *r))
{
    struct world w;
    struct shadow_tree *s = shadow_new();
    *r = (struct work){0};
    cg_err e = world_open(&w, d);
    if (record) {
        shadow_text(s, &work_text[0]);
    }
    while (!e && r->done < WORK_STEPS) {
        e = steps(r, s, w.t, &seed, 1 + (int)(disk_random(&seed) % 12), record);
        uint64_t what = disk_random(&seed) % 6;
        if (!e && what < 2) {
            e = commit(r, s, w.t, &seed, record);
        } else if (!e && what < 4) {
            e = flush(r, s, w.t, &seed, record);
        } else if (!e) {
            e = active_sync(w.t, NULL);
            r->synced = e ? r->synced : r->done;
        }
    }
    r->e = e;
    if (w.t) {
        shadow_let_go(s, w.t);
        if (after) {
            after(&w, r);
        }
        world_close(&w);
    }
    shadow_free(s);
}

static void show(void *aux, const char *line)
{
    (void)aux;
    fprintf(stderr, "check: %s\n", line);
}

bool work_equal(const struct cg_str *a, const struct cg_str *b)
{
    return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static bool one_of(const struct cg_str *got, int first, int last)
{
    for (int k = last; k >= first; k--) {
        if (work_equal(got, &work_text[k])) {
            return true;
        }
    }
    fprintf(stderr, "no tree of steps %d to %d; after the last of them ", first, last);
    shadow_differ(work_text[last].data, got->data);
    return false;
}

static bool snapshots_are_there(struct world *w, const struct work *r)
{
    struct cg_str got = {0};
    bool good = true;
    for (int i = 0; good && i < r->snapshots; i++) {
        char name[16];
        snprintf(name, sizeof name, "line@%d", i);
        snapshot_text(w->writes, name, &got);
        good = one_of(&got, r->snapshot[i], r->snapshot[i]);
    }
    cg_str_fini(&got);
    return good;
}

static bool goes_on(struct world *w, const struct cg_str *tree)
{
    struct cg_str again = {0};
    cg_err e = active_commit(w->t, "after@1", NULL);
    if (!e) {
        snapshot_text(w->writes, "after@1", &again);
    }
    bool good = !e && work_equal(&again, tree);
    active_text(w->t, &again);
    good = good && work_equal(&again, tree);
    cg_str_fini(&again);
    return good;
}

bool work_verify(struct disk *d, const struct work *r, int first)
{
    struct world w;
    struct cg_str got = {0};
    struct store_checked c;
    int last = r->done < WORK_STEPS ? r->done + 1 : WORK_STEPS;
    cg_err e = world_open(&w, d);
    if (e) {
        fprintf(stderr, "it cannot be opened: %s\n", cg_err_name(e));
        return false;
    }
    active_text(w.t, &got);
    bool good = one_of(&got, first, last) && snapshots_are_there(&w, r) && goes_on(&w, &got);
    world_close(&w);
    struct store *s = kit_open(&w.io, &e);
    good = good && !e && store_check(s, true, NULL, show, NULL, &c, NULL) == CG_OK;
    store_close(s);
    cg_str_fini(&got);
    return good;
}
