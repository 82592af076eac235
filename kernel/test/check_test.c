/* Each clause of the invariant is broken once, in tables that hold one of everything, and must
 * fire. */
#include "arch/host/host.h"
#include "object/check.h"
#include "object/cnode.h"
#include "object/dump.h"
#include "object/irq.h"
#include "object/space.h"
#include "test/check_threads.h"
#include "test/testkit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static uint32_t breaking;

static uint32_t slot(uint32_t what)
{
    return kit_slot(KIT_HAS(what));
}

static uint32_t obj(uint32_t what)
{
    return s_object[slot(what)];
}

static uint64_t *pte(uint32_t what)
{
    uint32_t s = slot(what);
    return &phys[s_table[s] * 512ULL + s_entry[s]];
}

static void break_slot(uint32_t clause)
{
    uint32_t s = slot(HAS_PART);
    uint32_t u = kit_slot(KIT_UNTYPED(KIND_FRAME));
    switch (clause) {
    case CLAUSE_slot_refs:
        s_next[s] = SLOTS;
        break;
    case CLAUSE_slot_empty:
        s_parent[slot(HAS_EMPTY)] = s;
        break;
    case CLAUSE_slot_parent:
        s_parent[s] = slot(HAS_EMPTY);
        break;
    case CLAUSE_slot_root:
        s_next[kit_slot(KIT_MONITOR)] = s;
        break;
    case CLAUSE_slot_first:
        s_first[u] = s_next[s_first[u]];
        break;
    case CLAUSE_slot_head:
        s_prev[s_next[s_first[u]]] = NIL;
        break;
    case CLAUSE_slot_next:
        s_next[s_first[u]] = s_next[s_next[s_first[u]]];
        break;
    case CLAUSE_slot_prev:
        s_prev[s_next[s_next[s_first[u]]]] = s_first[u];
        break;
    default: /* slot_reached: two slots that are each other's only child */
        s_parent[u] = s_first[s] = s_first[u];
        s_parent[u] = s_first[u];
        s_first[s_first[u]] = u;
        break;
    }
}

static void break_capability(uint32_t clause)
{
    switch (clause) {
    case CLAUSE_cap_type:
        s_type[slot(HAS_REPLY)] = TYPES;
        break;
    case CLAUSE_cap_rights:
        s_rights[slot(HAS_ENDPOINT)] &= (uint8_t)~RIGHT_GRANT;
        break;
    case CLAUSE_cap_badge:
        s_badge[slot(HAS_FRAME)] = 3;
        break;
    case CLAUSE_cap_kind:
        s_kind[slot(HAS_PART)] = KINDS;
        break;
    case CLAUSE_cap_object:
        s_object[slot(HAS_REPLY)] = R_MAX;
        break;
    case CLAUSE_cap_range:
        s_count[slot(HAS_PART)] = E_MAX;
        break;
    case CLAUSE_cap_live:
        owner[OWN_CONTEXT + obj(HAS_CONTEXT)] = NIL;
        break;
    case CLAUSE_cap_copy:
        s_object[slot(HAS_BADGED)]++;
        break;
    case CLAUSE_cap_owner:
        s_object[kit_slot(KIT_UNTYPED(KIND_REPLY))] += 10;
        break;
    case CLAUSE_cap_part:
        s_count[slot(HAS_PART)] = E_MAX - 1;
        s_object[slot(HAS_PART)] = 1;
        s_object[kit_slot(KIT_UNTYPED(KIND_ENDPOINT))] = 2;
        break;
    case CLAUSE_owner_slot:
        owner[OWN_CONTEXT + obj(HAS_CONTEXT) + 1] = slot(HAS_CONTEXT);
        break;
    case CLAUSE_home_cnode:
        s_home[obj(HAS_CNODE) + 3] = 1;
        break;
    case CLAUSE_home_filled:
        s_home[slot(HAS_EMPTY)] = HOME_SLOTS - 1;
        break;
    case CLAUSE_cnode_size:
        k_count[obj(HAS_CNODE)] = k_size[obj(HAS_CNODE)] + 1;
        break;
    case CLAUSE_cnode_owner:
        k_size[obj(HAS_CNODE)] = 0;
        break;
    default: /* cnode_first */
        s_type[obj(HAS_CNODE)] = OBJ_MONITOR;
        break;
    }
}

static void break_hidden(uint32_t clause)
{
    switch (clause) {
    case CLAUSE_hidden_thread:
        s_rights[THREAD_SLOT(KIT_ROOT, ROLE_CNODE)] = 0;
        break;
    case CLAUSE_hidden_irq:
        s_type[IRQ_SLOT(obj(HAS_IRQ))] = OBJ_ENDPOINT;
        break;
    case CLAUSE_hidden_leaf:
        s_first[IRQ_SLOT(obj(HAS_IRQ))] = 1;
        break;
    default: /* irq_pending */
        i_pending[obj(HAS_IRQ) + 1] = 1;
        break;
    }
}

