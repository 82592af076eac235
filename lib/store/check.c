/* The check of a live store: every pack is walked, every place of the index is compared with what
 * lies there, and all counts of edges are made anew from the nodes and references and compared.
 * Counts are made in parts, by score, so that memory is bounded: a part's counts are compared with
 * the index as it is read in order. */
#include "store__.h"

#include <string.h>

struct check {
    struct store *s;
    const struct store_progress *p;
    store_report_fn *report;
    void *aux;
    struct store_checked *out;
    struct node_places nodes;
    uint64_t living; /* objects to which the index leads */
};

static cg_err note_nodes(struct check *c, const struct pack_record *rec, const struct survey *v)
{
    uint64_t unknown = 0;
    for (size_t i = 0; i < v->count; i++) {
        const struct seen *o = &v->seen[i];
        c->living += o->lives;
        unknown += !o->known;
        if (!o->lives || o->kind != STORE_NODE) {
            continue;
        }
        if (!array_room(&c->nodes.place, &c->nodes.cap, c->nodes.count, sizeof *c->nodes.place)) {
            return CG_ENOMEM;
        }
        c->nodes.place[c->nodes.count++] =
            (struct node_place){.score = o->score, .pack = rec->id, .at = o->at, .slot = o->slot};
    }
    if (unknown && rec->live == rec->raw) { /* writers rely on it */
        c->out->miscounted += unknown;
        reportf(c->report, c->aux, "packs/%08x: all of it lives by the state, by the index not",
                rec->id);
    }
    return CG_OK;
}

static cg_err check_pack(struct check *c, const struct pack_record *rec, bool data)
{
    struct survey v;
    struct cg_errbuf why = {0};
    cg_err e = survey_pack(c->s, rec->id, data, true, &v, &c->out->damaged, &why);
    if (e == CG_ENOMEM) {
        return e;
    }
    if (e || !v.whole || v.end + PACK_END_BYTES != rec->bytes) {
        reportf(c->report, c->aux, "packs/%08x: %s", rec->id,
                e ? why.text : "not as it was written (damaged, cut short, or longer)");
        c->out->damaged += c->out->damaged == 0 || e;
    }
    e = survey_living(c->s, rec->id, &v, &why);
    c->out->packs++;
    c->out->frames += v.frames;
    c->out->objects += v.count;
    c->out->bytes += rec->bytes;
    e = e ? e : note_nodes(c, rec, &v);
    survey_fini(&v);
    return e;
}

/* Entries of the index up to the end of a part against the counts made anew. */
static cg_err compare_part(struct check *c, struct merge *m, struct sum *sum, bool *have,
                           const struct part *part, struct memtable *counts, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    char text[2 * STORE_SCORE_BYTES + 1];
    while (!e && *have && part_has(part, &sum->score)) {
        struct entry *want = memtable_find(counts, &sum->score);
        int64_t expected = want ? want->count : 0;
        store_score_text(&sum->score, text);
        if (sum->place.kind && sum->places == 1 && expected != sum->count) {
            c->out->miscounted++;
            reportf(c->report, c->aux, "%.16s: %lld edges lead to it, the index counts %lld", text,
                    (long long)expected, (long long)sum->count);
        }
        c->out->garbage += sum->place.kind && expected == 0;
        if (want && sum->place.kind) {
            want->count = 0; /* found */
        }
        e = merge_next(m, sum, NULL, NULL, eb);
        *have = e == CG_OK;
        e = e == CG_ENOENT ? CG_OK : e;
    }
    for (uint32_t i = 0; !e && i < counts->cap; i++) {
        if (counts->used[i] && counts->slot[i].count) {
            store_score_text(&counts->slot[i].score, text);
            c->out->missing++;
            reportf(c->report, c->aux, "%.16s: an edge leads to it, but it is not there", text);
        }
    }
    return e;
}

static cg_err count_places(void *aux, const struct entry *e)
{
    *(uint64_t *)aux += e->kind != 0;
    return CG_OK;
}

/* Copies of one object, put by writers that did not know of each other, make the counts of what
 * they lead to larger until they are merged: then counts cannot be compared. */
static cg_err count_index(struct check *c, uint64_t *entries, uint64_t *places, uint64_t *copies,
                          struct cg_errbuf *eb)
{
    struct merge m;
    struct sum sum;
    *entries = *places = *copies = 0;
    cg_err e = merge_open(c->s, c->s->run, (uint32_t)c->s->runs, &m, eb);
    while (!e && (e = merge_next(&m, &sum, count_places, places, eb)) == CG_OK) {
        *entries += 1;
        *copies += sum.places > 1;
    }
    merge_close(&m);
    return e == CG_ENOENT ? CG_OK : e;
}

static cg_err check_counts(struct check *c, uint64_t entries, struct cg_errbuf *eb)
{
    struct memtable counts = {0};
    struct merge m;
    struct sum sum;
    uint32_t parts = parts_of(entries);
    cg_err e = merge_open(c->s, c->s->run, (uint32_t)c->s->runs, &m, eb);
    if (e) {
        return e;
    }
    e = merge_next(&m, &sum, NULL, NULL, eb);
    bool have = e == CG_OK;
    e = e == CG_ENOENT ? CG_OK : e;
    for (uint32_t i = 0; i < parts && !e; i++) {
        struct part part = part_at(i, parts);
        tell(c->p, "counts", i, parts);
        memtable_clear(&counts);
        e = count_edges(c->s, &c->nodes, &part, &counts, &c->out->damaged, c->report, c->aux, eb);
        e = e ? e : compare_part(c, &m, &sum, &have, &part, &counts, eb);
    }
    memtable_fini(&counts);
    merge_close(&m);
    return e;
}

static cg_err check_all(struct check *c, bool data, struct cg_errbuf *eb)
{
    uint64_t entries, places, copies, before = c->out->miscounted;
    cg_err e = CG_OK;
    for (size_t i = 0; i < c->s->state.packs && !e; i++) {
        tell(c->p, "packs", i, c->s->state.packs);
        e = check_pack(c, &c->s->state.pack[i], data);
    }
    e = e ? e : count_index(c, &entries, &places, &copies, eb);
    if (e) {
        return e;
    }
    if (entries == places && places != c->living) { /* each place is one, and leads to one object */
        reportf(c->report, c->aux, "index: %llu places, %llu objects there",
                (unsigned long long)places, (unsigned long long)c->living);
        c->out->missing += places > c->living ? places - c->living : 0;
    }
    c->out->nodes = c->nodes.count;
    e = check_counts(c, entries, eb);
    if (copies) {
        c->out->miscounted = before;
    }
    return e;
}

cg_err store_check(struct store *s, bool data, const struct store_progress *p,
                   store_report_fn *report, void *aux, struct store_checked *out,
                   struct cg_errbuf *eb)
{
    struct check c = {.s = s, .p = p, .report = report, .aux = aux, .out = out};
    *out = (struct store_checked){0};
    cg_err e = store_refresh(s, eb);
    e = e ? e : check_all(&c, data, eb);
    cg_free(c.nodes.place);
    if (!e && (out->damaged || out->missing || out->miscounted)) {
        return cg_fail(eb, CG_EIO,
                       "the store is damaged: %llu damaged, %llu missing, %llu miscounted; "
                       "`store repair` mends what can be mended",
                       (unsigned long long)out->damaged, (unsigned long long)out->missing,
                       (unsigned long long)out->miscounted);
    }
    return e;
}
