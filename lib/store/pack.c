/* Packs: append-only files of frames, each frame sealed and readable by itself, so that the index
 * can be made anew from packs alone and a pack without its end is good up to its last whole frame.
 *
 * Frame n of a pack seals its directory under nonce 2n and its data under 2n + 1 of the pack's own
 * key, with the frame's head as authenticated text. The hash in the head is unkeyed: who has no key
 * can still see rot. */
#include "store__.h"

#include <string.h>

cg_err frame_head_decode(const uint8_t bytes[FRAME_HEAD_BYTES], struct frame_head *h)
{
    struct cg_buf b = cg_buf_reader(bytes, FRAME_HEAD_BYTES);
    uint32_t magic = cg_get_u32(&b);
    h->alg = cg_get_u8(&b);
    h->kind = cg_get_u8(&b);
    h->objects = cg_get_u16(&b);
    h->dir_len = cg_get_u32(&b);
    h->data_len = cg_get_u32(&b);
    h->raw_len = cg_get_u32(&b);
    h->number = cg_get_u32(&b);
    uint64_t zero = cg_get_u64(&b);
    struct cg_span check = cg_get_span(&b, FRAME_CHECK_BYTES);
    cg_assert(!b.bad && b.pos == FRAME_HEAD_BYTES);
    memcpy(h->check, check.data, FRAME_CHECK_BYTES);
    bool good = magic == FRAME_MAGIC && h->alg <= ALG_LZ4 && zero == 0 && h->objects >= 1 &&
                (h->kind == STORE_DATA || h->kind == STORE_NODE) &&
                h->objects <= FRAME_OBJECTS_MAX && h->dir_len == h->objects * OBJECT_BYTES &&
                h->raw_len <= FRAME_RAW_BYTES_MAX && h->data_len <= h->raw_len &&
                h->number < UINT32_MAX / 2;
    return good ? CG_OK : CG_EBADFORMAT;
}

uint32_t frame_head_total(const struct frame_head *h)
{
    return FRAME_HEAD_BYTES + h->dir_len + TAG_BYTES + h->data_len + TAG_BYTES;
}

/* ---- writing ---- */

cg_err pack_create(struct store *s, uint32_t id, struct pack_out **out, struct cg_errbuf *eb)
{
    uint8_t head[PACK_HEAD_BYTES] = {0}, salt[SALT_BYTES], key[KEY_BYTES];
    char path[PATH_BYTES];
    struct pack_out *p = cg_zalloc(sizeof *p);
    if (!p) {
        return CG_ENOMEM;
    }
    struct cg_buf b = cg_buf_writer(head, sizeof head);
    s->env.random(s->env.ctx, salt, sizeof salt);
    cg_put_bytes(&b, PACK_MAGIC, 8);
    cg_put_u16(&b, FORMAT_VERSION);
    cg_put_u16(&b, 0);
    cg_put_u32(&b, id);
    cg_put_bytes(&b, s->id, ID_BYTES);
    cg_put_bytes(&b, salt, sizeof salt);
    key_derive(s->keys.store, "cognu store pack", salt, sizeof salt, key, sizeof key);
    p->io = s->io;
    p->id = id;
    p->aead = aead_new(key, true);
    cg_wipe(key, sizeof key);
    p->check = checker_new();
    p->chain = hasher_new();
    p->buf = cg_alloc(FRAME_BYTES_MAX);
    if (!p->aead || !p->check || !p->chain || !p->buf) {
        pack_out_free(p);
        return CG_ENOMEM;
    }
    hasher_start(p->chain);
    hasher_add(p->chain, head, sizeof head);
    numbered_path(path, "packs", id, 8);
    cg_err e = s->io->open(s->io->ctx, path, STORE_IO_CREATE, &p->file);
    if (!e) {
        e = s->io->write(s->io->ctx, p->file, 0, head, sizeof head);
    }
    if (e) {
        pack_out_free(p);
        return cg_fail(eb, e, "%s: %s", path, cg_err_meaning(e));
    }
    p->at = sizeof head;
    *out = p;
    return CG_OK;
}

static void put_directory(const struct frame *f, uint8_t *out)
{
    struct cg_buf b = cg_buf_writer(out, f->count * OBJECT_BYTES);
    for (uint32_t i = 0; i < f->count; i++) {
        cg_put_bytes(&b, f->score[i].b, STORE_SCORE_BYTES);
        cg_put_u32(&b, f->len[i]);
    }
}

