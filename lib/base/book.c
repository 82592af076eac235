/* book: see include/cognu/book.h.
 *
 *   chunk 0     struct first, then the chunk table: a uint16_t each, FREE, a class, LARGE or MORE
 *   chunk n     heads, as many as blocks, rounded up to a page, then the blocks;
 *               LARGE: one head in the first page, the record behind it and in the MORE chunks
 *
 * Order of stores, each before the next: a record's bytes and numbers, its birth, the commit; a
 * death, the commit, the freeing. A chunk gets its class when it is all zero, and loses it before
 * it is given back to the host.
 */
#include <cognu/book.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    CHUNK_BYTES = 256 << 10,
    PAGE_BYTES = 4096,
    CLASS_SHIFT = 6, /* the smallest block has 64 bytes */
    CLASSES = 11,    /* 64 bytes to 64 KiB */
    FREE = 0,        /* of the chunk table; class c stands as c + 1 */
    LARGE = CLASSES + 1,
    MORE = LARGE + 1,
    CHUNKS_MAX = (CHUNK_BYTES - PAGE_BYTES) / (int)sizeof(uint16_t),
    SPARES_MAX = 32, /* large blocks that are kept for the next: a megabyte is not cheap to zero */
    POPULATE_WRITE = 23, /* MADV_POPULATE_WRITE, newer than the headers */
};
#define MAGIC UINT64_C(0x6b6f6f622d756e67) /* "gnu-book" read backwards: little-endian only */

struct first {
    uint64_t magic;
    char kind[BOOK_KIND_BYTES];
    uint32_t version, head_bytes;
    uint64_t bytes;
    uint64_t committed;
};

/* What the process knows of a chunk. */
struct chunk {
    uint32_t used;       /* blocks */
    uint32_t free_head;  /* index of a free block, NONE: none in the chain */
    uint32_t fresh;      /* blocks from here on were never used */
    uint32_t next, prev; /* chunks of the class with room; NONE ends */
    bool linked;
};
enum { NONE = UINT32_MAX };

struct book {
    uint32_t blocks[CLASSES], heads[CLASSES]; /* of a chunk: how many, and bytes of their heads */
    uint8_t *base;                            /* aligned to CHUNK_BYTES */
    uint8_t *map;                             /* what munmap wants */
    size_t map_bytes;
    struct first *first;
    uint16_t *table;
    struct chunk *chunk;
    uint32_t chunks, room[CLASSES]; /* first chunk with room of each class */
    uint32_t search;                /* where the search for free chunks begins */
    uint64_t now;
    struct book_head *dying;            /* by next, as a pointer */
    uint32_t spare[SPARES_MAX], spares; /* first chunks of free large blocks */
    int fd;
    bool adopted;
    uint64_t chunks_used;
};

void (*book_on_step)(void);

/* What was stored before this is seen by whoever sees what is stored after it. */
static void step(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
    if (book_on_step) {
        book_on_step();
    }
}

/* ---- geometry ---- */

static uint32_t class_bytes(uint32_t c)
{
    return UINT32_C(1) << (CLASS_SHIFT + c);
}

