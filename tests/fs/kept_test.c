/* ramfs and a kill at every store into its book: a child runs one sequence of changes and is killed
 * at the n-th store, for every n. Its successor's tree must be what an undisturbed run had after
 * the last acknowledged change, or after the one that was under way.
 */
#include "../../srv/ramfs/ramfs.h"
#include "rig.h"

#include <cognu/book.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { RUNS = 6, CHANGES = 160, DATA_MAX = 3 * 4096 + 100, DEPTH_MAX = 8 };
#define BYTES (UINT64_C(4) << 20)

static uint8_t data[DATA_MAX];

static struct ramfs *open_tree(int fd, cg_err want)
{
    struct book *book = NULL;
    struct ramfs *fs = NULL;
    struct cg_errbuf eb = {0};
    struct book_config b = {.kind = RAMFS_BOOK,
                            .version = RAMFS_BOOK_VERSION,
                            .bytes = ramfs_book_bytes(BYTES),
                            .fd = dup(fd)};
    assert_int_equal(book_new(&b, &book, &eb), CG_OK);
    struct ramfs_config c = {.env = &cg_env_real,
                             .book = book,
                             .bytes_max = BYTES,
                             .owner = UINT64_C(1) << 63,
                             .group = UINT64_C(1) << 63};
    cg_err e = ramfs_new(&c, &fs, &eb);
    if (e != want) {
        printf("adoption: %s\n", eb.text);
    }
    assert_int_equal(e, want);
    return fs;
}

struct world {
    struct ramfs *fs;
    struct rig *rig;
    struct rig_client *c;
};

static void begin(struct world *w, int fd)
{
    w->fs = open_tree(fd, CG_OK);
    w->rig = rig_around(&ramfs_ops, w->fs, rig_bare());
    w->c = rig_attach(w->rig, 0, "");
}

static void end(struct world *w)
{
    rig_free_bare(w->rig);
    ramfs_free(w->fs);
    rig_close_loop(w->rig);
}

/* ---- one change, chosen by chance ---- */

static void path_of(uint64_t *r, char out[64])
{
    static const char *const paths[] = {"a",       "b", "c",   "d",   "d/a", "d/e",   "d/e/a",
                                        "d/e/b.b", "f", "f/a", "f/d", "a/x", "f/d/y", "long"};
    snprintf(out, 64, "%s", paths[rig_random(r) % CG_COUNT(paths)]);
}

static void write_some(struct rig_client *c, const char *path, uint32_t flags, uint64_t *r)
{
    uint32_t fid, count, len = (uint32_t)(rig_random(r) % DATA_MAX);
    uint64_t at = rig_random(r) % 20000;
    memset(data, (int)(rig_random(r) | 1), len);
    if (rig_open(c, path, flags, &fid) == CG_OK) {
        (void)rig_write(c, fid, at, data, len, &count);
        rig_clunk(c, fid);
    }
}

/* Its calls change something in one request at most; refusals are as good as any. */
static void change(struct rig_client *c, uint64_t *r)
{
    char p[64], q[64];
    path_of(r, p);
    path_of(r, q);
    uint64_t what = rig_random(r) % 17;
    uint32_t some = (uint32_t)(rig_random(r) % DATA_MAX);
    memset(data, (int)some | 1, some);
    switch (what) {
    case 0:
    case 1:
        (void)rig_mkdir(c, p, 0700 | (some & 077));
        break;
    case 2:
        (void)rig_create(c, p, NINEP_OPEN_RDWR | NINEP_OPEN_EXCL, 0600, NULL);
        break;
    case 3:
        (void)rig_symlink(c, "where it leads", p);
        break;
    case 4:
    case 5:
        write_some(c, p, NINEP_OPEN_RDWR, r);
        break;
    case 6:
        (void)rig_remove(c, p, (some & 1) != 0);
        break;
    case 7:
    case 8:
        (void)rig_rename(c, p, q, 0);
        break;
    case 9:
        (void)rig_rename(c, p, q, NINEP_RENAMEFLAG_EXCHANGE);
        break;
    case 10:
        (void)rig_link(c, p, q);
        break;
    case 11:
        (void)rig_truncate(c, p, some);
        break;
    case 12:
        (void)rig_put(c, p, 0, 0644, data, some);
        break;
    case 13:
    case 14:
        (void)rig_create(c, p, NINEP_OPEN_RDWR, 0640, NULL);
        break;
    case 15:
        (void)rig_setxattr(c, p, "user.of", data, some % 100, 0);
        break;
    default:
        (void)rig_chmod(c, p, some & 0777);
        break;
    }
}

