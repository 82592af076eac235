/* Repair: the index is made anew from the packs alone, and what is damaged is left behind.
 *
 * Every pack is read in full. What is whole in a damaged one moves to a new pack. Then one run is
 * made of all places, and one of these and the counts of all edges, which a walk from the
 * references gives; what is gathered meanwhile spills to temporary runs, so memory is bounded and
 * each directory and each node is read once. What edges lead to and nothing holds is fetched from
 * a copy, and the index made once more. At last one commit replaces all. */
#include "store__.h"

#include <stdlib.h>
#include <string.h>

enum {
    PASSES_MAX = 64, /* of fetching: each may bring nodes that lead to more that is missing */
    MISSING_MAX = 190 << 10,   /* that one pass fetches */
    RENEW_ENTRIES = 64 << 10,  /* after so many the lease is looked at */
    FENCES_LOST_MAX = 1 << 30, /* a state gives one */
};

struct repair {
    struct store *s, *copy;
    struct store_writer *w;
    const struct store_progress *p;
    store_report_fn *report;
    void *aux;
    struct store_repaired *out;
    struct pack_record *pack; /* whole ones */
    size_t packs, packs_cap;
    uint32_t *old_run; /* of the state at the beginning */
    size_t old_runs;
    uint64_t entries;  /* objects in packs, copies included */
    uint64_t appended; /* of them, those that the writer brought */
    uint64_t state_ns; /* when the state that it began with was made */
    struct run_record run;
    struct memtable missing;  /* what edges lead to, with their counts */
    struct ref_record *found; /* snapshots that no state named so late; names are owned */
    size_t founds, founds_cap;
};

static cg_err add_pack(struct repair *r, const struct pack_record *rec)
{
    if (!array_room(&r->pack, &r->packs_cap, r->packs, sizeof *r->pack)) {
        return CG_ENOMEM;
    }
    r->pack[r->packs] = *rec;
    r->pack[r->packs++].live = rec->raw - ENTRY_SIZE_UNIT; /* what nothing leads to does not */
    return CG_OK;
}

/* ---- packs ---- */

static cg_err move_whole(struct repair *r, uint32_t id, const struct survey *v,
                         struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    for (size_t i = 0; i < v->count && !e; i++) {
        const struct seen *o = &v->seen[i];
        struct entry place = {.pack = id, .at = o->at, .slot = o->slot};
        struct cg_span bytes;
        e = store_get_at(r->s, &place, &o->score, &bytes, eb);
        e = e ? e : writer_append(r->w, o->kind, bytes.data, bytes.len, &o->score, eb);
    }
    if (!e && r->w->mem.count > MEMTABLE_ENTRIES_MAX) { /* places are found again below */
        e = writer_flush(r->w, eb);
        memtable_clear(&r->w->mem);
    }
    return e;
}

static cg_err count_objects(void *aux, const struct frame_in *f)
{
    *(uint64_t *)aux += f->count;
    return CG_OK;
}

static cg_err examine_pack(struct repair *r, uint32_t id, struct cg_errbuf *eb)
{
    struct survey v;
    struct cg_errbuf why = {0};
    uint64_t damaged = 0, objects = 0;
    cg_err e = pack_walk(r->s, id, true, true, count_objects, &objects, &v, &damaged, &why);
    bool mended = false;
    if ((e && e != CG_ENOMEM) || damaged || !v.whole) {
        parity_mend(r->s, id, &mended);
    }
    if (mended) {
        reportf(r->report, r->aux, "packs/%08x: mended by its parity", id);
        r->out->packs_mended++;
        damaged = objects = 0;
        e = pack_walk(r->s, id, true, true, count_objects, &objects, &v, &damaged, &why);
    }
    if (e == CG_ENOMEM) {
        return e;
    }
    if (e) {
        reportf(r->report, r->aux, "packs/%08x: lost: %s", id, why.text);
        r->out->packs_lost++;
        return CG_OK;
    }
    if (!damaged && v.whole) {
        struct pack_record rec = {.id = id, .bytes = v.end + PACK_END_BYTES, .raw = v.raw};
        r->entries += objects;
        return objects ? add_pack(r, &rec) : CG_OK;
    }
    reportf(r->report, r->aux, "packs/%08x: damaged; %llu objects that are whole move", id,
            (unsigned long long)objects);
    r->out->packs_rewritten++;
    e = survey_pack(r->s, id, true, true, &v, &damaged, eb);
    e = e ? e : move_whole(r, id, &v, eb);
    survey_fini(&v);
    return e;
}