static uint32_t heads_bytes(uint32_t blocks)
{
    uint32_t bytes = blocks * (uint32_t)sizeof(struct book_head);
    return (bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
}

static uint32_t class_blocks(uint32_t c)
{
    uint32_t n = CHUNK_BYTES / (class_bytes(c) + (uint32_t)sizeof(struct book_head));
    while (heads_bytes(n) + n * class_bytes(c) > CHUNK_BYTES) {
        n--;
    }
    return n;
}

static uint32_t class_for(uint32_t len)
{
    uint32_t c = 0;
    while (c < CLASSES && class_bytes(c) < len) {
        c++;
    }
    return c; /* CLASSES: a large one */
}

static uint32_t large_chunks(uint32_t len)
{
    return (len + PAGE_BYTES + CHUNK_BYTES - 1) / CHUNK_BYTES;
}

static struct book_head *heads_of(const struct book *b, uint32_t chunk)
{
    return (struct book_head *)(void *)(b->base + (uint64_t)chunk * CHUNK_BYTES);
}

static uint8_t *block_of(const struct book *b, uint32_t chunk, uint32_t i)
{
    uint8_t *at = b->base + (uint64_t)chunk * CHUNK_BYTES;
    uint16_t t = b->table[chunk];
    if (t == LARGE) {
        return at + PAGE_BYTES;
    }
    uint32_t c = t - 1u;
    return at + b->heads[c] + (uint64_t)i * class_bytes(c);
}

/* Of a record: also of one that spans chunks, whose address is in its first. */
static uint32_t chunk_of(const struct book *b, const void *p)
{
    uint64_t at = (uint64_t)((const uint8_t *)p - b->base);
    cg_assert((const uint8_t *)p > b->base && at / CHUNK_BYTES < b->chunks);
    return (uint32_t)(at / CHUNK_BYTES);
}

struct book_head *book_head(const struct book *b, const void *record)
{
    uint32_t k = chunk_of(b, record);
    uint16_t t = b->table[k];
    cg_assert(t != FREE && t != MORE);
    if (t == LARGE) {
        return heads_of(b, k);
    }
    uint64_t i = (uint64_t)((const uint8_t *)record - block_of(b, k, 0)) >> (CLASS_SHIFT + t - 1u);
    cg_assert(block_of(b, k, (uint32_t)i) == record);
    return heads_of(b, k) + i;
}

/* ---- chunks with room ---- */

static void link_room(struct book *b, uint32_t k)
{
    struct chunk *c = &b->chunk[k];
    uint32_t class = b->table[k] - 1u;
    if (!c->linked) {
        c->linked = true;
        c->prev = NONE;
        c->next = b->room[class];
        if (c->next != NONE) {
            b->chunk[c->next].prev = k;
        }
        b->room[class] = k;
    }
}

static void unlink_room(struct book *b, uint32_t k)
{
    struct chunk *c = &b->chunk[k];
    if (c->linked) {
        c->linked = false;
        if (c->prev != NONE) {
            b->chunk[c->prev].next = c->next;
        } else {
            b->room[b->table[k] - 1u] = c->next;
        }
        if (c->next != NONE) {
            b->chunk[c->next].prev = c->prev;
        }
    }
}

/* Back to the host: reads as zero from here on. */
static void give_back(struct book *b, uint32_t k, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        step();
        b->table[k + i] = FREE;
        b->chunk[k + i] = (struct chunk){.free_head = NONE, .next = NONE, .prev = NONE};
    }
    step();
    b->chunks_used -= n;
    b->search = k < b->search ? k : b->search;
    uint8_t *at = b->base + (uint64_t)k * CHUNK_BYTES;
    size_t bytes = (size_t)n * CHUNK_BYTES;
    if (madvise(at, bytes, b->fd >= 0 ? MADV_REMOVE : MADV_DONTNEED) != 0) {
        memset(at, 0, bytes);
    }
}

/* What cannot be had is said now; a page fault could only kill. And all pages at once cost less
 * than a fault each. */
static bool has_memory(struct book *b, uint32_t k, uint32_t n)
{
    size_t bytes = (size_t)n * CHUNK_BYTES;
    if (madvise(b->base + (uint64_t)k * CHUNK_BYTES, bytes, POPULATE_WRITE) == 0) {
        return true;
    }
    if (errno != EINVAL) { /* before Linux 5.14 it is not known */
        return false;
    }
    return b->fd < 0 ||
           fallocate(b->fd, FALLOC_FL_KEEP_SIZE, (off_t)k * CHUNK_BYTES, (off_t)bytes) == 0;
}

