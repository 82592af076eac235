/* The check of a live store: every pack is walked, every place of the index is compared with what
 * lies there, and all counts of edges are made anew from the nodes and references and compared.
 *
 * Memory is bounded. Packs are compared in groups: of each object of a group 31 bits of its score
 * are kept, and one pass over the index marks those to which it leads. Counts are first compared as
 * sums over parts of the scores, of a number that each score gives for each edge to it: equal sums
 * are equal counts, but for one in 2^128. Only of a part whose sums differ all counts are made, and
 * compared with the index as it is read in order. */
#include "store__.h"

#include <stdlib.h>
#include <string.h>

enum { GROUP_OBJECTS = 4 << 20 }; /* a group's last pack goes beyond: four bytes each */
static const uint32_t LED_TO = UINT32_C(1) << 31;

struct group_frame {
    uint32_t at, first; /* first: of its objects, in the group */
    uint16_t objects;
    uint8_t kind;
};
struct group_pack {
    struct pack_record rec;
    size_t frame, frames; /* of the group's */
    uint64_t objects, led_to;
};
struct group {
    struct group_pack *pack; /* by number, once they are compared */
    size_t packs, packs_cap;
    struct group_frame *frame; /* each pack's by place */
    size_t frames, frames_cap;
    uint32_t *object; /* of its score, and LED_TO */
    size_t objects, objects_cap;
};

struct node_places { /* in the order of packs */
    struct node_place *place;
    size_t count, cap;
};
struct check {
    struct store *s;
    const struct store_progress *p;
    store_report_fn *report;
    void *aux;
    struct store_checked *out;
    struct group group;
    struct node_places nodes;
    uint64_t living;                  /* objects to which the index leads */
    uint64_t entries, places, copies; /* of the index: scores, places, scores with several */
};

/* ---- parts ---- */

/* Scores from first on, so many that their counts fit in memory. */
enum { PART_ENTRIES = 190 << 10 };
struct part {
    uint32_t from, to; /* first 32 bits of scores, both included */
};

static uint32_t parts_of(uint64_t entries)
{
    return (uint32_t)(entries / PART_ENTRIES + 1);
}

static struct part part_at(uint32_t i, uint32_t parts)
{
    uint64_t step = (1ull << 32) / parts;
    return (struct part){.from = (uint32_t)(i * step),
                         .to = i + 1 == parts ? UINT32_MAX : (uint32_t)((i + 1) * step - 1)};
}

static uint32_t first_bits(const struct store_score *s)
{
    return (uint32_t)s->b[0] << 24 | (uint32_t)s->b[1] << 16 | (uint32_t)s->b[2] << 8 | s->b[3];
}

static bool part_has(const struct part *p, const struct store_score *s)
{
    uint32_t v = first_bits(s);
    return v >= p->from && v <= p->to;
}

static uint32_t part_of(const struct store_score *s, uint32_t parts)
{
    uint64_t i = first_bits(s) / ((1ull << 32) / parts);
    return i < parts ? (uint32_t)i : parts - 1;
}

struct counting {
    const struct part *part;
    struct memtable *counts;
};

static cg_err count_child(void *aux, enum store_object kind, const struct store_score *child)
{
    const struct counting *c = aux;
    if (!part_has(c->part, child)) {
        return CG_OK;
    }
    struct entry *e = memtable_at(c->counts, child);
    if (!e) {
        return CG_ENOMEM;
    }
    e->count++;
    e->kind = (uint8_t)kind;
    return CG_OK;
}

/* Every edge of all nodes and references. A node that cannot be read is reported and counted in
 * bad. */
static cg_err each_edge(struct store *s, const struct node_places *nodes, edge_fn *fn, void *arg,
                        uint64_t *bad, store_report_fn *report, void *aux, struct cg_errbuf *eb)
{
    for (size_t i = 0; i < nodes->count; i++) {
        const struct node_place *n = &nodes->place[i];
        struct entry place = {.pack = n->pack, .at = n->at, .slot = n->slot};
        struct cg_errbuf why = {0};
        struct cg_span bytes;
        cg_err e = store_get_at(s, &place, &n->score, &bytes, &why);
        e = e ? e : node_edges(bytes, fn, arg);
        if (e == CG_ENOMEM) {
            return cg_fail(eb, e, "no memory");
        }
        if (e) {
            *bad += 1;
            reportf(report, aux, "node: %s", why.text[0] ? why.text : cg_err_meaning(e));
        }
    }
    cg_err e = CG_OK;
    for (size_t i = 0; i < s->state.refs && !e; i++) {
        e = fn(arg, STORE_NODE, &s->state.ref[i].score);
    }
    return e;
}