/* ---- the whole tree as text ---- */

static void dump_contents(struct rig_client *c, const char *path, const struct ninep_attr *a,
                          struct cg_str *out)
{
    uint32_t fid, count = 0, sum = 0, len = 0;
    uint8_t piece[4096], value[128];
    char target[4096];
    if (S_ISLNK(a->mode)) {
        assert_int_equal(rig_readlink(c, path, target), CG_OK);
        cg_str_addf(out, " -> %s", target);
        return;
    }
    if (S_ISREG(a->mode)) {
        assert_int_equal(rig_open(c, path, NINEP_OPEN_READ, &fid), CG_OK);
        for (uint64_t at = 0; at < a->size; at += count) {
            assert_int_equal(rig_read(c, fid, at, piece, sizeof piece, &count), CG_OK);
            assert_true(count > 0);
            for (uint32_t i = 0; i < count; i++) {
                sum = sum * 31 + piece[i];
            }
        }
        rig_clunk(c, fid);
        cg_str_addf(out, " %llu bytes %08x", (unsigned long long)a->size, sum);
    }
    if (rig_getxattr(c, path, "user.of", value, sizeof value, &len) == CG_OK) {
        cg_str_addf(out, " attribute %u %02x", len, len ? value[0] : 0);
    }
}

static void dump(struct rig_client *c, const char *path, int depth, struct cg_str *out)
{
    struct ninep_attr a;
    assert_true(depth < DEPTH_MAX);
    assert_int_equal(rig_stat(c, path, &a), CG_OK);
    cg_str_addf(out, "%s %o %u file %llu", path, a.mode, a.nlink, (unsigned long long)a.id.file);
    dump_contents(c, path, &a, out);
    cg_str_add(out, "\n", 1);
    if (!S_ISDIR(a.mode)) {
        return;
    }
    struct cg_str names = {0};
    char *words[64], child[256];
    assert_int_equal(rig_names(c, path, &names), CG_OK);
    int n = names.data ? cg_tokenize(names.data, words, 64) : 0;
    for (int i = 0; i < n; i++) {
        snprintf(child, sizeof child, "%s%s%s", path, path[0] ? "/" : "", words[i]);
        dump(c, child, depth + 1, out);
    }
    cg_str_fini(&names);
}

static char *dump_of(struct world *w)
{
    struct cg_str s = {0};
    dump(w->c, "", 0, &s);
    return s.data;
}

/* ---- the kill ---- */

static uint64_t steps_left;

static void die_when_due(void)
{
    if (steps_left > 0 && --steps_left == 0) {
        _exit(9);
    }
}

static void work(int fd, uint64_t seed, uint64_t n, volatile uint32_t *acknowledged)
{
    struct world w;
    steps_left = n;
    book_on_step = die_when_due;
    begin(&w, fd);
    for (uint32_t i = 0; i < CHANGES; i++) {
        change(w.c, &seed);
        *acknowledged = i + 1;
    }
    _exit(0);
}

static int fresh_memory(void)
{
    int fd;
    assert_int_equal(book_memory("tree", ramfs_book_bytes(BYTES), &fd, NULL), CG_OK);
    return fd;
}

static char *after[CHANGES + 1];

