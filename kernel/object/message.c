/* Messages: see message.h. */
#include "object/message.h"

#include "object/capability.h"
#include "object/cnode.h"
#include "object/fault.h"
#include "object/words.h"

/* The slot behind packed handle k of t's register R_EXTRA; NIL for none. */
/*@ CNODES(requires)
    requires bound_cnode && is_thread(t) && k < MSG_HANDLES;
    assigns \nothing;
    ensures \result == PACKED_OF(t, k) && \result < HOME_SLOTS;
    ensures \result != NIL ==> in_reach(\result); */
static uint32_t packed_slot(uint32_t t, uint32_t k)
{
    return cnode_slot(t_cnode[t], HANDLE_PACKED(t_reg[t * T_REGS + R_EXTRA], k));
}

/* The first handles of from are capabilities, and those of to are as many different empty slots. */
/*@ CNODES(requires)
    requires bound_cnode && is_thread(from) && is_thread(to) && handles <= MSG_HANDLES;
    assigns \nothing;
    ensures \result < ERRORS;
    ensures \result == 0 ==> (t_rights[from] & RIGHT_GRANT) != 0;
    ensures \result == 0 ==> HANDLES_FIT(from, to, handles); */
static uint32_t check_handles(uint32_t from, uint32_t to, uint32_t handles)
{
    if ((t_rights[from] & RIGHT_GRANT) == 0) {
        return ERR_RIGHT;
    }
    /*@ loop invariant 0 <= k <= handles;
        loop invariant HANDLES_FIT(from, to, k);
        loop assigns k;
        loop variant handles - k; */
    for (uint32_t k = 0; k < MSG_HANDLES && k < handles; k++) {
        uint32_t s = packed_slot(from, k);
        uint32_t place = packed_slot(to, k);
        if (s == NIL || s_type[s] == 0) {
            return ERR_HANDLE;
        }
        if (place == NIL || s_type[place] != 0) {
            return ERR_FIT;
        }
        /*@ loop invariant 0 <= j <= k;
            loop invariant j > 0 ==> place != PACKED_OF(to, 0);
            loop invariant j > 1 ==> place != PACKED_OF(to, 1);
            loop assigns j;
            loop variant k - j; */
        for (uint32_t j = 0; j < MSG_HANDLES && j < k; j++) {
            if (place == packed_slot(to, j)) {
                return ERR_FIT;
            }
        }
    }
    return 0;
}

uint32_t message_check(uint32_t from, uint32_t to)
{
    uint64_t tag = t_reg[from * T_REGS + R_TAG];
    uint32_t words = TAG_WORDS(tag);
    uint32_t handles = TAG_HANDLES(tag);
    if (t_fault[from] != 0) {
        return 0;
    }
    if (words > MSG_WORDS) {
        return ERR_LENGTH;
    }
    if (words > MSG_WORDS_REGS && (t_buffer[from] == NIL || t_buffer[to] == NIL)) {
        return ERR_FIT;
    }
    return handles == 0 ? 0 : check_handles(from, to, handles);
}

/* Words 10 and on of the words at a come to those at b. */
/*@ requires MSG_WORDS_REGS < words && words <= MSG_WORDS;
    requires a + 512 <= PHYS_FRAMES * 512 && b + 512 <= PHYS_FRAMES * 512;
    requires a == b || a + 512 <= b || b + 512 <= a;
    assigns phys[b + 10 .. b + 511];
    ensures \forall integer k; 10 <= k < words ==> phys[b + k] == \at(phys[a + k],Pre); */
static void copy_words(uint64_t a, uint64_t b, uint32_t words)
{
    /*@ loop invariant 10 <= k <= words;
        loop invariant \forall integer j; 10 <= j < k ==> phys[b + j] == \at(phys[a + j],Pre);
        loop invariant \forall integer j; k <= j < 512 ==> phys[a + j] == \at(phys[a + j],Pre);
        loop assigns k, phys[b + 10 .. b + 511];
        loop variant words - k; */
    for (uint32_t k = MSG_WORDS_REGS; k < words; k++) {
        phys[b + k] = phys[a + k];
    }
}

