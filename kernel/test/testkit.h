/* What the host tests of the kernel share: a machine just booted, and calls as a thread makes them.
 */
#ifndef KERNEL_TESTKIT_H
#define KERNEL_TESTKIT_H

#include "abi/abi.h"
#include "config.h"
#include "test/matrix.h"

#include <stdbool.h>
#include <stdint.h>

/* Handles of thread KIT_ROOT after kit_boot. */
#define KIT_ROOT          1u
#define KIT_CNODE         1u            /* its own cnode */
#define KIT_UNTYPED(kind) (1u + (kind)) /* everything of a kind that is left */
#define KIT_MONITOR       12u
#define KIT_THREAD        13u /* itself */
#define KIT_FREE          16u /* from here on the slots are empty */
#define KIT_SLOTS         200u
#define KIT_FRAME_FIRST   16u /* frames below are the kernel's */

extern uint64_t
    kit_word[MSG_WORDS_REGS]; /* the answer's words, or argument and limit of a refusal */

/* The tables as at boot, with one thread that holds everything. Once a process: see kit_fork. */
void kit_boot(void);

/* What the root holds, for the matrix; its furniture then has handles KIT_HAS(HAS_...). */
extern const struct matrix kit_matrix;
#define KIT_HAS(what) (KIT_FREE + (what))
void kit_furnish(void);

/* Thread t invokes its handle; word[0 .. words - 1] are the arguments. The error. */
uint32_t kit_invoke(uint32_t t, uint64_t handle, uint32_t label, uint32_t words,
                    const uint64_t *word);

/* The same by KIT_ROOT: KIT_CALL(handle, label, arguments ...). */
#define KIT_CALL(handle, label, ...)                                                               \
    kit_invoke(KIT_ROOT, (handle), (label),                                                        \
               sizeof((uint64_t[]){0, ##__VA_ARGS__}) / sizeof(uint64_t) - 1,                      \
               (uint64_t[]){0, ##__VA_ARGS__} + 1)

/* The same until it does not say "again" any more. */
#define KIT_FINISH(handle, label, ...)                                                             \
    kit_finish((handle), (label), sizeof((uint64_t[]){0, ##__VA_ARGS__}) / sizeof(uint64_t) - 1,   \
               (uint64_t[]){0, ##__VA_ARGS__} + 1)
uint32_t kit_finish(uint64_t handle, uint32_t label, uint32_t words, const uint64_t *word);

/* The slot behind a root handle. */
uint32_t kit_slot(uint64_t handle);

/* One number for all tables; registers and memory aside. */
uint64_t kit_sum(void);

/* Stops the test when a clause does not hold. */
void kit_check(const char *where);
const char *kit_clause(uint32_t clause);

/* Runs body in a process of its own, so with fresh tables; true when it ended well. */
bool kit_fork(void (*body)(void));

/* Random numbers from a seed (COGNU_SEED, or of the time), which is printed. */
uint64_t kit_seed(void);
uint32_t kit_random(uint32_t below);

#endif
