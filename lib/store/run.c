/* Runs: sorted entries of the index, written once. A page is 4096 bytes: 102 entries, sealed.
 * Behind the pages of entries stand pages of fences: the first 8 bytes of each page's first score,
 * which are kept in memory (8 bytes for 102 entries). Behind these stand filters, a
 * Bloom filter of 128 bytes for each page of entries, in memory too (10 bits an entry): what is not
 * there, which is the usual answer while new data is put, is known without reading a page in 99 of
 * 100 cases. Page n is sealed under nonce n of the run's own key, with the head as authenticated
 * text; how many entries there are the state says. */
#include "store__.h"

#include <stdio.h>
#include <string.h>

int score_cmp(const struct store_score *a, const struct store_score *b)
{
    return memcmp(a->b, b->b, STORE_SCORE_BYTES);
}

static uint64_t prefix(const struct store_score *s)
{
    uint64_t v = 0;
    for (int i = 0; i < 8; i++) {
        v = v << 8 | s->b[i];
    }
    return v;
}

static uint32_t pages_of(uint64_t entries)
{
    return (uint32_t)((entries + PAGE_ENTRIES - 1) / PAGE_ENTRIES);
}

static void entry_put(const struct entry *e, uint8_t out[ENTRY_BYTES])
{
    struct cg_buf b = cg_buf_writer(out, ENTRY_BYTES);
    cg_put_bytes(&b, e->score.b, STORE_SCORE_BYTES);
    cg_put_u32(&b, e->pack);
    cg_put_u32(&b, e->at);
    cg_put_u16(&b, e->slot);
    cg_put_u16(&b, (uint16_t)(e->size << 2 | e->kind));
    cg_put_u32(&b, (uint32_t)e->count);
    cg_assert(!b.bad && b.pos == ENTRY_BYTES);
}

static void entry_get(const uint8_t in[ENTRY_BYTES], struct entry *e)
{
    struct cg_buf b = cg_buf_reader(in, ENTRY_BYTES);
    struct cg_span score = cg_get_span(&b, STORE_SCORE_BYTES);
    memcpy(e->score.b, score.data, STORE_SCORE_BYTES);
    e->pack = cg_get_u32(&b);
    e->at = cg_get_u32(&b);
    e->slot = cg_get_u16(&b);
    uint16_t size = cg_get_u16(&b);
    e->size = size >> 2;
    e->kind = size & 3;
    e->count = (int32_t)cg_get_u32(&b);
}

/* ---- filters ---- */

/* Six of the 1024 bits, by bytes 8 to 15 of the score: its first 8 chose the page. */
enum { FILTER_PROBES = 6 };

static uint64_t filter_hash(const struct store_score *s)
{
    struct cg_buf b = cg_buf_reader(s->b + 8, 8);
    return cg_get_u64(&b);
}

static void filter_add(uint8_t *filter, const struct store_score *s)
{
    uint64_t h = filter_hash(s);
    for (int i = 0; i < FILTER_PROBES; i++, h >>= 10) {
        filter[h >> 3 & (FILTER_BYTES - 1)] |= (uint8_t)(1u << (h & 7));
    }
}

static bool filter_may_have(const uint8_t *filter, const struct store_score *s)
{
    uint64_t h = filter_hash(s);
    for (int i = 0; i < FILTER_PROBES; i++, h >>= 10) {
        if (!(filter[h >> 3 & (FILTER_BYTES - 1)] >> (h & 7) & 1)) {
            return false;
        }
    }
    return true;
}

/* ---- head ---- */

static struct aead *head_key(struct store *s, const uint8_t *salt, bool encrypt)
{
    uint8_t key[KEY_BYTES];
    key_derive(s->keys.store, "cognu store run", salt, SALT_BYTES, key, sizeof key);
    struct aead *a = aead_new(key, encrypt);
    cg_wipe(key, sizeof key);
    return a;
}

static void head_put(const struct store *s, const struct run_record *rec, const uint8_t *salt,
                     uint8_t head[RUN_HEAD_BYTES])
{
    struct cg_buf b = cg_buf_writer(head, RUN_HEAD_BYTES);
    memset(head, 0, RUN_HEAD_BYTES);
    cg_put_bytes(&b, RUN_MAGIC, 8);
    cg_put_u16(&b, FORMAT_VERSION);
    cg_put_u16(&b, rec->kind);
    cg_put_u32(&b, rec->id);
    cg_put_bytes(&b, s->id, ID_BYTES);
    cg_put_bytes(&b, salt, SALT_BYTES);
}