/* n chunks in a row that are all zero; NONE: there are none. */
static uint32_t take_chunks(struct book *b, uint32_t n)
{
    uint32_t run = 0;
    for (uint32_t k = b->search; k < b->chunks; k++) {
        run = b->table[k] == FREE ? run + 1 : 0;
        if (run < n) {
            continue;
        }
        k = k + 1 - n;
        if (!has_memory(b, k, n)) {
            return NONE;
        }
        if (k == b->search) {
            b->search = k + n;
        }
        b->chunks_used += n;
        return k;
    }
    return NONE;
}

static void give_back_spares(struct book *b)
{
    while (b->spares > 0) {
        uint32_t k = b->spare[--b->spares];
        give_back(b, k, large_chunks(heads_of(b, k)->len));
    }
}

static uint32_t chunk_with_room(struct book *b, uint32_t class)
{
    if (b->room[class] != NONE) {
        return b->room[class];
    }
    uint32_t k = take_chunks(b, 1);
    if (k == NONE && b->spares > 0) {
        give_back_spares(b);
        k = take_chunks(b, 1);
    }
    if (k != NONE) {
        step();
        b->table[k] = (uint16_t)(class + 1);
        b->chunk[k] = (struct chunk){.free_head = NONE};
        link_room(b, k);
    }
    return k;
}

/* ---- records ---- */

/* The block's first len bytes are zero. */
static struct book_head *take_block(struct book *b, uint32_t class, uint32_t len, uint8_t **data)
{
    uint32_t k = chunk_with_room(b, class);
    if (k == NONE) {
        return NULL;
    }
    struct chunk *c = &b->chunk[k];
    uint32_t i = c->free_head;
    bool used = i != NONE;
    if (used) {
        c->free_head = (uint32_t)heads_of(b, k)[i].next;
    } else {
        i = c->fresh++;
    }
    c->used++;
    if (c->free_head == NONE && c->fresh == b->blocks[class]) {
        unlink_room(b, k);
    }
    *data = block_of(b, k, i);
    if (used) {
        memset(*data, 0, len);
    }
    return heads_of(b, k) + i;
}

/* A free large block of so many chunks; NONE: there is none. */
static uint32_t take_spare(struct book *b, uint32_t n)
{
    for (uint32_t i = b->spares; i-- > 0;) {
        uint32_t k = b->spare[i];
        if (large_chunks(heads_of(b, k)->len) == n) {
            b->spare[i] = b->spare[--b->spares];
            return k;
        }
    }
    return NONE;
}

static uint32_t new_large(struct book *b, uint32_t n)
{
    uint32_t k = take_chunks(b, n);
    if (k == NONE && b->spares > 0) {
        give_back_spares(b);
        k = take_chunks(b, n);
    }
    for (uint32_t i = n; k != NONE && i-- > 0;) { /* MORE without LARGE is nothing */
        step();
        b->table[k + i] = i > 0 ? MORE : LARGE;
    }
    return k;
}

static struct book_head *take_large(struct book *b, uint32_t len, bool zero, uint8_t **data)
{
    uint32_t n = large_chunks(len), k = take_spare(b, n);
    bool used = k != NONE;
    k = used ? k : new_large(b, n);
    if (k == NONE) {
        return NULL;
    }
    b->chunk[k].used = 1;
    *data = block_of(b, k, 0);
    if (used && zero) {
        memset(*data, 0, len);
    }
    return heads_of(b, k);
}

static void *add(struct book *b, uint16_t kind, uint64_t a, uint64_t b_number, uint32_t len,
                 bool zero)
{
    uint8_t *data = NULL;
    uint32_t class = class_for(len);
    cg_assert(len <= BOOK_RECORD_BYTES_MAX);
    struct book_head *h = class < CLASSES ? take_block(b, class, zero ? len : 0, &data)
                                          : take_large(b, len, zero, &data);
    if (!h) {
        return NULL;
    }
    cg_assert(h->born == 0);
    h->dead = 0;
    h->a = a;
    h->b = b_number;
    h->len = len;
    h->kind = kind;
    h->class = (uint16_t) class;
    step();
    h->born = b->now;
    return data;
}