cg_err pack_append(struct pack_out *p, const struct frame *f, uint32_t *at, struct cg_errbuf *eb)
{
    uint32_t dir_len = f->count * OBJECT_BYTES;
    uint8_t *head = p->buf, *dir = head + FRAME_HEAD_BYTES, *data = dir + dir_len + TAG_BYTES;
    struct cg_buf b = cg_buf_writer(head, FRAME_HEAD_BYTES);
    cg_put_u32(&b, FRAME_MAGIC);
    cg_put_u8(&b, (uint8_t)f->alg);
    cg_put_u8(&b, f->kind);
    cg_put_u16(&b, (uint16_t)f->count);
    cg_put_u32(&b, dir_len);
    cg_put_u32(&b, f->packed_len);
    cg_put_u32(&b, f->raw_len);
    cg_put_u32(&b, p->frames);
    cg_put_u64(&b, 0);
    /* The directory is laid where its ciphertext goes: GCM works in place. */
    put_directory(f, dir);
    aead_seal(p->aead, 2ull * p->frames, head, FRAME_AAD_BYTES, dir, dir_len, dir);
    aead_seal(p->aead, 2ull * p->frames + 1, head, FRAME_AAD_BYTES, f->packed, f->packed_len, data);
    uint32_t total = FRAME_HEAD_BYTES + dir_len + f->packed_len + 2 * TAG_BYTES;
    uint8_t check[FRAME_CHECK_BYTES];
    checker_sum(p->check, head, FRAME_AAD_BYTES, dir, total - FRAME_HEAD_BYTES, check);
    cg_put_bytes(&b, check, FRAME_CHECK_BYTES);
    cg_assert(!b.bad && b.pos == FRAME_HEAD_BYTES);
    hasher_add(p->chain, check, FRAME_CHECK_BYTES);
    cg_err e = p->io->write(p->io->ctx, p->file, p->at, p->buf, total);
    if (e) {
        return cg_fail(eb, e, "packs/%08x: %s", p->id, cg_err_meaning(e));
    }
    *at = (uint32_t)p->at;
    p->at += total;
    p->frames++;
    p->objects += f->count;
    return CG_OK;
}

cg_err pack_end(struct pack_out *p, struct cg_errbuf *eb)
{
    uint8_t end[PACK_END_BYTES], hash[32];
    struct cg_buf b = cg_buf_writer(end, sizeof end);
    hasher_end(p->chain, hash);
    cg_put_u32(&b, END_MAGIC);
    cg_put_u32(&b, p->frames);
    cg_put_u64(&b, p->at);
    cg_put_bytes(&b, hash, sizeof hash);
    cg_assert(!b.bad && b.pos == PACK_END_BYTES);
    cg_err e = p->io->write(p->io->ctx, p->file, p->at, end, sizeof end);
    if (!e) {
        e = p->io->sync(p->io->ctx, p->file);
    }
    p->at += sizeof end;
    return e ? cg_fail(eb, e, "packs/%08x: %s", p->id, cg_err_meaning(e)) : CG_OK;
}

void pack_out_free(struct pack_out *p)
{
    if (p) {
        if (p->file) {
            p->io->close(p->io->ctx, p->file);
        }
        aead_free(p->aead);
        checker_free(p->check);
        hasher_free(p->chain);
        cg_free(p->buf);
        cg_free(p);
    }
}

/* ---- reading ---- */

static cg_err pack_head_check(struct store *s, uint32_t id, const uint8_t head[PACK_HEAD_BYTES],
                              struct pack_in *p, struct cg_errbuf *eb)
{
    struct cg_buf b = cg_buf_reader(head, PACK_HEAD_BYTES);
    struct cg_span magic = cg_get_span(&b, 8);
    uint16_t version = cg_get_u16(&b), features = cg_get_u16(&b);
    uint32_t number = cg_get_u32(&b);
    struct cg_span store_id = cg_get_span(&b, ID_BYTES), salt = cg_get_span(&b, SALT_BYTES);
    uint64_t zero = cg_get_u64(&b) | cg_get_u64(&b);
    uint8_t key[KEY_BYTES];
    if (memcmp(magic.data, PACK_MAGIC, 8) != 0 || version != FORMAT_VERSION || features != 0 ||
        number != id || zero != 0) {
        return cg_fail(eb, CG_EBADFORMAT, "packs/%08x: this is not that pack", id);
    }
    if (memcmp(store_id.data, s->id, ID_BYTES) != 0) {
        return cg_fail(eb, CG_EBADFORMAT, "packs/%08x: this pack is of another store", id);
    }
    key_derive(s->keys.store, "cognu store pack", salt.data, SALT_BYTES, key, sizeof key);
    p->aead = aead_new(key, false);
    cg_wipe(key, sizeof key);
    return p->aead ? CG_OK : CG_ENOMEM;
}

