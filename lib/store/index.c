/* The index: a memtable of what a writer added, and runs. Entries of one score add up: the place of
 * an object stands in one of them, changes of its count of edges in others, so writers that know
 * nothing of each other can each add a run. */
#include "store__.h"

#include <stdlib.h>
#include <string.h>

/* ---- memtable ---- */

enum { MEMTABLE_CAP_MIN = 1024 };

void memtable_fini(struct memtable *m)
{
    cg_free(m->slot);
    cg_free(m->used);
    *m = (struct memtable){0};
}

void memtable_clear(struct memtable *m)
{
    if (m->cap) {
        memset(m->used, 0, m->cap);
    }
    m->count = 0;
}

/* Scores are keyed hashes: their bytes are as good as any hash of them. */
static uint32_t slot_for(const struct memtable *m, const struct store_score *score)
{
    uint32_t h;
    memcpy(&h, score->b, sizeof h);
    uint32_t i = h & (m->cap - 1);
    while (m->used[i] && !store_score_is(&m->slot[i].score, score)) {
        i = (i + 1) & (m->cap - 1);
    }
    return i;
}

struct entry *memtable_find(const struct memtable *m, const struct store_score *score)
{
    if (m->count == 0) {
        return NULL;
    }
    uint32_t i = slot_for(m, score);
    return m->used[i] ? &m->slot[i] : NULL;
}

static bool memtable_grow(struct memtable *m)
{
    struct memtable old = *m;
    uint32_t cap = old.cap ? old.cap * 2 : MEMTABLE_CAP_MIN;
    struct entry *slot = cg_alloc(cap * sizeof *slot);
    uint8_t *used = cg_zalloc(cap);
    if (!slot || !used) {
        cg_free(slot);
        cg_free(used);
        return false;
    }
    *m = (struct memtable){.slot = slot, .used = used, .cap = cap, .count = old.count};
    for (uint32_t i = 0; i < old.cap; i++) {
        if (old.used[i]) {
            uint32_t at = slot_for(m, &old.slot[i].score);
            m->slot[at] = old.slot[i];
            m->used[at] = 1;
        }
    }
    cg_free(old.slot);
    cg_free(old.used);
    return true;
}

struct entry *memtable_at(struct memtable *m, const struct store_score *score)
{
    if (m->count * 4ull >= m->cap * 3ull && !memtable_grow(m)) {
        return NULL;
    }
    uint32_t i = slot_for(m, score);
    if (!m->used[i]) {
        m->used[i] = 1;
        m->slot[i] = (struct entry){.score = *score};
        m->count++;
    }
    return &m->slot[i];
}

static int by_score(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return score_cmp(&x->score, &y->score);
}

struct entry *memtable_sorted(const struct memtable *m)
{
    struct entry *all = cg_alloc(m->count * sizeof *all);
    uint32_t n = 0;
    for (uint32_t i = 0; all && i < m->cap; i++) {
        if (m->used[i]) {
            all[n++] = m->slot[i];
        }
    }
    if (n) {
        qsort(all, n, sizeof *all, by_score);
    }
    return all;
}

/* ---- runs of the state ---- */

static struct run **open_run(struct store *s, uint32_t id)
{
    for (size_t i = 0; i < s->runs; i++) {
        if (s->run[i]->rec.id == id) {
            return &s->run[i];
        }
    }
    return NULL;
}

