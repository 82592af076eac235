/* Decoding the invocations of cnodes. */
#include "object/decode.h"
#include "object/delete.h"
#include "object/endpoint.h"
#include "object/untyped.h"

/* Arguments, by their place in the table: copy, mint and move begin alike. */
enum { A_INDEX = 1, A_FROM, A_FROM_INDEX, A_RIGHTS, A_BADGE };
enum { A_UNTYPED = 1, A_COUNT };

/* The slot that argument n names in cnode k; NIL, and a refusal noted, when there is none. */
/*@ CNODES(requires)
    requires k < HOME_SLOTS && 1 <= n <= MSG_WORDS_REGS;
    assigns d_argument, d_limit;
    ensures \result == slot_at(k, d_word[n - 1]);
    ensures \result < HOME_SLOTS;
    ensures \result == NIL ==> d_argument == n && d_limit == k_count[k]; */
static uint32_t named_slot(uint32_t k, uint32_t n)
{
    uint32_t s = cnode_slot(k, d_word[n - 1]);
    if (s == NIL) {
        (void)refuse(ERR_SLOT, n, k_count[k]);
    }
    return s;
}

/* The slots that copy, mint and move name, NIL for none. */
/*@ logic integer to_slot{L} = slot_at(d_object, d_word[0]);

    logic integer from_slot{L} = slot_at(s_object[d_slot[1]], d_word[2]); */

/* The source and the destination of copy, mint and move. 0 or the error. */
/*@ requires from < SLOTS && d_object < HOME_SLOTS && is_slot(d_slot[A_FROM - 1]);
    requires s_object[d_slot[A_FROM - 1]] < HOME_SLOTS;
    assigns d_argument, d_limit;
    ensures \result == 0 <==> to != NIL && from != NIL && s_type[from] != 0;
    ensures \result == 0 || \result == ERR_SLOT; */
static uint32_t check_pair(uint32_t from, uint32_t to)
{
    if (to == NIL) {
        return refuse(ERR_SLOT, A_INDEX, k_count[d_object]);
    }
    if (from == NIL || s_type[from] == 0) {
        return refuse(ERR_SLOT, A_FROM_INDEX, k_count[s_object[d_slot[A_FROM - 1]]]);
    }
    return 0;
}

/* The capability in from can be given the message's badge. 0 or the error. */
/*@ requires is_slot(from);
    assigns d_argument, d_limit;
    ensures \result == 0 <==>
        (s_type[from] == OBJ_ENDPOINT || s_type[from] == OBJ_NOTIFICATION) &&
        s_badge[from] == 0 && d_word[A_BADGE - 1] != 0;
    ensures \result < ERRORS; */
static uint32_t check_badge(uint32_t from)
{
    if (s_type[from] != OBJ_ENDPOINT && s_type[from] != OBJ_NOTIFICATION) {
        return refuse(ERR_TYPE, A_FROM_INDEX, OBJ_ENDPOINT);
    }
    if (s_badge[from] != 0) {
        return refuse(ERR_BUSY, A_FROM_INDEX, s_badge[from]);
    }
    return d_word[A_BADGE - 1] != 0 ? 0 : refuse(ERR_RANGE, A_BADGE, 0);
}

/* What copy and mint ask of their slots. 0 or the error. */
/*@ requires from < SLOTS && to < SLOTS && d_object < HOME_SLOTS && is_slot(d_slot[A_FROM - 1]);
    requires s_object[d_slot[A_FROM - 1]] < HOME_SLOTS;
    assigns d_argument, d_limit;
    ensures \result == 0 ==> is_slot(to) && is_slot(from) && s_type[from] != 0 && s_type[to] == 0;
    ensures \result == 0 && mint ==>
        (s_type[from] == OBJ_ENDPOINT || s_type[from] == OBJ_NOTIFICATION) &&
        s_badge[from] == 0 && d_word[A_BADGE - 1] != 0;
    ensures \result < ERRORS; */
static uint32_t check_copy(uint32_t from, uint32_t to, bool mint)
{
    uint32_t error = check_pair(from, to);
    if (error != 0) {
        return error;
    }
    if (s_type[to] != 0) {
        return refuse(ERR_SLOT, A_INDEX, k_count[d_object]);
    }
    return mint ? check_badge(from) : 0;
}

