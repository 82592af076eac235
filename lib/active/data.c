/* Contents of files: ranges whose bytes lie in the journal, or are zeroes, over the base. */
#include "active__.h"

#include <string.h>

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t end_of(const struct extent *e)
{
    return e->at + e->len;
}

uint64_t act_base_limit(const struct active_node *n)
{
    return n->based ? min_u64(n->base_size, min_u64(n->limit, n->limit_old)) : 0;
}

/* The first that ends behind a place. */
static uint32_t find(const struct active_node *n, uint64_t at)
{
    uint32_t low = 0, high = n->exts;
    while (low < high) {
        uint32_t mid = low + (high - low) / 2;
        if (end_of(&n->ext[mid]) <= at) {
            low = mid + 1;
        } else {
            high = mid;
        }
    }
    return low;
}

const struct extent *act_ext_at(const struct active_node *n, uint64_t at)
{
    uint32_t i = find(n, at);
    return i < n->exts ? &n->ext[i] : NULL;
}

static void count(struct active_node *n, const struct extent *e, bool more)
{
    if (e->frame) {
        n->ext_bytes += more ? e->len : 0 - e->len;
    }
}

static cg_err room_for_two(struct active_node *n)
{
    enum { CAP_MIN = 4 };
    if (n->exts + 2 > n->ext_cap) {
        uint32_t cap = n->ext_cap ? n->ext_cap * 2 : CAP_MIN;
        struct extent *ext = cg_realloc(n->ext, cap * sizeof *ext);
        if (!ext) {
            return CG_ENOMEM;
        }
        n->ext = ext;
        n->ext_cap = cap;
    }
    return CG_OK;
}

/* Ranges i to j give way to these. */
static void replace(struct active_node *n, uint32_t i, uint32_t j, const struct extent *by,
                    uint32_t by_count)
{
    for (uint32_t k = i; k < j; k++) {
        count(n, &n->ext[k], false);
    }
    if (j < n->exts) {
        memmove(n->ext + i + by_count, n->ext + j, (n->exts - j) * sizeof *n->ext);
    }
    if (by_count > 0) {
        memcpy(n->ext + i, by, by_count * sizeof *by);
    }
    n->exts += by_count - (j - i);
    for (uint32_t k = i; k < i + by_count; k++) {
        count(n, &n->ext[k], true);
    }
}

cg_err act_ext_put(struct active_node *n, const struct extent *e)
{
    struct extent by[3];
    uint32_t i = find(n, e->at), j = i, parts = 0;
    cg_err err = room_for_two(n);
    if (err) {
        return err;
    }
    while (j < n->exts && n->ext[j].at < end_of(e)) {
        j++;
    }
    if (j > i && n->ext[i].at < e->at) {
        by[parts] = n->ext[i];
        by[parts++].len = e->at - n->ext[i].at;
    }
    by[parts++] = *e;
    if (j > i && end_of(&n->ext[j - 1]) > end_of(e)) {
        struct extent right = n->ext[j - 1];
        uint64_t gone = end_of(e) - right.at;
        right.at += gone;
        right.len -= gone;
        right.off += right.frame ? (uint32_t)gone : 0;
        by[parts++] = right;
    }
    replace(n, i, j, by, parts);
    return CG_OK;
}

void act_ext_cut(struct active_node *n, uint64_t size)
{
    uint32_t i = find(n, size);
    if (i < n->exts && n->ext[i].at < size) {
        count(n, &n->ext[i], false);
        n->ext[i].len = size - n->ext[i].at;
        count(n, &n->ext[i], true);
        i++;
    }
    while (n->exts > i) {
        count(n, &n->ext[--n->exts], false);
    }
}

void act_ext_drop(struct active_node *n, uint64_t gen)
{
    uint32_t kept = 0;
    n->ext_bytes = 0;
    for (uint32_t i = 0; i < n->exts; i++) {
        if (n->ext[i].gen > gen) {
            n->ext[kept] = n->ext[i];
            count(n, &n->ext[kept++], true);
        }
    }
    n->exts = kept;
    if (!kept) {
        cg_free(n->ext);
        n->ext = NULL;
        n->ext_cap = 0;
    }
}

struct store_journal *act_segment_of(const struct active *t, uint64_t gen)
{
    for (size_t i = t->segs; i > 0; i--) {
        if (t->seg[i - 1].number == gen) {
            return t->seg[i - 1].j;
        }
    }
    return NULL;
}

