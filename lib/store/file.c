/* Contents of files: a stream that cuts what is written into chunks, and reading by range. */
#include "store__.h"

#include <string.h>

enum {
    STREAM_BYTES = 1 << 20,
    CUT_MASK = 127, /* one piece in 128 ends a leaf of a list */
};

struct store_stream {
    struct store_writer *w;
    struct tree tree;
    uint8_t *buf;      /* STREAM_BYTES */
    size_t have, done; /* bytes in buf; those already put */
    uint64_t size;
    uint64_t pieces;
    struct piece only; /* the first piece */
    uint8_t small[STORE_INLINE_BYTES_MAX];
};

cg_err store_stream_new(struct store_writer *w, struct store_stream **out)
{
    struct store_stream *f = cg_alloc(sizeof *f);
    if (!f) {
        return CG_ENOMEM;
    }
    f->w = w;
    f->buf = cg_alloc(STREAM_BYTES);
    tree_init(&f->tree, w, NODE_LIST);
    if (!f->buf) {
        cg_free(f);
        return CG_ENOMEM;
    }
    store_stream_begin(f);
    *out = f;
    return CG_OK;
}

void store_stream_free(struct store_stream *f)
{
    if (f) {
        tree_fini(&f->tree);
        cg_free(f->buf);
        cg_free(f);
    }
}

void store_stream_begin(struct store_stream *f)
{
    tree_reset(&f->tree);
    f->have = f->done = 0;
    f->size = f->pieces = 0;
}

static cg_err list_piece(struct store_stream *f, const struct piece *p, struct cg_errbuf *eb)
{
    uint8_t item[STORE_SCORE_BYTES + 4];
    struct cg_buf b = cg_buf_writer(item, sizeof item);
    cg_put_bytes(&b, p->score.b, STORE_SCORE_BYTES);
    cg_put_u32(&b, (uint32_t)p->len);
    bool cut = (p->score.b[STORE_SCORE_BYTES - 1] & CUT_MASK) == 0;
    return tree_add(&f->tree, item, sizeof item, p->len, (struct cg_span){0}, cut, eb);
}

/* The first piece waits for a second: alone it needs no list. */
static cg_err add_piece(struct store_stream *f, const struct piece *p, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    f->size += p->len;
    f->pieces++;
    if (f->pieces == 1) {
        f->only = *p;
        return CG_OK;
    }
    if (f->pieces == 2) {
        e = list_piece(f, &f->only, eb);
    }
    return e ? e : list_piece(f, p, eb);
}

static cg_err put_chunks(struct store_stream *f, const struct cg_span *chunk, uint32_t count,
                         struct cg_errbuf *eb)
{
    struct store_score score[SCORES_MAX];
    cg_err e = CG_OK;
    scorer_scores(f->w->s->scorer, STORE_DATA, chunk, count, score);
    for (uint32_t i = 0; i < count && !e; i++) {
        struct piece p = {.score = score[i], .len = chunk[i].len};
        e = writer_put_scored(f->w, STORE_DATA, chunk[i].data, chunk[i].len, &score[i], eb);
        e = e ? e : add_piece(f, &p, eb);
    }
    return e;
}

/* Puts chunks whose end is certain; with last, all. */
static cg_err cut(struct store_stream *f, bool last, struct cg_errbuf *eb)
{
    struct cg_span chunk[SCORES_MAX];
    cg_err e = CG_OK;
    uint32_t count;
    do {
        for (count = 0; count < SCORES_MAX && f->have > f->done; count++) {
            uint8_t *data = f->buf + f->done;
            size_t left = f->have - f->done;
            size_t len = chunker_cut(&f->w->s->chunker, data, left);
            if (len == left && !last && len < STORE_CHUNK_BYTES_MAX) {
                break;
            }
            chunk[count] = (struct cg_span){.data = data, .len = (uint32_t)len};
            f->done += len;
        }
        e = put_chunks(f, chunk, count, eb);
    } while (!e && count == SCORES_MAX);
    return e;
}