/*@ FOREST(requires) CAPS(requires) CNODES(requires)
    requires d_object < HOME_SLOTS && is_slot(d_slot[1]) && s_object[d_slot[1]] < HOME_SLOTS;
    requires d_word[3] <= RIGHTS_ALL;
    assigns d_argument, d_limit;
    COPY_FIELDS(assigns)
    FOREST(ensures) CAPS(ensures)
    ensures \old(hidden) ==> hidden;
    ensures \result < ERRORS;
    ensures \result == 0 ==> is_home(to_slot{Pre}) && is_home(from_slot{Pre}) &&
        s_parent[to_slot{Pre}] == from_slot{Pre};
    ensures \result == 0 ==> s_type[to_slot{Pre}] == s_type[from_slot{Pre}] &&
        s_object[to_slot{Pre}] == s_object[from_slot{Pre}];
    ensures \result == 0 ==>
        s_rights[to_slot{Pre}] == (s_rights[from_slot{Pre}] & d_word[3]) % (RIGHTS_ALL + 1);
    ensures \result == 0 ==>
        s_badge[to_slot{Pre}] == (mint ? d_word[4] : s_badge[from_slot{Pre}]);
    ensures \result == 0 && mint ==> s_badge[from_slot{Pre}] == 0 && d_word[4] != 0;
    ensures \forall integer s; is_home(s) && (\result != 0 || s != to_slot{Pre}) ==>
        s_type[s] == \at(s_type[s],Pre) && s_object[s] == \at(s_object[s],Pre) &&
        s_rights[s] == \at(s_rights[s],Pre) && s_badge[s] == \at(s_badge[s],Pre); */
static uint32_t decode_copy(bool mint)
{
    uint32_t to = cnode_slot(d_object, d_word[A_INDEX - 1]);
    uint32_t from = cnode_slot(s_object[d_slot[A_FROM - 1]], d_word[A_FROM_INDEX - 1]);
    uint32_t error = check_copy(from, to, mint);
    if (error == 0) {
        cap_copy(from, to, (uint8_t)d_word[A_RIGHTS - 1],
                 mint ? d_word[A_BADGE - 1] : s_badge[from]);
    }
    return error;
}

/* What move asks of its slots: to is empty, or the move has begun. 0 or the error. */
/*@ requires from < SLOTS && to < SLOTS && d_object < HOME_SLOTS && is_slot(d_slot[A_FROM - 1]);
    requires s_object[d_slot[A_FROM - 1]] < HOME_SLOTS;
    assigns d_argument, d_limit;
    ensures \result == 0 ==> is_slot(to) && is_slot(from) && s_type[from] != 0;
    ensures \result == 0 ==>
        s_type[to] == 0 || (s_parent[from] == to && s_type[from] == s_type[to]);
    ensures \result == 0 || \result == ERR_SLOT; */
static uint32_t check_move(uint32_t from, uint32_t to)
{
    uint32_t error = check_pair(from, to);
    if (error == 0 && s_type[to] != 0 && !move_begun(from, to)) {
        error = refuse(ERR_SLOT, A_INDEX, k_count[d_object]);
    }
    return error;
}

/*@ WHOLE(requires, NIL)
    requires is_home(d_self) && s_type[d_self] == OBJ_CNODE && d_object == s_object[d_self];
    requires is_home(d_slot[1]) && s_type[d_slot[1]] == OBJ_CNODE;
    assigns d_argument, d_limit;
    TABLES(assigns)
    WHOLE(ensures, NIL)
    ensures \result < ERRORS;
    ensures \result == 0 ==> s_type[from_slot{Pre}] == 0;
    ensures \result == 0 || \result == ERR_AGAIN ==>
        s_type[to_slot{Pre}] == \at(s_type[from_slot],Pre); */
static uint32_t decode_move(void)
{
    uint32_t to = cnode_slot(d_object, d_word[A_INDEX - 1]);
    uint32_t from = cnode_slot(s_object[d_slot[A_FROM - 1]], d_word[A_FROM_INDEX - 1]);
    uint32_t error = check_move(from, to);
    if (error == 0 && !move_slice(from, to)) {
        error = ERR_AGAIN;
    }
    return error;
}

/* Appends the entries behind the cnode, when they lie in the untyped's range and are free. */
/*@ CNODES(requires)
    requires is_slot(d_slot[A_UNTYPED - 1]) && is_home(d_object) && k_size[d_object] >= 1;
    requires s_kind[d_slot[A_UNTYPED - 1]] == KIND_SLOT ==> 1 <= s_object[d_slot[A_UNTYPED - 1]] &&
        s_object[d_slot[A_UNTYPED - 1]] + s_count[d_slot[A_UNTYPED - 1]] <= HOME_SLOTS;
    assigns d_argument, d_limit, k_size[d_object], k_count[d_object], s_home[1 .. HOME_SLOTS - 1];
    CNODES(ensures)
    ensures \old(home_filled(NIL)) ==> home_filled(NIL);
    ensures \old(cnode_owner(NIL)) ==> cnode_owner(NIL);
    ensures \result < ERRORS;
    ensures \result == 0 ==> k_size[d_object] == \old(k_size[d_object]) + d_word[1] &&
        k_count[d_object] == k_size[d_object] && 1 <= d_word[1] <= CNODE_SLICE;
    ensures \result == 0 ==> \old(k_count[d_object]) == \old(k_size[d_object]);
    ensures \result != 0 ==> k_size[d_object] == \old(k_size[d_object]) &&
        k_count[d_object] == \old(k_count[d_object]); */