static cg_err read_extent(struct active *t, const struct extent *e, uint64_t at, uint8_t *out,
                          size_t len, struct cg_errbuf *eb)
{
    struct cg_span text;
    uint64_t next, off = e->off + (at - e->at);
    if (!e->frame) {
        memset(out, 0, len);
        return CG_OK;
    }
    struct store_journal *j = act_segment_of(t, e->gen);
    cg_assert(j);
    cg_err err = store_journal_read(j, e->frame, &text, &next, eb);
    if (err == CG_ENOENT || (!err && off + len > text.len)) {
        return cg_fail(eb, CG_EIO, "the journal is not what was written");
    }
    if (!err) {
        memcpy(out, text.data + off, len);
    }
    return err;
}

static cg_err read_base(struct active *t, const struct active_node *n, uint64_t at, uint8_t *out,
                        size_t len, struct cg_errbuf *eb)
{
    struct store_entry base;
    uint64_t limit = act_base_limit(n);
    size_t seen = at < limit ? (size_t)min_u64(len, limit - at) : 0, got = 0;
    memset(out + seen, 0, len - seen);
    if (!seen) {
        return CG_OK;
    }
    act_node_entry(n, (struct cg_span){0}, &base);
    cg_err e = store_read(t->s, &base, at, out, seen, &got, eb);
    return !e && got < seen ? cg_fail(eb, CG_EBADFORMAT, "contents end before their size") : e;
}

cg_err act_data_read(struct active *t, const struct active_node *n, uint64_t at, uint8_t *out,
                     size_t len, struct cg_errbuf *eb)
{
    cg_err err = CG_OK;
    while (!err && len) {
        const struct extent *e = act_ext_at(n, at);
        bool over = e && e->at <= at;
        uint64_t to = over ? end_of(e) : e ? e->at : UINT64_MAX;
        size_t part = (size_t)min_u64(len, to - at);
        err = over ? read_extent(t, e, at, out, part, eb) : read_base(t, n, at, out, part, eb);
        at += part;
        out += part;
        len -= part;
    }
    return err;
}

cg_err active_read(struct active *t, struct active_node *n, uint64_t at, void *out, size_t len,
                   size_t *got, struct cg_errbuf *eb)
{
    *got = at < n->size ? (size_t)min_u64(len, n->size - at) : 0;
    return act_data_read(t, n, at, out, *got, eb);
}

/* ---- data and holes ---- */

struct seeking {
    uint64_t at, to; /* looked at; the first place behind */
    bool data, found;
    uint64_t place;
};

static cg_err seek_piece(void *aux, uint64_t at, uint64_t len, const struct store_score *score)
{
    struct seeking *s = aux;
    if (!s->found && (score != NULL) == s->data && at + len > s->at && at < s->to) {
        s->found = true;
        s->place = at > s->at ? at : s->at;
    }
    return CG_OK;
}

/* The same in what the base has between two ranges of memory. */
static cg_err seek_base(struct active *t, const struct active_node *n, struct seeking *s,
                        struct cg_errbuf *eb)
{
    struct store_entry base;
    uint64_t limit = act_base_limit(n), to = s->to;
    s->to = min_u64(to, limit);
    act_node_entry(n, (struct cg_span){0}, &base);
    cg_err e = s->at < s->to ? store_extents(t->s, &base, s->at, s->to, seek_piece, s, eb) : CG_OK;
    if (!e && !s->found && !s->data && to > limit) {
        s->found = true;
        s->place = s->at > limit ? s->at : limit;
    }
    s->to = to;
    return e;
}

cg_err active_seek(struct active *t, struct active_node *n, uint64_t at, bool data, uint64_t *out,
                   struct cg_errbuf *eb)
{
    struct seeking s = {.at = at, .data = data};
    cg_err err = CG_OK;
    while (!err && !s.found && s.at < n->size) {
        const struct extent *e = act_ext_at(n, s.at);
        bool over = e && e->at <= s.at;
        s.to = min_u64(n->size, over ? end_of(e) : e ? e->at : UINT64_MAX);
        if (over) {
            s.found = (e->frame != 0) == data;
            s.place = s.at;
        } else {
            err = seek_base(t, n, &s, eb);
        }
        s.at = s.to;
    }
    if (!err && !s.found && (data || at >= n->size)) {
        return cg_fail(eb, CG_ENXIO, "nothing of that kind up to the file's end");
    }
    *out = s.found ? s.place : n->size;
    return err;
}