uint8_t *store_stream_room(struct store_stream *f, size_t *room)
{
    if (STREAM_BYTES - f->have < STREAM_BYTES / 4) {
        memmove(f->buf, f->buf + f->done, f->have - f->done);
        f->have -= f->done;
        f->done = 0;
    }
    *room = STREAM_BYTES - f->have;
    return f->buf + f->have;
}

cg_err store_stream_wrote(struct store_stream *f, size_t len, struct cg_errbuf *eb)
{
    cg_assert(len <= STREAM_BYTES - f->have);
    f->have += len;
    return f->have - f->done > STORE_CHUNK_BYTES_MAX ? cut(f, false, eb) : CG_OK;
}

cg_err store_stream_write(struct store_stream *f, const void *data, size_t len,
                          struct cg_errbuf *eb)
{
    const uint8_t *p = data;
    while (len) {
        size_t room;
        uint8_t *to = store_stream_room(f, &room);
        size_t n = len < room ? len : room;
        memcpy(to, p, n);
        cg_err e = store_stream_wrote(f, n, eb);
        if (e) {
            return e;
        }
        p += n;
        len -= n;
    }
    return CG_OK;
}

cg_err store_stream_hole(struct store_stream *f, uint64_t len, struct cg_errbuf *eb)
{
    cg_err e = cut(f, true, eb);
    while (!e && len) {
        struct piece p = {.len = len < 1u << 31 ? len : 1u << 31};
        e = add_piece(f, &p, eb);
        len -= p.len;
    }
    return e;
}

cg_err store_stream_chunk(struct store_stream *f, const struct store_score *score, uint64_t len,
                          struct cg_errbuf *eb)
{
    struct piece p = {.score = *score, .len = len};
    cg_err e = cut(f, true, eb);
    return e ? e : add_piece(f, &p, eb);
}

cg_err store_stream_end(struct store_stream *f, struct store_entry *entry, struct cg_errbuf *eb)
{
    size_t left = f->have - f->done;
    entry->data = (struct cg_span){0};
    if (f->pieces == 0 && left <= STORE_INLINE_BYTES_MAX) {
        memcpy(f->small, f->buf + f->done, left);
        entry->data = (struct cg_span){.data = f->small, .len = (uint32_t)left};
        entry->size = left;
        entry->content = left ? STORE_INLINE : STORE_EMPTY;
        return CG_OK;
    }
    cg_err e = cut(f, true, eb);
    if (e) {
        return e;
    }
    entry->size = f->size;
    if (f->pieces == 1 && !score_is_zero(&f->only.score)) {
        entry->content = STORE_CHUNK;
        entry->score = f->only.score;
        return CG_OK;
    }
    e = f->pieces == 1 ? list_piece(f, &f->only, eb) : CG_OK; /* one hole */
    entry->content = STORE_LIST;
    return e ? e : tree_end(&f->tree, &entry->score, eb);
}

/* ---- reading ---- */

struct reading {
    struct store *s;
    uint64_t from, to; /* bytes wanted */
    store_piece_fn *fn;
    store_extent_fn *extent; /* instead of fn: nothing is read but lists */
    void *aux;
    struct cg_errbuf *eb;
};

static cg_err read_piece(struct reading *r, const struct piece *p, uint64_t at)
{
    struct cg_span bytes;
    if (r->extent) {
        return r->extent(r->aux, at, p->len, score_is_zero(&p->score) ? NULL : &p->score);
    }
    if (score_is_zero(&p->score)) {
        return r->fn(r->aux, at, NULL, p->len);
    }
    cg_err e = store_get_on(r->s, STORE_DATA, &p->score, r->to - at, &bytes, r->eb);
    if (e) {
        return e;
    }
    if (bytes.len != p->len) {
        return cg_fail(r->eb, CG_EBADFORMAT, "a chunk has another length than its list says");
    }
    return r->fn(r->aux, at, bytes.data, bytes.len);
}

