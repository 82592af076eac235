/* What the host tests of the kernel share: see testkit.h. */
#include "test/testkit.h"

#include "abi/abi_names.h"
#include "abi/message.h"
#include "arch/host/host.h"
#include "object/check.h"
#include "object/decode.h"
#include "object/delete.h"
#include "object/dump.h"
#include "object/space.h"
#include "object/thread.h"
#include "object/untyped.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AGAIN_MAX 100000u

uint64_t kit_word[MSG_WORDS_REGS];
static uint64_t random_state;

/* A call that must succeed. */
static void want(uint32_t error)
{
    if (error != 0) {
        fprintf(stderr, "refused: %s, argument %llu, limit %llu\n", error_name[error],
                (unsigned long long)kit_word[0], (unsigned long long)kit_word[1]);
        abort();
    }
}

void kit_boot(void)
{
    slots_init();
    uint32_t k = 1;
    range_make(NIL, OBJ_CNODE, 0, k, KIT_SLOTS, k + KIT_CNODE);
    static const uint32_t first[KINDS] = {
        [KIND_SLOT] = 1 + KIT_SLOTS,
        [KIND_THREAD] = 1,
        [KIND_ENDPOINT] = 1,
        [KIND_NOTIFICATION] = 1,
        [KIND_REPLY] = 1,
        [KIND_CONTEXT] = 1,
        [KIND_FRAME] = KIT_FRAME_FIRST,
        [KIND_DEVICE] = PHYS_FRAMES,
        [KIND_IRQ] = 1,
        [KIND_PORT] = 0,
    };
    static const uint32_t end[KINDS] = {
        [KIND_SLOT] = HOME_SLOTS,   [KIND_THREAD] = T_MAX,
        [KIND_ENDPOINT] = E_MAX,    [KIND_NOTIFICATION] = N_MAX,
        [KIND_REPLY] = R_MAX,       [KIND_CONTEXT] = C_MAX,
        [KIND_FRAME] = PHYS_FRAMES, [KIND_DEVICE] = PHYS_FRAMES + 0x100000,
        [KIND_IRQ] = I_MAX,         [KIND_PORT] = ARCH_PORTS,
    };
    for (uint8_t kind = 1; kind < KINDS; kind++) {
        range_make(NIL, OBJ_UNTYPED, kind, first[kind], end[kind] - first[kind],
                   k + KIT_UNTYPED(kind));
    }
    cap_range(k + KIT_MONITOR, NIL, OBJ_MONITOR, 0, 0, 0);
    object_make(k + KIT_UNTYPED(KIND_THREAD), OBJ_THREAD, 0, KIT_ROOT, k + KIT_THREAD);
    cap_copy(k + KIT_CNODE, THREAD_SLOT(KIT_ROOT, ROLE_CNODE), RIGHTS_ALL, 0);
    thread_bound(KIT_ROOT, ROLE_CNODE);
}

uint32_t kit_invoke(uint32_t t, uint64_t handle, uint32_t label, uint32_t words,
                    const uint64_t *word)
{
    uint32_t s = cnode_slot(t_cnode[t], handle);
    if (s == NIL || s_type[s] == 0) {
        return ERR_HANDLE;
    }
    uint64_t *reg = t_reg + t * T_REGS;
    reg[R_TAG] = TAG_NATIVE + TAG(SYS_CALL, label, words, 0);
    for (uint32_t n = 0; n < MSG_WORDS_REGS; n++) {
        reg[R_W0 + n] = n < words ? word[n] : 0;
    }
    invoke(t, s);
    for (uint32_t n = 0; n < MSG_WORDS_REGS; n++) {
        kit_word[n] = reg[R_W0 + n];
    }
    return TAG_CODE(reg[R_TAG]);
}

uint32_t kit_finish(uint64_t handle, uint32_t label, uint32_t words, const uint64_t *word)
{
    uint32_t error = ERR_AGAIN;
    for (uint32_t n = 0; n < AGAIN_MAX && error == ERR_AGAIN; n++) {
        error = kit_invoke(KIT_ROOT, handle, label, words, word);
    }
    return error;
}

/* Makes one object or range at an offset of the kind's untyped. */
static void make(uint32_t kind, uint32_t type, uint32_t size, uint32_t first, uint32_t count,
                 uint32_t handle)
{
    want(KIT_FINISH(KIT_UNTYPED(kind), INV_UNTYPED_RETYPE, type, size, first, count, KIT_CNODE,
                    handle));
}