/* With an older state, or none, every pack that is there counts: its objects may be all that is
 * left. */
static cg_err examine_packs(struct repair *r, struct cg_errbuf *eb)
{
    uint32_t *ids = NULL;
    size_t count = 0;
    cg_err e = CG_OK;
    if (r->s->older_state) {
        e = pack_list(r->s->io, &ids, &count, eb);
    } else {
        ids = cg_alloc((r->s->state.packs + 1) * sizeof *ids);
        e = ids ? CG_OK : CG_ENOMEM;
        for (; !e && count < r->s->state.packs; count++) {
            ids[count] = r->s->state.pack[count].id;
        }
    }
    for (size_t i = 0; i < count && !e; i++) {
        tell(r->p, "packs", i, count);
        e = writer_renew(r->w, eb);
        e = e ? e : examine_pack(r, ids[i], eb);
    }
    cg_free(ids);
    return e;
}

/* New packs of the writer join the others. */
static cg_err take_new_packs(struct repair *r, struct cg_errbuf *eb)
{
    cg_err e = writer_flush(r->w, eb);
    memtable_clear(&r->w->mem);
    for (size_t i = 0; i < r->w->packs && !e; i++) {
        e = add_pack(r, &r->w->pack[i]);
    }
    r->w->packs = 0;
    r->entries += r->w->counts.objects_new - r->appended;
    r->appended = r->w->counts.objects_new;
    return e;
}

/* ---- places ---- */

struct placing {
    struct spill spill;
    struct cg_errbuf *eb;
};

static cg_err place_frame(void *aux, const struct frame_in *f)
{
    struct placing *p = aux;
    for (uint32_t i = 0; i < f->count; i++) {
        struct entry *place;
        cg_err e = spill_at(&p->spill, &f->score[i], &place, p->eb);
        if (e) {
            return e;
        }
        *place = (struct entry){.score = f->score[i], /* of copies one counts, whichever */
                                .pack = f->pack,
                                .at = f->at,
                                .slot = (uint16_t)i,
                                .kind = f->kind,
                                .size = (uint16_t)object_units(f->start[i + 1] - f->start[i])};
    }
    return CG_OK;
}

static cg_err find_places(struct repair *r, struct placing *p, struct cg_errbuf *eb)
{
    struct survey v;
    cg_err e = CG_OK;
    for (size_t i = 0; i < r->packs && !e; i++) {
        tell(r->p, "index", i, r->packs);
        e = writer_renew(r->w, eb);
        e = e ? e : pack_walk(r->s, r->pack[i].id, false, false, place_frame, p, &v, NULL, eb);
    }
    return e;
}

/* Makes the run the index of s. */
static cg_err use_run(struct repair *r, struct cg_errbuf *eb)
{
    struct store *s = r->s;
    index_fini(s);
    if (r->run.entries == 0) {
        return CG_OK;
    }
    if (!array_room(&s->run, &s->runs_cap, 0, sizeof *s->run)) {
        return CG_ENOMEM;
    }
    cg_err e = run_open(s, &r->run, &s->run[0], eb);
    s->runs = e ? 0 : 1;
    return e;
}

static cg_err end_run(struct run_out *out, cg_err e, struct run_record *rec, struct cg_errbuf *eb)
{
    *rec = (struct run_record){0};
    if (e || run_empty(out)) {
        run_abandon(out);
        return e;
    }
    return run_end(out, rec, eb);
}