/* level: what the node must have; negative: any. */
static cg_err read_list(struct reading *r, const struct store_score *score, int level, uint64_t at,
                        uint64_t size)
{
    struct cg_str keep = {0};
    struct node n;
    struct piece p;
    uint64_t end = at + size;
    cg_err e = node_fetch(r->s, score, &keep, r->eb);
    if (!e && (node_decode(
                   (struct cg_span){.data = (uint8_t *)keep.data, .len = (uint32_t)keep.len}, &n) ||
               n.type != NODE_LIST || (level >= 0 && n.level != level))) {
        e = cg_fail(r->eb, CG_EBADFORMAT, "a list of pieces was needed here");
    }
    while (!e && node_next_piece(&n, &p)) {
        if (p.len > end - at) {
            n.body.bad = true;
            break;
        }
        if (at < r->to && at + p.len > r->from) {
            e = n.level ? read_list(r, &p.score, n.level - 1, at, p.len) : read_piece(r, &p, at);
        }
        at += p.len;
    }
    if (!e && (n.body.bad || at != end)) {
        e = cg_fail(r->eb, CG_EBADFORMAT, "the lengths of a list do not add up");
    }
    cg_str_fini(&keep);
    return e;
}

static cg_err read_file(struct reading *r, const struct store_entry *file)
{
    struct piece only = {.score = file->score, .len = file->size};
    if (file->kind != STORE_FILE) {
        return cg_fail(r->eb, CG_EINVAL, "only files have contents");
    }
    switch (file->content) {
    case STORE_EMPTY:
        return CG_OK;
    case STORE_INLINE:
        if (r->extent) {
            return r->extent(r->aux, 0, file->data.len, &(struct store_score){0});
        }
        return r->fn(r->aux, 0, file->data.data, file->data.len);
    case STORE_CHUNK:
        return read_piece(r, &only, 0);
    case STORE_LIST:
        return read_list(r, &file->score, -1, 0, file->size);
    }
    return CG_EBADFORMAT;
}

cg_err store_read_each(struct store *s, const struct store_entry *file, store_piece_fn *fn,
                       void *aux, struct cg_errbuf *eb)
{
    struct reading r = {.s = s, .to = file->size, .fn = fn, .aux = aux, .eb = eb};
    return read_file(&r, file);
}

cg_err store_extents(struct store *s, const struct store_entry *file, uint64_t from, uint64_t to,
                     store_extent_fn *fn, void *aux, struct cg_errbuf *eb)
{
    struct reading r = {.s = s, .from = from, .to = to, .extent = fn, .aux = aux, .eb = eb};
    return from < to ? read_file(&r, file) : CG_OK;
}

struct range {
    uint8_t *out;
    uint64_t from, to;
};

static cg_err copy_range(void *aux, uint64_t at, const uint8_t *data, uint64_t len)
{
    const struct range *r = aux;
    uint64_t from = at > r->from ? at : r->from, to = at + len < r->to ? at + len : r->to;
    if (from < to && data) {
        memcpy(r->out + (from - r->from), data + (from - at), (size_t)(to - from));
    } else if (from < to) {
        memset(r->out + (from - r->from), 0, (size_t)(to - from));
    }
    return CG_OK;
}

cg_err store_read(struct store *s, const struct store_entry *file, uint64_t at, void *out,
                  size_t len, size_t *got, struct cg_errbuf *eb)
{
    uint64_t left = at < file->size ? file->size - at : 0;
    *got = len < left ? len : (size_t)left;
    struct range range = {.out = out, .from = at, .to = at + *got};
    struct reading r = {
        .s = s, .from = at, .to = range.to, .fn = copy_range, .aux = &range, .eb = eb};
    return *got ? read_file(&r, file) : CG_OK;
}
