/* The matrix of refusals on the host: see matrix.h. One test an invocation. */
#include "test/testkit.h"

#include "abi/abi_names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

static uint32_t all_cases;

static void refuses(void **state)
{
    uint32_t cases = 0;
    uint32_t label = *(const uint32_t *)*state;
    assert_int_equal(matrix_run(&kit_matrix, label, &cases), 0);
    kit_check(inv_name[label]);
    all_cases += cases;
}

int main(void)
{
    static uint32_t labels[LABELS];
    static struct CMUnitTest tests[LABELS - 1];
    kit_boot();
    kit_furnish();
    for (uint32_t label = 1; label < LABELS; label++) {
        labels[label] = label;
        tests[label - 1] =
            (struct CMUnitTest){inv_name[label], refuses, NULL, NULL, &labels[label]};
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    printf("%u cases\n", all_cases);
    return failed;
}
