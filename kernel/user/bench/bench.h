/* What `make kernel-bench` measures, in ticks of the time-stamp counter, which are instructions
 * under QEMU's -icount shift=0. Each row is printed as `row NAME MEDIAN MAXIMUM`, of ROUNDS;
 * tools/kernel-bench makes the table of it.
 *
 * loops.S     the timed system calls       messages.c  call, reply-and-receive, round trip
 * events.c    faults, signals, interrupts, the timer, mapping
 * longest.c   the longest entry: what takes the kernel long, and an adversary that does it for ever
 */
#ifndef USER_BENCH_H
#define USER_BENCH_H

#define BENCH_PAGE  0x1b000000 /* struct shared, in every space that takes part */
#define BENCH_SENT  (BENCH_PAGE + 0)
#define BENCH_BACK  (BENCH_PAGE + 8)
#define BENCH_CAME  (BENCH_PAGE + 16)
#define BENCH_LEFT  (BENCH_PAGE + 24)
#define BENCH_WOKEN (BENCH_PAGE + 32)

#ifndef __ASSEMBLER__
#include "kit.h"

#define ROUNDS 10000u
#define EP     CHILD_FREE           /* what a child has: an endpoint or notification, */
#define REPLY  (CHILD_FREE + 1)     /* and a reply object or what else it needs */
#define HIGHER (PRIORITIES / 2 + 1) /* than this program's priority */
#define LOWER  (PRIORITIES / 2 - 1)

struct shared {
    uint64_t sent, back, came, left; /* readings of the clock */
    uint64_t woken;                  /* times that a child has woken up */
    uint64_t words, seed, wrong, buffer;
};
#define shared ((volatile struct shared *)BENCH_PAGE)

extern struct message bench_message;
extern uint64_t bench_overhead; /* what bench_empty measures */

void bench_call(void);
void bench_empty(void);
_Noreturn void bench_serve(void);
_Noreturn void bench_wait(void);
void bench_spin(uint64_t rounds);
void bench_trap(void);
void bench_linux(void);
extern void (*bench_answer)(void); /* the server's part: makes the answer of bench_message */
extern void (*bench_woken)(void);  /* the waiter's part: before the first wait and after each */

void must(unsigned error, const char *what);
/* Sorts the ROUNDS figures and prints their row. */
void row(const char *name, const char *suffix, uint32_t *n);
/* The child sees BENCH_PAGE too. */
void share(struct child *c);
uint64_t page_at(struct space *s, uint64_t at, uint64_t frame);
/* One invocation of a kernel object as a timed call; the answer is in bench_message. */
uint32_t timed(uint64_t handle, unsigned label, unsigned words, const uint64_t *word);

bool measure_messages(unsigned flags, const char *suffix); /* false: words arrived wrong */
void measure_map(void);
void measure_fault(uint64_t getppid, const char *name);
void measure_signal(void);
void measure_interrupt(void);
void measure_timer(void);
void measure_longest(void);
/* What takes the kernel longest, once; each entry's time in turn goes to `seen`. */
void longest_work(void (*seen)(uint32_t ticks, unsigned label));
#endif

#endif
