/* Decoding the invocations of tables, frames and device frames: mapping. */
#include "object/decode.h"
#include "object/space.h"

enum { A_TABLE = 1, A_ENTRY, A_RIGHTS };

/* The capability d_self can go to the entry of the table whose level is wanted: it is mapped
 * nowhere or just there, and nothing else is. */
/*@ MAPS(requires)
    requires is_slot(d_self) && is_table(table) && 1 <= level;
    assigns d_argument, d_limit;
    ensures \result == 0 ==> f_state[table] - F_TABLE1 + 1 == level && entry < entries_of(table);
    ensures \result == 0 ==> REVERSE_OF(table, entry) == d_self || REVERSE_OF(table, entry) == NIL;
    ensures \result == 0 && REVERSE_OF(table, entry) == NIL ==> s_table[d_self] == NIL;
    ensures \result < ERRORS; */
static uint32_t check_place(uint32_t table, uint32_t entry, uint32_t level)
{
    if (space_level(table) != level) {
        return refuse(ERR_TYPE, A_TABLE, level);
    }
    if (entry >= space_entries(table)) {
        return refuse(ERR_RANGE, A_ENTRY, space_entries(table));
    }
    uint32_t there = space_reverse(table, entry);
    if (there != NIL && there != d_self) {
        return refuse(ERR_BUSY, A_ENTRY, entry);
    }
    if (s_table[d_self] != NIL && there != d_self) {
        return refuse(ERR_BUSY, 0, s_entry[d_self]);
    }
    return 0;
}

/*@ MAPS(requires)
    requires is_slot(d_self);
    assigns d_argument, d_limit, s_table[d_self], s_entry[d_self];
    assigns phys[0 .. PHYS_FRAMES * 512 - 1];
    MAPS(ensures)
    ensures s_table[d_self] == NIL;
    ensures \result == (\old(s_table[d_self]) == NIL ? ERR_ABSENT : 0); */
static uint32_t decode_unmap(void)
{
    if (s_table[d_self] == NIL) {
        return refuse(ERR_ABSENT, 0, 0);
    }
    space_unmap(d_self);
    return 0;
}

uint32_t decode_table(uint32_t label)
{
    if (label == INV_TABLE_UNMAP) {
        return decode_unmap();
    }
    uint32_t t = d_slot[A_TABLE - 1];
    if (s_type[t] != OBJ_TABLE && s_type[t] != OBJ_SPACE) {
        return refuse(ERR_TYPE, A_TABLE, OBJ_SPACE);
    }
    uint32_t entry = (uint32_t)d_word[A_ENTRY - 1];
    uint32_t error = check_place(s_object[t], entry, space_level(d_object) + 1);
    if (error == 0) {
        space_map(d_self, s_object[t], entry, 0);
    }
    return error;
}

/* Maps the frame or device frame d_self. */
/*@ MAPS(requires)
    requires is_slot(d_self) && is_slot(d_slot[0]) && is_table(s_object[d_slot[0]]);
    requires d_word[1] < ARCH_ENTRIES && d_word[2] <= RIGHTS_ALL;
    assigns d_argument, d_limit, s_table[d_self], s_entry[d_self], phys[0 .. PHYS_FRAMES * 512 - 1];
    MAPS(ensures)
    ensures \result == 0 ==> s_table[d_self] == s_object[d_slot[0]] && s_entry[d_self] == d_word[1];
    ensures \result == 0 ==>
        ENTRY_OF(s_table[d_self], s_entry[d_self]) == pte_of(d_self, d_word[2]);
    ensures \result == 0 ==> (d_word[2] & s_rights[d_self]) == d_word[2];
    ensures \result == 0 ==> (d_word[2] & RIGHT_READ) != 0;
    ensures \result == 0 ==> (d_word[2] & RIGHT_WRITE) == 0 || (d_word[2] & RIGHT_EXECUTE) == 0;
    ensures \result != 0 ==>
        s_table[d_self] == \old(s_table[d_self]) && s_entry[d_self] == \old(s_entry[d_self]);
    ensures \result < ERRORS; */
static uint32_t decode_map(void)
{
    uint32_t table = s_object[d_slot[A_TABLE - 1]];
    uint32_t entry = (uint32_t)d_word[A_ENTRY - 1];
    uint32_t rights = (uint32_t)d_word[A_RIGHTS - 1];
    uint32_t error = check_place(table, entry, s_kind[d_self] + 1u);
    if (error != 0) {
        return error;
    }
    if ((rights & RIGHT_READ) == 0) {
        return refuse(ERR_RANGE, A_RIGHTS, RIGHT_READ);
    }
    if ((rights & s_rights[d_self]) != rights) {
        return refuse(ERR_RIGHT, A_RIGHTS, s_rights[d_self]);
    }
    if ((rights & RIGHT_WRITE) != 0 && (rights & RIGHT_EXECUTE) != 0) {
        return refuse(ERR_EXCLUSIVE, A_RIGHTS, RIGHT_WRITE + RIGHT_EXECUTE);
    }
    space_map(d_self, table, entry, rights);
    return 0;
}

/*@ assigns d_word[0], d_answers;
    ensures \result == 0 && d_word[0] == d_object && d_answers == 1; */
static uint32_t answer_address(void)
{
    d_word[0] = d_object;
    d_answers = 1;
    return 0;
}

uint32_t decode_frame(uint32_t label)
{
    if (label == INV_FRAME_ADDRESS) {
        return answer_address();
    }
    return label == INV_FRAME_MAP ? decode_map() : decode_unmap();
}

uint32_t decode_device(uint32_t label)
{
    if (label == INV_DEVICE_ADDRESS) {
        return answer_address();
    }
    return label == INV_DEVICE_MAP ? decode_map() : decode_unmap();
}
