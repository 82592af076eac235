/* What is dead: the objects to which no edge leads, and those to which only edges of dead nodes
 * lead.
 *
 * It is found level by level. The nodes of a level are read, in the order in which they lie; each
 * of their edges falls, which a table gathers; then what fell is gone through in the order of the
 * index, and the objects whose count comes to nothing by it are the next level. Lists that grow
 * long go to temporary runs, so memory is bounded whatever is dead, and each page of the index is
 * read once a level. In the end the lists stand beside the runs of the index: merged, they are
 * the index without the dead. */
#include "store__.h"

#include <stdlib.h>
#include <string.h>

enum {
    LIST_ENTRIES = 8 << 10, /* longer lists go to a file; the option list_entries */
    /* Of a list's entries: children in the table, before the node at hand is added to it, and nodes
     * that are sorted by their place. */
    FELL_LISTS = 11,
    BATCH_LISTS = 2,
    LISTS_FEW = 32, /* of one kind; more are merged */
};

/* ---- lists: sorted entries, in memory or in a file ---- */

struct list {
    struct closure *c;
    uint8_t mark;
    struct entry *mem;
    size_t count, cap;
    uint64_t entries_max; /* the most that may come */
    struct run_out *file; /* NULL: all is in mem */
};

static cg_err list_to_file(struct list *l, struct cg_errbuf *eb)
{
    struct store *s = l->c->s;
    uint32_t id;
    s->env.random(s->env.ctx, &id, sizeof id);
    cg_err e = run_create(s, id, RUN_TEMPORARY, l->entries_max, &l->file, eb);
    for (size_t i = 0; i < l->count && !e; i++) {
        e = run_add(l->file, &l->mem[i], eb);
    }
    cg_free(l->mem);
    l->mem = NULL;
    return e;
}

static cg_err list_add(struct list *l, const struct entry *entry, struct cg_errbuf *eb)
{
    cg_err e = !l->file && l->count == l->c->list_entries ? list_to_file(l, eb) : CG_OK;
    if (e || l->file) {
        return e ? e : run_add(l->file, entry, eb);
    }
    if (!array_room(&l->mem, &l->cap, l->count, sizeof *l->mem)) {
        return CG_ENOMEM;
    }
    l->mem[l->count++] = *entry;
    return CG_OK;
}

static void list_fini(struct list *l)
{
    run_abandon(l->file);
    cg_free(l->mem);
    *l = (struct list){0};
}

/* The list joins the others of the closure; an empty one does not. */
static cg_err list_end(struct list *l, struct cg_errbuf *eb)
{
    struct closure *c = l->c;
    struct run *r = NULL;
    cg_err e = array_room(&c->run, &c->runs_cap, c->runs, sizeof *c->run) ? CG_OK : CG_ENOMEM;
    if (!e && l->file) {
        struct run_record rec;
        e = run_end(l->file, &rec, eb);
        l->file = NULL;
        if (!e && (e = run_open(c->s, &rec, &r, eb)) != CG_OK) {
            run_remove(c->s, RUN_TEMPORARY, rec.id);
        }
    } else if (!e && l->count) {
        r = cg_zalloc(sizeof *r);
        e = r ? CG_OK : CG_ENOMEM;
        if (r) {
            r->rec = (struct run_record){.kind = RUN_TEMPORARY, .entries = l->count};
            r->mem = l->mem;
            l->mem = NULL;
        }
    }
    if (r) {
        r->mark = l->mark;
        c->run[c->runs++] = r;
    }
    list_fini(l);
    return e;
}

static void close_list(struct closure *c, size_t i)
{
    struct run_record rec = c->run[i]->rec;
    bool file = c->run[i]->file != NULL;
    run_close(c->s->io, c->run[i]);
    if (file) {
        run_remove(c->s, RUN_TEMPORARY, rec.id);
    }
    memmove(&c->run[i], &c->run[i + 1], (--c->runs - i) * sizeof *c->run);
}

void closure_fini(struct closure *c)
{
    while (c->runs) {
        close_list(c, c->runs - 1);
    }
    memtable_fini(&c->fell);
    cg_free(c->run);
    cg_free(c->node);
    *c = (struct closure){0};
}

