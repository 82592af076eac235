/* The journal: what was acknowledged before it is in packs. A segment is an append-only file of
 * frames, each sealed by itself under the segment's own key; what a frame holds is the matter of
 * who writes it.
 *
 *   head    magic 8, version 2, features 2, zero 4, number 8, id 16, salt 16, zero 8
 *   frame   length of the plaintext 4, count 8, the sealed plaintext, its tag 16
 *
 * The count is the nonce: it grows with each attempt, so a frame that is written over one that
 * failed half-way has a key and nonce of its own. The frame's place and head are authenticated with
 * it, so a frame is good where it was written and nowhere else. Reading ends at the first place
 * where no whole frame stands. */
#include "sealer.h"

#include <string.h>

enum { JOURNAL_HEAD_BYTES = STORE_JOURNAL_FIRST, JOURNAL_FRAME_HEAD_BYTES = 12 };
#define JOURNAL_MAGIC "cgnujour"

struct store_journal {
    struct store *s;
    uint32_t refs;
    uint64_t number, end, count; /* end: where the next frame goes */
    void *file;
    struct aead *seal, *seal_helper, *open;
    bool named;     /* its name is durable */
    uint64_t at;    /* of the frame in text; 0: none */
    uint64_t after; /* where the one behind it begins */
    struct cg_str text;
    uint8_t *buf; /* frames on their way */
    size_t buf_cap;
};

static void path_of(char out[PATH_BYTES], uint64_t number)
{
    numbered_path(out, "journal", number, 16);
}

struct store_journal *store_journal_get(struct store_journal *j)
{
    j->refs++;
    return j;
}

void store_journal_close(struct store_journal *j)
{
    if (j && --j->refs == 0) {
        if (j->file) {
            j->s->io->close(j->s->io->ctx, j->file);
        }
        aead_free(j->seal);
        aead_free(j->seal_helper);
        aead_free(j->open);
        cg_str_fini(&j->text);
        cg_free(j->buf);
        cg_free(j);
    }
}

static cg_err journal_new(struct store *s, uint64_t number, const uint8_t salt[SALT_BYTES],
                          struct store_journal **out)
{
    uint8_t key[KEY_BYTES];
    struct store_journal *j = cg_zalloc(sizeof *j);
    if (!j) {
        return CG_ENOMEM;
    }
    key_derive(s->keys.store, "cognu store journal", salt, SALT_BYTES, key, sizeof key);
    *j = (struct store_journal){.s = s,
                                .refs = 1,
                                .number = number,
                                .end = JOURNAL_HEAD_BYTES,
                                .seal = aead_new(key, true),
                                .seal_helper = aead_new(key, true),
                                .open = aead_new(key, false)};
    cg_wipe(key, sizeof key);
    if (!j->seal || !j->seal_helper || !j->open) {
        store_journal_close(j);
        return CG_ENOMEM;
    }
    *out = j;
    return CG_OK;
}

static void head_put(uint8_t head[JOURNAL_HEAD_BYTES], const struct store *s, uint64_t number,
                     const uint8_t salt[SALT_BYTES])
{
    memset(head, 0, JOURNAL_HEAD_BYTES);
    struct cg_buf b = cg_buf_writer(head, JOURNAL_HEAD_BYTES);
    cg_put_bytes(&b, JOURNAL_MAGIC, 8);
    cg_put_u16(&b, FORMAT_VERSION);
    cg_put_u16(&b, 0);
    cg_put_u32(&b, 0);
    cg_put_u64(&b, number);
    cg_put_bytes(&b, s->id, ID_BYTES);
    cg_put_bytes(&b, salt, SALT_BYTES);
}

cg_err store_journal_create(struct store *s, uint64_t number, struct store_journal **out,
                            struct cg_errbuf *eb)
{
    uint8_t head[JOURNAL_HEAD_BYTES], salt[SALT_BYTES];
    char path[PATH_BYTES];
    struct store_journal *j;
    s->env.random(s->env.ctx, salt, sizeof salt);
    cg_err e = journal_new(s, number, salt, &j);
    if (e) {
        return e;
    }
    head_put(head, s, number, salt);
    path_of(path, number);
    e = s->io->open(s->io->ctx, path, STORE_IO_CREATE, &j->file);
    if (e == CG_ENOENT) { /* the first segment of this store */
        e = s->io->mkdir(s->io->ctx, "journal");
        e = e ? e : s->io->sync_dir(s->io->ctx, ".");
        e = e ? e : s->io->open(s->io->ctx, path, STORE_IO_CREATE, &j->file);
    }
    e = e ? e : s->io->write(s->io->ctx, j->file, 0, head, sizeof head);
    if (e) {
        if (j->file) {
            s->io->remove(s->io->ctx, path);
        }
        store_journal_close(j);
        return cg_fail(eb, e, "%s: %s", path, cg_err_meaning(e));
    }
    *out = j;
    return CG_OK;
}