static void run_path(char out[PATH_BYTES], const struct run_record *rec)
{
    if (rec->kind == RUN_TEMPORARY) {
        snprintf(out, PATH_BYTES, "index/tmp-%08x", rec->id);
    } else {
        numbered_path(out, "index", rec->id, 8);
    }
}

/* ---- reading ---- */

static cg_err read_page(struct store *s, struct run *r, uint32_t page, uint32_t count, uint8_t *out,
                        struct cg_errbuf *eb)
{
    size_t got, want = (size_t)count * PAGE_BYTES;
    cg_err e = s->io->read(s->io->ctx, r->file, RUN_HEAD_BYTES + (uint64_t)page * PAGE_BYTES, out,
                           want, &got);
    if (!e && got < want) {
        e = CG_EIO;
    }
    for (uint32_t i = 0; !e && i < count; i++) {
        uint8_t *p = out + (size_t)i * PAGE_BYTES;
        if (!aead_open(r->aead, page + i, r->head, RUN_HEAD_BYTES, p, PAGE_BYTES - TAG_BYTES, p)) {
            e = CG_EIO;
        }
    }
    return e ? cg_fail(eb, e, "index/%08x page %u: %s", r->rec.id, page,
                       e == CG_EIO ? "damaged; `store repair` makes the index anew"
                                   : cg_err_meaning(e))
             : CG_OK;
}

static cg_err read_fences(struct store *s, struct run *r, struct cg_errbuf *eb)
{
    uint8_t page[PAGE_BYTES];
    for (uint32_t i = 0; i < r->pages; i++) {
        if (i % PAGE_FENCES == 0) {
            cg_err e = read_page(s, r, r->pages + i / PAGE_FENCES, 1, page, eb);
            if (e) {
                return e;
            }
        }
        struct cg_buf b = cg_buf_reader(page + 8 * (i % PAGE_FENCES), 8);
        r->fence[i] = cg_get_u64(&b);
    }
    return CG_OK;
}

static uint32_t fence_pages(uint32_t pages)
{
    return (pages + PAGE_FENCES - 1) / PAGE_FENCES;
}

void run_forget_filter(struct run *r)
{
    cg_free(r->filter);
    r->filter = NULL;
}

static cg_err read_filters(struct store *s, struct run *r, struct cg_errbuf *eb)
{
    uint8_t page[PAGE_BYTES];
    r->filter = cg_alloc((size_t)r->pages * FILTER_BYTES);
    if (!r->filter) {
        return CG_ENOMEM;
    }
    for (uint32_t i = 0; i < r->pages; i += PAGE_FILTERS) {
        uint32_t n = r->pages - i < PAGE_FILTERS ? r->pages - i : PAGE_FILTERS;
        cg_err e =
            read_page(s, r, r->pages + fence_pages(r->pages) + i / PAGE_FILTERS, 1, page, eb);
        if (e) {
            run_forget_filter(r);
            return e;
        }
        memcpy(r->filter + (size_t)i * FILTER_BYTES, page, (size_t)n * FILTER_BYTES);
    }
    return CG_OK;
}

cg_err run_open(struct store *s, const struct run_record *rec, struct run **out,
                struct cg_errbuf *eb)
{
    uint8_t want[RUN_HEAD_BYTES];
    char path[PATH_BYTES];
    size_t got = 0;
    struct run *r = cg_zalloc(sizeof *r);
    if (!r) {
        return CG_ENOMEM;
    }
    r->rec = *rec;
    r->pages = pages_of(rec->entries);
    r->fence = cg_alloc(r->pages * sizeof *r->fence);
    run_path(path, rec);
    cg_err e = r->fence ? s->io->open(s->io->ctx, path, STORE_IO_READ, &r->file) : CG_ENOMEM;
    if (!e) {
        e = s->io->read(s->io->ctx, r->file, 0, r->head, RUN_HEAD_BYTES, &got);
    }
    if (e) {
        run_close(s->io, r);
        return cg_fail(eb, e, "%s: %s", path, cg_err_meaning(e));
    }
    const uint8_t *salt = r->head + 32;
    head_put(s, rec, salt, want);
    if (got < RUN_HEAD_BYTES || memcmp(want, r->head, RUN_HEAD_BYTES) != 0) {
        run_close(s->io, r);
        return cg_fail(eb, CG_EIO, "%s: this is not that run of this store's index", path);
    }
    r->aead = head_key(s, salt, false);
    e = r->aead ? read_fences(s, r, eb) : CG_ENOMEM;
    if (!e && rec->kind != RUN_TEMPORARY) {
        e = read_filters(s, r, eb);
    }
    if (e) {
        run_close(s->io, r);
        return e;
    }
    *out = r;
    return CG_OK;
}

