/* Messages: see message.h. */
#include "object/message.h"

#include "object/capability.h"
#include "object/cnode.h"
#include "object/fault.h"
#include "object/words.h"

/* The slot behind packed handle k of t's register R_EXTRA; NIL for none. */
static uint32_t packed_slot(uint32_t t, uint32_t k)
{
    return cnode_slot(t_cnode[t], HANDLE_PACKED(t_reg[t * T_REGS + R_EXTRA], k));
}

/* The first handles of from are capabilities, and those of to are as many different empty slots. */
static uint32_t check_handles(uint32_t from, uint32_t to, uint32_t handles)
{
    if ((t_rights[from] & RIGHT_GRANT) == 0) {
        return ERR_RIGHT;
    }
    for (uint32_t k = 0; k < MSG_HANDLES && k < handles; k++) {
        uint32_t s = packed_slot(from, k);
        uint32_t place = packed_slot(to, k);
        if (s == NIL || s_type[s] == 0) {
            return ERR_HANDLE;
        }
        if (place == NIL || s_type[place] != 0) {
            return ERR_FIT;
        }
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

/* Words 10 and on, from buffer to buffer. */
static void pass_buffer(uint32_t from, uint32_t to, uint32_t words)
{
    uint64_t a = t_buffer[from] * 512ULL;
    uint64_t b = t_buffer[to] * 512ULL;
    for (uint32_t k = MSG_WORDS_REGS; k < words; k++) {
        phys[b + k] = phys[a + k];
    }
}

/* Capabilities: copies that are derived from the sender's. */
static void pass_handles(uint32_t from, uint32_t to, uint32_t handles)
{
    for (uint32_t k = 0; k < MSG_HANDLES && k < handles; k++) {
        uint32_t s = packed_slot(from, k);
        cap_copy(s, packed_slot(to, k), RIGHTS_ALL, s_badge[s]);
    }
}

/* The first n packed handles alone, and those behind them; n > 0. */
static uint64_t packed_first(uint64_t extra, uint32_t n)
{
    return extra & (0x7fffffffffffffffULL >> (63 - n * HANDLE_BITS));
}

static uint64_t packed_rest(uint64_t extra, uint32_t n)
{
    return n >= MSG_HANDLES ? 0 : extra >> (n * HANDLE_BITS);
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
    message_words(from, to, words < MSG_WORDS_REGS ? words : MSG_WORDS_REGS);
    if (words > MSG_WORDS_REGS) {
        pass_buffer(from, to, words);
    }
    t_reg[to * T_REGS + R_TAG] = (tag & TAG_MESSAGE) | TAG(0, 0, 0, handles);
    t_reg[to * T_REGS + R_HANDLE] = t_badge[from];
    if (handles != 0) {
        pass_handles(from, to, handles);
        t_reg[to * T_REGS + R_EXTRA] = packed_first(t_reg[to * T_REGS + R_EXTRA], handles);
        t_reg[from * T_REGS + R_EXTRA] = packed_rest(t_reg[from * T_REGS + R_EXTRA], handles);
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
