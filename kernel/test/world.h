/* A few threads with all that they need, for the tests of threads, messages and time. All share the
 * root thread's cnode. */
#ifndef KERNEL_WORLD_H
#define KERNEL_WORLD_H

#include "test/testkit.h"

#include "abi/message.h"
#include "arch/host/host.h"
#include "object/answer.h"
#include "object/capability.h"
#include "object/decode.h"
#include "object/endpoint.h"
#include "object/fault.h"
#include "object/notification.h"
#include "object/thread.h"
#include "object/turn.h"

#define W_THREADS 10u
#define W_BUDGET  1000000ULL

/* Handles, and the objects behind them: number i is object i + 4 of its noun. */
#define W_THREAD(i)       (40u + (i))
#define W_CONTEXT(i)      (50u + (i))
#define W_ENDPOINT(i)     (60u + (i))
#define W_NOTIFICATION(i) (70u + (i))
#define W_REPLY(i)        (80u + (i))
#define W_BADGED(i)       (100u + (i)) /* endpoint 0 with badge i + 1 */
#define W_SIGNAL(i)       (110u + (i)) /* notification i with badge 1 << i */
#define W_FREE            150u
#define W_OBJECT(i)       ((i) + 4u)

/* Boots; makes the objects; thread i has priority 10, context i with budget and period W_BUDGET. No
 * thread runs. */
void world(void);

/* Takes context i from thread i: a server without time of its own. */
void world_passive(uint32_t i);

void world_resume(uint32_t i);

/* The running thread makes a system call; reply, words: 0 where there are none. */
void world_syscall(uint32_t number, uint32_t handle, uint32_t reply, uint32_t label, uint32_t words,
                   const uint64_t *word);

/* Register of thread i. */
uint64_t world_reg(uint32_t i, uint32_t r);

/* Time passes, and the timer comes where it is due. */
void world_time(uint64_t ticks);

#define WORDS(...)                                                                                 \
    sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t), (uint64_t[])                             \
    {                                                                                              \
        __VA_ARGS__                                                                                \
    }

#endif
