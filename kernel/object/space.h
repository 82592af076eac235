/* Memory: what each frame is, and page tables.
 *
 * A page table is two frames: its entries, and behind them, in the next frame, the reverse of each
 * entry: the slot whose capability is mapped there, 0 for none. So unmapping is O(1), and entries
 * and mapped capabilities are in one-to-one relation: what the hardware reaches is what some
 * capability says, never a table's reverse or a free frame.
 *
 * Device frames have numbers from PHYS_FRAMES up; no state is kept about them.
 */
#ifndef KERNEL_SPACE_H
#define KERNEL_SPACE_H

#include "arch/arch.h"
#include "object/capability.h"

enum {
    F_DIRTY,   /* free; to be zeroed before it is used */
    F_ZERO,    /* free and zeroed */
    F_FRAME,   /* a frame, or the first of a large one */
    F_PART,    /* of a large frame */
    F_REVERSE, /* second of a table */
    F_TABLE1,  /* tables, by level */
    F_TABLE2,
    F_TABLE3,
    F_SPACE, /* the top table, level 4 */
};

extern uint8_t f_state[PHYS_FRAMES];

/*@ predicate is_table(integer f) = 1 <= f < PHYS_FRAMES && f_state[f] >= F_TABLE1;

    logic integer user_entries(integer f) = f_state[f] == F_SPACE ? ARCH_USER_ENTRIES :
   ARCH_ENTRIES;

    // where the entry and its reverse stand in phys
    logic integer entry_at(integer f, integer e) = f * ARCH_ENTRIES + e;
    logic integer reverse_at(integer f, integer e) = (f + 1) * ARCH_ENTRIES + e;

    predicate m_states{L} = f_state[0] == F_DIRTY &&
        \forall integer f; 0 <= f < PHYS_FRAMES ==> 0 <= f_state[f] <= F_SPACE;

    // behind each table its reverse, and nowhere else one
    predicate m_reverses{L} = f_state[PHYS_FRAMES - 1] < F_TABLE1 &&
        \forall integer f; 0 <= f < PHYS_FRAMES - 1 ==>
            (f_state[f] >= F_TABLE1 <==> f_state[f + 1] == F_REVERSE);

    // a mapped capability's entry has it as reverse
    predicate m_forward{L} = \forall integer s; 0 <= s < SLOTS ==> s_table[s] != NIL ==>
        is_slot(s) && is_table(s_table[s]) && s_entry[s] < user_entries(s_table[s]) &&
        phys[reverse_at(s_table[s], s_entry[s])] == s;

    // a reverse names a capability that is mapped there, or the entry is empty
    predicate m_backward{L} = \forall integer f, e; is_table(f) && 0 <= e < user_entries(f) ==>
        (phys[reverse_at(f, e)] == NIL && phys[entry_at(f, e)] == 0) ||
        (1 <= phys[reverse_at(f, e)] < SLOTS && s_table[phys[reverse_at(f, e)]] == f &&
         s_entry[phys[reverse_at(f, e)]] == e);

    // what the hardware may be told of slot s: its object, not both written and executed
    logic integer pte_base(integer s) = s_object[s] * 4096 + (s_type[s] == OBJ_DEVICE ?
   ARCH_PTE_NOCACHE : 0) + (s_kind[s] != 0 ? ARCH_PTE_LARGE : 0); predicate pte_fits{L}(integer s,
   integer v) = s_type[s] == OBJ_TABLE ? v == s_object[s] * 4096 + 7 : v == pte_base(s) + 5 || v ==
   pte_base(s) + 5 + ARCH_PTE_NX || v == pte_base(s) + 7 + ARCH_PTE_NX;

    // a frame, small or large, lies in memory
    predicate frame_of(integer frame, integer large) =
        1 <= frame && frame + (large != 0 ? LARGE_FRAMES : 1) <= PHYS_FRAMES;

    // so the hardware reaches what capabilities say, and only that
    predicate m_entries{L} = \forall integer s; 0 <= s < SLOTS ==> s_table[s] != NIL ==>
        pte_fits(s, phys[entry_at(s_table[s], s_entry[s])]); */

