/* book: a model, and a kill at every store: a child works and is killed at its n-th store, for
 * every n; its book is adopted and holds what was committed, no less and no more.
 */
#include <cognu/book.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { KEYS = 24, COMMITS = 60, LEN_MAX = 700000, VERSION = 7 };
#define BYTES (UINT64_C(16) << 20)

static uint64_t next_random(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

static uint64_t seed_of_test(void)
{
    const char *text = getenv("COGNU_SEED");
    uint64_t seed = text ? strtoull(text, NULL, 0) : 0x9e3779b97f4a7c15;
    printf("replay with COGNU_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

/* What a book should hold: for each key the length of its record, 0: none; and a fill byte. */
struct model {
    uint32_t len[KEYS];
    uint8_t fill[KEYS];
};

static struct book *open_book(int fd)
{
    struct book *b = NULL;
    struct cg_errbuf eb = {0};
    struct book_config c = {.kind = "test", .version = VERSION, .bytes = BYTES, .fd = fd};
    cg_err e = book_new(&c, &b, &eb);
    if (e != CG_OK) {
        printf("%s\n", eb.text);
    }
    assert_int_equal(e, CG_OK);
    return b;
}

static bool holds(const struct book *b, const struct model *m)
{
    uint32_t found = 0, want = 0;
    uint64_t cursor = 0;
    uint8_t *p;
    while ((p = book_next(b, &cursor))) {
        const struct book_head *h = book_head(b, p);
        if (h->a >= KEYS || h->len != m->len[h->a] || h->kind != 3) {
            return false;
        }
        for (uint32_t i = 0; i < h->len; i++) {
            if (p[i] != m->fill[h->a]) {
                return false;
            }
        }
        found++;
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        want += m->len[i] > 0;
    }
    return found == want;
}

/* One transaction of up to three changes; the model follows. */
static void transaction(struct book *b, void **at, struct model *m, uint64_t *random)
{
    static const uint32_t lens[] = {1, 64, 65, 4096, 5000, 65536, 65537, 300000, LEN_MAX};
    uint64_t changes = next_random(random) % 4;
    for (uint64_t i = 0; i < changes; i++) {
        uint32_t key = (uint32_t)(next_random(random) % KEYS);
        uint32_t len = lens[next_random(random) % CG_COUNT(lens)];
        uint8_t fill = (uint8_t)(next_random(random) | 1);
        bool put = next_random(random) % 3 != 0;
        if (at && at[key]) {
            book_drop(b, at[key]);
        }
        if (at) {
            at[key] = put ? book_add(b, 3, key, 0, len) : NULL;
            assert_true(!put || at[key]);
            if (put) {
                memset(at[key], fill, len);
            }
        }
        m->len[key] = put ? len : 0;
        m->fill[key] = fill;
    }
    if (at) {
        book_commit(b);
    }
}

static void find_all(const struct book *b, void **at)
{
    uint64_t cursor = 0;
    void *p;
    memset(at, 0, KEYS * sizeof *at);
    while ((p = book_next(b, &cursor))) {
        at[book_head(b, p)->a] = p;
    }
}

static void agrees_with_a_model(void **state)
{
    (void)state;
    uint64_t random = seed_of_test();
    struct model m = {0};
    void *at[KEYS] = {0};
    int fd;
    assert_int_equal(book_memory("test", BYTES, &fd, NULL), CG_OK);
    struct book *b = open_book(dup(fd));
    assert_false(book_adopted(b));
    for (int i = 0; i < 600; i++) {
        transaction(b, at, &m, &random);
        assert_true(holds(b, &m));
        if (next_random(&random) % 20 == 0) {
            book_free(b);
            b = open_book(dup(fd));
            assert_true(book_adopted(b));
            assert_true(holds(b, &m));
            find_all(b, at);
        }
    }
    for (uint32_t i = 0; i < KEYS; i++) {
        if (at[i]) {
            book_drop(b, at[i]);
        }
    }
    book_commit(b);
    assert_true(book_bytes(b) <= (11 + 32 * 3) * (256 << 10)); /* a chunk a class, and spares */
    book_free(b);
    close(fd);
}

/* ---- the kill ---- */

static uint64_t steps_left;

static void die_when_due(void)
{
    if (--steps_left == 0) {
        _exit(9);
    }
}

static void work(int fd, uint64_t seed, uint64_t n, volatile uint32_t *acknowledged)
{
    struct model m = {0};
    void *at[KEYS] = {0};
    steps_left = n;
    book_on_step = die_when_due;
    struct book *b = open_book(fd);
    for (uint32_t i = 0; i < COMMITS; i++) {
        transaction(b, at, &m, &seed);
        *acknowledged = i + 1;
    }
    _exit(0);
}

/* The model after the first n transactions. */
static struct model model_after(uint64_t seed, uint32_t n)
{
    struct model m = {0};
    for (uint32_t i = 0; i < n; i++) {
        transaction(NULL, NULL, &m, &seed);
    }
    return m;
}

/* True while the child was killed. */
static bool kill_at(uint64_t seed, uint64_t n, volatile uint32_t *acknowledged)
{
    int fd, status = 0;
    *acknowledged = 0;
    assert_int_equal(book_memory("test", BYTES, &fd, NULL), CG_OK);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        work(fd, seed, n, acknowledged);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 9));
    struct book *b = open_book(fd);
    struct model before = model_after(seed, *acknowledged);
    struct model after = model_after(seed, *acknowledged + 1);
    bool killed = WEXITSTATUS(status) == 9;
    bool right = holds(b, &before) || (killed && holds(b, &after));
    if (!right) {
        printf("killed at store %llu after %u transactions\n", (unsigned long long)n,
               *acknowledged);
    }
    assert_true(right);
    void *at[KEYS]; /* and it goes on */
    find_all(b, at);
    transaction(b, at, &before, &seed);
    book_free(b);
    return killed;
}

static void a_kill_at_any_store_keeps_what_was_committed(void **state)
{
    (void)state;
    uint64_t seed = seed_of_test(), n = 1;
    volatile uint32_t *acknowledged =
        mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    while (kill_at(seed, n, acknowledged)) {
        n++;
    }
    printf("killed at each of %llu stores\n", (unsigned long long)n - 1);
    assert_true(n > 150);
}

/* ---- what is not adopted ---- */

static cg_err try_open(int fd, const char *kind, uint32_t version, uint64_t bytes,
                       struct cg_errbuf *eb)
{
    struct book *b = NULL;
    struct book_config c = {.kind = kind, .version = version, .bytes = bytes, .fd = dup(fd)};
    cg_err e = book_new(&c, &b, eb);
    if (e == CG_OK) {
        book_free(b);
    }
    return e;
}

static void refuses_what_it_does_not_know(void **state)
{
    (void)state;
    struct cg_errbuf eb = {0};
    int fd;
    assert_int_equal(book_memory("test", BYTES, &fd, NULL), CG_OK);
    struct book *b = open_book(dup(fd));
    assert_non_null(book_add(b, 1, 0, 0, 100));
    book_commit(b);
    book_free(b);
    assert_int_equal(try_open(fd, "test", VERSION, BYTES, &eb), CG_OK);
    assert_int_equal(try_open(fd, "other", VERSION, BYTES, &eb), CG_EBADFORMAT);
    assert_int_equal(try_open(fd, "test", VERSION + 1, BYTES, &eb), CG_EBADFORMAT);
    assert_int_equal(try_open(fd, "test", VERSION, BYTES * 2, &eb), CG_EBADFORMAT);
    uint16_t wild = 99; /* the class of chunk 1 */
    assert_int_equal(pwrite(fd, &wild, sizeof wild, 4096 + 2), sizeof wild);
    assert_int_equal(try_open(fd, "test", VERSION, BYTES, &eb), CG_EBADFORMAT);
    assert_non_null(strstr(eb.text, "chunk 1"));
    uint64_t nothing = 1;
    assert_int_equal(pwrite(fd, &nothing, sizeof nothing, 0), sizeof nothing);
    assert_int_equal(try_open(fd, "test", VERSION, BYTES, &eb), CG_EBADFORMAT);
    close(fd);
}

static void a_full_book_says_so(void **state)
{
    (void)state;
    struct book *b = open_book(-1);
    uint32_t n = 0;
    void *first = NULL, *p;
    while ((p = book_add(b, 1, n, 0, 4096))) {
        first = first ? first : p;
        n++;
    }
    assert_true(n > BYTES / 4096 * 9 / 10);
    book_commit(b);
    assert_null(book_add(b, 1, 0, 0, 4096));
    book_drop(b, first);
    assert_null(book_add(b, 1, 0, 0, 4096)); /* it is there until the commit */
    book_commit(b);
    assert_non_null(book_add(b, 1, 0, 0, 4096));
    book_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_a_model),
        cmocka_unit_test(a_kill_at_any_store_keeps_what_was_committed),
        cmocka_unit_test(refuses_what_it_does_not_know),
        cmocka_unit_test(a_full_book_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