/* Makes one list of all that bear a mark, when there are many. */
static cg_err gather(struct closure *c, uint8_t mark, struct cg_errbuf *eb)
{
    struct run **same = cg_alloc((c->runs + 1) * sizeof *same);
    struct list l = {.c = c, .mark = mark};
    struct merge m = {0};
    struct sum sum;
    uint32_t n = 0;
    for (size_t i = 0; same && i < c->runs; i++) {
        if (c->run[i]->mark == mark) {
            same[n++] = c->run[i];
        }
    }
    cg_err e = same ? CG_OK : CG_ENOMEM;
    if (e || (n < LISTS_FEW && n < c->list_entries)) {
        cg_free(same);
        return e;
    }
    for (uint32_t i = 0; i < n; i++) {
        same[i]->mark = 0; /* here entries are only entries */
    }
    e = merge_open(c->s, same, n, &m, eb);
    l.entries_max = merge_entries(&m);
    while (!e && (e = merge_next(&m, &sum, NULL, NULL, eb)) == CG_OK) {
        struct entry entry;
        e = sum_entry(&sum, &entry, eb);
        e = e ? e : list_add(&l, &entry, eb);
    }
    merge_close(&m);
    cg_free(same);
    for (size_t i = c->runs; i-- > 0 && e == CG_ENOENT;) {
        if (c->run[i]->mark == 0) {
            close_list(c, i);
        }
    }
    e = e == CG_ENOENT ? list_end(&l, eb) : e;
    list_fini(&l);
    return e;
}

/* ---- levels ---- */

static cg_err add_dead(struct list *dead, const struct sum *sum, struct cg_errbuf *eb)
{
    struct entry place = sum->place;
    place.score = sum->score;
    place.count = 0;
    dead->c->dead++;
    dead->c->bytes += (uint64_t)place.size * ENTRY_SIZE_UNIT;
    return list_add(dead, &place, eb);
}

/* All objects of the index to which nothing leads. */
static cg_err seeds(struct closure *c, struct list *dead, struct cg_errbuf *eb)
{
    struct merge m;
    struct sum sum;
    uint64_t done = 0;
    cg_err e = merge_open(c->s, c->s->run, (uint32_t)c->s->runs, &m, eb);
    dead->entries_max = e ? 0 : merge_entries(&m);
    while (!e && (e = merge_next(&m, &sum, NULL, NULL, eb)) == CG_OK) {
        if ((++done & 0xffff) == 0) {
            tell(c->p, "looking for what is dead", done, dead->entries_max);
        }
        e = sum.count <= 0 && sum.place.kind ? add_dead(dead, &sum, eb) : CG_OK;
    }
    merge_close(&m);
    return e == CG_ENOENT ? CG_OK : e;
}

/* Those that were condemned, and to which nothing leads still. */
static cg_err condemned_seeds(struct closure *c, struct list *dead, struct cg_errbuf *eb)
{
    struct run_cursor at;
    cg_err e = cursor_open(c->s, c->s->condemned, &at, eb);
    dead->entries_max = c->s->condemned->rec.entries;
    while (!e && !at.end) {
        struct sum sum;
        e = index_find(c->s, &at.now.score, &sum, eb);
        e = e || sum.count > 0 || !sum.place.kind ? e : add_dead(dead, &sum, eb);
        e = e ? e : cursor_next(c->s, &at, eb);
    }
    cursor_close(&at);
    return e;
}

static cg_err fall(void *aux, enum store_object kind, const struct store_score *child)
{
    struct closure *c = aux;
    struct entry *e = memtable_at(&c->fell, child);
    (void)kind;
    if (!e) {
        return CG_ENOMEM;
    }
    e->count--;
    return CG_OK;
}

static cg_err list_fell(struct closure *c, struct cg_errbuf *eb)
{
    struct list l = {.c = c, .mark = MARK_FRESH, .entries_max = c->fell.count};
    struct entry *all = memtable_sorted(&c->fell);
    cg_err e = all ? CG_OK : CG_ENOMEM;
    for (uint32_t i = 0; i < c->fell.count && !e; i++) {
        e = list_add(&l, &all[i], eb);
    }
    cg_free(all);
    memtable_clear(&c->fell);
    e = e ? e : list_end(&l, eb);
    list_fini(&l);
    return e ? e : gather(c, MARK_FRESH, eb);
}

int node_place_cmp(const void *a, const void *b)
{
    const struct node_place *x = a, *y = b;
    return x->pack != y->pack ? (x->pack < y->pack ? -1 : 1)
           : x->at != y->at   ? (x->at < y->at ? -1 : 1)
                              : (x->slot > y->slot) - (x->slot < y->slot);
}