/* Each sum of the merge to what becomes of it. */
typedef cg_err sum_fn(struct repair *r, const struct sum *sum, struct run_out *out,
                      struct cg_errbuf *eb);

static cg_err merge_to_run(struct repair *r, struct spill *spill, struct run *more, sum_fn *fn,
                           struct cg_errbuf *eb)
{
    struct merge m;
    struct sum sum;
    struct run_out *out;
    uint32_t id;
    uint64_t done = 0;
    cg_err e = writer_run_id(r->w, &id, eb);
    e = e ? e : spill_merge(spill, more, &m, eb);
    if (e) {
        return e;
    }
    e = run_create(r->s, id, RUN_ENTRIES, r->entries, &out, eb);
    if (e) {
        merge_close(&m);
        return e;
    }
    while (!e && (e = merge_next(&m, &sum, NULL, NULL, eb)) == CG_OK) {
        e = done++ % RENEW_ENTRIES == 0 ? writer_renew(r->w, eb) : CG_OK;
        e = e ? e : fn(r, &sum, out, eb);
    }
    merge_close(&m);
    return end_run(out, e == CG_ENOENT ? CG_OK : e, &r->run, eb);
}

static cg_err add_place(struct repair *r, const struct sum *sum, struct run_out *out,
                        struct cg_errbuf *eb)
{
    struct entry entry;
    (void)r;
    cg_err e = sum_entry(sum, &entry, eb);
    return e ? e : run_add(out, &entry, eb);
}

static cg_err make_places(struct repair *r, struct cg_errbuf *eb)
{
    struct placing p = {.spill = {.s = r->s}, .eb = eb};
    if (r->run.entries) {
        index_fini(r->s);
        run_remove(r->s, RUN_ENTRIES, r->run.id);
    }
    cg_err e = find_places(r, &p, eb);
    e = e ? e : merge_to_run(r, &p.spill, NULL, add_place, eb);
    spill_fini(&p.spill);
    return e ? e : use_run(r, eb);
}

/* ---- edges ---- */

static struct ref_record *find_found(const struct repair *r, const char *name)
{
    for (size_t i = 0; i < r->founds; i++) {
        if (strcmp(r->found[i].name, name) == 0) {
            return &r->found[i];
        }
    }
    return NULL;
}

/* A snapshot that the damaged state may have named: it is younger than the state that is left. Of
 * one name, which only the active tree's moves on, the youngest. */
static cg_err note_snapshot(struct repair *r, const struct store_score *score)
{
    struct store_snapshot snap;
    struct cg_errbuf eb = {0};
    if (store_snapshot_get(r->s, score, &snap, &eb) != CG_OK || snap.time_ns < r->state_ns ||
        !snap.name[0]) {
        return CG_OK;
    }
    const struct ref_record *named = state_ref(&r->s->state, snap.name);
    struct ref_record *found = find_found(r, snap.name);
    if ((named && named->time_ns >= snap.time_ns) || (found && found->time_ns >= snap.time_ns)) {
        return CG_OK;
    }
    if (found) {
        found->score = *score;
        found->time_ns = snap.time_ns;
        return CG_OK;
    }
    char *name = cg_strdup(snap.name);
    if (!name || !array_room(&r->found, &r->founds_cap, r->founds, sizeof *r->found)) {
        cg_free(name);
        return CG_ENOMEM;
    }
    r->found[r->founds++] =
        (struct ref_record){.score = *score, .time_ns = snap.time_ns, .name = name};
    return CG_OK;
}

static cg_err find_snapshots(struct repair *r, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    for (size_t i = 0; i < r->packs && !e; i++) {
        struct survey v;
        e = survey_pack(r->s, r->pack[i].id, false, false, &v, NULL, eb);
        for (size_t k = 0; k < v.count && !e; k++) {
            e = v.seen[k].kind == STORE_NODE ? note_snapshot(r, &v.seen[k].score) : CG_OK;
        }
        survey_fini(&v);
    }
    return e;
}

/* A walk from the references down: what lies in packs beside it is dead, and may lead to what is
 * gone. It comes to each node once, and so to each edge. */
