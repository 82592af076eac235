/* Decoding the invocation of untyped ranges: retype. */
#include "object/decode.h"
#include "object/space.h"
#include "object/untyped.h"

/* Arguments, by their place in the table. */
enum { A_TYPE = 1, A_SIZE, A_FIRST, A_COUNT, A_CNODE, A_INDEX };

/* The type can be made from the range's kind, in this size. */
/*@ requires is_slot(d_self);
    assigns d_argument, d_limit;
    ensures \result == 0 ==> 1 <= type < TYPES && type != OBJ_MONITOR &&
        (type != OBJ_UNTYPED ==> kind_of(type) == s_kind[d_self]) &&
        (type == OBJ_TABLE ? 1 <= size < ARCH_LEVELS
                           : size <= (type == OBJ_FRAME || type == OBJ_DEVICE ? 1 : 0)); */
static uint32_t check_type(uint64_t type, uint64_t size)
{
    if (type == 0 || type >= TYPES || type == OBJ_MONITOR) {
        return refuse(ERR_RANGE, A_TYPE, TYPES);
    }
    if (type != OBJ_UNTYPED && type_kind((uint32_t)type) != s_kind[d_self]) {
        return refuse(ERR_TYPE, A_TYPE, s_kind[d_self]);
    }
    if (type == OBJ_TABLE ? size == 0 || size >= ARCH_LEVELS
                          : size > (type == OBJ_FRAME || type == OBJ_DEVICE)) {
        return refuse(ERR_RANGE, A_SIZE, type == OBJ_TABLE ? ARCH_LEVELS : 2);
    }
    return 0;
}

/* Most objects of a type and size that one retype makes, or its longest range. */
/*@ requires is_slot(d_self);
    assigns \nothing;
    ensures \result == (type == OBJ_CNODE ? CNODE_SLICE
        : type == OBJ_UNTYPED || type == OBJ_PORT ? s_count[d_self]
        : unit_of(type, size) == LARGE_FRAMES ? 1 : RETYPE_OBJECTS); */
static uint32_t count_max(uint32_t type, uint32_t size)
{
    if (type == OBJ_CNODE) {
        return CNODE_SLICE;
    }
    if (type_is_range(type)) {
        return s_count[d_self];
    }
    return type_unit(type, size) == LARGE_FRAMES ? 1 : RETYPE_OBJECTS;
}

/* The named part lies in the range, and is not too long for one call. */
/*@ requires is_slot(d_self) && s_object[d_self] + s_count[d_self] <= 4294967296;
    assigns d_argument, d_limit;
    ensures \result == 0 ==> 1 <= count && first + count * unit_of(type, size) <= s_count[d_self];
    ensures \result == 0 && type == OBJ_CNODE ==> count <= CNODE_SLICE;
    ensures \result == 0 && type != OBJ_CNODE && type != OBJ_UNTYPED && type != OBJ_PORT ==>
        count <= RETYPE_OBJECTS;
    ensures \result == 0 && unit_of(type, size) == LARGE_FRAMES ==>
        (s_object[d_self] + first) % LARGE_FRAMES == 0; */
static uint32_t check_part(uint32_t type, uint32_t size, uint64_t first, uint64_t count)
{
    uint32_t max = count_max(type, size);
    uint32_t range = s_count[d_self];
    if (count == 0 || count > max) {
        return refuse(ERR_RANGE, A_COUNT, max + 1ULL);
    }
    uint64_t entries = count * type_unit(type, size);
    if (entries > range) {
        return refuse(ERR_RANGE, A_COUNT, range + 1ULL);
    }
    if (first > range - entries) {
        return refuse(ERR_RANGE, A_FIRST, range - entries + 1);
    }
    if (type_unit(type, size) == LARGE_FRAMES &&
        (s_object[d_self] + (uint32_t)first) % LARGE_FRAMES != 0) {
        return refuse(ERR_RANGE, A_FIRST, LARGE_FRAMES);
    }
    return 0;
}

/* The slots for the new capabilities exist and are empty. */
/*@ CNODES(requires)
    requires is_slot(d_slot[A_CNODE - 1]) && s_object[d_slot[A_CNODE - 1]] < HOME_SLOTS;
    assigns d_argument, d_limit;
    ensures \result == 0 && count > 0 ==>
        1 <= index && index + count <= k_count[s_object[d_slot[A_CNODE - 1]]];
    ensures \result == 0 ==> \forall integer s; s_object[d_slot[A_CNODE - 1]] + index <= s <
        s_object[d_slot[A_CNODE - 1]] + index + count ==> s_type[s] == 0; */
static uint32_t check_slots(uint64_t index, uint32_t count)
{
    uint32_t k = s_object[d_slot[A_CNODE - 1]];
    /*@ loop invariant 0 <= n <= count;
        loop invariant n > 0 ==> 1 <= index && index + n <= k_count[k];
        loop invariant \forall integer j; k + index <= j < k + index + n ==> s_type[j] == 0;
        loop assigns n;
        loop variant count - n; */
    for (uint32_t n = 0; n < count; n++) {
        uint32_t s = index < HOME_SLOTS ? cnode_slot(k, index + n) : NIL;
        if (s == NIL || s_type[s] != 0) {
            return refuse(ERR_SLOT, A_INDEX, k_count[k]);
        }
        /*@ assert s == k + index + n; */
    }
    return 0;
}

static void make(uint32_t type, uint32_t size, uint32_t first, uint32_t count, uint32_t to)
{
    if (type_is_range(type)) {
        range_make(d_self, type, type == OBJ_UNTYPED ? s_kind[d_self] : 0, first, count, to);
        return;
    }
    for (uint32_t n = 0; n < count; n++) {
        object_make(d_self, type, size, first + n * type_unit(type, size), to + n);
    }
}

uint32_t decode_untyped(uint32_t label)
{
    (void)label;
    uint32_t error = check_type(d_word[0], d_word[1]);
    if (error != 0) {
        return error;
    }
    uint32_t type = (uint32_t)d_word[0];
    uint32_t size = (uint32_t)d_word[1];
    error = check_part(type, size, d_word[2], d_word[3]);
    if (error != 0) {
        return error;
    }
    uint32_t first = s_object[d_self] + (uint32_t)d_word[2];
    uint32_t count = (uint32_t)d_word[3];
    error = check_slots(d_word[5], type_is_range(type) ? 1 : count);
    if (error != 0) {
        return error;
    }
    uint32_t entries = count * type_unit(type, size);
    uint32_t free_entries = entries_free(type, first, entries);
    if (free_entries < entries) {
        return refuse(ERR_BUSY, A_FIRST, d_word[2] + free_entries);
    }
    if (type_kind(type) == KIND_FRAME && frames_zero(first, entries, ZERO_SLICE) == ZERO_SLICE) {
        return ERR_AGAIN;
    }
    make(type, size, first, count, s_object[d_slot[A_CNODE - 1]] + (uint32_t)d_word[5]);
    return 0;
}