/* Those to scores of a part, as counts. */
static cg_err count_edges(struct store *s, const struct node_places *nodes, const struct part *part,
                          struct memtable *counts, uint64_t *bad, store_report_fn *report,
                          void *aux, struct cg_errbuf *eb)
{
    struct counting c = {.part = part, .counts = counts};
    return each_edge(s, nodes, count_child, &c, bad, report, aux, eb);
}

/* ---- packs ---- */

static uint32_t mark_of(const struct store_score *s)
{
    struct cg_buf b = cg_buf_reader(s->b + STORE_SCORE_BYTES - 4, 4);
    return cg_get_u32(&b) & ~LED_TO;
}

static cg_err note_frame(void *aux, const struct frame_in *f)
{
    struct group *g = aux;
    if (!array_room(&g->frame, &g->frames_cap, g->frames, sizeof *g->frame)) {
        return CG_ENOMEM;
    }
    g->frame[g->frames++] = (struct group_frame){
        .at = f->at, .first = (uint32_t)g->objects, .objects = (uint16_t)f->count, .kind = f->kind};
    for (uint32_t i = 0; i < f->count; i++) {
        if (!array_room(&g->object, &g->objects_cap, g->objects, sizeof *g->object)) {
            return CG_ENOMEM;
        }
        g->object[g->objects++] = mark_of(&f->score[i]);
    }
    return CG_OK;
}

static cg_err check_pack(struct check *c, const struct pack_record *rec, bool data)
{
    struct group *g = &c->group;
    struct survey v;
    struct cg_errbuf why = {0};
    size_t frame = g->frames, object = g->objects;
    if (!array_room(&g->pack, &g->packs_cap, g->packs, sizeof *g->pack)) {
        return CG_ENOMEM;
    }
    cg_err e = pack_walk(c->s, rec->id, data, true, note_frame, g, &v, &c->out->damaged, &why);
    if (e == CG_ENOMEM) {
        return e;
    }
    if (e || !v.whole || v.end + PACK_END_BYTES != rec->bytes) {
        reportf(c->report, c->aux, "packs/%08x: %s", rec->id,
                e ? why.text : "not as it was written (damaged, cut short, or longer)");
        c->out->damaged += c->out->damaged == 0 || e;
    }
    g->pack[g->packs++] = (struct group_pack){
        .rec = *rec, .frame = frame, .frames = g->frames - frame, .objects = g->objects - object};
    c->out->packs++;
    c->out->frames += v.frames;
    c->out->objects += g->objects - object;
    c->out->bytes += rec->bytes;
    return CG_OK;
}

/* ---- places ---- */

static int by_pack(const void *a, const void *b)
{
    const struct group_pack *x = a, *y = b;
    return x->rec.id < y->rec.id ? -1 : x->rec.id > y->rec.id;
}

static int by_place(const void *a, const void *b)
{
    const struct group_frame *x = a, *y = b;
    return x->at < y->at ? -1 : x->at > y->at;
}

/* The object at a place, when it is of this score; NULL: it is not, or of another group. */
static uint32_t *object_at(struct group *g, const struct entry *place, struct group_pack **pack)
{
    struct group_pack want = {.rec.id = place->pack};
    struct group_frame at = {.at = place->at};
    *pack = g->packs ? bsearch(&want, g->pack, g->packs, sizeof *g->pack, by_pack) : NULL;
    if (!*pack || !(*pack)->frames) {
        return NULL;
    }
    const struct group_frame *f =
        bsearch(&at, g->frame + (*pack)->frame, (*pack)->frames, sizeof *g->frame, by_place);
    if (!f || f->kind != place->kind || place->slot >= f->objects) {
        return NULL;
    }
    uint32_t *object = &g->object[f->first + place->slot];
    return (*object & ~LED_TO) == mark_of(&place->score) ? object : NULL;
}

static cg_err note_place(struct check *c, const struct sum *sum)
{
    struct group_pack *pack;
    uint32_t *object = object_at(&c->group, &sum->place, &pack);
    if (!object || (*object & LED_TO)) {
        return CG_OK;
    }
    *object |= LED_TO;
    pack->led_to++;
    c->living++;
    if (sum->place.kind != STORE_NODE) {
        return CG_OK;
    }
    if (!array_room(&c->nodes.place, &c->nodes.cap, c->nodes.count, sizeof *c->nodes.place)) {
        return CG_ENOMEM;
    }
    c->nodes.place[c->nodes.count++] = (struct node_place){
        .score = sum->score, .pack = sum->place.pack, .at = sum->place.at, .slot = sum->place.slot};
    return CG_OK;
}

