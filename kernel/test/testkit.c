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
#include "object/turn.h"
#include "object/untyped.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AGAIN_MAX 100000u

uint64_t kit_word[MSG_WORDS_REGS];
static uint64_t random_state;

void kit_boot(void)
{
    slots_init();
    schedule_init();
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
        kit_word[0] = 0;
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

const struct matrix kit_matrix = {
    .cnode = KIT_CNODE,
    .untyped = {[KIND_SLOT] = KIT_UNTYPED(KIND_SLOT),
                [KIND_THREAD] = KIT_UNTYPED(KIND_THREAD),
                [KIND_ENDPOINT] = KIT_UNTYPED(KIND_ENDPOINT),
                [KIND_NOTIFICATION] = KIT_UNTYPED(KIND_NOTIFICATION),
                [KIND_REPLY] = KIT_UNTYPED(KIND_REPLY),
                [KIND_CONTEXT] = KIT_UNTYPED(KIND_CONTEXT),
                [KIND_FRAME] = KIT_UNTYPED(KIND_FRAME),
                [KIND_DEVICE] = KIT_UNTYPED(KIND_DEVICE),
                [KIND_IRQ] = KIT_UNTYPED(KIND_IRQ),
                [KIND_PORT] = KIT_UNTYPED(KIND_PORT)},
    .monitor = KIT_MONITOR,
    .first = KIT_FREE,
    .slots = KIT_SLOTS,
};

uint32_t matrix_invoke(uint64_t handle, uint32_t label, uint32_t words,
                       uint64_t word[MSG_WORDS_REGS])
{
    uint32_t error = kit_invoke(KIT_ROOT, handle, label, words, word);
    for (uint32_t n = 0; n < MSG_WORDS_REGS; n++) {
        word[n] = kit_word[n];
    }
    return error;
}

uint64_t matrix_sum(void)
{
    return kit_sum();
}

void matrix_failed(uint32_t label, const char *what, uint64_t value, uint32_t error,
                   uint64_t argument)
{
    fprintf(stderr, "%s, %s %llu: %s, argument %llu\n", inv_name[label], what,
            (unsigned long long)value, error_name[error], (unsigned long long)argument);
}

void kit_furnish(void)
{
    uint32_t refused = matrix_furnish(&kit_matrix);
    if (refused != 0) {
        fprintf(stderr, "%u calls of the furnishing were refused\n", refused);
        abort();
    }
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