/* clang-format off */
#define MAPPING(clause)                                                                            \
    clause m_states; clause m_reverses; clause m_forward; clause m_backward; clause m_entries;
/* clang-format on */

/* The slot mapped at an entry of a table. */
/*@ MAPPING(requires)
    requires is_table(table) && entry < user_entries(table);
    assigns \nothing;
    ensures \result == phys[reverse_at(table, entry)];
    ensures 0 <= \result < SLOTS;
    ensures \result != NIL ==> s_table[\result] == table && s_entry[\result] == entry; */
uint32_t space_reverse(uint32_t table, uint32_t entry);

/* Level of a table or space, 1 .. 4. */
/*@ requires m_states && is_table(table);
    assigns \nothing;
    ensures \result == f_state[table] - F_TABLE1 + 1 && 1 <= \result <= ARCH_LEVELS; */
uint32_t space_level(uint32_t table);

/* Entries that hold mappings of programs. */
/*@ requires is_table(table);
    assigns \nothing;
    ensures \result == user_entries(table) && 1 <= \result <= ARCH_ENTRIES; */
uint32_t space_entries(uint32_t table);

/* The page-table entry for the capability of slot s with rights, not both write and execute. */
/*@ requires is_slot(s) && rights <= RIGHTS_ALL;
    requires !((rights & RIGHT_WRITE) != 0 && (rights & RIGHT_EXECUTE) != 0);
    assigns \nothing;
    ensures pte_fits(s, \result);
    ensures s_type[s] != OBJ_TABLE ==> \result == pte_base(s) + 5 +
        ((rights & RIGHT_WRITE) != 0 ? 2 : 0) + ((rights & RIGHT_EXECUTE) != 0 ? 0 : ARCH_PTE_NX);
 */
uint64_t space_pte(uint32_t s, uint32_t rights);

/* Maps s, which is not mapped, at an entry that is free; or changes the rights of its mapping. */
/*@ MAPPING(requires)
    requires is_slot(s) && is_table(table) && entry < user_entries(table);
    requires rights <= RIGHTS_ALL;
    requires !((rights & RIGHT_WRITE) != 0 && (rights & RIGHT_EXECUTE) != 0);
    requires s_table[s] == NIL ? phys[reverse_at(table, entry)] == NIL
        : s_table[s] == table && s_entry[s] == entry;
    assigns phys[entry_at(table, entry)], phys[reverse_at(table, entry)], s_table[s], s_entry[s];
    MAPPING(ensures)
    ensures s_table[s] == table && s_entry[s] == entry;
    ensures s_type[s] != OBJ_TABLE ==> phys[entry_at(table, entry)] == pte_base(s) + 5 +
        ((rights & RIGHT_WRITE) != 0 ? 2 : 0) + ((rights & RIGHT_EXECUTE) != 0 ? 0 : ARCH_PTE_NX);
 */
void space_map(uint32_t s, uint32_t table, uint32_t entry, uint32_t rights);

/* Takes the mapping of s out. */
/*@ MAPPING(requires)
    requires is_slot(s) && s_table[s] != NIL;
    assigns phys[entry_at(s_table[s], s_entry[s])], phys[reverse_at(s_table[s], s_entry[s])];
    assigns s_table[s], s_entry[s];
    MAPPING(ensures)
    ensures s_table[s] == NIL && s_entry[s] == 0;
    ensures phys[entry_at(\old(s_table[s]), \old(s_entry[s]))] == 0;
    ensures phys[reverse_at(\old(s_table[s]), \old(s_entry[s]))] == NIL; */
void space_unmap(uint32_t s);

/* The mapping of from becomes that of to, a capability for the same object without one. */
/*@ MAPPING(requires)
    requires is_slot(from) && is_slot(to) && from != to;
    requires s_table[from] != NIL && s_table[to] == NIL;
    requires s_type[from] == s_type[to] && s_object[from] == s_object[to] &&
        s_kind[from] == s_kind[to];
    assigns phys[reverse_at(s_table[from], s_entry[from])];
    assigns s_table[from], s_entry[from], s_table[to], s_entry[to];
    MAPPING(ensures)
    ensures s_table[from] == NIL && s_entry[from] == 0;
    ensures s_table[to] == \old(s_table[from]) && s_entry[to] == \old(s_entry[from]); */
