/* The kernel's tables as numbers: see dump.h. */
#include "object/dump.h"

uint32_t dump_length(uint32_t field)
{
    switch (field) {
    case FIELD_S_HOME:
    case FIELD_K_COUNT:
    case FIELD_K_SIZE:
        return HOME_SLOTS;
    case FIELD_OWNER:
        return OBJECTS;
    case FIELD_F_STATE:
        return PHYS_FRAMES;
    case FIELD_I_PENDING:
        return I_MAX;
    case FIELD_MEMORY:
        return PHYS_FRAMES * 512;
    default:
        return SLOTS;
    }
}

/* An entry of the slots' tables. */
/*@ requires s < SLOTS;
    assigns \nothing;
    ensures field == FIELD_S_TYPE ==> \result == s_type[s];
    ensures field == FIELD_S_RIGHTS ==> \result == s_rights[s];
    ensures field == FIELD_S_OBJECT ==> \result == s_object[s];
    ensures field == FIELD_S_BADGE ==> \result == s_badge[s]; */
static uint64_t slot_entry(uint32_t field, uint32_t s)
{
    switch (field) {
    case FIELD_S_TYPE:
        return s_type[s];
    case FIELD_S_RIGHTS:
        return s_rights[s];
    case FIELD_S_OBJECT:
        return s_object[s];
    case FIELD_S_COUNT:
        return s_count[s];
    case FIELD_S_KIND:
        return s_kind[s];
    case FIELD_S_BADGE:
        return s_badge[s];
    case FIELD_S_PARENT:
        return s_parent[s];
    case FIELD_S_FIRST:
        return s_first[s];
    case FIELD_S_NEXT:
        return s_next[s];
    case FIELD_S_PREV:
        return s_prev[s];
    case FIELD_S_TABLE:
        return s_table[s];
    default:
        return s_entry[s];
    }
}

uint64_t dump_entry(uint32_t field, uint32_t index)
{
    switch (field) {
    case FIELD_S_HOME:
        return s_home[index];
    case FIELD_K_COUNT:
        return k_count[index];
    case FIELD_K_SIZE:
        return k_size[index];
    case FIELD_OWNER:
        return owner[index];
    case FIELD_F_STATE:
        return f_state[index];
    case FIELD_I_PENDING:
        return i_pending[index];
    case FIELD_MEMORY:
        return f_state[index / 512] == F_DIRTY ? 0 : phys[index]; /* the kernel's own never */
    default:
        break;
    }
    return slot_entry(field, index);
}

/* One round of mixing, which can be undone: no two inputs give the same. The halves change places,
 * and the one that was high takes up a product of the low one. */
/*@ assigns \nothing;
    ensures \result / 0x100000000 == x % 0x100000000; */
static uint64_t mix(uint64_t x)
{
    uint32_t low = (uint32_t)(x % 0x100000000ULL);
    uint32_t high = (uint32_t)(x / 0x100000000ULL);
    uint32_t product = (uint32_t)(low * 0x9e3779b1ULL / 0x10000 % 0x100000000ULL);
    uint32_t mixed = high ^ product;
    return low * 0x100000000ULL + mixed;
}

uint64_t dump_sum(uint32_t field, uint32_t first, uint32_t count, uint64_t sum)
{
    /*@ loop invariant 0 <= n <= count && (n == 0 ==> sum == \at(sum,Pre));
        loop assigns n, sum;
        loop variant count - n; */
    for (uint32_t n = 0; n < count; n++) {
        sum = mix(mix(mix(sum ^ dump_entry(field, first + n))));
    }
    return sum;
}