static cg_err count_places(void *aux, const struct entry *e)
{
    *(uint64_t *)aux += e->kind != 0;
    return CG_OK;
}

/* Copies of one object, put by writers that did not know of each other, make the counts of what
 * they lead to larger until they are merged: then counts cannot be compared. */
static cg_err pass_index(struct check *c, struct cg_errbuf *eb)
{
    struct merge m;
    struct sum sum;
    c->entries = c->places = c->copies = 0;
    cg_err e = merge_open(c->s, c->s->run, (uint32_t)c->s->runs, &m, eb);
    uint64_t total = e ? 0 : merge_entries(&m);
    while (!e && (e = merge_next(&m, &sum, count_places, &c->places, eb)) == CG_OK) {
        if ((++c->entries & 0xffff) == 0) {
            tell(c->p, "index", c->entries, total);
        }
        c->copies += sum.places > 1;
        e = sum.place.kind ? note_place(c, &sum) : CG_OK;
    }
    merge_close(&m);
    return e == CG_ENOENT ? CG_OK : e;
}

/* All of the pack lives by the state, and writers rely on it: what the index does not lead to has a
 * copy to which it does. */
static cg_err check_known(struct check *c, const struct pack_record *rec, struct cg_errbuf *eb)
{
    struct survey v;
    uint64_t damaged, unknown = 0;
    cg_err e = survey_pack(c->s, rec->id, false, true, &v, &damaged, eb);
    e = e ? e : survey_living(c->s, rec->id, &v, eb);
    for (size_t i = 0; !e && i < v.count; i++) {
        unknown += !v.seen[i].known;
    }
    survey_fini(&v);
    if (unknown) {
        c->out->miscounted += unknown;
        reportf(c->report, c->aux, "packs/%08x: all of it lives by the state, by the index not",
                rec->id);
    }
    return e;
}

/* The packs walked since the last time against the index. */
static cg_err check_group(struct check *c, struct cg_errbuf *eb)
{
    struct group *g = &c->group;
    if (g->packs) {
        qsort(g->pack, g->packs, sizeof *g->pack, by_pack);
    }
    for (size_t i = 0; i < c->s->runs; i++) {
        run_forget_filter(c->s->run[i]); /* they are read in their order here */
    }
    cg_err e = pass_index(c, eb);
    for (size_t i = 0; !e && i < g->packs; i++) {
        const struct group_pack *p = &g->pack[i];
        if (p->rec.live == p->rec.raw && p->led_to < p->objects) {
            e = check_known(c, &p->rec, eb);
        }
    }
    g->packs = g->frames = g->objects = 0;
    return e;
}

static cg_err check_packs(struct check *c, bool data, struct cg_errbuf *eb)
{
    const struct state *st = &c->s->state;
    size_t i = 0;
    cg_err e = CG_OK;
    do {
        for (; !e && i < st->packs && c->group.objects < GROUP_OBJECTS; i++) {
            tell(c->p, "packs", i, st->packs);
            e = check_pack(c, &st->pack[i], data);
        }
        e = e ? e : check_group(c, eb);
    } while (!e && i < st->packs);
    if (c->nodes.count) {
        qsort(c->nodes.place, c->nodes.count, sizeof *c->nodes.place, node_place_cmp);
    }
    cg_free(c->group.pack);
    cg_free(c->group.frame);
    cg_free(c->group.object);
    return e;
}

/* ---- counts ---- */