void run_close(const struct store_io *io, struct run *r)
{
    if (r) {
        if (r->file) {
            io->close(io->ctx, r->file);
        }
        aead_free(r->aead);
        cg_free(r->fence);
        cg_free(r->filter);
        cg_free(r->mem);
        cg_free(r);
    }
}

static struct page_slot *cache_slot(struct page_cache *c, uint32_t run, uint32_t page, bool *hit)
{
    uint32_t set = (run * 2654435761u + page) % (c->count / 2) * 2;
    struct page_slot *a = &c->slot[set], *b = a + 1;
    *hit = true;
    if (a->run == run && a->page == page) {
        return a;
    }
    if (b->run == run && b->page == page) {
        return b;
    }
    *hit = false;
    return a->used <= b->used ? a : b;
}

/* The decrypted page, in the cache. */
static cg_err page_get(struct store *s, struct run *r, uint32_t page, const uint8_t **out,
                       struct cg_errbuf *eb)
{
    struct page_cache *c = &s->pages;
    bool hit;
    struct page_slot *slot = cache_slot(c, r->rec.id, page, &hit);
    uint8_t *bytes = c->bytes + (size_t)(slot - c->slot) * PAGE_BYTES;
    slot->used = ++c->clock;
    *out = bytes;
    if (hit) {
        return CG_OK;
    }
    slot->run = 0;
    c->reads++;
    cg_err e = read_page(s, r, page, 1, bytes, eb);
    if (!e) {
        slot->run = r->rec.id;
        slot->page = page;
    }
    return e;
}

/* The last page whose fence is not above the score's prefix; equal fences may begin on the page
 * before. */
static uint32_t page_for(const struct run *r, uint64_t want)
{
    uint32_t low = 0, high = r->pages;
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (r->fence[middle] < want) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return low;
}