cg_err store_journal_open(struct store *s, uint64_t number, struct store_journal **out,
                          struct cg_errbuf *eb)
{
    uint8_t head[JOURNAL_HEAD_BYTES], want[JOURNAL_HEAD_BYTES];
    char path[PATH_BYTES];
    void *file;
    size_t got = 0;
    path_of(path, number);
    cg_err e = s->io->open(s->io->ctx, path, STORE_IO_READ, &file);
    if (e) {
        return e == CG_ENOENT ? e : cg_fail(eb, e, "%s: %s", path, cg_err_meaning(e));
    }
    e = s->io->read(s->io->ctx, file, 0, head, sizeof head, &got);
    head_put(want, s, number, head + JOURNAL_HEAD_BYTES - 8 - SALT_BYTES);
    if (!e && (got < sizeof head || memcmp(head, want, sizeof head) != 0)) {
        e = cg_fail(eb, CG_EBADFORMAT, "%s: no segment of this store's journal", path);
    }
    e = e ? e : journal_new(s, number, head + JOURNAL_HEAD_BYTES - 8 - SALT_BYTES, out);
    if (e) {
        s->io->close(s->io->ctx, file);
        return e;
    }
    (*out)->file = file;
    return CG_OK;
}

static cg_err room(struct store_journal *j, size_t len)
{
    if (j->buf_cap < len) {
        uint8_t *buf = cg_realloc(j->buf, len);
        if (!buf) {
            return CG_ENOMEM;
        }
        j->buf = buf;
        j->buf_cap = len;
    }
    return CG_OK;
}

/* What is authenticated beside the plaintext: the frame's head, and where it stands. */
static void aad_put(uint8_t aad[JOURNAL_AAD_BYTES], size_t len, uint64_t count, uint64_t at)
{
    struct cg_buf b = cg_buf_writer(aad, JOURNAL_AAD_BYTES);
    cg_put_u32(&b, (uint32_t)len);
    cg_put_u64(&b, count);
    cg_put_u64(&b, at);
}

static size_t total_of(const struct store_journal_frame *f)
{
    return JOURNAL_FRAME_HEAD_BYTES + (size_t)f->head.len + f->body.len + TAG_BYTES;
}

/* Where each frame will stand, and what is sealed with it. */
static void plan(struct store_journal *j, struct store_journal_frame *f, struct sealing *g)
{
    uint64_t at = j->end;
    uint8_t *out = j->buf;
    for (size_t i = 0; i < g->count; i++) {
        struct sealing_frame *s = &g->frame[i];
        size_t len = (size_t)f[i].head.len + f[i].body.len;
        cg_assert(len > 0 && len <= STORE_JOURNAL_FRAME_BYTES_MAX);
        f[i].at = at;
        *s = (struct sealing_frame){.nonce = ++j->count, .head = f[i].head, .body = f[i].body};
        aad_put(s->aad, len, s->nonce, at);
        s->out = out + JOURNAL_FRAME_HEAD_BYTES;
        at += total_of(&f[i]);
        out += j->s->sealer ? total_of(&f[i]) : 0; /* else each is written before the next */
    }
}

cg_err store_journal_append(struct store_journal *j, struct store_journal_frame *f, size_t count,
                            size_t *done, struct cg_errbuf *eb)
{
    struct sealing g;
    size_t total = 0;
    cg_assert(count > 0 && count <= STORE_JOURNAL_GROUP_MAX);
    *done = 0;
    for (size_t i = 0; i < count; i++) {
        total += total_of(&f[i]);
    }
    cg_err e = room(j, total);
    if (e) {
        return e;
    }
    g.own = j->seal;
    g.helper = j->seal_helper;
    g.count = count;
    plan(j, f, &g);
    sealer_begin(j->s->sealer, &g);
    for (; !e && *done < count; *done += !e) {
        size_t bytes = total_of(&f[*done]);
        uint8_t *out = g.frame[*done].out - JOURNAL_FRAME_HEAD_BYTES;
        sealer_need(j->s->sealer, &g, *done);
        memcpy(out, g.frame[*done].aad, JOURNAL_FRAME_HEAD_BYTES);
        e = j->s->io->write(j->s->io->ctx, j->file, j->end, out, bytes);
        j->end += e ? 0 : bytes;
    }
    sealer_end(j->s->sealer, &g, *done + (e != CG_OK));
    return e ? cg_fail(eb, e, "the journal: %s", cg_err_meaning(e)) : CG_OK;
}

