/* What components tell of themselves, as lines: grouped by family, labelled, steps in order. */
#include "pages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void add(struct cg_stats *s, const char *name, uint64_t value)
{
    struct cg_stats_value *v = &s->value[s->values++];
    memcpy(v->name, name, strlen(name) + 1);
    v->value = value;
}

static void families_are_told_once(void **state)
{
    (void)state;
    struct cg_stats *s = cg_zalloc(2 * sizeof *s);
    struct pages p = {.count = 2, .page = {{"hostfs", &s[0]}, {"gate", &s[1]}}};
    struct cg_str out = {0};
    for (int i = 0; i < 2; i++) {
        add(&s[i], "r_total{type=\"Tread\"}", 5);
        add(&s[i], "us_bucket{le=\"16\"}", 1);
        add(&s[i], "us_bucket{le=\"+Inf\"}", 2);
        add(&s[i], "us_sum", 40);
        add(&s[i], "us_count", 2);
        add(&s[i], "sessions", 7);
    }
    add(&s[1], "bad name\n", 1);
    add(&s[1], "bad{", 1);
    assert_int_equal(pages_metrics(&p, &out), CG_OK);
    assert_string_equal(out.data, "# TYPE r_total counter\n"
                                  "r_total{component=\"gate\",type=\"Tread\"} 5\n"
                                  "r_total{component=\"hostfs\",type=\"Tread\"} 5\n"
                                  "# TYPE sessions gauge\n"
                                  "sessions{component=\"gate\"} 7\n"
                                  "sessions{component=\"hostfs\"} 7\n"
                                  "# TYPE us histogram\n"
                                  "us_bucket{component=\"gate\",le=\"16\"} 1\n"
                                  "us_bucket{component=\"gate\",le=\"+Inf\"} 2\n"
                                  "us_sum{component=\"gate\"} 40\n"
                                  "us_count{component=\"gate\"} 2\n"
                                  "us_bucket{component=\"hostfs\",le=\"16\"} 1\n"
                                  "us_bucket{component=\"hostfs\",le=\"+Inf\"} 2\n"
                                  "us_sum{component=\"hostfs\"} 40\n"
                                  "us_count{component=\"hostfs\"} 2\n");
    cg_str_fini(&out);
    cg_free(s);
}

static void steps_are_in_order(void **state)
{
    (void)state;
    struct cg_stats *s = cg_zalloc(sizeof *s);
    struct pages p = {.count = 1, .page = {{"gate", s}}};
    struct cg_str out = {0};
    assert_int_equal(pages_steps(&p, &out), CG_OK);
    assert_string_equal(out.data, "");
    s->steps = CG_STATS_STEPS_MAX + 1; /* the oldest stands second */
    s->step[0] = (struct cg_step){.number = s->steps,
                                  .trace = 0x12,
                                  .start_ns = 20,
                                  .took_ns = 3,
                                  .error = 1,
                                  .layer = CG_LAYER_FAR,
                                  .what = "Tread"};
    s->step[1] = (struct cg_step){.number = 2, .trace = 0x11, .what = "LOOKUP", .name = "a b"};
    s->step[2] = (struct cg_step){.number = 3, .trace = 0x11, .what = "LOOKUP", .name = "a\nb"};
    assert_int_equal(pages_steps(&p, &out), CG_OK);
    assert_string_equal(out.data, "0000000000000011 program gate 0 0 0 LOOKUP 'a b'\n"
                                  "0000000000000012 far gate 20 3 1 Tread ''\n");
    cg_str_fini(&out);
    cg_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(families_are_told_once),
        cmocka_unit_test(steps_are_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
