/* The words of a message that are in registers: one copy for the fast and the slow path. */
#ifndef KERNEL_WORDS_H
#define KERNEL_WORDS_H

#include "object/thread.h"

/* Copies words 0 .. words - 1, words <= MSG_WORDS_REGS, from thread to thread. */
/*@ requires 1 <= from < T_MAX && 1 <= to < T_MAX && words <= 10;
    assigns t_reg[to * 32 + 1 .. to * 32 + 10];
    ensures \forall integer r; to * 32 + 1 <= r < to * 32 + 1 + words ==>
        t_reg[r] == \at(t_reg[r - to * 32 + from * 32],Pre);
    ensures \forall integer r; to * 32 + 1 + words <= r < to * 32 + 11 ==>
        t_reg[r] == \at(t_reg[r],Pre); */
static inline void message_words(uint32_t from, uint32_t to, uint32_t words)
{
    uint64_t a = t_row(from) + R_W0;
    uint64_t b = t_row(to) + R_W0;
    /*@ assert apart: a == b || a + 10 <= b || b + 10 <= a; */
    switch (words) {
    case 10:
        t_reg[b + 9] = t_reg[a + 9];
        /* fallthrough */
    case 9:
        t_reg[b + 8] = t_reg[a + 8];
        /* fallthrough */
    case 8:
        t_reg[b + 7] = t_reg[a + 7];
        /* fallthrough */
    case 7:
        t_reg[b + 6] = t_reg[a + 6];
        /* fallthrough */
    case 6:
        t_reg[b + 5] = t_reg[a + 5];
        /* fallthrough */
    case 5:
        t_reg[b + 4] = t_reg[a + 4];
        /* fallthrough */
    case 4:
        t_reg[b + 3] = t_reg[a + 3];
        /* fallthrough */
    case 3:
        t_reg[b + 2] = t_reg[a + 2];
        /* fallthrough */
    case 2:
        t_reg[b + 1] = t_reg[a + 1];
        /* fallthrough */
    case 1:
        t_reg[b] = t_reg[a];
        /* fallthrough */
    default:
        break;
    }
}

#endif
