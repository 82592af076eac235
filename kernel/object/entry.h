/* What the fast path leaves to the slow one. The entries themselves are declared in arch/arch.h. */
#ifndef KERNEL_ENTRY_H
#define KERNEL_ENTRY_H

#include "object/decode.h"
#include "object/fast.h"
#include "object/irq.h"
#include "object/message.h"
#include "object/turn.h"

#include <stdint.h>

/* What holds at an entry and when it ends: what holds in the middle of one, and the running thread
 * can go on. In one for those who hand it on, and each clause a goal of its own for those who
 * change it. */
/*@ predicate entry{L} = going && messages && turn_runs; */

/* clang-format off */
#define ENTRY(clause)                                                                              \
    RUNNING(clause) clause n_links; clause messages; clause turn_runs;
/* And what changes in one. */
#define ENTRY_FIELDS(clause)                                                                       \
    RUNNING_FIELDS(clause)                                                                         \
    clause s_type[0 .. SLOTS-1], s_rights[0 .. SLOTS-1], s_object[0 .. SLOTS-1];                   \
    clause s_badge[0 .. SLOTS-1], s_kind[0 .. SLOTS-1], s_count[0 .. SLOTS-1];                     \
    clause s_parent[0 .. SLOTS-1], s_first[0 .. SLOTS-1], s_next[0 .. SLOTS-1];                    \
    clause s_prev[0 .. SLOTS-1], s_table[0 .. SLOTS-1], s_entry[0 .. SLOTS-1];                     \
    clause s_order[0 .. SLOTS-1], phys[0 .. PHYS_FRAMES * 512 - 1], i_pending[0 .. I_MAX-1];       \
    clause owner[0 .. OBJECTS-1], f_state[0 .. PHYS_FRAMES-1], s_home[0 .. HOME_SLOTS-1];          \
    clause k_count[0 .. HOME_SLOTS-1], k_size[0 .. HOME_SLOTS-1], t_cnode[0 .. T_MAX-1];           \
    clause t_space[0 .. T_MAX-1], t_buffer[0 .. T_MAX-1], t_notification[0 .. T_MAX-1];            \
    clause n_thread[0 .. N_MAX-1], n_word[0 .. N_MAX-1], now, since, turn_over, timer_due, arch_clock;          \
    clause d_caller, d_self, d_object, d_words, d_word[0 .. MSG_WORDS_REGS - 1];                   \
    clause d_slot[0 .. ABI_ARGS - 1], d_answers, d_argument, d_limit, e_badge[0 .. E_MAX-1];
/* clang-format on */

/* Any system call of the running thread but the fast ones of fast.c. */
/*@ requires entry;
    requires t == current && t != NIL;
    ENTRY_FIELDS(assigns)
    ensures entry; */
void other_syscall(uint32_t t);

/* What that one leaves: any system call, and any fault. */
/*@ requires entry;
    requires t == current && t != NIL;
    ENTRY_FIELDS(assigns)
    ensures entry; */
void slow_syscall(uint32_t t);
/*@ requires entry;
    requires t == current && t != NIL && 0 < fault < FAULTS;
    ENTRY_FIELDS(assigns)
    ensures entry; */
void slow_fault(uint32_t t, uint32_t fault);

#endif