struct walking {
    struct repair *r;
    struct spill counts;
    struct memtable seen;
    struct store_score *todo;
    size_t count, cap;
    uint64_t nodes;
    struct cg_errbuf *eb;
};

static cg_err walk_to(struct walking *w, const struct store_score *node)
{
    if (memtable_find(&w->seen, node)) {
        return CG_OK;
    }
    if (!memtable_at(&w->seen, node) || !array_room(&w->todo, &w->cap, w->count, sizeof *w->todo)) {
        return CG_ENOMEM;
    }
    w->todo[w->count++] = *node;
    return CG_OK;
}

static cg_err walk_edge(void *aux, enum store_object kind, const struct store_score *score)
{
    struct walking *w = aux;
    struct entry *counted;
    cg_err e = spill_at(&w->counts, score, &counted, w->eb);
    if (e) {
        return e;
    }
    counted->count++;
    return kind == STORE_NODE ? walk_to(w, score) : CG_OK;
}

static cg_err walk_node(struct walking *w, const struct store_score *score, struct cg_errbuf *eb)
{
    struct sum sum;
    struct cg_span bytes;
    struct cg_errbuf why = {0};
    cg_err e = index_find(w->r->s, score, &sum, eb);
    if (e || sum.place.kind != STORE_NODE) {
        return e; /* what is missing is counted by its edges */
    }
    e = store_get_at(w->r->s, &sum.place, score, &bytes, &why);
    bool lost = e && e != CG_ENOMEM;
    e = e ? e : node_edges(bytes, walk_edge, w);
    if (lost || e == CG_EBADFORMAT) {
        reportf(w->r->report, w->r->aux, "node: %s", lost ? why.text : cg_err_meaning(e));
        return CG_OK;
    }
    return e;
}

static cg_err walk_all(struct walking *w, struct cg_errbuf *eb)
{
    struct repair *r = w->r;
    cg_err e = r->s->older_state ? find_snapshots(r, eb) : CG_OK;
    for (size_t i = 0; i < r->s->state.refs && !e; i++) {
        e = walk_edge(w, STORE_NODE, &r->s->state.ref[i].score);
    }
    for (size_t i = 0; i < r->founds && !e; i++) {
        e = walk_to(w, &r->found[i].score);
    }
    while (!e && w->count) {
        struct store_score score = w->todo[--w->count];
        tell(r->p, "trees", w->nodes, w->nodes + w->count + 1);
        e = w->nodes++ % RENEW_ENTRIES == 0 ? writer_renew(r->w, eb) : CG_OK;
        e = e ? e : walk_node(w, &score, eb);
    }
    return e;
}

/* The roots of snapshots that were found again are kept until they are named. */
static bool is_found(const struct repair *r, const struct store_score *score)
{
    for (size_t i = 0; i < r->founds; i++) {
        if (store_score_is(&r->found[i].score, score)) {
            return true;
        }
    }
    return false;
}

static cg_err add_counted(struct repair *r, const struct sum *sum, struct run_out *out,
                          struct cg_errbuf *eb)
{
    struct entry entry;
    cg_err e = sum_entry(sum, &entry, eb);
    if (e || sum->place.kind) {
        bool stays = entry.count || is_found(r, &sum->score);
        return e || !stays ? e : run_add(out, &entry, eb);
    }
    if (r->missing.count < MISSING_MAX) {
        struct entry *lost = memtable_at(&r->missing, &sum->score);
        e = lost ? CG_OK : CG_ENOMEM;
        if (lost) {
            lost->count = entry.count;
        }
    }
    return e;
}

static cg_err make_counts(struct repair *r, struct cg_errbuf *eb)
{
    struct walking w = {.r = r, .counts = {.s = r->s}, .eb = eb};
    struct run_record places = r->run;
    struct run *run = places.entries ? r->s->run[0] : NULL;
    memtable_clear(&r->missing);
    cg_err e = walk_all(&w, eb);
    memtable_fini(&w.seen);
    cg_free(w.todo);
    if (run) {
        run_forget_filter(run); /* from here on it is read in its order */
    }
    e = e ? e : merge_to_run(r, &w.counts, run, add_counted, eb);
    spill_fini(&w.counts);
    if (!e) {
        e = use_run(r, eb);
        if (places.entries) {
            run_remove(r->s, RUN_ENTRIES, places.id);
        }
    }
    return e;
}