void *book_add(struct book *b, uint16_t kind, uint64_t a, uint64_t b_number, uint32_t len)
{
    return add(b, kind, a, b_number, len, true);
}

void *book_add_raw(struct book *b, uint16_t kind, uint64_t a, uint64_t b_number, uint32_t len)
{
    return add(b, kind, a, b_number, len, false);
}

static void free_block(struct book *b, struct book_head *h)
{
    uint32_t k = chunk_of(b, (uint8_t *)h + 1), len = h->len;
    step();
    h->born = 0;
    if (b->table[k] == LARGE) {
        b->chunk[k].used = 0;
        if (b->spares < SPARES_MAX) {
            b->spare[b->spares++] = k;
        } else {
            give_back(b, k, large_chunks(len));
        }
        return;
    }
    struct chunk *c = &b->chunk[k];
    uint32_t i = (uint32_t)(h - heads_of(b, k));
    h->next = c->free_head;
    c->free_head = i;
    c->used--;
    link_room(b, k);
    /* The last chunk of a class stays, so that one record that comes and goes is cheap. */
    if (c->used == 0 && (b->room[b->table[k] - 1u] != k || c->next != NONE)) {
        unlink_room(b, k);
        give_back(b, k, 1);
    }
}

void book_drop(struct book *b, void *record)
{
    struct book_head *h = book_head(b, record);
    cg_assert(h->born != 0 && h->dead == 0);
    if (h->born == b->now) {
        free_block(b, h);
        return;
    }
    h->next = (uint64_t)(uintptr_t)b->dying;
    b->dying = h;
    step();
    h->dead = b->now;
}

void book_commit(struct book *b)
{
    step();
    b->first->committed = b->now;
    step();
    b->now++;
    while (b->dying) {
        struct book_head *h = b->dying;
        b->dying = (struct book_head *)(uintptr_t)h->next;
        free_block(b, h);
    }
}

uint64_t book_now(const struct book *b)
{
    return b->now;
}

uint64_t book_committed(const struct book *b)
{
    return b->now - 1;
}

bool book_adopted(const struct book *b)
{
    return b->adopted;
}

uint64_t book_bytes(const struct book *b)
{
    return b->chunks_used * CHUNK_BYTES;
}

/* The cursor is chunk << 32 | block, of the next to look at. */
void *book_next(const struct book *b, uint64_t *cursor)
{
    uint32_t k = (uint32_t)(*cursor >> 32), i = (uint32_t)*cursor;
    for (k = k ? k : 1; k < b->chunks; k++, i = 0) {
        uint16_t t = b->table[k];
        if (t == FREE || t == MORE) {
            continue;
        }
        uint32_t n = t == LARGE ? 1 : b->blocks[t - 1u];
        for (; i < n; i++) {
            const struct book_head *h = heads_of(b, k) + i;
            if (h->born != 0 && h->dead == 0) {
                *cursor = (uint64_t)k << 32 | (i + 1);
                return block_of(b, k, i);
            }
        }
    }
    *cursor = (uint64_t)b->chunks << 32;
    return NULL;
}

/* ---- adoption ---- */

static bool head_ok(const struct book_head *h, uint32_t class)
{
    uint32_t max = class < CLASSES ? class_bytes(class) : BOOK_RECORD_BYTES_MAX;
    return h->len <= max && h->class == class && (class < CLASSES || class_for(h->len) == CLASSES);
}

/* Born too late: never was. Died too late: lives. */
static void settle(const struct book *b, struct book_head *h)
{
    uint64_t committed = b->first->committed;
    if (h->born > committed || (h->dead != 0 && h->dead <= committed)) {
        h->born = 0;
    }
    h->dead = 0;
}

