/* The life of a tree: taking it, ending a generation, and forgetting what is committed. */
#include "active__.h"

#include <stdio.h>
#include <string.h>

cg_err act_segment_add(struct active *t, uint64_t number, struct store_journal *j)
{
    enum { CAP_MIN = 4 };
    if (t->segs == t->segs_cap) {
        size_t cap = t->segs_cap ? t->segs_cap * 2 : CAP_MIN;
        struct segment *seg = cg_realloc(t->seg, cap * sizeof *seg);
        if (!seg) {
            store_journal_close(j);
            return CG_ENOMEM;
        }
        t->seg = seg;
        t->segs_cap = cap;
    }
    t->seg[t->segs++] = (struct segment){.number = number, .j = j};
    return CG_OK;
}

/* ---- opening ---- */

static struct active_job *job_new(const struct active *t)
{
    struct active_job *j = cg_zalloc(sizeof *j);
    if (j) {
        act_tree_init(&j->tree);
        j->config = t->config;
        j->ref_epoch = t->ref_epoch;
    }
    return j;
}

static void job_free(struct active_job *j)
{
    act_tree_fini(&j->tree);
    cg_free(j);
}

/* What is in the journal, and the first tree of all, are committed; the segments go. */
static cg_err recover(struct active *t, uint64_t first, const uint64_t *segment, size_t segments,
                      struct cg_errbuf *eb)
{
    struct active_job *j = job_new(t);
    if (!j) {
        return CG_ENOMEM;
    }
    j->recover = true;
    j->first = j->dead = first;
    j->last = segments ? segment[segments - 1] : 0;
    j->next = segments && j->last >= first ? j->last + 1 : first;
    active_job_run(j);
    cg_err e = j->e;
    if (e) {
        cg_context(&j->eb, e, "the journal is not taken up");
        cg_fail(eb, e, "%s", j->eb.text);
    }
    job_free(j);
    return e;
}

static void remove_before(struct active *t, uint64_t first, const uint64_t *segment, size_t count)
{
    for (size_t i = 0; i < count && segment[i] < first; i++) {
        store_journal_remove(t->s, segment[i]);
    }
}

static cg_err reload(struct active *t, uint64_t *first, struct cg_errbuf *eb)
{
    act_tree_fini(t);
    t->seg = NULL;
    t->segs = t->segs_cap = 0;
    t->tx = t->nameless = (struct cg_str){0};
    act_tree_init(t);
    cg_err e = store_refresh(t->s, eb);
    return e ? e : act_base_load(t, first, eb);
}

/* The base is there and holds all that was acknowledged; first is the number of a new segment. */
static cg_err take_up(struct active *t, uint64_t *first, struct cg_errbuf *eb)
{
    uint64_t *segment = NULL;
    size_t count = 0;
    bool clean = true;
    cg_err e = store_refresh(t->s, eb);
    e = e ? e : act_base_load(t, first, eb);
    e = e ? e : store_journal_list(t->s, &segment, &count, eb);
    e = e || !t->ref_epoch ? e : act_dir_empty(t, t->orphans, &clean, eb);
    if (!e && (!t->ref_epoch || !clean || (count && segment[count - 1] >= *first))) {
        e = recover(t, *first, segment, count, eb);
        e = e ? e : reload(t, first, eb);
    }
    if (!e) {
        remove_before(t, *first, segment, count);
    }
    cg_free(segment);
    return e;
}

static cg_err new_segment(struct active *t, uint64_t number, struct cg_errbuf *eb)
{
    struct store_journal *j;
    cg_err e = store_journal_create(t->s, number, &j, eb);
    return e ? e : act_segment_add(t, number, j);
}