static cg_err next_sum(struct merge *m, struct sum *sum, bool *have, struct cg_errbuf *eb)
{
    cg_err e = merge_next(m, sum, NULL, NULL, eb);
    *have = e == CG_OK;
    return e == CG_ENOENT ? CG_OK : e;
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
        e = next_sum(m, sum, have, eb);
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

/* ---- sums of counts ---- */

struct edge_sum {
    uint64_t a, b, garbage;
    bool gone; /* the index counts edges to what is not there */
};

static bool is_wrong(const struct edge_sum *s)
{
    return s->a || s->b || s->gone;
}

struct edge_sums {
    uint64_t key[2];
    uint32_t parts;
    struct edge_sum *part;
};

/* The finalizer of MurmurHash3, A. Appleby. */
static uint64_t mixed(uint64_t v)
{
    v = (v ^ v >> 33) * 0xff51afd7ed558ccdu;
    v = (v ^ v >> 33) * 0xc4ceb9fe1a85ec53u;
    return v ^ v >> 33;
}

static struct edge_sum *add_edges(struct edge_sums *s, const struct store_score *score,
                                  uint64_t count)
{
    struct edge_sum *sum = &s->part[part_of(score, s->parts)];
    struct cg_buf b = cg_buf_reader(score->b + STORE_SCORE_BYTES - 16, 16);
    sum->a += count * mixed(cg_get_u64(&b) ^ s->key[0]);
    sum->b += count * mixed(cg_get_u64(&b) ^ s->key[1]);
    return sum;
}

static cg_err add_edge(void *aux, enum store_object kind, const struct store_score *child)
{
    (void)kind;
    add_edges(aux, child, 1);
    return CG_OK;
}

/* Takes the counts of the index away: where they are right, nothing is left. */
static cg_err sum_edges(struct check *c, struct edge_sums *sums, struct cg_errbuf *eb)
{
    struct merge m;
    struct sum sum;
    cg_err e = each_edge(c->s, &c->nodes, add_edge, sums, &c->out->damaged, c->report, c->aux, eb);
    e = e ? e : merge_open(c->s, c->s->run, (uint32_t)c->s->runs, &m, eb);
    if (e) {
        return e;
    }
    while ((e = merge_next(&m, &sum, NULL, NULL, eb)) == CG_OK) {
        struct edge_sum *part = add_edges(sums, &sum.score, 0 - (uint64_t)sum.count);
        part->garbage += sum.place.kind && sum.count == 0;
        part->gone = part->gone || (!sum.place.kind && sum.count != 0);
    }
    merge_close(&m);
    return e == CG_ENOENT ? CG_OK : e;
}

/* Of the parts that differ all counts. Nodes that cannot be read were reported. */
static cg_err recount(struct check *c, const struct edge_sums *sums, struct cg_errbuf *eb)
{
    struct memtable counts = {0};
    struct merge m;
    struct sum sum;
    uint64_t bad = 0;
    cg_err e = merge_open(c->s, c->s->run, (uint32_t)c->s->runs, &m, eb);
    if (e) {
        return e;
    }
    bool have = true;
    e = next_sum(&m, &sum, &have, eb);
    for (uint32_t i = 0; i < sums->parts && !e; i++) {
        struct part part = part_at(i, sums->parts);
        if (is_wrong(&sums->part[i])) {
            tell(c->p, "counts", i, sums->parts);
            memtable_clear(&counts);
            e = count_edges(c->s, &c->nodes, &part, &counts, &bad, NULL, NULL, eb);
            e = e ? e : compare_part(c, &m, &sum, &have, &part, &counts, eb);
        }
        while (!e && have && part_has(&part, &sum.score)) {
            e = next_sum(&m, &sum, &have, eb);
        }
    }
    memtable_fini(&counts);
    merge_close(&m);
    return e;
}

static cg_err check_counts(struct check *c, struct cg_errbuf *eb)
{
    struct edge_sums sums = {.parts = parts_of(c->entries)};
    bool wrong = false;
    sums.part = cg_zalloc(sums.parts * sizeof *sums.part);
    if (!sums.part) {
        return CG_ENOMEM;
    }
    c->s->env.random(c->s->env.ctx, sums.key, sizeof sums.key);
    cg_err e = sum_edges(c, &sums, eb);
    for (uint32_t i = 0; i < sums.parts; i++) {
        const struct edge_sum *s = &sums.part[i];
        wrong = wrong || is_wrong(s);
        c->out->garbage += is_wrong(s) ? 0 : s->garbage;
    }
    if (!e && wrong) {
        e = recount(c, &sums, eb);
    }
    cg_free(sums.part);
    return e;
}

static cg_err check_all(struct check *c, bool data, struct cg_errbuf *eb)
{
    uint64_t before = c->out->miscounted;
    cg_err e = check_packs(c, data, eb);
    if (e) {
        return e;
    }
    if (c->entries == c->places && c->places != c->living) { /* each place leads to one object */
        reportf(c->report, c->aux, "index: %llu places, %llu objects there",
                (unsigned long long)c->places, (unsigned long long)c->living);
        c->out->missing += c->places > c->living ? c->places - c->living : 0;
    }
    c->out->nodes = c->nodes.count;
    e = check_counts(c, eb);
    if (c->copies) {
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