static cg_err adopt_chunk(struct book *b, uint32_t k, struct cg_errbuf *eb)
{
    uint32_t class = b->table[k] - 1u, n = b->blocks[class];
    struct chunk *c = &b->chunk[k];
    b->chunks_used++;
    c->fresh = n;
    for (uint32_t i = n; i-- > 0;) {
        struct book_head *h = heads_of(b, k) + i;
        settle(b, h);
        if (h->born == 0) {
            h->next = c->free_head;
            c->free_head = i;
        } else if (!head_ok(h, class)) {
            return cg_fail(eb, CG_EBADFORMAT, "block %u of chunk %u is damaged", i, k);
        } else {
            c->used++;
        }
    }
    if (c->used == 0) {
        give_back(b, k, 1);
    } else if (c->free_head != NONE) {
        link_room(b, k);
    }
    return CG_OK;
}

static cg_err adopt_large(struct book *b, uint32_t *k, struct cg_errbuf *eb)
{
    struct book_head *h = heads_of(b, *k);
    uint32_t n = 1, at = *k;
    while (at + n < b->chunks && b->table[at + n] == MORE) {
        n++;
    }
    settle(b, h);
    *k += n - 1;
    b->chunks_used += n;
    if (h->born == 0) {
        give_back(b, at, n);
        return CG_OK;
    }
    b->chunk[at].used = 1;
    /* Two large records may touch: the first's MORE end where the second's LARGE stands. */
    return head_ok(h, CLASSES) && large_chunks(h->len) == n
               ? CG_OK
               : cg_fail(eb, CG_EBADFORMAT, "the large record at chunk %u is damaged", at);
}

static cg_err adopt(struct book *b, struct cg_errbuf *eb)
{
    cg_err e = CG_OK;
    b->now = b->first->committed + 1;
    b->adopted = true;
    for (uint32_t k = 1; k < b->chunks && e == CG_OK; k++) {
        uint16_t t = b->table[k];
        if (t == FREE || t == MORE) { /* MORE without LARGE: its taking was cut short */
            b->chunks_used++;
            give_back(b, k, 1);
        } else if (t == LARGE) {
            e = adopt_large(b, &k, eb);
        } else if (t <= CLASSES) {
            e = adopt_chunk(b, k, eb);
        } else {
            e = cg_fail(eb, CG_EBADFORMAT, "chunk %u has no class that is known", k);
        }
    }
    return e;
}

static void format(struct book *b, const struct book_config *config)
{
    struct first *f = b->first;
    memcpy(f->kind, config->kind, strlen(config->kind));
    f->version = config->version;
    f->head_bytes = sizeof(struct book_head);
    f->bytes = config->bytes;
    step();
    f->magic = MAGIC;
    b->now = 1;
}

static cg_err check_first(const struct first *f, const struct book_config *config,
                          struct cg_errbuf *eb)
{
    if (f->magic != MAGIC || f->bytes != config->bytes ||
        f->head_bytes != sizeof(struct book_head)) {
        return cg_fail(eb, CG_EBADFORMAT, "kept memory is no book of %llu bytes",
                       (unsigned long long)config->bytes);
    }
    if (strncmp(f->kind, config->kind, sizeof f->kind) != 0 || f->version != config->version) {
        return cg_fail(eb, CG_EBADFORMAT, "kept memory holds %.*s version %u, not %s version %u",
                       (int)sizeof f->kind, f->kind, f->version, config->kind, config->version);
    }
    return CG_OK;
}

/* ---- life ---- */

cg_err book_memory(const char *name, uint64_t bytes, int *fd, struct cg_errbuf *eb)
{
    *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd < 0 || ftruncate(*fd, (off_t)bytes) != 0 ||
        fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
        int why = errno;
        if (*fd >= 0) {
            close(*fd);
        }
        *fd = -1;
        return cg_fail(eb, cg_err_from_errno(why), "memory of %llu bytes for %s: %s",
                       (unsigned long long)bytes, name, strerror(why));
    }
    return CG_OK;
}

