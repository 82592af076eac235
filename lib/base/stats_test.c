/* Values by name, a ring that wraps, and pages that somebody else wrote. */
#include <cognu/stats.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const struct cg_stats *own(void)
{
    return cg_stats_own();
}

static void values_have_names(void **state)
{
    (void)state;
    uint64_t *a = cg_stats_value("a_total"), *b = cg_stats_value("b_total{type=\"x\"}");
    assert_ptr_not_equal(a, b);
    *a += 3;
    assert_ptr_equal(cg_stats_value("a_total"), a);
    assert_int_equal(own()->values, 2);
    assert_string_equal(own()->value[1].name, "b_total{type=\"x\"}");
    assert_int_equal(own()->value[0].value, 3);
    for (int i = 0; i < 2 * CG_STATS_VALUES_MAX; i++) { /* too many: none is NULL */
        char name[32];
        snprintf(name, sizeof name, "n%d_total", i);
        *cg_stats_value(name) += 1;
    }
    assert_int_equal(own()->values, CG_STATS_VALUES_MAX);
    assert_int_equal(*a, 3);
}

static void the_ring_keeps_the_latest(void **state)
{
    (void)state;
    cg_stats_step(0, CG_LAYER_CALL, 1, CG_OK, "nothing", "");
    assert_int_equal(own()->steps, 0);
    for (uint64_t i = 1; i <= CG_STATS_STEPS_MAX + 5; i++) {
        cg_stats_step(i, CG_LAYER_SERVER, i, CG_ENOENT, "Twalk", "a name");
    }
    assert_int_equal(own()->steps, CG_STATS_STEPS_MAX + 5);
    assert_int_equal(own()->step[4].trace, CG_STATS_STEPS_MAX + 5);
    assert_int_equal(own()->step[5].trace, 6);
    assert_int_equal(own()->step[5].error, CG_ENOENT);
    assert_string_equal(own()->step[5].what, "Twalk");
    char name[200];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    cg_stats_step(1, CG_LAYER_CALL, 0, CG_OK, name, name);
    assert_int_equal(strlen(own()->step[5].what), sizeof own()->step[5].what - 1);
}

static void foreign_pages_are_bounded(void **state)
{
    (void)state;
    struct cg_stats *s = cg_zalloc(sizeof *s);
    assert_false(cg_stats_check(s, sizeof *s));
    memset(s, 0xff, sizeof *s);
    memcpy(s->magic, "cgstats1", 8);
    s->bytes = sizeof *s;
    assert_false(cg_stats_check(s, sizeof *s - 1));
    assert_true(cg_stats_check(s, sizeof *s));
    assert_int_equal(s->values, CG_STATS_VALUES_MAX);
    assert_int_equal(strlen(s->value[7].name), CG_STATS_NAME_BYTES - 1);
    assert_true(s->step[7].layer < CG_LAYERS);
    cg_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_have_names),
        cmocka_unit_test(the_ring_keeps_the_latest),
        cmocka_unit_test(foreign_pages_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