static uint32_t decode_extend(void)
{
    uint32_t u = d_slot[A_UNTYPED - 1];
    uint64_t count = d_word[A_COUNT - 1];
    uint32_t end = d_object + k_size[d_object];
    if (s_kind[u] != KIND_SLOT) {
        return refuse(ERR_TYPE, A_UNTYPED, KIND_SLOT);
    }
    if (k_count[d_object] != k_size[d_object]) {
        return refuse(ERR_STATE, 0, k_count[d_object]);
    }
    if (count == 0 || count > CNODE_SLICE) {
        return refuse(ERR_RANGE, A_COUNT, CNODE_SLICE + 1);
    }
    uint32_t room = s_object[u] + s_count[u];
    if (end < s_object[u] || end >= room) {
        return refuse(ERR_RANGE, A_UNTYPED, end);
    }
    if (count > room - end) {
        return refuse(ERR_RANGE, A_COUNT, room - end + 1ULL);
    }
    uint32_t n = slots_free(end, (uint32_t)count);
    if (n < count) {
        return refuse(ERR_BUSY, A_COUNT, n);
    }
    cnode_extend(d_object, end, (uint32_t)count);
    return 0;
}

/*@ WHOLE(requires, NIL)
    requires is_slot(s);
    assigns d_argument, d_limit, e_badge[s_object[s]], t_fault[0 .. T_MAX-1];
    WAKE_FIELDS(assigns)
    WHOLE(ensures, NIL)
    ensures \result < ERRORS;
    ensures \result == 0 ==> s_type[s] == OBJ_ENDPOINT && s_badge[s] == 0 &&
        e_cursor[s_object[s]] == NIL; */
static uint32_t decode_cancel(uint32_t s)
{
    if (s_type[s] != OBJ_ENDPOINT) {
        return refuse(ERR_TYPE, A_INDEX, OBJ_ENDPOINT);
    }
    if (s_badge[s] != 0) {
        return refuse(ERR_BUSY, A_INDEX, s_badge[s]);
    }
    return endpoint_cancel(s_object[s], d_word[1]) ? 0 : ERR_AGAIN;
}

/*@ requires is_slot(s) && (s_type[s] == OBJ_CNODE ==> s_object[s] < HOME_SLOTS);
    assigns d_word[0 .. 7], d_answers;
    ensures \result == 0 && d_answers == 8;
    ensures d_word[0] == s_type[s] && d_word[1] == s_rights[s] && d_word[2] == s_badge[s];
    ensures d_word[3] == s_kind[s] && d_word[4] == s_object[s];
    ensures d_word[5] == (s_type[s] == OBJ_CNODE ? k_count[s_object[s]] : s_count[s]);
    ensures d_word[6] == s_table[s] && d_word[7] == s_entry[s]; */
static uint32_t decode_look(uint32_t s)
{
    d_word[0] = s_type[s];
    d_word[1] = s_rights[s];
    d_word[2] = s_badge[s];
    d_word[3] = s_kind[s];
    d_word[4] = s_object[s];
    d_word[5] = s_type[s] == OBJ_CNODE ? k_count[s_object[s]] : s_count[s];
    d_word[6] = s_table[s];
    d_word[7] = s_entry[s];
    d_answers = 8;
    return 0;
}

uint32_t decode_cnode(uint32_t label)
{
    /*@ assert owned: own_of(d_self) == d_object && owner[d_object] != NIL; */
    /*@ assert cnode: is_home(d_object) && k_size[d_object] >= 1; */
    switch (label) {
    case INV_CNODE_COPY:
        return decode_copy(false);
    case INV_CNODE_MINT:
        return decode_copy(true);
    case INV_CNODE_MOVE:
        return decode_move();
    case INV_CNODE_EXTEND:
        return decode_extend();
    default:
        break;
    }
    uint32_t s = named_slot(d_object, A_INDEX);
    if (s == NIL) {
        return ERR_SLOT;
    }
    if (label == INV_CNODE_DELETE) {
        return delete_slice(s) ? 0 : ERR_AGAIN;
    }
    if (label == INV_CNODE_CANCEL) {
        return decode_cancel(s);
    }
    if (label == INV_CNODE_REVOKE) {
        return revoke_slice(s) ? 0 : ERR_AGAIN;
    }
    return decode_look(s);
}