/* ---- what is missing ---- */

static cg_err fetch(struct repair *r, const struct store_score *score, uint64_t *fetched,
                    struct cg_errbuf *eb)
{
    for (int kind = STORE_DATA; kind <= STORE_NODE; kind++) { /* a score is of one kind */
        struct cg_errbuf why = {0};
        struct cg_span bytes;
        if (store_get(r->copy, kind, score, &bytes, &why) == CG_OK) {
            *fetched += 1;
            return writer_append(r->w, kind, bytes.data, bytes.len, score, eb);
        }
    }
    return CG_OK;
}

static cg_err fetch_missing(struct repair *r, uint64_t *fetched, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    *fetched = 0;
    for (uint32_t i = 0; r->copy && i < r->missing.cap && !e; i++) {
        e = r->missing.used[i] ? fetch(r, &r->missing.slot[i].score, fetched, eb) : CG_OK;
    }
    r->out->objects_fetched += *fetched;
    return e;
}

/* ---- the commit ---- */

static cg_err keep_refs(struct repair *r, struct state *next)
{
    size_t kept = 0;
    for (size_t i = 0; i < next->refs; i++) {
        struct sum sum;
        struct cg_errbuf eb = {0};
        cg_err e = index_find(r->s, &next->ref[i].score, &sum, &eb);
        if (e || !sum.place.kind) {
            reportf(r->report, r->aux, "%s: lost", next->ref[i].name);
            r->out->refs_lost++;
            struct entry *lost = memtable_find(&r->missing, &next->ref[i].score);
            if (lost) {
                lost->count = 0; /* nothing leads to it any more */
            }
            cg_free(next->ref[i].name);
        } else {
            next->ref[kept++] = next->ref[i];
        }
    }
    next->refs = kept;
    return CG_OK;
}

/* Other writers may rely on what no reference reached: they have to begin again. A hold goes on:
 * it stands on a reference, and what it has acknowledged counts on nobody else's taking it. */
static void keep_leases(struct state *next, uint64_t own_fence)
{
    size_t kept = 0;
    for (size_t i = 0; i < next->leases; i++) {
        if (next->lease[i].fence == own_fence || next->lease[i].role == LEASE_HOLD) {
            next->lease[kept++] = next->lease[i];
        }
    }
    next->leases = kept;
}

static cg_err repair_edit(struct store *s, struct state *next, void *arg, struct cg_errbuf *eb)
{
    (void)s;
    struct repair *r = arg;
    r->out->refs_lost = 0;
    for (size_t i = 0; i < r->old_runs; i++) {
        state_drop_run(next, r->old_run[i]);
    }
    next->packs = 0;
    next->condemned_epoch = 0;
    keep_leases(next, r->w->fence);
    cg_err e = writer_enter(r->w, next, STORE_FINAL, eb);
    for (size_t i = 0; i < r->packs && !e; i++) {
        if (!array_room(&next->pack, &next->packs_cap, next->packs, sizeof *next->pack)) {
            return CG_ENOMEM;
        }
        next->pack[next->packs++] = r->pack[i];
        next->pack_next = r->pack[i].id >= next->pack_next ? r->pack[i].id + 1 : next->pack_next;
    }
    e = e ? e : state_add_run(next, &r->run);
    return e ? e : keep_refs(r, next);
}

