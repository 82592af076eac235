/* Tests of who is told which error. */
#include "lasterr.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

static void own_then_parents(void **state)
{
    struct lasterr *l = lasterr_new();
    (void)state;
    assert_non_null(l);
    assert_null(lasterr_get(l, (struct lasterr_family){100, 50}));
    lasterr_set(l, (struct lasterr_family){100, 50}, "mv failed"); /* 50 is the shell */
    assert_string_equal(lasterr_get(l, (struct lasterr_family){100, 50}), "mv failed");
    assert_string_equal(lasterr_get(l, (struct lasterr_family){101, 50}), "mv failed"); /* cat */
    assert_string_equal(lasterr_get(l, (struct lasterr_family){50, 2}), "mv failed");   /* read */
    assert_null(lasterr_get(l, (struct lasterr_family){200, 60})); /* another's shell */
    lasterr_set(l, (struct lasterr_family){101, 50}, "cat failed");
    assert_string_equal(lasterr_get(l, (struct lasterr_family){101, 50}), "cat failed");
    assert_string_equal(lasterr_get(l, (struct lasterr_family){100, 50}), "mv failed");
    lasterr_set(l, (struct lasterr_family){0, 0}, "nobody's");
    assert_null(lasterr_get(l, (struct lasterr_family){0, 0}));
    lasterr_free(l);
}

static void oldest_gives_way(void **state)
{
    struct lasterr *l = lasterr_new();
    char text[16];
    (void)state;
    assert_non_null(l);
    for (uint32_t i = 0; i < LASTERR_MAX + 10; i++) {
        snprintf(text, sizeof(text), "%u", i);
        lasterr_set(l, (struct lasterr_family){1000 + i, 0}, text);
    }
    assert_null(lasterr_get(l, (struct lasterr_family){1009, 0}));
    assert_string_equal(lasterr_get(l, (struct lasterr_family){1010, 0}), "10");
    lasterr_free(l);
}

static void family_of_self(void **state)
{
    struct lasterr_family f = lasterr_family((uint32_t)getpid());
    (void)state;
    assert_int_equal(f.process, getpid());
    assert_int_equal(f.parent, getppid());
    assert_int_equal(lasterr_family(0).process, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(own_then_parents),
        cmocka_unit_test(oldest_gives_way),
        cmocka_unit_test(family_of_self),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