static bool page_find(const uint8_t *page, uint32_t count, const struct store_score *score,
                      uint32_t *at)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        int c = memcmp(page + middle * ENTRY_BYTES, score->b, STORE_SCORE_BYTES);
        if (c == 0) {
            *at = middle;
            return true;
        }
        if (c < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

cg_err run_find(struct store *s, struct run *r, const struct store_score *score, struct entry *out,
                bool *found, struct cg_errbuf *eb)
{
    uint64_t want = prefix(score);
    cg_err err = r->filter ? CG_OK : read_filters(s, r, eb);
    *found = false;
    if (err) {
        return err;
    }
    for (uint32_t page = page_for(r, want); page < r->pages; page++) {
        if (r->fence[page] > want) {
            return CG_OK;
        }
        uint64_t left = r->rec.entries - (uint64_t)page * PAGE_ENTRIES;
        const uint8_t *bytes;
        uint32_t at;
        bool last = page + 1 == r->pages || r->fence[page + 1] > want;
        if (!filter_may_have(r->filter + (size_t)page * FILTER_BYTES, score)) {
            if (last) {
                return CG_OK;
            }
            continue;
        }
        cg_err e = page_get(s, r, page, &bytes, eb);
        if (e) {
            return e;
        }
        if (page_find(bytes, left < PAGE_ENTRIES ? (uint32_t)left : PAGE_ENTRIES, score, &at)) {
            entry_get(bytes + at * ENTRY_BYTES, out);
            *found = true;
            return CG_OK;
        }
        if (last) {
            return CG_OK;
        }
    }
    return CG_OK;
}

/* ---- reading in order: many pages at once, past the cache ---- */

cg_err cursor_open(struct store *s, struct run *r, struct run_cursor *c, struct cg_errbuf *eb)
{
    *c = (struct run_cursor){.run = r};
    c->buf = r->mem ? NULL : cg_alloc(CURSOR_PAGES * PAGE_BYTES);
    return c->buf || r->mem ? cursor_next(s, c, eb) : CG_ENOMEM;
}

cg_err cursor_next(struct store *s, struct run_cursor *c, struct cg_errbuf *eb)
{
    if (c->next == c->run->rec.entries) {
        c->end = true;
        return CG_OK;
    }
    if (c->run->mem) {
        c->now = c->run->mem[c->next++];
        return CG_OK;
    }
    uint32_t page = (uint32_t)(c->next / PAGE_ENTRIES),
             in_page = (uint32_t)(c->next % PAGE_ENTRIES);
    if (page == c->page && in_page == 0) {
        uint32_t left = c->run->pages - page;
        c->have = left < CURSOR_PAGES ? left : CURSOR_PAGES;
        cg_err e = read_page(s, c->run, page, c->have, c->buf, eb);
        if (e) {
            return e;
        }
        c->page += c->have;
    }
    uint32_t in_buf = page - (c->page - c->have);
    struct store_score before = c->now.score;
    entry_get(c->buf + (size_t)in_buf * PAGE_BYTES + in_page * ENTRY_BYTES, &c->now);
    if (c->next++ > 0 && score_cmp(&before, &c->now.score) >= 0) {
        return cg_fail(eb, CG_EBADFORMAT, "index/%08x: not in order", c->run->rec.id);
    }
    return CG_OK;
}

void cursor_close(struct run_cursor *c)
{
    cg_free(c->buf);
    *c = (struct run_cursor){0};
}

/* ---- writing ---- */

struct run_out {
    struct store *s;
    struct run_record rec;
    void *file;
    struct aead *aead;
    uint8_t head[RUN_HEAD_BYTES];
    uint64_t *fence;
    size_t fences, fences_cap;
    uint8_t (*filter)[FILTER_BYTES]; /* beside each fence; NULL: a temporary run has none */
    struct store_score last;
    uint8_t *buf;  /* CURSOR_PAGES pages */
    uint32_t page; /* of buf's first */
};

static void run_out_free(struct run_out *r)
{
    if (r->file) {
        r->s->io->close(r->s->io->ctx, r->file);
    }
    aead_free(r->aead);
    cg_free(r->fence);
    cg_free(r->filter);
    cg_free(r->buf);
    cg_free(r);
}

cg_err run_create(struct store *s, uint32_t id, enum run_kind kind, uint64_t entries_max,
                  struct run_out **out, struct cg_errbuf *eb)
{
    uint8_t salt[SALT_BYTES];
    char path[PATH_BYTES];
    struct run_out *r = cg_zalloc(sizeof *r);
    if (!r) {
        return CG_ENOMEM;
    }
    r->s = s;
    r->rec = (struct run_record){.id = id, .kind = (uint16_t)kind};
    s->env.random(s->env.ctx, salt, sizeof salt);
    head_put(s, &r->rec, salt, r->head);
    r->aead = head_key(s, salt, true);
    r->buf = cg_zalloc(CURSOR_PAGES * PAGE_BYTES);
    r->fences_cap = pages_of(entries_max);
    r->fence = cg_alloc(r->fences_cap * sizeof *r->fence);
    r->filter = kind == RUN_TEMPORARY ? NULL : cg_alloc(r->fences_cap * sizeof *r->filter);
    run_path(path, &r->rec);
    cg_err e = r->aead && r->buf && r->fence && (r->filter || kind == RUN_TEMPORARY)
                   ? s->io->open(s->io->ctx, path, STORE_IO_CREATE, &r->file)
                   : CG_ENOMEM;
    if (!e) {
        e = s->io->write(s->io->ctx, r->file, 0, r->head, RUN_HEAD_BYTES);
    }
    if (e) {
        run_out_free(r);
        return cg_fail(eb, e, "%s: %s", path, cg_err_meaning(e));
    }
    *out = r;
    return CG_OK;
}

/* Seals and writes the first count pages of buf. */
static cg_err write_pages(struct run_out *r, uint32_t count, struct cg_errbuf *eb)
{
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *p = r->buf + (size_t)i * PAGE_BYTES;
        aead_seal(r->aead, r->page + i, r->head, RUN_HEAD_BYTES, p, PAGE_BYTES - TAG_BYTES, p);
    }
    const struct store_io *io = r->s->io;
    cg_err e = io->write(io->ctx, r->file, RUN_HEAD_BYTES + (uint64_t)r->page * PAGE_BYTES, r->buf,
                         (size_t)count * PAGE_BYTES);
    r->page += count;
    memset(r->buf, 0, CURSOR_PAGES * PAGE_BYTES);
    return e ? cg_fail(eb, e, "index/%08x: %s", r->rec.id, cg_err_meaning(e)) : CG_OK;
}

