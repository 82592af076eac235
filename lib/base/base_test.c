/* Tests of lib/base: each named for the property that it shows. */
#include <cognu/base.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void error_codes_are_unique_and_named(void **state)
{
    (void)state;
    static const cg_err codes[] = {
#define CG_ERROR(name, code, errno_name, text, meaning) code,
#include <cognu/errors.def>
    };
    for (size_t i = 0; i < CG_COUNT(codes); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(codes[i], codes[j]);
        }
        assert_string_not_equal(cg_err_name(codes[i]), "UNLISTED");
        assert_true(cg_err_errno(codes[i]) > 0);
    }
    assert_int_equal(cg_err_errno(CG_ENOMOUNT), EPERM);
    assert_int_equal(cg_err_errno(9999), EIO);
    assert_int_equal(cg_err_errno(EDOM), EDOM);
    assert_string_equal(cg_err_name(9999), "UNLISTED");
}

static void context_goes_before_the_detail(void **state)
{
    (void)state;
    struct cg_errbuf eb = {0};
    cg_err e = cg_fail(&eb, CG_ENOENT, "no '%s'", "x");
    assert_int_equal(cg_context(&eb, e, "walk"), CG_ENOENT);
    assert_string_equal(eb.text, "walk: no 'x'");
    char longer[600];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = 0;
    cg_context(&eb, e, "%s", longer);
    assert_int_equal(strlen(eb.text), sizeof eb.text - 1);
}

static void a_short_buffer_turns_bad_and_reads_zero(void **state)
{
    (void)state;
    uint8_t bytes[] = {1, 2, 3, 4, 5, 6, 7};
    struct cg_buf b = cg_buf_reader(bytes, sizeof bytes);
    assert_int_equal(cg_get_u32(&b), 0x04030201);
    assert_int_equal(cg_get_u32(&b), 0);
    assert_true(b.bad);
    assert_int_equal(cg_get_u8(&b), 0);
    b = cg_buf_reader(bytes, sizeof bytes);
    assert_int_equal(cg_get_u64(&b), 0);
    assert_true(b.bad);
    uint8_t out[3];
    struct cg_buf w = cg_buf_writer(out, sizeof out);
    cg_put_u16(&w, 0x1234);
    cg_put_u16(&w, 1);
    assert_true(w.bad);
    assert_int_equal(w.pos, 2);
    assert_int_equal(out[0], 0x34);
}

static void numbers_round_trip(void **state)
{
    (void)state;
    uint8_t out[15];
    struct cg_buf w = cg_buf_writer(out, sizeof out);
    cg_put_u8(&w, 0xfe);
    cg_put_u16(&w, 0xfedc);
    cg_put_u32(&w, 0xfedcba98);
    cg_put_u64(&w, 0xfedcba9876543210);
    assert_false(w.bad);
    struct cg_buf r = cg_buf_reader(out, sizeof out);
    assert_int_equal(cg_get_u8(&r), 0xfe);
    assert_int_equal(cg_get_u16(&r), 0xfedc);
    assert_int_equal(cg_get_u32(&r), 0xfedcba98);
    assert_true(cg_get_u64(&r) == 0xfedcba9876543210);
    assert_int_equal(cg_buf_left(&r), 0);
}

static void names_that_walk_out_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"", ".", "..", "a/b", "/"};
    for (size_t i = 0; i < CG_COUNT(bad); i++) {
        assert_false(cg_name_ok(cg_span_of(bad[i])));
    }
    assert_true(cg_name_ok(cg_span_of("...")));
    assert_false(cg_name_ok((struct cg_span){(const uint8_t *)"a\0b", 3}));
    char name[257];
    memset(name, 'n', sizeof name);
    assert_true(cg_name_ok((struct cg_span){(const uint8_t *)name, 255}));
    assert_false(cg_name_ok((struct cg_span){(const uint8_t *)name, 256}));
}

static uint64_t seed_of_run(void)
{
    const char *text = getenv("COGNU_SEED");
    uint64_t seed;
    cg_env_real.random(NULL, &seed, sizeof seed);
    seed = text ? strtoull(text, NULL, 0) : seed;
    print_message("replay with COGNU_SEED=%llu\n", (unsigned long long)seed);
    return seed | 1;
}

static uint32_t next_random(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return (uint32_t)(*x >> 32);
}

