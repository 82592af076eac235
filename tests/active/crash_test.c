/* Crashes of an active tree. A workload (changes, syncs and commits with changes while they go on,
 * snapshots) runs on a disk in memory until it stops at the n-th call that changes something, for
 * every n; then the machine starts again with what could be left, by a seed: un-synced writes
 * dropped, torn and reordered, un-synced names lost. Every fourth time only the process was killed:
 * then nothing is lost that was answered.
 *
 * The tree that is recovered must be one that was there between the last sync that was
 * acknowledged and the step that was cut, whole; snapshots that were acknowledged must be there;
 * the store's check must be clean; and the tree must go on.
 *
 * The quick form takes a sample of the points; COGNU_FULL=1 takes each point several times, at
 * least 5,000 in all. */
#include "../store/tree_testkit.h"
#include "work_testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { QUICK_POINTS = 150, FULL_POINTS = 5400 };

/* The point at work, for the line that replays a failure. */
static uint64_t now_at, now_seed;
static bool passed;

static int say_where(void **state)
{
    (void)state;
    if (!passed) {
        printf("active_crash: failed at point %llu, crash seed %llu\n", (unsigned long long)now_at,
               (unsigned long long)now_seed);
    }
    return 0;
}

static void one_point(const struct disk *fresh, uint64_t work_seed)
{
    struct work r;
    struct disk *d = disk_copy(fresh);
    disk_stop_at(d, now_at);
    work_run(d, &r, work_seed, false, NULL);
    bool killed = now_seed % 4 == 0;
    struct disk *after = killed ? disk_copy(d) : disk_crash(d, now_seed);
    disk_free(d);
    assert_true(work_verify(after, &r, killed ? r.done : r.synced));
    disk_free(after);
}

static void every_point(void **state)
{
    (void)state;
    struct work r;
    uint64_t seed = kit_seed("active_crash", 4242), work_seed = seed;
    struct disk *fresh = disk_new();
    shadow_write_max = ACTIVE_WRITE_BYTES - 1;
    world_init(fresh);
    struct disk *dry = disk_copy(fresh);
    disk_stop_at(dry, UINT64_MAX);
    work_run(dry, &r, work_seed, true, NULL);
    assert_int_equal(r.done, WORK_STEPS);
    uint64_t calls = disk_calls(dry), points = kit_full() ? FULL_POINTS : QUICK_POINTS;
    disk_free(dry);
    for (uint64_t i = 0; i < points; i++) {
        now_at = points >= calls ? 1 + i % calls : 1 + i * calls / points;
        now_seed = disk_random(&seed);
        one_point(fresh, work_seed);
    }
    disk_free(fresh);
    passed = true;
    printf("active_crash: %llu crashes at %llu points of the workload, %d snapshots\n",
           (unsigned long long)points, (unsigned long long)(points < calls ? points : calls),
           r.snapshots);
    work_text_fini();
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_teardown(every_point, say_where)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