static cg_err expand_batch(struct closure *c, size_t nodes, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    if (nodes) {
        qsort(c->node, nodes, sizeof *c->node, node_place_cmp);
    }
    for (size_t i = 0; i < nodes && !e; i++) {
        const struct node_place *n = &c->node[i];
        struct entry place = {.pack = n->pack, .at = n->at, .slot = n->slot};
        struct cg_span bytes;
        e = store_get_at(c->s, &place, &n->score, &bytes, eb);
        e = e ? e : node_edges(bytes, fall, c);
        e = e || c->fell.count < FELL_LISTS * c->list_entries ? e : list_fell(c, eb);
    }
    c->expanded += nodes;
    tell(c->p, "following what is dead", c->expanded, c->dead);
    return e;
}

static cg_err expand(struct closure *c, struct run *level, struct cg_errbuf *eb)
{
    struct run_cursor at;
    size_t nodes = 0;
    cg_err e = cursor_open(c->s, level, &at, eb);
    while (!e && !at.end) {
        if (at.now.kind == STORE_NODE) {
            c->node[nodes++] = (struct node_place){
                .score = at.now.score, .pack = at.now.pack, .at = at.now.at, .slot = at.now.slot};
        }
        if (nodes == BATCH_LISTS * c->list_entries) {
            e = expand_batch(c, nodes, eb);
            nodes = 0;
        }
        e = e ? e : cursor_next(c->s, &at, eb);
    }
    cursor_close(&at);
    e = e ? e : expand_batch(c, nodes, eb);
    return e ? e : list_fell(c, eb);
}

/* Of what fell freshly, the objects that no edge is left to. */
static cg_err settle(struct closure *c, struct list *dead, struct cg_errbuf *eb)
{
    struct merge m;
    struct sum sum, there;
    cg_err e = merge_open(c->s, c->run, (uint32_t)c->runs, &m, eb);
    dead->entries_max = e ? 0 : merge_entries(&m);
    while (!e && (e = merge_next(&m, &sum, NULL, NULL, eb)) == CG_OK) {
        if ((sum.marks & MARK_DEAD) || !(sum.marks & MARK_FRESH)) {
            continue;
        }
        e = index_find(c->s, &sum.score, &there, eb);
        bool dies = !e && there.place.kind && there.count + sum.count <= 0 &&
                    (!c->condemned_only || there.condemned);
        e = dies ? add_dead(dead, &there, eb) : e;
    }
    merge_close(&m);
    for (size_t i = 0; i < c->runs; i++) {
        c->run[i]->mark = c->run[i]->mark == MARK_FRESH ? MARK_FELL : c->run[i]->mark;
    }
    return e == CG_ENOENT ? CG_OK : e;
}

cg_err closure_find(struct closure *c, struct store *s, bool condemned_only,
                    const struct store_progress *p, struct cg_errbuf *eb)
{
    *c = (struct closure){.s = s, .condemned_only = condemned_only, .p = p};
    struct list dead = {.c = c, .mark = MARK_DEAD};
    size_t before = 0;
    c->list_entries = s->o.list_entries ? s->o.list_entries : LIST_ENTRIES;
    c->node = cg_alloc(BATCH_LISTS * c->list_entries * sizeof *c->node);
    cg_err e = !c->node         ? CG_ENOMEM
               : condemned_only ? condemned_seeds(c, &dead, eb)
                                : seeds(c, &dead, eb);
    e = e ? e : list_end(&dead, eb);
    while (!e && c->runs > before) {
        e = expand(c, c->run[c->runs - 1], eb);
        dead = (struct list){.c = c, .mark = MARK_DEAD};
        e = e ? e : settle(c, &dead, eb);
        e = e ? e : gather(c, MARK_FELL, eb);
        e = e ? e : gather(c, MARK_DEAD, eb);
        before = c->runs;
        e = e ? e : list_end(&dead, eb);
    }
    list_fini(&dead);
    return e;
}

cg_err closure_each(const struct closure *c, entry_fn *each, void *aux, struct cg_errbuf *eb)
{
    struct merge m;
    struct sum sum;
    cg_err e = merge_open(c->s, c->run, (uint32_t)c->runs, &m, eb);
    while (!e && (e = merge_next(&m, &sum, NULL, NULL, eb)) == CG_OK) {
        struct entry entry = {.score = sum.score};
        e = sum.marks & MARK_DEAD ? each(aux, &entry) : CG_OK;
    }
    merge_close(&m);
    return e == CG_ENOENT ? CG_OK : e;
}
