/* Scrub: reads packs and compares the checksums that need no key, within a budget; the next run
 * goes on where this one stopped. So rot is found on machines that cannot read what they keep. */
#include "store__.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scrub {
    const struct store_io *io;
    struct checker *check;
    struct hasher *chain;
    uint8_t *buf; /* FRAME_BYTES_MAX */
    store_report_fn *report;
    void *aux;
    struct store_checked *out;
};

static void bad(struct scrub *c, uint32_t id, uint64_t at, const char *what)
{
    c->out->damaged++;
    reportf(c->report, c->aux, "packs/%08x at %llu: %s", id, (unsigned long long)at, what);
}

/* One frame; *at goes behind it. False: nothing more can be read in this pack. */
static bool scrub_frame(struct scrub *c, void *file, uint32_t id, uint64_t *at)
{
    struct frame_head h;
    uint8_t sum[FRAME_CHECK_BYTES];
    size_t got = 0;
    cg_err e = c->io->read(c->io->ctx, file, *at, c->buf, FRAME_HEAD_BYTES, &got);
    if (e || got < FRAME_HEAD_BYTES || frame_head_decode(c->buf, &h)) {
        bad(c, id, *at, e ? "cannot be read" : "the frame's head is damaged");
        return false;
    }
    size_t rest = frame_head_total(&h) - FRAME_HEAD_BYTES;
    e = c->io->read(c->io->ctx, file, *at + FRAME_HEAD_BYTES, c->buf + FRAME_HEAD_BYTES, rest,
                    &got);
    if (e || got < rest) {
        bad(c, id, *at, e ? "cannot be read" : "cut short");
        return false;
    }
    checker_sum(c->check, c->buf, FRAME_AAD_BYTES, c->buf + FRAME_HEAD_BYTES, rest, sum);
    if (memcmp(sum, h.check, sizeof sum) != 0) {
        bad(c, id, *at, "the checksum differs");
    }
    hasher_add(c->chain, h.check, FRAME_CHECK_BYTES);
    c->out->frames++;
    c->out->objects += h.objects;
    *at += frame_head_total(&h);
    return true;
}

static void scrub_end(struct scrub *c, void *file, uint32_t id, uint64_t at, uint64_t frames)
{
    uint8_t end[PACK_END_BYTES + 1], hash[32];
    size_t got = 0;
    cg_err e = c->io->read(c->io->ctx, file, at, end, sizeof end, &got);
    hasher_end(c->chain, hash);
    struct cg_buf b = cg_buf_reader(end, got);
    uint32_t magic = cg_get_u32(&b), count = cg_get_u32(&b);
    uint64_t bytes = cg_get_u64(&b);
    struct cg_span want = cg_get_span(&b, sizeof hash);
    if (e || got != PACK_END_BYTES || magic != END_MAGIC || count != frames || bytes != at ||
        memcmp(want.data, hash, sizeof hash) != 0) {
        bad(c, id, at, "the pack has no end, or another than was written");
    }
}

static bool at_end(struct scrub *c, void *file, uint64_t at)
{
    uint8_t magic[4];
    size_t got = 0;
    cg_err e = c->io->read(c->io->ctx, file, at, magic, sizeof magic, &got);
    struct cg_buf b = cg_buf_reader(magic, got);
    return !e && (got < sizeof magic || cg_get_u32(&b) == END_MAGIC);
}

static cg_err scrub_pack(struct scrub *c, uint32_t id, struct cg_errbuf *eb)
{
    uint8_t head[PACK_HEAD_BYTES];
    char path[PATH_BYTES];
    void *file;
    size_t got = 0;
    uint64_t at = PACK_HEAD_BYTES, before = c->out->frames;
    numbered_path(path, "packs", id, 8);
    cg_err e = c->io->open(c->io->ctx, path, STORE_IO_READ, &file);
    if (e) { /* a collector may have removed it since it was listed */
        return e == CG_ENOENT ? CG_OK : cg_fail(eb, e, "%s: %s", path, cg_err_meaning(e));
    }
    e = c->io->read(c->io->ctx, file, 0, head, sizeof head, &got);
    hasher_start(c->chain);
    hasher_add(c->chain, head, got);
    bool go = true;
    if (e || got < sizeof head || memcmp(head, PACK_MAGIC, 8) != 0) {
        bad(c, id, 0, "the pack's head is damaged");
        go = false;
    }
    while (go && !at_end(c, file, at)) {
        go = scrub_frame(c, file, id, &at);
    }
    if (go) {
        scrub_end(c, file, id, at, c->out->frames - before);
    }
    c->io->close(c->io->ctx, file);
    c->out->packs++;
    c->out->bytes += at;
    return CG_OK;
}

static int by_number(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

cg_err pack_list(const struct store_io *io, uint32_t **ids, size_t *count, struct cg_errbuf *eb)
{
    struct cg_str names = {0};
    size_t cap = 0;
    *ids = NULL;
    *count = 0;
    cg_err e = io->list(io->ctx, "packs", &names);
    if (e) {
        cg_fail(eb, e, "packs: %s", cg_err_meaning(e));
    }
    for (size_t at = 0; !e && at < names.len; at += strlen(names.data + at) + 1) {
        uint64_t id;
        if (!numbered_name(names.data + at, 8, &id)) {
            continue;
        }
        if (!array_room(ids, &cap, *count, sizeof **ids)) {
            e = CG_ENOMEM;
            break;
        }
        (*ids)[(*count)++] = (uint32_t)id;
    }
    if (*count) {
        qsort(*ids, *count, sizeof **ids, by_number);
    }
    cg_str_fini(&names);
    return e;
}

cg_err store_scrub(const struct store_io *io, uint64_t *cursor, uint64_t budget_bytes,
                   const struct store_progress *p, store_report_fn *report, void *aux,
                   struct store_checked *out, struct cg_errbuf *eb)
{
    struct scrub c = {.io = io, .report = report, .aux = aux, .out = out};
    uint32_t *ids = NULL;
    size_t count = 0;
    *out = (struct store_checked){0};
    c.check = checker_new();
    c.chain = hasher_new();
    c.buf = cg_alloc(FRAME_BYTES_MAX);
    cg_err e = c.check && c.chain && c.buf ? pack_list(io, &ids, &count, eb) : CG_ENOMEM;
    size_t i = 0;
    while (!e && i < count && ids[i] < *cursor) {
        i++;
    }
    for (; !e && i < count && out->bytes < budget_bytes; i++) {
        tell(p, "scrub", i, count);
        e = scrub_pack(&c, ids[i], eb);
    }
    *cursor = i < count ? ids[i] : 0;
    checker_free(c.check);
    hasher_free(c.chain);
    cg_free(c.buf);
    cg_free(ids);
    return e ? e
           : !out->damaged
               ? CG_OK
               : cg_fail(eb, CG_EIO, "%llu damaged; `store repair` mends what can be mended",
                         (unsigned long long)out->damaged);
}
