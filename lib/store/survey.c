/* What packs hold: their directories as arrays, and which of it lives. */
#include "store__.h"

#include <stdlib.h>
#include <string.h>

void survey_fini(struct survey *v)
{
    cg_free(v->seen);
    *v = (struct survey){0};
}

static uint16_t units(const struct frame_in *f, uint32_t i)
{
    return (uint16_t)object_units(f->start[i + 1] - f->start[i]);
}

static uint64_t unit_bytes(const struct frame_in *f)
{
    uint64_t n = 0;
    for (uint32_t i = 0; i < f->count; i++) {
        n += units(f, i) * (uint64_t)ENTRY_SIZE_UNIT;
    }
    return n;
}

static cg_err check_scores(struct store *s, struct frame_in *f, struct cg_errbuf *eb)
{
    if (!frame_check_first(f, f->count, s->scorer)) {
        return cg_fail(eb, CG_EIO, "packs/%08x at %u: an object is not of its score", f->pack,
                       f->at);
    }
    return CG_OK;
}

static cg_err list_frame(void *aux, const struct frame_in *f)
{
    struct survey *v = aux;
    for (uint32_t i = 0; i < f->count; i++) {
        if (!array_room(&v->seen, &v->cap, v->count, sizeof *v->seen)) {
            return CG_ENOMEM;
        }
        v->seen[v->count++] = (struct seen){.score = f->score[i],
                                            .at = f->at,
                                            .slot = (uint16_t)i,
                                            .size = units(f, i),
                                            .kind = f->kind};
    }
    return CG_OK;
}

/* The next place from which a frame's head could begin. */
static cg_err next_magic(struct store *s, struct pack_in *p, uint64_t *at)
{
    uint8_t buf[64 << 10];
    size_t got = 0;
    for (;;) {
        cg_err e = s->io->read(s->io->ctx, p->file, *at, buf, sizeof buf, &got);
        if (e || got < 4) {
            *at = p->bytes;
            return e;
        }
        for (size_t i = 0; i + 4 <= got; i++) {
            struct cg_buf b = cg_buf_reader(buf + i, 4);
            if (cg_get_u32(&b) == FRAME_MAGIC) {
                *at += i;
                return CG_OK;
            }
        }
        *at += got - 3;
    }
}

static cg_err check_end(struct store *s, struct pack_in *p, uint64_t at, struct survey *v)
{
    uint8_t end[PACK_END_BYTES];
    size_t got = 0;
    cg_err e = s->io->read(s->io->ctx, p->file, at, end, sizeof end, &got);
    struct cg_buf b = cg_buf_reader(end, got);
    uint32_t magic = cg_get_u32(&b), frames = cg_get_u32(&b);
    uint64_t bytes = cg_get_u64(&b);
    v->whole = !e && got == sizeof end && magic == END_MAGIC && frames == v->frames &&
               bytes == at && at + sizeof end == p->bytes;
    return e;
}

cg_err pack_walk(struct store *s, uint32_t pack, bool data, bool skip, frame_fn *fn, void *aux,
                 struct survey *v, uint64_t *damaged, struct cg_errbuf *eb)
{
    struct frame_in f = {0};
    struct pack_in *p;
    uint64_t at = PACK_HEAD_BYTES;
    bool end = false;
    *v = (struct survey){0};
    cg_err e = store_pack(s, pack, &p, eb);
    while (!e && !end) {
        e = at >= p->bytes ? CG_OK : pack_at_end(s->io, p, at, &end);
        end = end || at >= p->bytes;
        if (e || end) {
            break;
        }
        e = pack_load(s->io, p, &s->load, (uint32_t)at, data, &f, eb);
        e = e || !data ? e : check_scores(s, &f, eb);
        if (e == CG_EIO && skip) {
            *damaged += 1;
            at++;
            e = next_magic(s, p, &at);
            continue;
        }
        e = e ? e : fn(aux, &f);
        at = f.next;
        v->end = e ? v->end : at;
        v->frames++;
        v->raw += unit_bytes(&f);
    }
    frame_in_fini(&f);
    return e ? e : check_end(s, p, at, v);
}

cg_err survey_pack(struct store *s, uint32_t pack, bool data, bool skip, struct survey *v,
                   uint64_t *damaged, struct cg_errbuf *eb)
{
    struct survey list = {0};
    cg_err e = pack_walk(s, pack, data, skip, list_frame, &list, v, damaged, eb);
    v->seen = list.seen;
    v->count = list.count;
    v->cap = list.cap;
    return e;
}

static int by_seen_score(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    return score_cmp(&x->score, &y->score);
}

static int by_seen_place(const void *a, const void *b)
{
    const struct seen *x = a, *y = b;
    return x->at != y->at ? (x->at < y->at ? -1 : 1) : x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* Asks in the order of scores, so that the index is read in its order; leaves the order of places.
 */
cg_err survey_living(struct store *s, uint32_t pack, struct survey *v, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    if (v->count) {
        qsort(v->seen, v->count, sizeof *v->seen, by_seen_score);
    }
    for (size_t i = 0; i < v->count && !e; i++) {
        struct seen *o = &v->seen[i];
        struct sum sum;
        e = index_find(s, &o->score, &sum, eb);
        o->known = !e && sum.place.kind;
        o->lives = !e && sum.place.kind == o->kind && sum.place.pack == pack &&
                   sum.place.at == o->at && sum.place.slot == o->slot;
    }
    if (v->count) {
        qsort(v->seen, v->count, sizeof *v->seen, by_seen_place);
    }
    return e;
}