/* The same, from buffer to buffer. */
/*@ MAPS(requires)
    requires is_thread(from) && is_thread(to) && MSG_WORDS_REGS < words && words <= MSG_WORDS;
    requires t_buffer[from] < PHYS_FRAMES && 1 <= t_buffer[to] < PHYS_FRAMES;
    requires f_state[t_buffer[to]] == F_FRAME;
    assigns phys[t_buffer[to] * 512 + 10 .. t_buffer[to] * 512 + 511];
    MAPS(ensures)
    ensures \forall integer k; 10 <= k < words ==>
        phys[t_buffer[to] * 512 + k] == \at(phys[t_buffer[from] * 512 + k],Pre); */
static void pass_buffer(uint32_t from, uint32_t to, uint32_t words)
{
    /*@ assert zeroed: \forall integer f; 0 <= f < PHYS_FRAMES && f_state[f] == F_ZERO ==>
            f < t_buffer[to] || t_buffer[to] < f; */
    /*@ assert tables: \forall integer f; is_table(f) ==>
            f + 1 < t_buffer[to] || t_buffer[to] < f; */
    copy_words(t_buffer[from] * 512ULL, t_buffer[to] * 512ULL, words);
}

/* Capabilities: copies that are derived from the sender's. */
/*@ FOREST(requires) CAPS(requires)
    requires hidden && cnodes(NIL);
    requires bound_cnode && is_thread(from) && is_thread(to) && handles <= MSG_HANDLES;
    requires HANDLES_FIT(from, to, handles);
    COPY_FIELDS(assigns)
    FOREST(ensures) CAPS(ensures)
    ensures hidden;
    ensures home_filled(NIL);
    ensures \forall integer s; is_home(s) && \at(s_type[s],Pre) != 0 ==>
        s_type[s] == \at(s_type[s],Pre) && s_object[s] == \at(s_object[s],Pre);
    ensures ALL_HANDED(from, to, handles); */
static void pass_handles(uint32_t from, uint32_t to, uint32_t handles)
{
    /*@ loop invariant 0 <= k <= handles;
        FOREST(loop invariant) CAPS(loop invariant)
        HIDDEN(loop invariant)
        loop invariant home_filled(NIL);
        loop invariant k <= 0 && handles > 0 ==> HANDLE_FITS(from, to, 0);
        loop invariant k <= 1 && handles > 1 ==> HANDLE_FITS(from, to, 1);
        loop invariant k <= 2 && handles > 2 ==> HANDLE_FITS(from, to, 2);
        loop invariant \forall integer s; is_home(s) && \at(s_type[s],Pre) != 0 ==>
            s_type[s] == \at(s_type[s],Pre) && s_object[s] == \at(s_object[s],Pre);
        loop invariant k > 0 ==> HANDED(from, to, 0);
        loop invariant k > 1 ==> HANDED(from, to, 1);
        loop invariant k > 2 ==> HANDED(from, to, 2);
        loop assigns k;
        COPY_FIELDS(loop assigns)
        loop variant handles - k; */
    for (uint32_t k = 0; k < MSG_HANDLES && k < handles; k++) {
        uint32_t s = packed_slot(from, k);
        uint32_t place = packed_slot(to, k);
        /*@ assert reach: in_reach(place) && is_home(s); */
        cap_copy(s, place, RIGHTS_ALL, s_badge[s]);
    }
}

/* The first n packed handles alone, and those behind them; n > 0. */
/*@ requires 1 <= n <= MSG_HANDLES;
    assigns \nothing;
    ensures \result == extra % (n == 1 ? 0x200000 : n == 2 ? 0x40000000000 : 0x8000000000000000);
 */
static uint64_t packed_first(uint64_t extra, uint32_t n)
{
    return n == 1   ? extra % 0x200000ULL
           : n == 2 ? extra % 0x40000000000ULL
                    : extra % 0x8000000000000000ULL;
}