static cg_err restore_refs(struct repair *r, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    for (size_t i = 0; i < r->founds && !e; i++) {
        struct store_refinfo named = {0};
        store_ref_get(r->s, r->found[i].name, &named);
        struct store_ref_change change = {.name = r->found[i].name,
                                          .epoch = named.epoch,
                                          .score = &r->found[i].score,
                                          .time_ns = r->found[i].time_ns};
        struct store_writer *w;
        e = store_writer_open(r->s, "repair", STORE_DEFAULT, &w, eb);
        if (!e) {
            e = store_commit(w, &change, 1, STORE_FINAL, eb);
            store_writer_close(w);
        }
        r->out->refs_found++;
        reportf(r->report, r->aux, "%s: found again", r->found[i].name);
    }
    return e;
}

static cg_err repair_with(struct repair *r, struct cg_errbuf *eb)
{
    cg_err e = examine_packs(r, eb);
    uint64_t fetched = 1;
    for (int pass = 0; !e && fetched && pass < PASSES_MAX; pass++) {
        e = take_new_packs(r, eb);
        e = e ? e : make_places(r, eb);
        e = e ? e : make_counts(r, eb);
        e = e ? e : fetch_missing(r, &fetched, eb);
    }
    if (e) {
        return e;
    }
    e = state_commit(r->s, repair_edit, r, eb);
    for (uint32_t i = 0; i < r->missing.cap; i++) {
        r->out->objects_missing += r->missing.used[i] && r->missing.slot[i].count;
    }
    if (!e) {
        r->w->leased = false;
        r->s->o.repair = false;
        r->s->older_state = false;
        index_fini(r->s);
        e = index_sync(r->s, eb);
    }
    return e;
}

/* The writer of a repair works on a state whose numbers may be old: files above them may be there,
 * and fences that later states gave may be in the hands of writers. */
static cg_err raise_numbers(struct store *s, struct cg_errbuf *eb)
{
    struct cg_str names = {0};
    cg_err e = CG_OK;
    if (s->older_state) {
        keep_leases(&s->state, 0); /* those that are gone may have ended the others */
        s->state.fence_next += FENCES_LOST_MAX;
    }
    for (int packs = 0; packs < 2 && !e; packs++) {
        uint32_t *next = packs ? &s->state.pack_next : &s->state.run_next;
        names.len = 0;
        e = s->io->list(s->io->ctx, packs ? "packs" : "index", &names);
        for (size_t at = 0; !e && at < names.len; at += strlen(names.data + at) + 1) {
            uint64_t id;
            if (numbered_name(names.data + at, 8, &id) && id >= *next) {
                *next = (uint32_t)id + 1;
            }
        }
    }
    cg_str_fini(&names);
    return e ? cg_fail(eb, e, "%s", cg_err_meaning(e)) : state_encode(&s->state, &s->state_text);
}

cg_err store_repair(struct store *s, struct store *copy, const struct store_progress *p,
                    store_report_fn *report, void *aux, struct store_repaired *out,
                    struct cg_errbuf *eb)
{
    struct repair r = {.s = s, .copy = copy, .p = p, .report = report, .aux = aux, .out = out};
    *out = (struct store_repaired){0};
    cg_assert(s->o.repair);
    r.state_ns = s->state.wall_ns;
    if (copy && !store_same_domain(s, copy)) {
        return cg_fail(eb, CG_EINVAL, "the copy is of another domain: its scores are not these");
    }
    r.old_run = cg_alloc((s->state.runs + 1) * sizeof *r.old_run);
    cg_err e = r.old_run ? raise_numbers(s, eb) : CG_ENOMEM;
    for (; !e && r.old_runs < s->state.runs; r.old_runs++) {
        r.old_run[r.old_runs] = s->state.run[r.old_runs].id;
    }
    e = e ? e : writer_open(s, "repair", STORE_DEFAULT, LEASE_COLLECTOR, &r.w, eb);
    if (!e) {
        e = repair_with(&r, eb);
        store_writer_close(r.w);
    }
    e = e ? e : restore_refs(&r, eb);
    for (size_t i = 0; i < r.founds; i++) {
        cg_free(r.found[i].name);
    }
    memtable_fini(&r.missing);
    cg_free(r.found);
    cg_free(r.pack);
    cg_free(r.old_run);
    return e;
}
