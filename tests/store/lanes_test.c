/* Scores of several objects at once: the same as OpenSSL's of each, whatever their lengths and
 * however many there are. */
#include "../../lib/store/store__.h"
#include "tree_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { BYTES = 1 << 20, SIDE_BY_SIDE = 40 };
static uint8_t data[BYTES];

static void are_right(struct scorer *c, const struct cg_span *object, uint32_t n)
{
    for (int kind = STORE_DATA; kind <= STORE_NODE; kind++) {
        struct store_score made[SCORES_MAX + 1], alone;
        memset(made, 0xee, sizeof made);
        scorer_scores(c, (enum store_object)kind, object, n, made);
        for (uint32_t i = 0; i < n; i++) {
            scorer_score(c, (enum store_object)kind, object[i].data, object[i].len, &alone);
            assert_true(store_score_is(&made[i], &alone));
        }
        assert_int_equal(made[n].b[0], 0xee);
    }
}

static struct scorer *make(uint64_t *seed)
{
    uint8_t domain[KEY_BYTES];
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = (uint8_t)disk_random(seed);
    }
    for (size_t i = 0; i < sizeof domain; i++) {
        domain[i] = (uint8_t)disk_random(seed);
    }
    struct scorer *c = scorer_new(domain);
    assert_non_null(c);
    return c;
}

/* Around the ends of blocks and of their padding, each alone with others of its length. */
static void every_length(void **state)
{
    (void)state;
    uint64_t seed = 3;
    struct scorer *c = make(&seed);
    for (uint32_t len = 0; len <= 300; len++) {
        struct cg_span object[SIDE_BY_SIDE];
        for (uint32_t i = 0; i < SIDE_BY_SIDE; i++) {
            object[i] = (struct cg_span){.data = data + i * 301 + len % 7, .len = len};
        }
        for (uint32_t n = 0; n <= SIDE_BY_SIDE; n++) {
            are_right(c, object, n);
        }
    }
    scorer_free(c);
}

static void mixed_lengths(void **state)
{
    (void)state;
    uint64_t seed = kit_seed("store_lanes", 11);
    struct scorer *c = make(&seed);
    for (int round = 0; round < 500; round++) {
        struct cg_span object[SCORES_MAX];
        uint32_t n = (uint32_t)(disk_random(&seed) % (SCORES_MAX + 1));
        for (uint32_t i = 0; i < n; i++) {
            uint64_t r = disk_random(&seed);
            uint32_t most = (r & 7) == 0 ? 2 * STORE_CHUNK_BYTES_MAX : (r & 1) ? 200 : 5000;
            object[i].len = (uint32_t)((r >> 8) % (most + 1));
            object[i].data = data + (r >> 40) % (BYTES - object[i].len);
        }
        are_right(c, object, n);
    }
    scorer_free(c);
}

/* Where the longest chunks are, and beyond. */
static void long_ones(void **state)
{
    (void)state;
    uint64_t seed = 5;
    struct scorer *c = make(&seed);
    for (uint32_t len = 64900; len <= 65540; len += 7) {
        struct cg_span object[SIDE_BY_SIDE];
        for (uint32_t i = 0; i < SIDE_BY_SIDE; i++) {
            object[i] = (struct cg_span){.data = data + i, .len = len + i % 5};
        }
        are_right(c, object, 3);
        are_right(c, object, SIDE_BY_SIDE);
    }
    scorer_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_length),
        cmocka_unit_test(long_ones),
        cmocka_unit_test(mixed_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
