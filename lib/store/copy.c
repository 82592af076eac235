/* Copying a snapshot to another store. Inside a domain scores are equal, so what the other has by
 * score is left out, with all that is below it; a copy that was cut goes on where it stopped.
 * Between domains contents are cut and scored anew, for the other's keys decide both. */
#include "store__.h"

#include <stdio.h>
#include <string.h>

struct copying {
    struct store *src;
    struct store_writer *dst;
    const struct store_progress *p;
    struct store_copied *out;
    struct cg_errbuf *eb;
    uint64_t read; /* bytes of files, between domains */
    int depth;
};

/* ---- inside a domain ---- */

static cg_err copy_object(void *aux, enum store_object kind, const struct store_score *score)
{
    struct copying *c = aux;
    struct cg_str keep = {0};
    struct cg_span bytes;
    struct store_score made;
    cg_err e;
    if (store_has(c->dst->s, score)) {
        c->out->objects_there++;
        return CG_OK;
    }
    if (kind == STORE_DATA) {
        e = store_get(c->src, kind, score, &bytes, c->eb);
    } else if (c->depth == STORE_DEPTH_MAX + NODE_LEVELS_MAX) {
        e = cg_fail(c->eb, CG_ENAMETOOLONG, "the tree is too deep");
    } else {
        e = node_fetch(c->src, score, &keep, c->eb);
        bytes = (struct cg_span){.data = (uint8_t *)keep.data, .len = (uint32_t)keep.len};
        c->depth++;
        e = e ? e
              : node_edges(bytes, copy_object,
                           c); /* children first: a node that is there is whole */
        c->depth--;
    }
    e = e ? e : writer_put(c->dst, kind, bytes.data, bytes.len, &made, c->eb);
    if (!e) {
        cg_assert(store_score_is(&made, score));
        c->out->objects++;
        c->out->bytes += bytes.len;
        tell(c->p, "copy", c->out->bytes, 0);
    }
    cg_str_fini(&keep);
    return e;
}

/* ---- between domains ---- */

static cg_err stream_piece(void *aux, uint64_t at, const uint8_t *data, uint64_t len)
{
    struct store_stream *f = aux;
    struct cg_errbuf eb = {0};
    (void)at;
    return data ? store_stream_write(f, data, (size_t)len, &eb) : store_stream_hole(f, len, &eb);
}

static cg_err anew_dir(struct copying *c, struct store_stream *f, const struct store_score *score,
                       struct store_score *out);

static cg_err anew_entry(struct copying *c, struct store_stream *f, struct store_entry *e)
{
    struct store_score score = e->score;
    if (e->kind == STORE_DIR) {
        return anew_dir(c, f, &score, &e->score);
    }
    if (e->kind != STORE_FILE || e->content < STORE_CHUNK) {
        return CG_OK;
    }
    struct store_entry from = *e;
    store_stream_begin(f);
    cg_err err = store_read_each(c->src, &from, stream_piece, f, c->eb);
    err = err ? err : store_stream_end(f, e, c->eb);
    c->read += e->size;
    tell(c->p, "copy", c->read, 0);
    return err;
}

static cg_err anew_dir(struct copying *c, struct store_stream *f, const struct store_score *score,
                       struct store_score *out)
{
    struct store_dir *d = NULL;
    struct store_builder *b = NULL;
    struct store_entry entry;
    if (c->depth == STORE_DEPTH_MAX) {
        return cg_fail(c->eb, CG_ENAMETOOLONG, "the tree is too deep");
    }
    c->depth++;
    cg_err e = store_dir_open(c->src, score, &d, c->eb);
    e = e ? e : store_builder_new(c->dst, &b);
    while (!e && (e = store_dir_next(d, &entry, c->eb)) == CG_OK) {
        e = anew_entry(c, f, &entry);
        e = e ? e : store_builder_add(b, &entry, c->eb);
    }
    e = e == CG_ENOENT && d && b && !c->eb->text[0] ? store_builder_end(b, out, c->eb) : e;
    store_dir_close(d);
    store_builder_free(b);
    c->depth--;
    return e;
}

static cg_err copy_anew(struct copying *c, struct store_snapshot *snap, struct store_score *out)
{
    struct store_stream *f;
    struct store_score root;
    struct store_counts before, after;
    cg_err e = store_stream_new(c->dst, &f);
    if (e) {
        return e;
    }
    store_writer_counts(c->dst, &before);
    e = anew_dir(c, f, &snap->root, &root);
    store_stream_free(f);
    snap->root = root;
    e = e ? e : store_snapshot_put(c->dst, snap, out, c->eb);
    store_writer_counts(c->dst, &after);
    c->out->objects = after.objects_new - before.objects_new;
    c->out->objects_there = after.objects - before.objects - c->out->objects;
    c->out->bytes = after.bytes_new - before.bytes_new;
    return e;
}

cg_err store_copy(struct store *src, struct store_writer *dst, const struct store_refinfo *ref,
                  const struct store_progress *p, struct store_copied *out, struct cg_errbuf *eb)
{
    struct copying c = {.src = src, .dst = dst, .p = p, .out = out, .eb = eb};
    struct store_snapshot snap;
    struct store_score score = ref->score;
    struct store_refinfo there = {0};
    *out = (struct store_copied){0};
    cg_err e = store_snapshot_get(src, &ref->score, &snap, eb);
    if (!e && store_same_domain(src, dst->s)) {
        e = copy_object(&c, STORE_NODE, &ref->score);
    } else if (!e) {
        e = copy_anew(&c, &snap, &score);
    }
    if (!e && store_ref_get(dst->s, ref->name, &there) == CG_OK &&
        store_score_is(&there.score, &score)) {
        return CG_OK;
    }
    struct store_ref_change change = {
        .name = ref->name, .epoch = there.epoch, .score = &score, .time_ns = ref->time_ns};
    return e ? e : store_commit(dst, &change, 1, STORE_GOES_ON, eb);
}