static void map_agrees_with_an_array(void **state)
{
    (void)state;
    enum { KEYS = 300, STEPS = 20000 };
    static int values[KEYS];
    void *shadow[KEYS] = {0};
    uint64_t x = seed_of_run();
    struct cg_map m;
    cg_map_init(&m, sizeof(uint64_t));
    for (int step = 0; step < STEPS; step++) {
        uint64_t k = next_random(&x) % KEYS;
        uint32_t what = next_random(&x) % 3;
        if (what == 0) {
            assert_int_equal(cg_map_put(&m, &k, &values[k]), CG_OK);
            shadow[k] = &values[k];
        } else if (what == 1) {
            assert_ptr_equal(cg_map_del(&m, &k), shadow[k]);
            shadow[k] = NULL;
        }
        assert_ptr_equal(cg_map_get(&m, &k), shadow[k]);
    }
    uint32_t live = 0, cursor = 0, seen = 0;
    for (int k = 0; k < KEYS; k++) {
        live += shadow[k] != NULL;
    }
    while (cg_map_next(&m, &cursor)) {
        seen++;
    }
    assert_int_equal(cg_map_count(&m), live);
    assert_int_equal(seen, live);
    cg_map_fini(&m);
}

static void map_survives_failed_allocation(void **state)
{
    (void)state;
    struct cg_map m;
    cg_map_init(&m, sizeof(uint32_t));
    uint32_t failed = 0;
    for (uint32_t k = 0; k < 1000; k++) {
        cg_alloc_fail_at(1);
        failed += cg_map_put(&m, &k, &m) == CG_ENOMEM;
        cg_alloc_fail_at(0);
        if (cg_map_put(&m, &k, &m)) {
            fail();
        }
    }
    assert_true(failed > 0);
    assert_int_equal(cg_map_count(&m), 1000);
    cg_map_fini(&m);
}

static void quoted_words_come_back(void **state)
{
    (void)state;
    static const char *const words[] = {"plain", "", "two words", "it's", "#no comment", "''"};
    struct cg_str s = {0};
    for (size_t i = 0; i < CG_COUNT(words); i++) {
        assert_int_equal(cg_str_add_quoted(&s, words[i]), CG_OK);
        assert_int_equal(cg_str_add(&s, " ", 1), CG_OK);
    }
    cg_str_add(&s, "# comment", 9);
    char *argv[8];
    assert_int_equal(cg_tokenize(s.data, argv, 8), CG_COUNT(words));
    for (size_t i = 0; i < CG_COUNT(words); i++) {
        assert_string_equal(argv[i], words[i]);
    }
    cg_str_fini(&s);
    char open_quote[] = "a 'b";
    assert_int_equal(cg_tokenize(open_quote, argv, 8), -1);
    char many[] = "1 2 3 4";
    assert_int_equal(cg_tokenize(many, argv, 3), -1);
}

static void list_keeps_order_and_double_delete_is_harmless(void **state)
{
    (void)state;
    struct cg_list head, n[3];
    cg_list_init(&head);
    for (int i = 0; i < 3; i++) {
        cg_list_push(&head, &n[i]);
    }
    int i = 0;
    CG_LIST_EACH (it, &head) {
        assert_ptr_equal(it, &n[i++]);
        cg_list_del(it);
        cg_list_del(it);
    }
    assert_int_equal(i, 3);
    assert_true(cg_list_empty(&head));
}

static void counters_print_as_prometheus_text(void **state)
{
    (void)state;
    static struct cg_counter c = {.name = "cognu_test_total", .help = "a test"};
    cg_count(&c, 2);
    cg_count(&c, 3);
    struct cg_str s = {0};
    assert_int_equal(cg_metrics_text(&s), CG_OK);
    assert_non_null(strstr(s.data, "# TYPE cognu_test_total counter\ncognu_test_total 5\n"));
    cg_str_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_codes_are_unique_and_named),
        cmocka_unit_test(context_goes_before_the_detail),
        cmocka_unit_test(a_short_buffer_turns_bad_and_reads_zero),
        cmocka_unit_test(numbers_round_trip),
        cmocka_unit_test(names_that_walk_out_are_refused),
        cmocka_unit_test(map_agrees_with_an_array),
        cmocka_unit_test(map_survives_failed_allocation),
        cmocka_unit_test(quoted_words_come_back),
        cmocka_unit_test(list_keeps_order_and_double_delete_is_harmless),
        cmocka_unit_test(counters_print_as_prometheus_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
