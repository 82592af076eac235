/* Shared by the measuring program and loops.S. */
#ifndef USER_BENCH_H
#define USER_BENCH_H

#define BENCH_PAGE  0x1b000000 /* shared by client and server: times, and what they agree on */
#define BENCH_SENT  (BENCH_PAGE + 0)
#define BENCH_BACK  (BENCH_PAGE + 8)
#define BENCH_CAME  (BENCH_PAGE + 16)
#define BENCH_LEFT  (BENCH_PAGE + 24)
#define BENCH_WOKEN (BENCH_PAGE + 64)

#endif
