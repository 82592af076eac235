/* The gate's look at passing frames: whatever pieces the bytes come in, and whatever they are. */
#include "gate.h"
#include <cognu/ninep.h>
#include <cognu/stats.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static uint8_t bytes[2][4096];
static uint32_t len[2];

static void put_request(uint16_t tag, uint64_t trace, uint32_t body)
{
    struct cg_buf b = cg_buf_writer(bytes[1] + len[1], sizeof bytes[1] - len[1]);
    struct ninep_thead h = {.size = NINEP_T_HEADER_BYTES + body,
                            .type = NINEP_TREAD,
                            .tag = tag,
                            .seq = 1,
                            .trace = trace};
    ninep_put_thead(&b, &h);
    len[1] += h.size;
}

static void put_reply(uint16_t tag, uint32_t body)
{
    struct cg_buf b = cg_buf_writer(bytes[0] + len[0], sizeof bytes[0] - len[0]);
    struct ninep_rhead h = {.size = NINEP_R_HEADER_BYTES + body, .type = NINEP_RREAD, .tag = tag};
    ninep_put_rhead(&b, &h);
    len[0] += h.size;
}

static uint64_t steps(void)
{
    return cg_stats_own()->steps;
}

static void pieces(struct link *l, bool to_net, uint32_t most)
{
    for (uint32_t at = 0; at < len[to_net];) {
        uint32_t n = 1 + (uint32_t)rand() % most;
        n = n < len[to_net] - at ? n : len[to_net] - at;
        tap(l, to_net, bytes[to_net] + at, n);
        at += n;
    }
}

static void any_pieces_do(void **state)
{
    (void)state;
    const char *set = getenv("COGNU_SEED");
    unsigned seed = set ? (unsigned)strtoul(set, NULL, 10) : (unsigned)time(NULL);
    printf("COGNU_SEED=%u\n", seed);
    srand(seed);
    for (int round = 0; round < 200; round++) {
        struct link *l = calloc(1, sizeof *l);
        uint64_t before = steps(), traced = 0;
        len[0] = len[1] = 0;
        memset(bytes, 0, sizeof bytes);
        l->dialed = round % 2;
        for (uint16_t tag = 0; tag < 20; tag++) {
            uint64_t trace = rand() % 2 ? 77 : 0;
            traced += trace != 0;
            put_request(tag, trace, (uint32_t)rand() % 100);
            put_reply(tag, (uint32_t)rand() % 100);
        }
        pieces(l, true, 1 + (uint32_t)rand() % 60);
        pieces(l, false, 1 + (uint32_t)rand() % 60);
        assert_int_equal(steps() - before, traced);
        const struct cg_step *s = &cg_stats_own()->step[(steps() - 1) % CG_STATS_STEPS_MAX];
        assert_int_equal(s->trace, 77);
        assert_int_equal(s->layer, l->dialed ? CG_LAYER_NEAR : CG_LAYER_FAR);
        assert_string_equal(s->what, "Tread");
        free(l);
    }
}

static void other_bytes_are_left_alone(void **state)
{
    (void)state;
    struct link *l = calloc(1, sizeof *l);
    uint64_t before = steps();
    memset(bytes, 0xff, sizeof bytes); /* a frame of 4 GiB */
    tap(l, true, bytes[1], 100);
    assert_true(l->tap.way[1].blind);
    tap(l, true, bytes[1], 100);
    const uint8_t version[] = {13, 0, 0, 0, 100, 0xff, 0xff, 1, 0, 0, 0, 0, 0}; /* of 9P2000 */
    for (int i = 0; i < 3; i++) {
        tap(l, false, version, sizeof version);
    }
    assert_false(l->tap.way[0].blind);
    assert_int_equal(l->tap.way[0].skip + l->tap.way[0].have, 0);
    for (uint8_t size = 0; size < 7; size++) { /* too short, a byte at a time */
        memset(l, 0, sizeof *l);
        const uint8_t frame[] = {size, 0, 0, 0, NINEP_TREAD, 0, 0, 0, 0, 0, 0, 0};
        for (size_t i = 0; i < sizeof frame; i++) {
            tap(l, true, frame + i, 1);
        }
        assert_true(l->tap.way[1].blind);
    }
    assert_int_equal(steps(), before);
    free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_pieces_do),
        cmocka_unit_test(other_bytes_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