cg_err active_open(const struct active_config *c, struct active **out, struct cg_errbuf *eb)
{
    uint64_t first = 1;
    struct active *t = cg_zalloc(sizeof *t);
    if (!t) {
        return CG_ENOMEM;
    }
    t->s = c->reads;
    t->config = *c;
    act_tree_init(t);
    cg_err e = store_hold_take(t->s, "active", c->who, c->gone, c->aux, &t->hold, eb);
    e = e ? e : take_up(t, &first, eb);
    e = e ? e : new_segment(t, first, eb);
    if (e) {
        store_hold_drop(t->hold);
        act_tree_fini(t);
        cg_free(t);
        return e;
    }
    t->gen = t->dead = first;
    *out = t;
    return CG_OK;
}

void active_close(struct active *t)
{
    bool empty = t->segs == 1 && store_journal_bytes(t->seg[0].j) == STORE_JOURNAL_FIRST;
    uint64_t number = t->seg[0].number;
    cg_assert(!t->flush);
    if (!t->failed) {
        active_sync(t, NULL);
    }
    if (!t->failed && store_hold_lasts(t->hold, 0)) {
        uint64_t end = number + empty;
        for (uint64_t i = t->dead; i < end; i++) {
            store_journal_remove(t->s, i);
        }
    }
    act_tree_fini(t);
    store_hold_drop(t->hold);
    cg_free(t);
}

struct active_node *active_root(struct active *t)
{
    return t->root;
}

/* ---- durability ---- */

static cg_err lose(struct active *t, cg_err e)
{
    if (e == CG_EEXPIRED) {
        t->failed = e;
    }
    return e;
}

cg_err active_renew(struct active *t, struct cg_errbuf *eb)
{
    if (t->failed) {
        return cg_fail(eb, t->failed, "the active tree was lost to another: open it again");
    }
    return lose(t, store_hold_renew(t->hold, ACTIVE_REF, t->ref_epoch, eb));
}

static cg_err check_held(const struct active *t, struct cg_errbuf *eb)
{
    return t->failed ? cg_fail(eb, t->failed, "the active tree was lost: open it again") : CG_OK;
}

/* The segments that are to be synced, each held: a commit may have done with them meanwhile. */
struct active_flush {
    cg_err e;
    struct cg_errbuf eb;
    size_t segs, done;
    struct segment seg[]; /* synced: it had its end when this was begun, so nothing comes after */
};

cg_err active_flush_begin(struct active *t, struct active_flush **out, struct cg_errbuf *eb)
{
    cg_err e = check_held(t, eb);
    if (e || t->flush) {
        return e ? e : cg_fail(eb, CG_EBUSY, "a sync is under way");
    }
    for (size_t i = 0; i < t->segs; i++) {
        if (t->seg[i].unsafe) {
            return cg_fail(eb, CG_EIO,
                           "a sync failed: what was written is not safe before the next commit");
        }
    }
    struct active_flush *f = cg_zalloc(sizeof *f + t->segs * sizeof f->seg[0]);
    if (!f) {
        return CG_ENOMEM;
    }
    for (size_t i = 0; i < t->segs; i++) {
        const struct segment *s = &t->seg[i];
        if (!s->synced) {
            f->seg[f->segs++] = (struct segment){
                .number = s->number, .j = store_journal_get(s->j), .synced = i + 1 < t->segs};
        }
    }
    t->flush = true;
    *out = f;
    return CG_OK;
}

void active_flush_run(struct active_flush *f)
{
    for (; f->done < f->segs; f->done++) {
        f->e = store_journal_sync(f->seg[f->done].j, &f->eb);
        if (f->e) {
            return;
        }
    }
}

/* What came of the sync of one. A commit may have done with it: then it is in packs. */
static void mark(struct active *t, const struct segment *of, bool failed)
{
    for (size_t i = 0; i < t->segs; i++) {
        if (t->seg[i].number == of->number) {
            t->seg[i].synced = of->synced && !failed;
            t->seg[i].unsafe = failed;
        }
    }
}