void space_hand_over(uint32_t from, uint32_t to);

/* Makes two zeroed frames a table of level 1 .. 4. */
/*@ MAPPING(requires)
    requires 1 <= table < PHYS_FRAMES - 1 && 1 <= level <= ARCH_LEVELS;
    requires f_state[table] == F_ZERO && f_state[table + 1] == F_ZERO;
    requires \forall integer k; entry_at(table, 0) <= k < entry_at(table + 2, 0) ==> phys[k] == 0;
    assigns f_state[table], f_state[table + 1];
    assigns phys[entry_at(table, ARCH_USER_ENTRIES) .. entry_at(table, ARCH_ENTRIES - 1)];
    MAPPING(ensures)
    ensures f_state[table] == F_TABLE1 - 1 + level; */
void table_init(uint32_t table, uint32_t level);

/* Unmaps up to UNMAP_SLICE entries; true when none was left: then the two frames are free. */
/*@ MAPPING(requires)
    requires is_table(table);
    requires \forall integer s; 0 <= s < SLOTS && s_table[s] == table ==> is_slot(s);
    assigns phys[entry_at(table, 0) .. entry_at(table + 1, ARCH_ENTRIES - 1)];
    assigns s_table[0 .. SLOTS - 1], s_entry[0 .. SLOTS - 1], f_state[table], f_state[table + 1];
    MAPPING(ensures)
    ensures \result == true ==> f_state[table] == F_DIRTY && f_state[table + 1] == F_DIRTY;
    ensures \result == false ==> f_state[table] == \old(f_state[table]);
    ensures \forall integer s; 0 <= s < SLOTS ==>
        s_table[s] == \old(s_table[s]) && s_entry[s] == \old(s_entry[s]) ||
        \old(s_table[s]) == table && s_table[s] == NIL && s_entry[s] == 0;
    ensures \result == true ==> \forall integer s; 0 <= s < SLOTS ==> s_table[s] != table; */
bool table_end(uint32_t table);

/* Makes zeroed frames a frame, and back. */
/*@ MAPPING(requires)
    requires frame_of(frame, large);
    requires \forall integer k; frame <= k < frame + (large != 0 ? LARGE_FRAMES : 1) ==>
        f_state[k] == F_ZERO;
    assigns f_state[frame .. frame + (large != 0 ? LARGE_FRAMES - 1 : 0)];
    MAPPING(ensures)
    ensures f_state[frame] == F_FRAME;
    ensures large != 0 ==> \forall integer k; 1 <= k < LARGE_FRAMES ==> f_state[frame + k] ==
   F_PART; */
void frame_init(uint32_t frame, uint32_t large);

/*@ MAPPING(requires)
    requires frame_of(frame, large);
    requires f_state[frame] == F_FRAME;
    requires large != 0 ==> \forall integer k; 1 <= k < LARGE_FRAMES ==> f_state[frame + k] ==
   F_PART; assigns f_state[frame .. frame + (large != 0 ? LARGE_FRAMES - 1 : 0)]; MAPPING(ensures)
    ensures \forall integer k; frame <= k < frame + (large != 0 ? LARGE_FRAMES : 1) ==>
        f_state[k] == F_DIRTY; */
void frame_end(uint32_t frame, uint32_t large);

/* Zeroes at most room of the dirty ones among count frames; how many. */
/*@ MAPPING(requires)
    requires 1 <= first && first + count <= PHYS_FRAMES;
    requires \forall integer k; first <= k < first + count ==> f_state[k] <= F_ZERO;
    assigns f_state[first .. first + count - 1];
    assigns phys[entry_at(first, 0) .. entry_at(first + count - 1, ARCH_ENTRIES - 1)];
    MAPPING(ensures)
    ensures 0 <= \result <= room;
    ensures \forall integer k; first <= k < first + count ==> f_state[k] <= F_ZERO;
    ensures \result < room ==> \forall integer k; first <= k < first + count ==>
        f_state[k] == F_ZERO; */
uint32_t frames_zero(uint32_t first, uint32_t count, uint32_t room);

#endif
