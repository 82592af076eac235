/* The kernel's tables as numbers, for the monitor and for tests. */
#ifndef KERNEL_DUMP_H
#define KERNEL_DUMP_H

#include "object/cnode.h"
#include "object/irq.h"

/*@ logic integer field_length(integer field) =
        field == FIELD_S_HOME || field == FIELD_K_COUNT || field == FIELD_K_SIZE ? HOME_SLOTS :
        field == FIELD_OWNER ? OBJECTS : field == FIELD_F_STATE ? PHYS_FRAMES :
        field == FIELD_I_PENDING ? I_MAX : field == FIELD_MEMORY ? PHYS_FRAMES * 512 : SLOTS; */

/* Entries of a table (FIELD_...). */
/*@ assigns \nothing;
    ensures \result == field_length(field) && \result >= DUMP_SLICE / 16; */
uint32_t dump_length(uint32_t field);

/* One entry of it. */
/*@ requires index < field_length(field);
    assigns \nothing;
    ensures field == FIELD_S_TYPE ==> \result == s_type[index];
    ensures field == FIELD_S_RIGHTS ==> \result == s_rights[index];
    ensures field == FIELD_S_OBJECT ==> \result == s_object[index];
    ensures field == FIELD_S_BADGE ==> \result == s_badge[index];
    ensures field == FIELD_OWNER ==> \result == owner[index];
    ensures field == FIELD_MEMORY ==>
        \result == (f_state[index / 512] == F_DIRTY ? 0 : phys[index]); */
uint64_t dump_entry(uint32_t field, uint32_t index);

/* What the entries first .. first + count - 1 come to: it differs when one of them does, but for a
 * chance of 2^-64. Begin with sum 0; the result continues a sum. */
/*@ requires first + count <= field_length(field);
    assigns \nothing;
    ensures count == 0 ==> \result == sum; */
uint64_t dump_sum(uint32_t field, uint32_t first, uint32_t count, uint64_t sum);

#endif