void kit_furnish(void)
{
    make(KIND_SLOT, OBJ_CNODE, 0, 10, 32, HAS_CNODE);
    make(KIND_THREAD, OBJ_THREAD, 0, 4, 1, HAS_THREAD);
    make(KIND_ENDPOINT, OBJ_ENDPOINT, 0, 4, 1, HAS_ENDPOINT);
    make(KIND_NOTIFICATION, OBJ_NOTIFICATION, 0, 4, 1, HAS_NOTIFICATION);
    make(KIND_FRAME, OBJ_FRAME, 0, 4, 1, HAS_FRAME);
    make(KIND_FRAME, OBJ_FRAME, 1, LARGE_FRAMES - KIT_FRAME_FIRST, 1, HAS_LARGE);
    make(KIND_FRAME, OBJ_TABLE, 1, 10, 1, HAS_TABLE1);
    make(KIND_FRAME, OBJ_TABLE, 2, 12, 1, HAS_TABLE2);
    make(KIND_FRAME, OBJ_TABLE, 3, 14, 1, HAS_TABLE3);
    make(KIND_FRAME, OBJ_SPACE, 0, 16, 1, HAS_SPACE);
    make(KIND_IRQ, OBJ_IRQ, 0, 4, 1, HAS_IRQ);
    make(KIND_PORT, OBJ_PORT, 0, 0x3f8, 100, HAS_PORT);
    make(KIND_DEVICE, OBJ_DEVICE, 0, 7, 1, HAS_DEVICE);
    make(KIND_ENDPOINT, OBJ_UNTYPED, 0, 20, 4, HAS_PART);
    make(KIND_REPLY, OBJ_REPLY, 0, 4, 1, HAS_REPLY);
    make(KIND_CONTEXT, OBJ_CONTEXT, 0, 4, 1, HAS_CONTEXT);
    want(KIT_CALL(KIT_CNODE, INV_CNODE_MINT, HAS_BADGED, KIT_CNODE, HAS_ENDPOINT, RIGHTS_ALL, 77));
    want(KIT_CALL(KIT_CNODE, INV_CNODE_COPY, HAS_COPY, KIT_CNODE, HAS_FRAME, RIGHTS_ALL));
    want(KIT_CALL(HAS_TABLE3, INV_TABLE_MAP, HAS_SPACE, 1));
    want(KIT_CALL(HAS_TABLE2, INV_TABLE_MAP, HAS_TABLE3, 2));
    want(KIT_CALL(HAS_TABLE1, INV_TABLE_MAP, HAS_TABLE2, 4));
    want(KIT_CALL(HAS_FRAME, INV_FRAME_MAP, HAS_TABLE1, 5, RIGHT_READ + RIGHT_WRITE));
    want(KIT_CALL(HAS_COPY, INV_FRAME_MAP, HAS_TABLE1, 7, RIGHT_READ + RIGHT_EXECUTE));
    want(KIT_CALL(HAS_LARGE, INV_FRAME_MAP, HAS_TABLE2, 3, RIGHT_READ));
    want(KIT_CALL(HAS_DEVICE, INV_DEVICE_MAP, HAS_TABLE1, 6, RIGHT_READ + RIGHT_WRITE));
    want(KIT_CALL(HAS_IRQ, INV_IRQ_BIND, HAS_NOTIFICATION));
}

uint32_t kit_slot(uint64_t handle)
{
    return cnode_slot(t_cnode[KIT_ROOT], handle);
}

uint64_t kit_sum(void)
{
    uint64_t sum = 0;
    for (uint32_t field = 0; field < FIELDS; field++) {
        if (field != FIELD_MEMORY) {
            sum = dump_sum(field, 0, dump_length(field), sum);
        }
    }
    return sum;
}

const char *kit_clause(uint32_t clause)
{
    static const char *const name[] = {
#define CLAUSE(name) #name,
#include "object/clauses.def"
        "none",
    };
    return name[clause];
}

void kit_check(const char *where)
{
    uint32_t clause = check_inv();
    if (clause != CLAUSES) {
        fprintf(stderr, "%s: clause %s does not hold\n", where, kit_clause(clause));
        abort();
    }
}

bool kit_fork(void (*body)(void))
{
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        body();
        fflush(NULL);
        _exit(0);
    }
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

uint64_t kit_seed(void)
{
    const char *text = getenv("COGNU_SEED");
    uint64_t seed =
        text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL) * 1000003 + (uint64_t)getpid();
    random_state = seed * 2 + 1;
    printf("COGNU_SEED=%llu\n", (unsigned long long)seed);
    return seed;
}

uint32_t kit_random(uint32_t below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (uint32_t)((random_state >> 16) % below);
}
