/* The clauses about threads, queues, time and messages, broken one by one; for check_test.c. */
#ifndef KERNEL_CHECK_THREADS_H
#define KERNEL_CHECK_THREADS_H

#include <stdint.h>

/* Boots, lets threads be in every state, and breaks a clause from CLAUSE_queue_refs on. */
void break_threads(uint32_t clause);

#endif