cg_err active_flush_done(struct active *t, struct active_flush *f, struct cg_errbuf *eb)
{
    cg_err e = f->e ? cg_fail(eb, f->e, "%s", f->eb.text) : check_held(t, eb);
    for (size_t i = 0; i < f->segs; i++) {
        if (i <= f->done) { /* of those behind one that failed nothing is known */
            mark(t, &f->seg[i], i == f->done);
        }
        store_journal_close(f->seg[i].j);
    }
    cg_free(f);
    t->flush = false;
    /* Only now: whoever took the tree after our hold was over has not seen what we wrote. */
    return e || store_hold_lasts(t->hold, 0) ? e : active_renew(t, eb);
}

cg_err active_sync(struct active *t, struct cg_errbuf *eb)
{
    struct active_flush *f;
    cg_err e = active_flush_begin(t, &f, eb);
    if (e) {
        return e;
    }
    active_flush_run(f);
    return active_flush_done(t, f, eb);
}

/* ---- generations ---- */

cg_err active_freeze(struct active *t, const char *snapshot, struct active_job **out,
                     struct cg_errbuf *eb)
{
    if (t->job) {
        return cg_fail(eb, CG_EBUSY, "a commit is under way");
    }
    cg_err e = check_held(t, eb);
    if (e) {
        return e;
    }
    struct active_job *j = job_new(t);
    struct store_journal *next;
    e = j ? store_journal_create(t->s, t->gen + 1, &next, eb) : CG_ENOMEM;
    if (e) {
        cg_free(j);
        return e;
    }
    e = act_log_end_segment(t, eb);
    if (e) {
        store_journal_close(next);
        store_journal_remove(t->s, t->gen + 1);
        job_free(j);
        return e;
    }
    e = act_segment_add(t, t->gen + 1, next);
    if (e) { /* the segment has its end: nothing can be added to it */
        t->failed = CG_EEXPIRED;
        job_free(j);
        return e;
    }
    j->dead = t->dead;
    j->first = t->seg[0].number;
    j->last = t->gen++;
    j->next = t->gen;
    snprintf(j->snapshot, sizeof j->snapshot, "%s", snapshot ? snapshot : "");
    t->frozen_records += t->records;
    t->records = 0;
    t->looked_at = 0;
    t->job = true;
    *out = j;
    return CG_OK;
}

/* The names of a directory whose generation is in the base, from where the last slice ended; false:
 * some are left. */
static bool settle_names(struct active_job *j, struct active_node *dir, uint32_t *left)
{
    struct cg_span after = {.data = j->name, .len = j->name_len};
    struct name *n = act_name_after(dir, after);
    for (; n && *left; --*left) {
        struct name *next = act_name_after(dir, act_name_span(n));
        j->name_len = n->len;
        memcpy(j->name, n->bytes, n->len);
        if (n->gen && n->gen <= j->last) {
            n->gen = 0;
            if (n->state == NAME_GONE) {
                act_name_drop(n);
            } else {
                n->state = NAME_CLEAN;
                n->below = true;
            }
        }
        n = next;
    }
    j->name_len = n ? j->name_len : 0;
    return !n;
}

/* The base of m is now what the commit made of it, in r. */
static void settle(struct active_node *m, const struct active_node *r, uint64_t gen)
{
    m->based = true;
    m->content = r->content;
    m->score = r->score;
    m->base_size = r->base_size;
    memcpy(m->small, r->small, sizeof m->small);
    act_ext_drop(m, gen);
    m->limit_old = UINT64_MAX;
    if (m->limit_gen <= gen) {
        m->limit = UINT64_MAX;
    }
}

/* Node by node what is in the new root is forgotten: each is right before and after, for what is
 * younger than the commit hides either base. False: some are left. */
