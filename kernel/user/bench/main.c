/* The measuring program: see bench.h. */
#include "bench.h"

struct message bench_message;
uint64_t bench_overhead;
void (*bench_answer)(void);
void (*bench_woken)(void);

static uint64_t page; /* the frame of BENCH_PAGE */

_Noreturn void program_end(int status)
{
    for (;;) {
        monitor_stop(BOOT_MONITOR, (uint64_t)status & 127);
    }
}

void must(unsigned error, const char *what)
{
    if (error) {
        give_up(what, error);
    }
}

uint64_t page_at(struct space *s, uint64_t at, uint64_t frame)
{
    must(space_map(&kit, s, at, frame, RIGHT_READ | RIGHT_WRITE), "map a page");
    return at;
}

void share(struct child *c)
{
    if (c->foreign) {
        page_at(&c->space, BENCH_PAGE, copy_new(&kit, page, RIGHTS_ALL));
    }
}

uint32_t timed(uint64_t handle, unsigned label, unsigned words, const uint64_t *word)
{
    for (unsigned k = 0; k < words; k++) {
        bench_message.word[k] = word[k];
    }
    bench_message.tag = TAG_NATIVE | TAG(SYS_CALL, label, words, 0);
    bench_message.handle = handle;
    bench_message.extra = 0;
    bench_call();
    return (uint32_t)(shared->back - shared->sent - bench_overhead);
}

/* The numbers in order: radix sort, three rounds of eleven bits; also leaves the array sorted. */
static void sort(uint32_t *n)
{
    static uint32_t other[ROUNDS], place[2048];
    for (unsigned shift = 0; shift < 33; shift += 11) {
        memset(place, 0, sizeof(place));
        for (unsigned i = 0; i < ROUNDS; i++) {
            place[n[i] >> shift & 2047]++;
        }
        for (unsigned k = 0, sum = 0; k < 2048; k++) {
            unsigned here = place[k];
            place[k] = sum;
            sum += here;
        }
        for (unsigned i = 0; i < ROUNDS; i++) {
            other[place[n[i] >> shift & 2047]++] = n[i];
        }
        memcpy(n, other, sizeof(other));
    }
}

void row(const char *name, const char *suffix, uint32_t *n)
{
    sort(n);
    print("row ");
    print(name);
    print(suffix);
    print(" ");
    print_number(n[ROUNDS / 2]);
    print(" ");
    print_number(n[ROUNDS - 1]);
    print("\n");
}

int main(void)
{
    kit_prepare();
    page = frame_new(&kit);
    page_at(&kit_space, BENCH_PAGE, page);
    bench_empty();
    bench_overhead = shared->back - shared->sent;
    bool right = measure_messages(CHILD_SPACE, "_inter");
    right = measure_messages(CHILD_THREAD, "_intra") && right;
    measure_map();
    measure_fault(0, "fault_reflect");
    measure_fault(1, "linux_getppid");
    measure_signal();
    measure_interrupt();
    measure_longest();
    measure_timer();
    print("end\n");
    return !right;
}