/* Maps the memory at an address that is a multiple of a chunk. */
static cg_err map(struct book *b, const struct book_config *config, struct cg_errbuf *eb)
{
    b->map_bytes = config->bytes + CHUNK_BYTES;
    b->map =
        mmap(NULL, b->map_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b->map == MAP_FAILED) {
        b->map = NULL;
        return cg_fail(eb, CG_ENOMEM, "no room for %llu bytes of records",
                       (unsigned long long)config->bytes);
    }
    uintptr_t at = ((uintptr_t)b->map + CHUNK_BYTES - 1) / CHUNK_BYTES * CHUNK_BYTES;
    int kind = config->fd >= 0 ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS;
    b->base = mmap((void *)at, config->bytes, PROT_READ | PROT_WRITE,
                   kind | MAP_FIXED | MAP_NORESERVE, config->fd, 0);
    if (b->base == MAP_FAILED) {
        return cg_fail(eb, CG_ENOMEM, "mapping %llu bytes of records: %s",
                       (unsigned long long)config->bytes, strerror(errno));
    }
    return CG_OK;
}

static cg_err check_config(const struct book_config *config, struct cg_errbuf *eb)
{
    struct stat st;
    cg_assert(config->bytes >= BOOK_BYTES_MIN && config->bytes <= BOOK_BYTES_MAX);
    cg_assert(config->bytes % BOOK_BYTES_MIN == 0);
    cg_assert(strlen(config->kind) < BOOK_KIND_BYTES);
    if (config->fd >= 0 && (fstat(config->fd, &st) != 0 || (uint64_t)st.st_size != config->bytes)) {
        return cg_fail(eb, CG_EBADFORMAT, "kept memory has not the %llu bytes that %s uses",
                       (unsigned long long)config->bytes, config->kind);
    }
    return CG_OK;
}

cg_err book_new(const struct book_config *config, struct book **out, struct cg_errbuf *eb)
{
    struct book *b = cg_zalloc(sizeof *b);
    if (!b) {
        if (config->fd >= 0) {
            close(config->fd);
        }
        return cg_fail(eb, CG_ENOMEM, "no memory for a book");
    }
    b->fd = config->fd;
    b->chunks = (uint32_t)(config->bytes / CHUNK_BYTES);
    b->search = 1;
    cg_assert(b->chunks <= CHUNKS_MAX);
    for (uint32_t i = 0; i < CLASSES; i++) {
        b->room[i] = NONE;
        b->blocks[i] = class_blocks(i);
        b->heads[i] = heads_bytes(b->blocks[i]);
    }
    cg_err e = check_config(config, eb);
    e = e ? e : map(b, config, eb);
    b->chunk = e ? NULL : cg_alloc(b->chunks * sizeof *b->chunk);
    e = e || b->chunk ? e : cg_fail(eb, CG_ENOMEM, "no memory for a book");
    if (e == CG_OK) {
        b->first = (struct first *)(void *)b->base;
        b->table = (uint16_t *)(void *)(b->base + PAGE_BYTES);
        for (uint32_t i = 0; i < b->chunks; i++) {
            b->chunk[i] = (struct chunk){.free_head = NONE, .next = NONE, .prev = NONE};
        }
        if (b->first->magic == 0) {
            format(b, config);
        } else {
            e = check_first(b->first, config, eb);
            e = e ? e : adopt(b, eb);
        }
    }
    if (e != CG_OK) {
        book_free(b);
        return e;
    }
    *out = b;
    return CG_OK;
}

void book_free(struct book *b)
{
    if (b->map) {
        munmap(b->map, b->map_bytes);
    }
    if (b->fd >= 0) {
        close(b->fd);
    }
    cg_free(b->chunk);
    cg_free(b);
}
