/* See tree_testkit.h. */
#include "tree_testkit.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct store_secret secret = {.kind = STORE_PASSPHRASE, .text = "test"};

struct store_options kit_options(void)
{
    return (struct store_options){
        .cache_pages = 64, .cache_frames = 4, .list_entries = 3, .scrypt_log_n = 1};
}

cg_err kit_init(const struct store_io *io)
{
    struct store_options o = kit_options();
    char recovery[STORE_RECOVERY_CHARS];
    struct cg_errbuf eb = {0};
    return store_init(io, &o, &secret, NULL, recovery, &eb);
}

struct store *kit_open_as(const struct store_io *io, const struct store_options *o, cg_err *e)
{
    struct cg_errbuf eb = {0};
    struct store *s = NULL;
    *e = store_open(io, o, &secret, &s, &eb);
    return s;
}

struct store *kit_open(const struct store_io *io, cg_err *e)
{
    struct store_options o = kit_options();
    return kit_open_as(io, &o, e);
}

static void new_file(struct shadow_file *f, uint64_t *seed)
{
    uint64_t r = disk_random(seed);
    static const uint32_t sizes[] = {0, 10, 64, 65, 3000, 12000, 40000, 150000};
    *f = (struct shadow_file){.dir = (uint32_t)(r % SHADOW_DIRS),
                              .name = (uint32_t)(r >> 8 & 0xffff),
                              .size = sizes[r >> 24 & 7] + (uint32_t)(r >> 32 & 7),
                              .hole = (r >> 40 & 15) == 0 ? 100000 : 0,
                              .seed = r >> 48 &
                                      31}; /* few seeds, so that files are equal now and then */
}

static bool has_name(const struct shadow *t, const struct shadow_file *f)
{
    for (uint32_t i = 0; i < t->files; i++) {
        if (t->file[i].dir == f->dir && t->file[i].name == f->name) {
            return true;
        }
    }
    return false;
}

static void add_file(struct shadow *t, uint64_t *seed)
{
    struct shadow_file f;
    new_file(&f, seed);
    if (t->files < SHADOW_FILES_MAX && !has_name(t, &f)) {
        t->file[t->files++] = f;
    }
}

void shadow_random(struct shadow *t, uint64_t *seed)
{
    memset(t, 0, sizeof *t);
    for (int i = 0; i < 12; i++) {
        add_file(t, seed);
    }
}

void shadow_change(struct shadow *t, uint64_t *seed)
{
    for (int i = 0; i < 4; i++) {
        uint64_t r = disk_random(seed);
        if (r % 3 == 0 || t->files == 0) {
            add_file(t, seed);
        } else if (r % 3 == 1) {
            t->file[(r >> 8) % t->files] = t->file[t->files - 1];
            t->files--;
        } else {
            struct shadow_file *f = &t->file[(r >> 8) % t->files];
            f->edit_at = f->size ? 1 + (uint32_t)(r >> 16) % f->size : 0;
        }
    }
}

static uint8_t *contents(const struct shadow_file *f)
{
    uint8_t *data = malloc(f->size + 8);
    uint64_t seed = f->seed, word = 0;
    assert(data);
    for (uint32_t i = 0; i < f->size; i++) { /* half of it compresses */
        if (i % 16 == 0) {
            word = disk_random(&seed);
        }
        data[i] = i % 16 < 8 ? (uint8_t)(word >> i % 8 * 8) : (uint8_t)'x';
    }
    if (f->edit_at) {
        data[f->edit_at - 1] ^= 0x55;
    }
    return data;
}

static int by_name(const void *a, const void *b)
{
    char x[16], y[16];
    snprintf(x, sizeof x, "f%u", (*(const struct shadow_file *const *)a)->name);
    snprintf(y, sizeof y, "f%u", (*(const struct shadow_file *const *)b)->name);
    return strcmp(x, y);
}

static size_t files_of(const struct shadow *t, uint32_t dir, const struct shadow_file **list)
{
    size_t n = 0;
    for (uint32_t i = 0; i < t->files; i++) {
        if (t->file[i].dir == dir) {
            list[n++] = &t->file[i];
        }
    }
    if (n) {
        qsort(list, n, sizeof *list, by_name);
    }
    return n;
}

static cg_err put_file(struct store_stream *stream, const struct shadow_file *f,
                       struct store_entry *e, struct cg_errbuf *eb)
{
    uint8_t *data = contents(f);
    store_stream_begin(stream);
    cg_err err = f->hole ? store_stream_hole(stream, f->hole, eb) : CG_OK;
    err = err ? err : store_stream_write(stream, data, f->size, eb);
    err = err ? err : store_stream_end(stream, e, eb);
    free(data);
    return err;
}