static void undisturbed(uint64_t seed)
{
    struct world w;
    int fd = fresh_memory();
    begin(&w, fd);
    after[0] = dump_of(&w);
    for (uint32_t i = 0; i < CHANGES; i++) {
        change(w.c, &seed);
        after[i + 1] = dump_of(&w);
    }
    end(&w);
    close(fd);
}

static bool kill_at(uint64_t seed, uint64_t n, volatile uint32_t *acknowledged)
{
    struct world w;
    int fd = fresh_memory(), status = 0;
    *acknowledged = 0;
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        work(fd, seed, n, acknowledged);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9));
    bool killed = WEXITSTATUS(status) == 9;
    begin(&w, fd);
    char *now = dump_of(&w);
    uint32_t i = *acknowledged;
    bool right = strcmp(now, after[i]) == 0 || (killed && strcmp(now, after[i + 1]) == 0);
    if (!right) {
        printf("killed at store %llu, %u changes acknowledged; want\n%sor\n%sbut it is\n%s",
               (unsigned long long)n, i, after[i], killed ? after[i + 1] : "", now);
    }
    assert_true(right);
    for (int more = 0; more < 5; more++) { /* and it goes on */
        change(w.c, &seed);
    }
    cg_free(now);
    end(&w);
    close(fd);
    return killed;
}

static void a_kill_at_any_store_keeps_what_was_acknowledged(void **state)
{
    (void)state;
    uint64_t random = rig_seed(), stores = 0;
    volatile uint32_t *acknowledged =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    for (int run = 0; run < RUNS; run++) {
        uint64_t seed = rig_random(&random), n = 1;
        undisturbed(seed);
        while (kill_at(seed, n, acknowledged)) {
            n++;
        }
        stores += n - 1;
        for (uint32_t i = 0; i <= CHANGES; i++) {
            cg_free(after[i]);
        }
    }
    printf("killed at each of %llu stores\n", (unsigned long long)stores);
    assert_true(stores > 500);
}

/* ---- what is not adopted ---- */

/* The i-th record of the book is gone; what it was: 0, there are not so many. */
static uint16_t lose_record(int fd, uint64_t i)
{
    struct book *book = NULL;
    struct book_config b = {.kind = RAMFS_BOOK,
                            .version = RAMFS_BOOK_VERSION,
                            .bytes = ramfs_book_bytes(BYTES),
                            .fd = dup(fd)};
    assert_int_equal(book_new(&b, &book, NULL), CG_OK);
    uint64_t cursor = 0;
    void *record = book_next(book, &cursor);
    while (record && i-- > 0) {
        record = book_next(book, &cursor);
    }
    uint16_t kind = record ? book_head(book, record)->kind : 0;
    if (record) {
        book_drop(book, record);
        book_commit(book);
    }
    book_free(book);
    return kind;
}

static int some_tree(uint64_t seed)
{
    struct world w;
    int fd = fresh_memory();
    begin(&w, fd);
    for (uint32_t i = 0; i < CHANGES; i++) {
        change(w.c, &seed);
    }
    end(&w);
    return fd;
}

static void a_damaged_tree_is_refused(void **state)
{
    (void)state;
    enum { NAME = 3, TARGET = 5 }; /* of enum ram_kind: without these it is no tree */
    uint32_t refused = 0;
    uint64_t seed = rig_seed();
    for (uint64_t i = 0;; i++) {
        int fd = some_tree(seed);
        uint16_t kind = lose_record(fd, i);
        if (kind == 0) {
            close(fd);
            break;
        }
        bool needed = kind <= NAME || kind == TARGET;
        struct ramfs *fs = open_tree(fd, needed ? CG_EBADFORMAT : CG_OK);
        refused += needed;
        if (fs) {
            ramfs_free(fs);
        }
        close(fd);
    }
    printf("each of %u records was missed\n", refused);
    assert_true(refused > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_kill_at_any_store_keeps_what_was_acknowledged),
        cmocka_unit_test(a_damaged_tree_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