static void break_frame(uint32_t clause)
{
    switch (clause) {
    case CLAUSE_frame_state:
        f_state[2] = F_SPACE + 1;
        break;
    case CLAUSE_frame_owner:
        f_state[obj(HAS_FRAME)] = F_ZERO;
        break;
    case CLAUSE_frame_part:
        f_state[obj(HAS_LARGE) + 9] = F_DIRTY;
        break;
    case CLAUSE_frame_reverse:
        f_state[obj(HAS_TABLE1) + 1] = F_DIRTY;
        break;
    default: /* frame_zero: looked at in turn, so all free frames are broken */
        for (uint32_t f = 0; f < PHYS_FRAMES; f++) {
            if (f_state[f] == F_DIRTY) {
                f_state[f] = F_ZERO;
            }
            phys[f * 512ULL + 511] = 1;
        }
        break;
    }
}

static void break_map(uint32_t clause)
{
    uint32_t table = obj(HAS_TABLE1);
    switch (clause) {
    case CLAUSE_map_forward:
        s_entry[slot(HAS_FRAME)] = 9;
        break;
    case CLAUSE_map_level:
        f_state[obj(HAS_TABLE3)] = F_TABLE2;
        break;
    case CLAUSE_map_reverse:
        phys[(table + 1) * 512ULL + 9] = slot(HAS_FRAME);
        break;
    case CLAUSE_map_entry:
        *pte(HAS_FRAME) += 4096;
        break;
    case CLAUSE_map_exclusive:
        *pte(HAS_COPY) += ARCH_PTE_WRITE;
        break;
    default: /* map_kernel */
        phys[obj(HAS_SPACE) * 512ULL + 300] += ARCH_PTE_USER;
        break;
    }
}

static void break_it(void)
{
    if (breaking < CLAUSE_queue_refs) {
        kit_boot();
        kit_furnish();
        kit_check("before");
    }
    if (breaking >= CLAUSE_queue_refs) {
        break_threads(breaking);
    } else if (breaking <= CLAUSE_slot_reached) {
        break_slot(breaking);
    } else if (breaking <= CLAUSE_cnode_first) {
        break_capability(breaking);
    } else if (breaking <= CLAUSE_irq_pending) {
        break_hidden(breaking);
    } else if (breaking <= CLAUSE_frame_zero) {
        break_frame(breaking);
    } else {
        break_map(breaking);
    }
    bool fired = !check_clause(breaking);
    for (uint32_t n = 0; breaking == CLAUSE_frame_zero && n < PHYS_FRAMES; n++) {
        fired = fired || !check_clause(breaking);
    }
    if (!fired || check_inv() == CLAUSES) {
        fprintf(stderr, "clause %s did not fire\n", kit_clause(breaking));
        exit(1);
    }
}

static void every_clause_fires(void **state)
{
    (void)state;
    uint32_t silent = 0;
    for (breaking = 0; breaking < CLAUSES; breaking++) {
        silent += !kit_fork(break_it);
    }
    printf("%u clauses, %u silent\n", (unsigned)CLAUSES, silent);
    assert_int_equal(silent, 0);
}

/* Whether the sum over a table is another one when a bit of an entry is. */
static bool told(uint32_t field, uint32_t entry, void *at)
{
    uint8_t *byte = at;
    uint64_t before = dump_sum(field, 0, dump_length(field), 0);
    *byte ^= 1;
    bool differs = dump_sum(field, 0, dump_length(field), 0) != before &&
                   dump_sum(field, entry, 1, 0) != dump_sum(field, entry, 0, 0);
    *byte ^= 1;
    return differs && dump_sum(field, 0, dump_length(field), 0) == before;
}

/* What says that a refused call has changed nothing would see it if it had. */
static void a_sum_tells_what_changed(void **state)
{
    (void)state;
    assert_true(told(FIELD_S_TYPE, 1, &s_type[1]));
    assert_true(told(FIELD_S_BADGE, SLOTS - 1, &s_badge[SLOTS - 1]));
    assert_true(told(FIELD_S_PARENT, 9, &s_parent[9]));
    assert_true(told(FIELD_K_SIZE, 7, &k_size[7]));
    assert_true(told(FIELD_OWNER, OBJECTS - 1, &owner[OBJECTS - 1]));
    assert_true(told(FIELD_F_STATE, 5, &f_state[5]));
    assert_true(told(FIELD_I_PENDING, 3, &i_pending[3]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_clause_fires),
                                       cmocka_unit_test(a_sum_tells_what_changed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