cg_err run_add(struct run_out *r, const struct entry *e, struct cg_errbuf *eb)
{
    uint32_t in_page = (uint32_t)(r->rec.entries % PAGE_ENTRIES);
    uint32_t page = (uint32_t)(r->rec.entries / PAGE_ENTRIES) - r->page;
    cg_assert(r->rec.entries == 0 || score_cmp(&r->last, &e->score) < 0);
    if (in_page == 0) {
        if (page == CURSOR_PAGES) {
            cg_err err = write_pages(r, page, eb);
            if (err) {
                return err;
            }
            page = 0;
        }
        cg_assert(r->fences < r->fences_cap);
        if (r->filter) {
            memset(r->filter[r->fences], 0, FILTER_BYTES);
        }
        r->fence[r->fences++] = prefix(&e->score);
    }
    if (r->filter) {
        filter_add(r->filter[r->fences - 1], &e->score);
    }
    entry_put(e, r->buf + (size_t)page * PAGE_BYTES + in_page * ENTRY_BYTES);
    r->last = e->score;
    r->rec.entries++;
    return CG_OK;
}

bool run_empty(const struct run_out *r)
{
    return r->rec.entries == 0;
}

static cg_err write_fences(struct run_out *r, struct cg_errbuf *eb)
{
    for (size_t at = 0; at < r->fences; at += PAGE_FENCES) {
        struct cg_buf b = cg_buf_writer(r->buf, PAGE_BYTES - TAG_BYTES);
        for (size_t i = at; i < r->fences && i < at + PAGE_FENCES; i++) {
            cg_put_u64(&b, r->fence[i]);
        }
        cg_err e = write_pages(r, 1, eb);
        if (e) {
            return e;
        }
    }
    return CG_OK;
}

static cg_err write_filters(struct run_out *r, struct cg_errbuf *eb)
{
    for (size_t at = 0; at < r->fences; at += PAGE_FILTERS) {
        size_t n = r->fences - at < PAGE_FILTERS ? r->fences - at : PAGE_FILTERS;
        memcpy(r->buf, r->filter[at], n * FILTER_BYTES);
        cg_err e = write_pages(r, 1, eb);
        if (e) {
            return e;
        }
    }
    return CG_OK;
}

cg_err run_end(struct run_out *r, struct run_record *rec, struct cg_errbuf *eb)
{
    uint32_t left = pages_of(r->rec.entries) - r->page;
    cg_err e = left ? write_pages(r, left, eb) : CG_OK;
    if (!e) {
        e = write_fences(r, eb);
    }
    bool lasts = r->rec.kind != RUN_TEMPORARY;
    if (!e && r->filter) {
        e = write_filters(r, eb);
    }
    if (!e && lasts) {
        e = r->s->io->sync(r->s->io->ctx, r->file);
    }
    if (!e && lasts) {
        e = r->s->io->sync_dir(r->s->io->ctx, "index");
    }
    if (e) {
        run_abandon(r);
        return e;
    }
    *rec = r->rec;
    run_out_free(r);
    return CG_OK;
}

void run_remove(struct store *s, enum run_kind kind, uint32_t id)
{
    const struct run_record rec = {.kind = (uint16_t)kind, .id = id};
    char path[PATH_BYTES];
    run_path(path, &rec);
    s->io->remove(s->io->ctx, path);
}

void run_abandon(struct run_out *r)
{
    char path[PATH_BYTES];
    if (r) {
        const struct store_io *io = r->s->io;
        run_path(path, &r->rec);
        run_out_free(r);
        io->remove(io->ctx, path);
    }
}
