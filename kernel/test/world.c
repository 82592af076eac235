/* Threads for tests: see world.h. */
#include "test/world.h"

#include <stdio.h>
#include <stdlib.h>

static void want(uint32_t error, const char *what)
{
    if (error != 0) {
        fprintf(stderr, "%s: error %u, argument %llu\n", what, error,
                (unsigned long long)kit_word[0]);
        abort();
    }
}

static void make(uint32_t kind, uint32_t type, uint32_t count, uint32_t handle)
{
    want(KIT_FINISH(KIT_UNTYPED(kind), INV_UNTYPED_RETYPE, type, 0, W_OBJECT(0) - 1, count,
                    KIT_CNODE, handle),
         "retype");
}

void world(void)
{
    kit_boot();
    make(KIND_THREAD, OBJ_THREAD, W_THREADS, W_THREAD(0));
    make(KIND_CONTEXT, OBJ_CONTEXT, W_THREADS, W_CONTEXT(0));
    make(KIND_ENDPOINT, OBJ_ENDPOINT, 4, W_ENDPOINT(0));
    make(KIND_NOTIFICATION, OBJ_NOTIFICATION, 4, W_NOTIFICATION(0));
    make(KIND_REPLY, OBJ_REPLY, W_THREADS, W_REPLY(0));
    for (uint32_t i = 0; i < W_THREADS; i++) {
        want(KIT_CALL(W_THREAD(i), INV_THREAD_BIND, ROLE_CNODE, KIT_CNODE), "cnode");
        want(KIT_CALL(W_CONTEXT(i), INV_CONTEXT_CONFIGURE, W_BUDGET, W_BUDGET), "configure");
        want(KIT_CALL(W_THREAD(i), INV_THREAD_BIND, ROLE_CONTEXT, W_CONTEXT(i)), "context");
        want(KIT_CALL(W_THREAD(i), INV_THREAD_PRIORITY, 10), "priority");
        want(KIT_CALL(KIT_CNODE, INV_CNODE_MINT, W_BADGED(i), KIT_CNODE, W_ENDPOINT(0), RIGHTS_ALL,
                      i + 1),
             "badge");
        if (i < 4) {
            want(KIT_CALL(KIT_CNODE, INV_CNODE_MINT, W_SIGNAL(i), KIT_CNODE, W_NOTIFICATION(i),
                          RIGHTS_ALL, 1u << i),
                 "signal");
        }
    }
    schedule();
}

void world_passive(uint32_t i)
{
    want(KIT_CALL(W_THREAD(i), INV_THREAD_BIND, ROLE_CONTEXT, 0), "passive");
}

void world_resume(uint32_t i)
{
    want(KIT_CALL(W_THREAD(i), INV_THREAD_RESUME), "resume");
    schedule();
}

void world_syscall(uint32_t number, uint32_t handle, uint32_t reply, uint32_t label, uint32_t words,
                   const uint64_t *word)
{
    uint64_t *reg = t_reg + current * T_REGS;
    reg[R_TAG] = TAG_NATIVE | TAG(number, label, words, 0);
    reg[R_HANDLE] = (uint64_t)reply << 32 | handle;
    for (uint32_t k = 0; k < words && k < MSG_WORDS_REGS; k++) {
        reg[R_W0 + k] = word[k];
    }
    entry_syscall();
}

uint64_t world_reg(uint32_t i, uint32_t r)
{
    return t_reg[W_OBJECT(i) * T_REGS + r];
}

void world_time(uint64_t ticks)
{
    uint64_t end = host_clock + ticks;
    while (host_due <= end) {
        host_clock = host_due > host_clock ? host_due : host_clock;
        entry_timer();
    }
    host_clock = end;
}