cg_err pack_open(struct store *s, uint32_t id, struct pack_in *p, struct cg_errbuf *eb)
{
    uint8_t head[PACK_HEAD_BYTES];
    char path[PATH_BYTES];
    size_t got = 0;
    *p = (struct pack_in){.id = id};
    numbered_path(path, "packs", id, 8);
    cg_err e = s->io->open(s->io->ctx, path, STORE_IO_READ, &p->file);
    if (e) {
        return cg_fail(eb, e, "%s: %s", path, cg_err_meaning(e));
    }
    e = s->io->read(s->io->ctx, p->file, 0, head, sizeof head, &got);
    if (!e && got < sizeof head) {
        e = cg_fail(eb, CG_EIO, "%s: cut short", path);
    }
    if (!e) {
        e = s->io->size(s->io->ctx, p->file, &p->bytes);
    }
    if (!e) {
        e = pack_head_check(s, id, head, p, eb);
    }
    if (e) {
        pack_close(s->io, p);
    }
    return e;
}

void pack_close(const struct store_io *io, struct pack_in *p)
{
    if (p->file) {
        io->close(io->ctx, p->file);
    }
    aead_free(p->aead);
    *p = (struct pack_in){0};
}

void frame_in_fini(struct frame_in *f)
{
    cg_free(f->raw);
    cg_free(f->score);
    cg_free(f->start);
    *f = (struct frame_in){0};
}

static bool is_checked(const struct frame_in *f, uint32_t i)
{
    return f->checked[i / 64] & 1ull << (i % 64);
}

/* Compares the objects from i to before end that were not yet, SCORES_MAX of them at most. */
static void compare(struct frame_in *f, uint32_t i, uint32_t end, struct scorer *c)
{
    struct cg_span object[SCORES_MAX] = {{0}};
    struct store_score made[SCORES_MAX];
    uint32_t which[SCORES_MAX], n = 0;
    for (; i < end && n < SCORES_MAX; i++) {
        if (!is_checked(f, i)) {
            object[n] = (struct cg_span){.data = f->raw + f->start[i],
                                         .len = f->start[i + 1] - f->start[i]};
            which[n++] = i;
        }
    }
    scorer_scores(c, f->kind, object, n, made);
    for (uint32_t k = 0; k < n; k++) {
        i = which[k];
        bool right = store_score_is(&made[k], &f->score[i]);
        f->checked[i / 64] |= right ? 1ull << (i % 64) : 0;
    }
}

/* Several together cost half as much, and neighbours are, as a rule, wanted next. */
bool frame_check(struct frame_in *f, uint32_t i, uint64_t bytes, struct scorer *c)
{
    enum { AT_LEAST = 32 << 10 };
    uint64_t wanted = f->start[i] + (bytes > AT_LEAST ? bytes : AT_LEAST);
    if (!is_checked(f, i)) {
        compare(f, i, frame_objects_in(f, wanted), c);
    }
    return is_checked(f, i);
}

bool frame_check_first(struct frame_in *f, uint32_t n, struct scorer *c)
{
    for (uint32_t i = 0; i < n; i++) {
        if (i % SCORES_MAX == 0) {
            compare(f, i, n, c);
        }
        if (!is_checked(f, i)) {
            return false;
        }
    }
    return true;
}

uint32_t frame_objects_in(const struct frame_in *f, uint64_t bytes)
{
    uint32_t n = 0;
    while (n < f->count && f->start[n] < bytes) {
        n++;
    }
    return n;
}

cg_err load_init(struct load *l)
{
    l->packer = packer_new(STORE_FAST);
    l->buf = cg_alloc(FRAME_BYTES_MAX);
    if (!l->packer || !l->buf) {
        load_fini(l);
        return CG_ENOMEM;
    }
    return CG_OK;
}

void load_fini(struct load *l)
{
    packer_free(l->packer);
    cg_free(l->buf);
    *l = (struct load){0};
}