cg_err index_sync(struct store *s, struct cg_errbuf *eb)
{
    if (s->o.repair) {
        return CG_OK; /* runs may be damaged; repair makes one of its own */
    }
    for (size_t i = 0; i < s->runs; i++) {
        s->run[i]->wanted = false;
    }
    s->condemned = NULL;
    cg_err e = CG_OK;
    for (size_t i = 0; i < s->state.runs && !e; i++) {
        struct run **r = open_run(s, s->state.run[i].id);
        if (!r) {
            if (!array_room(&s->run, &s->runs_cap, s->runs, sizeof *s->run)) {
                return CG_ENOMEM;
            }
            r = &s->run[s->runs];
            e = run_open(s, &s->state.run[i], r, eb);
            s->runs += e == CG_OK;
        }
        if (!e) {
            (*r)->wanted = true;
            s->condemned = (*r)->rec.kind == RUN_CONDEMNED ? *r : s->condemned;
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < s->runs; i++) {
        if (s->run[i]->wanted || e) {
            s->run[kept++] = s->run[i];
        } else {
            run_close(s->io, s->run[i]);
        }
    }
    s->runs = kept;
    near_sync(s);
    return e;
}

void index_fini(struct store *s)
{
    for (size_t i = 0; i < s->runs; i++) {
        run_close(s->io, s->run[i]);
    }
    cg_free(s->run);
    s->run = NULL;
    s->runs = s->runs_cap = 0;
    s->condemned = NULL;
}

static void sum_add(struct sum *sum, const struct entry *e)
{
    sum->count += e->count;
    if (e->kind) {
        sum->place = *e;
        sum->places++;
    }
}

cg_err index_find(struct store *s, const struct store_score *score, struct sum *out,
                  struct cg_errbuf *eb)
{
    *out = (struct sum){.score = *score};
    for (size_t i = 0; i < s->runs; i++) {
        struct entry e;
        bool found;
        cg_err err = run_find(s, s->run[i], score, &e, &found, eb);
        if (err) {
            return err;
        }
        if (found && s->run[i] == s->condemned) {
            out->condemned = true;
        } else if (found) {
            sum_add(out, &e);
        }
    }
    return CG_OK;
}

cg_err index_has(struct store *s, const struct store_score *score, bool *has, struct cg_errbuf *eb)
{
    struct entry e;
    bool found = false;
    *has = near_has(s, score);
    /* The newest run first: what is put again was, as a rule, put lately. */
    for (size_t i = s->runs; i-- > 0 && !*has;) {
        if (s->run[i] == s->condemned) {
            continue;
        }
        cg_err err = run_find(s, s->run[i], score, &e, &found, eb);
        if (err) {
            return err;
        }
        *has = found && e.kind != 0;
        if (*has) {
            near_learn(s, &e);
        }
    }
    if (*has && s->condemned) {
        cg_err err = run_find(s, s->condemned, score, &e, &found, eb);
        *has = !found;
        return err;
    }
    return CG_OK;
}

/* ---- runs side by side ---- */

cg_err merge_open(struct store *s, struct run *const *runs, uint32_t count, struct merge *m,
                  struct cg_errbuf *eb)
{
    *m = (struct merge){.s = s, .cursor = cg_zalloc((count + 1) * sizeof *m->cursor)};
    if (!m->cursor) {
        return CG_ENOMEM;
    }
    for (uint32_t i = 0; i < count; i++) {
        cg_err e = cursor_open(s, runs[i], &m->cursor[i], eb);
        m->count++;
        if (e) {
            merge_close(m);
            return e;
        }
    }
    return CG_OK;
}

cg_err merge_next(struct merge *m, struct sum *out, entry_fn *each, void *aux, struct cg_errbuf *eb)
{
    const struct run_cursor *least = NULL;
    for (uint32_t i = 0; i < m->count; i++) {
        const struct run_cursor *c = &m->cursor[i];
        if (!c->end && (!least || score_cmp(&c->now.score, &least->now.score) < 0)) {
            least = c;
        }
    }
    if (!least) {
        return CG_ENOENT;
    }
    *out = (struct sum){.score = least->now.score};
    for (uint32_t i = 0; i < m->count; i++) {
        struct run_cursor *c = &m->cursor[i];
        if (c->end || !store_score_is(&c->now.score, &out->score)) {
            continue;
        }
        cg_err e = CG_OK;
        out->marks |= c->run->mark;
        if (c->run->rec.kind == RUN_CONDEMNED) {
            out->condemned = true;
        } else if (c->run->mark != MARK_DEAD) {
            sum_add(out, &c->now);
            e = each ? each(aux, &c->now) : CG_OK;
        }
        if (!e) {
            e = cursor_next(m->s, c, eb);
        }
        if (e) {
            return e;
        }
    }
    return CG_OK;
}

uint64_t merge_entries(const struct merge *m)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < m->count; i++) {
        n += m->cursor[i].run->rec.entries;
    }
    return n;
}

void merge_close(struct merge *m)
{
    for (uint32_t i = 0; i < m->count; i++) {
        cursor_close(&m->cursor[i]);
    }
    cg_free(m->cursor);
    *m = (struct merge){0};
}