static cg_err put_dir(struct store_writer *w, struct store_stream *stream, const struct shadow *t,
                      uint32_t dir, const struct store_entry *subdirs, struct store_score *out,
                      struct cg_errbuf *eb)
{
    const struct shadow_file *list[SHADOW_FILES_MAX];
    struct store_builder *b = NULL;
    size_t n = files_of(t, dir, list);
    cg_err e = store_builder_new(w, &b);
    for (uint32_t i = 1; subdirs && i < SHADOW_DIRS && !e; i++) { /* "d1" stands before "f..." */
        e = store_builder_add(b, &subdirs[i], eb);
    }
    for (size_t i = 0; i < n && !e; i++) {
        char name[16];
        struct store_entry entry = {
            .kind = STORE_FILE, .mode = 0644, .nlink = 1, .ino = list[i]->name};
        snprintf(name, sizeof name, "f%u", list[i]->name);
        entry.name = cg_span_of(name);
        e = put_file(stream, list[i], &entry, eb);
        e = e ? e : store_builder_add(b, &entry, eb);
    }
    e = e ? e : store_builder_end(b, out, eb);
    store_builder_free(b);
    return e;
}

cg_err kit_tree(struct store_writer *w, const struct shadow *t, struct store_score *out,
                const char *name)
{
    struct store_stream *stream = NULL;
    struct store_snapshot snap = {.mode = 0755, .time_ns = cg_env_real.wall_ns(NULL)};
    struct store_entry dirs[SHADOW_DIRS];
    char names[SHADOW_DIRS][8];
    struct cg_errbuf eb = {0};
    cg_err e = store_stream_new(w, &stream);
    for (uint32_t i = 1; i < SHADOW_DIRS && !e; i++) {
        snprintf(names[i], sizeof names[i], "d%u", i);
        dirs[i] = (struct store_entry){
            .kind = STORE_DIR, .mode = 0755, .nlink = 1, .name = cg_span_of(names[i])};
        e = put_dir(w, stream, t, i, NULL, &dirs[i].score, &eb);
    }
    e = e ? e : put_dir(w, stream, t, 0, dirs, &snap.root, &eb);
    snprintf(snap.name, sizeof snap.name, "%s", name);
    e = e ? e : store_snapshot_put(w, &snap, out, &eb);
    store_stream_free(stream);
    return e;
}

cg_err kit_put(struct store_writer *w, const struct shadow *t, const char *name,
               enum store_commit how)
{
    struct store_score score;
    struct cg_errbuf eb = {0};
    struct store_ref_change change = {.name = name, .score = &score};
    cg_err e = kit_tree(w, t, &score, name);
    return e ? e : store_commit(w, &change, 1, how, &eb);
}

/* ---- comparing ---- */

static cg_err compare_file(struct store *s, const struct store_entry *e,
                           const struct shadow_file *f, struct cg_errbuf *eb)
{
    size_t all = (size_t)f->hole + f->size, got;
    uint8_t *read = malloc(all + 1), *want = contents(f);
    assert(read && e->size == all);
    cg_err err = store_read(s, e, 0, read, all + 1, &got, eb);
    if (!err) {
        assert(got == all && memcmp(read + f->hole, want, f->size) == 0);
        for (uint32_t i = 0; i < f->hole; i++) {
            assert(read[i] == 0);
        }
    }
    free(read);
    free(want);
    return err;
}

static cg_err compare_dir(struct store *s, const struct store_score *score, const struct shadow *t,
                          uint32_t dir, struct cg_errbuf *eb)
{
    const struct shadow_file *list[SHADOW_FILES_MAX];
    size_t n = files_of(t, dir, list), i = 0;
    struct store_dir *d;
    struct store_entry entry;
    uint32_t subdirs = 0;
    cg_err e = store_dir_open(s, score, &d, eb);
    if (e) {
        return e;
    }
    while (!e && (e = store_dir_next(d, &entry, eb)) == CG_OK) {
        char name[16];
        if (entry.kind == STORE_DIR) {
            snprintf(name, sizeof name, "d%u", ++subdirs);
            assert(dir == 0 && cg_span_is(entry.name, name));
            struct store_score sub = entry.score;
            e = compare_dir(s, &sub, t, subdirs, eb);
            continue;
        }
        assert(i < n);
        snprintf(name, sizeof name, "f%u", list[i]->name);
        assert(entry.kind == STORE_FILE && cg_span_is(entry.name, name));
        e = compare_file(s, &entry, list[i++], eb);
    }
    store_dir_close(d);
    if (e == CG_ENOENT && !eb->text[0]) {
        assert(i == n && subdirs == (dir == 0 ? SHADOW_DIRS - 1 : 0));
        return CG_OK;
    }
    return e;
}

cg_err kit_compare(struct store *s, const char *name, const struct shadow *t)
{
    struct store_refinfo ref;
    struct store_snapshot snap;
    struct cg_errbuf eb = {0};
    cg_err e = store_ref_get(s, name, &ref);
    e = e ? e : store_snapshot_get(s, &ref.score, &snap, &eb);
    e = e ? e : compare_dir(s, &snap.root, t, 0, &eb);
    if (e && getenv("COGNU_TEST_VERBOSE")) {
        fprintf(stderr, "%s: %s %s\n", name, cg_err_name(e), eb.text);
    }
    return e;
}

uint64_t kit_seed(const char *test, uint64_t otherwise)
{
    const char *text = getenv("COGNU_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : otherwise;
    printf("%s: COGNU_SEED=%llu\n", test, (unsigned long long)seed);
    return seed;
}

bool kit_full(void)
{
    const char *text = getenv("COGNU_FULL");
    return text && strcmp(text, "1") == 0;
}