static cg_err frame_in_room(struct frame_in *f, uint32_t objects, bool data)
{
    if (data && !f->raw) {
        f->raw = cg_alloc(FRAME_RAW_BYTES_MAX);
    }
    if (objects > f->cap) {
        struct store_score *score = cg_realloc(f->score, objects * sizeof *score);
        f->score = score ? score : f->score;
        uint32_t *start = score ? cg_realloc(f->start, (objects + 1) * sizeof *start) : NULL;
        f->start = start ? start : f->start;
        if (!start) {
            return CG_ENOMEM;
        }
        f->cap = objects;
    }
    return data && !f->raw ? CG_ENOMEM : CG_OK;
}

/* The decrypted directory into arrays; its lengths must fill the frame. */
static cg_err take_directory(const uint8_t *dir, const struct frame_head *h, struct frame_in *f)
{
    struct cg_buf b = cg_buf_reader(dir, h->dir_len);
    uint64_t at = 0;
    for (uint32_t i = 0; i < h->objects; i++) {
        struct cg_span score = cg_get_span(&b, STORE_SCORE_BYTES);
        memcpy(f->score[i].b, score.data, STORE_SCORE_BYTES);
        f->start[i] = (uint32_t)at;
        at += cg_get_u32(&b);
        if (at > h->raw_len) {
            return CG_EBADFORMAT;
        }
    }
    f->start[h->objects] = (uint32_t)at;
    return at == h->raw_len ? CG_OK : CG_EBADFORMAT;
}

static cg_err open_frame(struct pack_in *p, struct load *l, const struct frame_head *h, bool data,
                         struct frame_in *out)
{
    uint8_t *dir = l->buf + FRAME_HEAD_BYTES, *body = dir + h->dir_len + TAG_BYTES;
    if (!aead_open(p->aead, 2ull * h->number, l->buf, FRAME_AAD_BYTES, dir, h->dir_len, dir)) {
        return CG_EIO;
    }
    cg_err e = take_directory(dir, h, out);
    if (e || !data) {
        return e;
    }
    if (!aead_open(p->aead, 2ull * h->number + 1, l->buf, FRAME_AAD_BYTES, body, h->data_len,
                   body)) {
        return CG_EIO;
    }
    return frame_unpack(l->packer, h->alg, body, h->data_len, out->raw, h->raw_len);
}

/* A frame that is not what it should be, or was not to be had: the other side may have ended. */
static cg_err unreadable(const struct pack_in *p, uint32_t at, cg_err e, struct cg_errbuf *eb)
{
    return cg_fail(eb, e, "packs/%08x at %u: %s", p->id, at,
                   e == CG_EIO ? "damaged frame" : cg_err_meaning(e));
}

cg_err pack_load(const struct store_io *io, struct pack_in *p, struct load *l, uint32_t at,
                 bool data, struct frame_in *out, struct cg_errbuf *eb)
{
    struct frame_head h;
    size_t got = 0;
    out->pack = 0; /* nothing is there while loading, nor after an error */
    cg_err e = io->read(io->ctx, p->file, at, l->buf, FRAME_HEAD_BYTES, &got);
    if (!e && (got < FRAME_HEAD_BYTES || frame_head_decode(l->buf, &h))) {
        e = CG_EIO;
    }
    if (e) {
        return unreadable(p, at, e, eb);
    }
    size_t want =
        (data ? frame_head_total(&h) : FRAME_HEAD_BYTES + h.dir_len + TAG_BYTES) - FRAME_HEAD_BYTES;
    e = io->read(io->ctx, p->file, at + FRAME_HEAD_BYTES, l->buf + FRAME_HEAD_BYTES, want, &got);
    if (!e && got < want) {
        e = CG_EIO;
    }
    if (e) {
        return unreadable(p, at, e, eb);
    }
    e = frame_in_room(out, h.objects, data);
    if (!e) {
        e = open_frame(p, l, &h, data, out);
    }
    if (e) {
        return e == CG_ENOMEM ? e : unreadable(p, at, CG_EIO, eb);
    }
    out->pack = p->id;
    out->at = at;
    out->count = h.objects;
    out->raw_len = h.raw_len;
    out->kind = h.kind;
    out->next = at + frame_head_total(&h);
    out->run = 0;
    memset(out->checked, 0, sizeof out->checked);
    return CG_OK;
}

cg_err pack_at_end(const struct store_io *io, struct pack_in *p, uint64_t at, bool *end)
{
    uint8_t magic[4];
    size_t got = 0;
    cg_err e = io->read(io->ctx, p->file, at, magic, sizeof magic, &got);
    struct cg_buf b = cg_buf_reader(magic, got);
    *end = !e && (got == 0 || (got == 4 && cg_get_u32(&b) == END_MAGIC));
    return e;
}