static bool settle_some(struct active *t, struct active_job *j, uint32_t *left)
{
    while (*left) {
        struct active_node *m = j->dir ? act_node_find(t, j->dir) : NULL;
        if (m && !settle_names(j, m, left)) {
            return false;
        }
        j->dir = 0;
        const struct active_node *r = cg_map_next(&j->tree.nodes, &j->cursor);
        if (!r) {
            return true;
        }
        m = r->built ? act_node_find(t, r->ino) : NULL;
        if (m) {
            settle(m, r, j->last);
            j->dir = act_node_is_dir(m) ? m->ino : 0;
            j->name_len = 0;
        }
        --*left;
    }
    return false;
}

/* Those that differ no more from the base; what hangs on them can go. */
static void rest_all(struct active *t, uint64_t gen)
{
    CG_LIST_EACH (it, &t->dirty) {
        struct active_node *n = CG_CONTAINER(it, struct active_node, dirty);
        if (n->gen <= gen) {
            cg_list_del(&n->dirty);
            n->gen = 0;
            cg_list_push(&t->settled, &n->dirty);
        }
    }
    while (!cg_list_empty(&t->settled)) {
        struct active_node *n = CG_CONTAINER(t->settled.next, struct active_node, dirty);
        act_node_clean(t, n);
    }
}

/* Nothing of them is read any more. The next job removes the files, for that can take long. */
static void close_segments(struct active *t, uint64_t last)
{
    size_t kept = 0;
    for (size_t i = 0; i < t->segs; i++) {
        if (t->seg[i].number > last) {
            t->seg[kept++] = t->seg[i];
        } else {
            store_journal_close(t->seg[i].j);
        }
    }
    t->segs = kept;
}

static cg_err job_failed(struct active *t, struct active_job *j, struct cg_errbuf *eb)
{
    struct store_refinfo ref;
    cg_err e = j->e;
    cg_fail(eb, e, "%s", j->eb.text[0] ? j->eb.text : cg_err_meaning(e));
    if (store_refresh(t->s, NULL) == CG_OK && store_ref_get(t->s, ACTIVE_REF, &ref) == CG_OK &&
        ref.epoch != t->ref_epoch) {
        t->failed = CG_EEXPIRED; /* by another, or by us without our knowing */
    }
    t->job = false;
    job_free(j);
    return e;
}

cg_err active_job_done(struct active *t, struct active_job *j, uint32_t slice, struct cg_errbuf *eb)
{
    uint32_t left = slice ? slice : UINT32_MAX;
    cg_err e = j->e ? job_failed(t, j, eb) : j->taking ? CG_OK : store_refresh(t->s, eb);
    if (e) {
        if (t->job) { /* what is in the new root cannot be found */
            t->failed = CG_EEXPIRED;
            t->job = false;
            job_free(j);
        }
        return e;
    }
    j->taking = true;
    if (!j->settled) {
        if (!settle_some(t, j, &left)) {
            return CG_EAGAIN;
        }
        rest_all(t, j->last);
        close_segments(t, j->last);
        t->dead = j->first;
        t->ref_epoch = j->ref_epoch;
        t->frozen_records = 0;
        t->commits++;
        j->settled = true;
    }
    if (!act_tree_free_some(&j->tree, &left)) {
        return CG_EAGAIN;
    }
    t->job = false;
    job_free(j);
    return CG_OK;
}

cg_err active_commit(struct active *t, const char *snapshot, struct cg_errbuf *eb)
{
    struct active_job *j;
    cg_err e = active_freeze(t, snapshot, &j, eb);
    if (e) {
        return e;
    }
    active_job_run(j);
    return active_job_done(t, j, 0, eb);
}

void active_stats(const struct active *t, struct active_stats *out)
{
    *out = (struct active_stats){.files = t->files,
                                 .bytes = t->bytes,
                                 .nodes = cg_map_count(&t->nodes),
                                 .idle = t->idles,
                                 .records = t->records + t->frozen_records,
                                 .changed = t->records,
                                 .commits = t->commits,
                                 .segment = t->gen,
                                 .segments = t->segs};
    for (size_t i = 0; i < t->segs; i++) {
        out->journal_bytes += store_journal_bytes(t->seg[i].j);
    }
}