cg_err store_journal_sync(struct store_journal *j, struct cg_errbuf *eb)
{
    const struct store_io *io = j->s->io;
    cg_err e = io->sync(io->ctx, j->file);
    if (!e && !j->named) {
        e = io->sync_dir(io->ctx, "journal");
        j->named = e == CG_OK;
    }
    return e ? cg_fail(eb, e, "the journal: %s", cg_err_meaning(e)) : CG_OK;
}

cg_err store_journal_read(struct store_journal *j, uint64_t at, struct cg_span *out, uint64_t *next,
                          struct cg_errbuf *eb)
{
    uint8_t head[JOURNAL_FRAME_HEAD_BYTES], aad[JOURNAL_AAD_BYTES];
    const struct store_io *io = j->s->io;
    size_t got = 0;
    cg_assert(at >= JOURNAL_HEAD_BYTES);
    if (j->at != at) {
        j->at = 0;
        cg_err e = io->read(io->ctx, j->file, at, head, sizeof head, &got);
        struct cg_buf b = cg_buf_reader(head, got);
        size_t len = cg_get_u32(&b);
        uint64_t count = cg_get_u64(&b);
        if (e || b.bad || len == 0 || len > STORE_JOURNAL_FRAME_BYTES_MAX) {
            return e ? cg_fail(eb, e, "the journal: %s", cg_err_meaning(e)) : CG_ENOENT;
        }
        e = room(j, len + TAG_BYTES);
        j->text.len = 0;
        e = e ? e : io->read(io->ctx, j->file, at + sizeof head, j->buf, len + TAG_BYTES, &got);
        e = e ? e : cg_str_add(&j->text, j->buf, len); /* room */
        if (e) {
            return cg_fail(eb, e, "the journal: %s", cg_err_meaning(e));
        }
        aad_put(aad, len, count, at);
        if (got < len + TAG_BYTES ||
            !aead_open(j->open, count, aad, sizeof aad, j->buf, len, j->text.data)) {
            return CG_ENOENT;
        }
        j->at = at;
        j->after = at + sizeof head + len + TAG_BYTES;
    }
    *out = (struct cg_span){.data = (uint8_t *)j->text.data, .len = (uint32_t)j->text.len};
    *next = j->after;
    return CG_OK;
}

uint64_t store_journal_bytes(const struct store_journal *j)
{
    return j->end;
}

void store_journal_remove(struct store *s, uint64_t number)
{
    char path[PATH_BYTES];
    path_of(path, number);
    s->io->remove(s->io->ctx, path);
}

cg_err store_journal_list(struct store *s, uint64_t **numbers, size_t *count, struct cg_errbuf *eb)
{
    struct cg_str names = {0};
    size_t cap = 0;
    *numbers = NULL;
    *count = 0;
    cg_err e = s->io->list(s->io->ctx, "journal", &names);
    if (e == CG_ENOENT) {
        return CG_OK;
    }
    for (size_t i = 0; !e && i < names.len; i += strlen(names.data + i) + 1) {
        uint64_t number;
        if (numbered_name(names.data + i, 16, &number)) {
            e = array_room(numbers, &cap, *count, sizeof **numbers) ? CG_OK : CG_ENOMEM;
        } else {
            continue;
        }
        size_t at = e ? 0 : (*count)++;
        for (; !e && at > 0 && (*numbers)[at - 1] > number; at--) {
            (*numbers)[at] = (*numbers)[at - 1];
        }
        if (!e) {
            (*numbers)[at] = number;
        }
    }
    cg_str_fini(&names);
    if (e) {
        cg_free(*numbers);
        *numbers = NULL;
        *count = 0;
        return cg_fail(eb, e, "the journal: %s", cg_err_meaning(e));
    }
    return CG_OK;
}
