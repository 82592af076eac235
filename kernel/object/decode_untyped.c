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
                           : size <= (type == OBJ_FRAME || type == OBJ_DEVICE ? 1 : 0));
    ensures \result < ERRORS; */
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
    ensures \result == 0 ==> 1 <= count && first + span_of(type, size, count) <= s_count[d_self];
    ensures \result == 0 && type == OBJ_CNODE ==> count <= CNODE_SLICE;
    ensures \result == 0 && type != OBJ_CNODE && type != OBJ_UNTYPED && type != OBJ_PORT ==>
        count <= RETYPE_OBJECTS;
    ensures \result == 0 && unit_of(type, size) == LARGE_FRAMES ==>
        count == 1 && (s_object[d_self] + first) % LARGE_FRAMES == 0;
    ensures \result < ERRORS; */
static uint32_t check_part(uint32_t type, uint32_t size, uint64_t first, uint64_t count)
{
    uint32_t max = count_max(type, size);
    uint32_t range = s_count[d_self];
    if (count == 0 || count > max) {
        return refuse(ERR_RANGE, A_COUNT, max + 1ULL);
    }
    uint64_t entries = type_span(type, size, count);
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
        s_object[d_slot[A_CNODE - 1]] + index + count ==> in_reach(s) && s_type[s] == 0;
    ensures \result < ERRORS; */
static uint32_t check_slots(uint64_t index, uint32_t count)
{
    uint32_t k = s_object[d_slot[A_CNODE - 1]];
    /*@ loop invariant 0 <= n <= count;
        loop invariant n > 0 ==> 1 <= index && index + n <= k_count[k];
        loop invariant \forall integer j; k + index <= j < k + index + n ==>
            in_reach(j) && s_type[j] == 0;
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

/* Zeroes frames, which are free: 0 when all of them are, ERR_AGAIN when a slice of them was. */
/*@ requires maps && cap_object && cap_memory(NIL) && cap_large(NIL);
    requires 1 <= first && first + count <= PHYS_FRAMES;
    requires \forall integer f; first <= f < first + count ==> f_state[f] <= F_ZERO;
    assigns f_state[first .. first + count - 1];
    assigns phys[first * 512 .. (first + count) * 512 - 1];
    ensures maps;
    ensures cap_memory(NIL);
    ensures cap_large(NIL);
    ensures \result == 0 || \result == ERR_AGAIN;
    ensures \result == 0 ==>
        \forall integer f; first <= f < first + count ==> f_state[f] == F_ZERO; */
static uint32_t prepare_frames(uint32_t first, uint32_t count)
{
    return frames_zero(first, count, ZERO_SLICE) == ZERO_SLICE ? ERR_AGAIN : 0;
}

/* The named entries are free; memory is zeroed: 0, ERR_AGAIN, or the refusal. */
/*@ WHOLE(requires, NIL)
    requires 1 <= type < TYPES && (kind_of(type) == KIND_SLOT ==> is_home(first));
    requires base_of(type) != OBJECTS ==> 1 <= first && first + entries <= length_of(type);
    requires d_word[A_FIRST - 1] <= s_count[d_self];
    assigns d_argument, d_limit, f_state[0 .. PHYS_FRAMES-1], phys[0 .. PHYS_FRAMES * 512 - 1];
    WHOLE(ensures, NIL)
    ensures \result == 0 && type == OBJ_CNODE ==>
        \forall integer s; first <= s < first + entries ==> slot_is_free(s);
    ensures \result == 0 && base_of(type) != OBJECTS && type != OBJ_CNODE ==>
        \forall integer e; first <= e < first + entries ==> entry_is_ready(type, e);
    ensures \result < ERRORS; */
static uint32_t prepare_entries(uint32_t type, uint32_t first, uint32_t entries)
{
    uint32_t free_entries = entries_free(type, first, entries);
    if (free_entries < entries) {
        return refuse(ERR_BUSY, A_FIRST, d_word[A_FIRST - 1] + free_entries);
    }
    if (type_kind(type) != KIND_FRAME) {
        return 0;
    }
    return prepare_frames(first, entries);
}

/* clang-format off */
/* Below d_self something can be made of count entries or objects from entry first on, and the
 * slots from to on are there for it. */
#define TO_MAKE(slots)                                                                             \
    WHOLE(requires, NIL)                                                                           \
    requires is_home(d_self) && s_type[d_self] == OBJ_UNTYPED;                                     \
    requires 1 <= type < TYPES && type != OBJ_MONITOR;                                             \
    requires 1 <= to && to + (slots) <= HOME_SLOTS;                                                \
    requires \forall integer x; to <= x < to + (slots) ==> in_reach(x) && s_type[x] == 0;          \
    SLOT_FIELDS(assigns)                                                                           \
    RUNNING_FIELDS(assigns)                                                                        \
    assigns owner[0 .. OBJECTS-1], f_state[0 .. PHYS_FRAMES-1];                                    \
    WHOLE(ensures, NIL)                                                                            \
    ensures \forall integer x; to <= x < to + (slots) ==> s_type[x] == type;                       \
    ensures \forall integer x; is_slot(x) && !(to <= x < to + (slots)) ==> slot_stays(x);
#define is_range(type) ((type) == OBJ_CNODE || (type) == OBJ_UNTYPED || (type) == OBJ_PORT)
/* clang-format on */

/* Makes count objects, one behind the other, each in a slot of its own. */
/*@ requires !is_range(type) && units_fit(type, size, first, count);
    requires base_of(type) != OBJECTS ==> \forall integer e;
        first <= e < first + span_of(type, size, count) ==> entry_is_ready(type, e);
    TO_MAKE(count) */
static void make_objects(uint32_t type, uint32_t size, uint32_t first, uint32_t count, uint32_t to)
{
    /*@ loop invariant 0 <= n <= count;
        WHOLE(loop invariant, NIL)
        loop invariant s_type[d_self] == OBJ_UNTYPED;
        loop invariant \forall integer x; to <= x < to + n ==> s_type[x] == type;
        loop invariant \forall integer x; is_slot(x) && !(to <= x < to + n) ==> slot_stays(x);
        loop invariant base_of(type) != OBJECTS ==> \forall integer e;
            first + span_of(type, size, n) <= e < first + span_of(type, size, count) ==>
            entry_is_ready(type, e);
        loop assigns n, owner[0 .. OBJECTS-1], f_state[0 .. PHYS_FRAMES-1];
        SLOT_FIELDS(loop assigns)
        RUNNING_FIELDS(loop assigns)
        loop variant count - n; */
    for (uint32_t n = 0; n < count; n++) {
        /*@ assert next: span_of(type, size, n) + unit_of(type, size) <=
                span_of(type, size, count); */
        /*@ assert aligned: unit_fits(type, size, first + span_of(type, size, n)); */
        object_make(d_self, type, size, first + (uint32_t)type_span(type, size, n), to + n);
    }
}

/* Makes the objects, or the one range. */
/*@ requires units_fit(type, size, first, count) && 1 <= count;
    requires type == OBJ_CNODE ==>
        \forall integer s; first <= s < first + count ==> slot_is_free(s);
    requires type == OBJ_UNTYPED || type == OBJ_PORT ==>
        range_fits(type, type == OBJ_UNTYPED ? s_kind[d_self] : 0, first, count);
    requires !is_range(type) && base_of(type) != OBJECTS ==> \forall integer e;
        first <= e < first + span_of(type, size, count) ==> entry_is_ready(type, e);
    TO_MAKE(is_range(type) ? 1 : count)
    assigns k_count[type == OBJ_CNODE ? first : NIL], k_size[type == OBJ_CNODE ? first : NIL];
    assigns s_home[0 .. HOME_SLOTS-1]; */
static void make(uint32_t type, uint32_t size, uint32_t first, uint32_t count, uint32_t to)
{
    if (type_is_range(type)) {
        range_make(d_self, type, type == OBJ_UNTYPED ? s_kind[d_self] : 0, first, count, to);
        return;
    }
    make_objects(type, size, first, count, to);
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
    error = prepare_entries(type, first, (uint32_t)type_span(type, size, count));
    if (error != 0) {
        return error;
    }
    make(type, size, first, count, s_object[d_slot[A_CNODE - 1]] + (uint32_t)d_word[A_INDEX - 1]);
    return 0;
}