/*@ requires 1 <= n <= MSG_HANDLES;
    assigns \nothing;
    ensures \result == (n == 1 ? extra / 0x200000 : n == 2 ? extra / 0x40000000000 : 0); */
static uint64_t packed_rest(uint64_t extra, uint32_t n)
{
    return n == 1 ? extra / 0x200000ULL : n == 2 ? extra / 0x40000000000ULL : 0;
}

/* The capabilities go along; what was named of the handles is shifted out. */
/*@ FOREST(requires) CAPS(requires)
    requires hidden && cnodes(NIL);
    requires bound_cnode && is_thread(from) && is_thread(to) && from != to;
    requires 1 <= handles <= MSG_HANDLES && HANDLES_FIT(from, to, handles);
    assigns t_reg[to * 32 + 12], t_reg[from * 32 + 12];
    COPY_FIELDS(assigns)
    FOREST(ensures) CAPS(ensures)
    ensures hidden;
    ensures home_filled(NIL);
    ensures \forall integer s; is_home(s) && \at(s_type[s],Pre) != 0 ==>
        s_type[s] == \at(s_type[s],Pre) && s_object[s] == \at(s_object[s],Pre);
    ensures ALL_HANDED(from, to, handles);
    ensures t_reg[to * 32 + 12] == \old(t_reg[to * 32 + 12]) %
        (handles == 1 ? 0x200000 : handles == 2 ? 0x40000000000 : 0x8000000000000000);
    ensures t_reg[from * 32 + 12] == (handles == 1 ? \old(t_reg[from * 32 + 12]) / 0x200000
        : handles == 2 ? \old(t_reg[from * 32 + 12]) / 0x40000000000 : 0); */
static void hand_over(uint32_t from, uint32_t to, uint32_t handles)
{
    pass_handles(from, to, handles);
    t_reg[to * T_REGS + R_EXTRA] = packed_first(t_reg[to * T_REGS + R_EXTRA], handles);
    t_reg[from * T_REGS + R_EXTRA] = packed_rest(t_reg[from * T_REGS + R_EXTRA], handles);
}

void message_pass(uint32_t from, uint32_t to)
{
    uint64_t tag = t_reg[from * T_REGS + R_TAG];
    uint32_t words = TAG_WORDS(tag);
    uint32_t handles = TAG_HANDLES(tag);
    if (t_fault[from] != 0) {
        fault_message(from, to);
        return;
    }
    /*@ assert apart: from * 32 + 32 <= to * 32 || to * 32 + 32 <= from * 32; */
    message_words(from, to, words < MSG_WORDS_REGS ? words : MSG_WORDS_REGS);
    if (words > MSG_WORDS_REGS) {
        pass_buffer(from, to, words);
        /*@ assert buffer: \forall integer k; 10 <= k < words ==>
                phys[t_buffer[to] * 512 + k] ==
                    \at(phys[t_buffer[\at(from,Here)] * 512 + k],Pre); */
    }
    t_reg[to * T_REGS + R_TAG] = (tag & TAG_MESSAGE) | TAG(0, 0, 0, handles);
    t_reg[to * T_REGS + R_HANDLE] = t_badge[from];
    /*@ assert tag: t_reg[to * 32] == ((tag & TAG_MESSAGE) | TAG(0, 0, 0, handles)); */
    if (handles != 0) {
        /*@ assert named: t_reg[from * 32 + 12] == \at(t_reg[from * 32 + 12],Pre); */
        hand_over(from, to, handles);
    }
}

void message_done(uint32_t t)
{
    t_reg[t * T_REGS + R_TAG] = 0;
}

void message_refuse(uint32_t t, uint32_t error, uint32_t argument, uint64_t limit)
{
    t_reg[t * T_REGS + R_TAG] = TAG(error, 0, 2, 0);
    t_reg[t * T_REGS + R_W0] = argument;
    t_reg[t * T_REGS + R_W1] = limit;
}

void message_signal(uint32_t t, uint64_t bits)
{
    t_reg[t * T_REGS + R_TAG] = LABEL_SIGNAL;
    t_reg[t * T_REGS + R_HANDLE] = bits;
}
