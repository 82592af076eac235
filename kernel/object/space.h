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

#include "abi/abi.h"
#include "arch/arch.h"
#include "object/slot.h"

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

/* For the contracts: an entry of a table, and its reverse. */
#define ENTRY_OF(table, entry)   phys[(table)*512 + (entry)]
#define REVERSE_OF(table, entry) phys[((table) + 1) * 512 + (entry)]

/*@ predicate is_table{L}(integer f) = 1 <= f < PHYS_FRAMES && f_state[f] >= F_TABLE1;

    logic integer entries_of{L}(integer f) =
        f_state[f] == F_SPACE ? ARCH_USER_ENTRIES : ARCH_ENTRIES;

    predicate frame_state{L} = \forall integer f; 0 <= f < PHYS_FRAMES ==> f_state[f] <= F_SPACE;

    predicate frame_reverse{L} = \forall integer f; is_table(f) ==>
        f + 1 < PHYS_FRAMES && f_state[f + 1] == F_REVERSE;

    predicate frame_zero{L} = \forall integer f, i; 0 <= f < PHYS_FRAMES &&
        f * 512 <= i < f * 512 + 512 ==> f_state[f] == F_ZERO ==> phys[i] == 0;

    predicate map_forward{L} = \forall integer s; is_slot(s) ==> s_table[s] != NIL ==>
        is_table(s_table[s]) && s_entry[s] < entries_of(s_table[s]) &&
        REVERSE_OF(s_table[s], s_entry[s]) == s;

    predicate map_reverse{L} = \forall integer f, r; is_table(f) &&
        f * 512 + 512 <= r < f * 512 + 512 + entries_of(f) ==>
        phys[r] < SLOTS && (phys[r] != NIL ==>
            s_table[phys[r]] == f && s_entry[phys[r]] == r - f * 512 - 512);

    predicate map_empty{L} = \forall integer f, r; is_table(f) &&
        f * 512 + 512 <= r < f * 512 + 512 + entries_of(f) ==>
        phys[r] == NIL ==> phys[r - 512] == 0;

    logic integer pte_of{L}(integer s, integer rights) =
        s_object[s] * 4096 + ARCH_PTE_PRESENT + ARCH_PTE_USER +
        (s_type[s] == OBJ_TABLE ? ARCH_PTE_WRITE
            : ((rights & RIGHT_WRITE) != 0 ? ARCH_PTE_WRITE : 0) +
              ((rights & RIGHT_EXECUTE) == 0 ? ARCH_PTE_NX : 0) +
              (s_kind[s] != 0 ? ARCH_PTE_LARGE : 0) +
              (s_type[s] == OBJ_DEVICE ? ARCH_PTE_NOCACHE : 0));

    logic integer pte_base{L}(integer s) =
        s_object[s] * 4096 + ARCH_PTE_PRESENT + ARCH_PTE_USER +
        (s_kind[s] != 0 ? ARCH_PTE_LARGE : 0) + (s_type[s] == OBJ_DEVICE ? ARCH_PTE_NOCACHE : 0);

    // an entry leads to its capability's object, and none allows both writing and executing it
    predicate entry_fits{L}(integer s, integer pte) =
        s_type[s] == OBJ_TABLE ? pte == pte_of(s, 0)
            : pte == pte_base(s) || pte == pte_base(s) + ARCH_PTE_NX ||
              pte == pte_base(s) + ARCH_PTE_WRITE + ARCH_PTE_NX;

    predicate map_entry{L} = \forall integer f, r; is_table(f) &&
        f * 512 + 512 <= r < f * 512 + 512 + entries_of(f) ==>
        phys[r] != NIL ==> entry_fits(phys[r], phys[r - 512]); */

/*@ predicate maps{L} = frame_state && frame_reverse && frame_zero && map_forward && map_reverse &&
        map_empty && map_entry; */

/* clang-format off */
#define MAPS(clause)                                                                               \
    clause frame_state; clause frame_reverse; clause frame_zero; clause map_forward;               \
    clause map_reverse; clause map_empty; clause map_entry;
/* clang-format on */

/* The slot mapped at an entry of a table. */
/*@ MAPS(requires)
    requires is_table(table) && entry < entries_of(table);
    assigns \nothing;
    ensures \result == REVERSE_OF(table, entry) < SLOTS; */
uint32_t space_reverse(uint32_t table, uint32_t entry);

/* Level of a table or space, 1 .. 4. */
/*@ requires is_table(table) && f_state[table] <= F_SPACE;
    assigns \nothing;
    ensures \result == f_state[table] - F_TABLE1 + 1 && 1 <= \result <= 4; */
uint32_t space_level(uint32_t table);

/* Entries that hold mappings of programs. */
/*@ requires is_table(table);
    assigns \nothing;
    ensures \result == entries_of(table) && \result <= ARCH_ENTRIES; */
uint32_t space_entries(uint32_t table);

/* The page-table entry for the capability of slot s with rights. */
/*@ requires is_slot(s);
    assigns \nothing;
    ensures \result == pte_of(s, rights) && \result != 0; */
uint64_t space_pte(uint32_t s, uint32_t rights);

/* Maps s, which is not mapped, at an entry that is free; or changes the rights of its mapping. */
/*@ MAPS(requires)
    requires is_slot(s) && is_table(table) && entry < entries_of(table);
    requires REVERSE_OF(table, entry) == s || REVERSE_OF(table, entry) == NIL;
    requires REVERSE_OF(table, entry) == NIL ==> s_table[s] == NIL;
    requires s_type[s] == OBJ_TABLE || (rights & RIGHT_WRITE) == 0 || (rights & RIGHT_EXECUTE) == 0;
    assigns phys[table * 512 + entry], phys[(table + 1) * 512 + entry], s_table[s], s_entry[s];
    MAPS(ensures)
    ensures s_table[s] == table && s_entry[s] == entry && REVERSE_OF(table, entry) == s;
    ensures ENTRY_OF(table, entry) == pte_of(s, rights); */
void space_map(uint32_t s, uint32_t table, uint32_t entry, uint32_t rights);

/* Takes the mapping of s out. */
/*@ MAPS(requires)
    requires is_slot(s) && s_table[s] != NIL;
    assigns phys[s_table[s] * 512 + s_entry[s]], phys[(s_table[s] + 1) * 512 + s_entry[s]];
    assigns s_table[s], s_entry[s];
    MAPS(ensures)
    ensures s_table[s] == NIL && s_entry[s] == 0;
    ensures ENTRY_OF(\old(s_table[s]), \old(s_entry[s])) == 0;
    ensures REVERSE_OF(\old(s_table[s]), \old(s_entry[s])) == NIL; */
void space_unmap(uint32_t s);

/* The mapping of from becomes that of to, which has none. */
/*@ MAPS(requires)
    requires is_slot(from) && is_slot(to) && s_table[from] != NIL && s_table[to] == NIL;
    requires s_type[to] == s_type[from] && s_object[to] == s_object[from];
    requires s_kind[to] == s_kind[from];
    assigns phys[(s_table[from] + 1) * 512 + s_entry[from]];
    assigns s_table[from], s_entry[from], s_table[to], s_entry[to];
    MAPS(ensures)
    ensures s_table[to] == \old(s_table[from]) && s_entry[to] == \old(s_entry[from]);
    ensures s_table[from] == NIL && s_entry[from] == 0;
    ensures REVERSE_OF(s_table[to], s_entry[to]) == to; */
void space_hand_over(uint32_t from, uint32_t to);

/* Makes two zeroed frames a table of level 1 .. 4. */
/*@ MAPS(requires)
    requires 1 <= table < PHYS_FRAMES - 1 && 1 <= level <= ARCH_LEVELS;
    requires f_state[table] == F_ZERO && f_state[table + 1] == F_ZERO;
    assigns f_state[table], f_state[table + 1];
    assigns phys[table * 512 + ARCH_USER_ENTRIES .. table * 512 + ARCH_ENTRIES - 1];
    MAPS(ensures)
    ensures f_state[table] == F_TABLE1 - 1 + level && f_state[table + 1] == F_REVERSE; */
void table_init(uint32_t table, uint32_t level);

/* Unmaps up to UNMAP_SLICE entries; true when none was left: then the two frames are free. */
/*@ MAPS(requires)
    requires is_table(table);
    assigns phys[table * 512 .. table * 512 + 1023], f_state[table], f_state[table + 1];
    assigns s_table[0 .. SLOTS-1], s_entry[0 .. SLOTS-1];
    MAPS(ensures)
    ensures \result ==> f_state[table] == F_DIRTY && f_state[table + 1] == F_DIRTY;
    ensures !\result ==> f_state[table] == \old(f_state[table]);
    ensures !\result ==> f_state[table + 1] == F_REVERSE;
    ensures !\result ==> \exists integer s;
        is_slot(s) && \at(s_table[s],Pre) == table && s_table[s] == NIL;
    ensures \forall integer s; is_slot(s) ==>
        (s_table[s] == \at(s_table[s],Pre) && s_entry[s] == \at(s_entry[s],Pre)) ||
        (\at(s_table[s],Pre) == table && s_table[s] == NIL && s_entry[s] == 0); */
bool table_end(uint32_t table);

/* Makes zeroed frames a frame, and back. */
/*@ MAPS(requires)
    requires 1 <= frame < PHYS_FRAMES && f_state[frame] == F_ZERO;
    requires large != 0 ==> frame + LARGE_FRAMES <= PHYS_FRAMES &&
        \forall integer f; frame < f < frame + LARGE_FRAMES ==> f_state[f] == F_ZERO;
    assigns f_state[frame .. (large != 0 ? frame + LARGE_FRAMES - 1 : frame)];
    MAPS(ensures)
    ensures f_state[frame] == F_FRAME;
    ensures large != 0 ==>
        \forall integer f; frame < f < frame + LARGE_FRAMES ==> f_state[f] == F_PART;
    ensures \forall integer f; 0 <= f < PHYS_FRAMES &&
        (f < frame || f >= frame + (large != 0 ? LARGE_FRAMES : 1)) ==>
        f_state[f] == \at(f_state[f],Pre); */
void frame_init(uint32_t frame, uint32_t large);
/*@ MAPS(requires)
    requires 1 <= frame < PHYS_FRAMES && f_state[frame] == F_FRAME;
    requires large != 0 ==> frame + LARGE_FRAMES <= PHYS_FRAMES &&
        \forall integer f; frame < f < frame + LARGE_FRAMES ==> f_state[f] == F_PART;
    assigns f_state[frame .. (large != 0 ? frame + LARGE_FRAMES - 1 : frame)];
    MAPS(ensures)
    ensures f_state[frame] == F_DIRTY;
    ensures large != 0 ==>
        \forall integer f; frame < f < frame + LARGE_FRAMES ==> f_state[f] == F_DIRTY; */
void frame_end(uint32_t frame, uint32_t large);

/* Zeroes at most room of the dirty ones among count frames, which are free; how many. */
/*@ MAPS(requires)
    requires first + count <= PHYS_FRAMES;
    requires \forall integer f; first <= f < first + count ==> f_state[f] <= F_ZERO;
    assigns f_state[first .. first + count - 1];
    assigns phys[first * 512 .. (first + count) * 512 - 1];
    MAPS(ensures)
    ensures \result <= room;
    ensures \forall integer f; first <= f < first + count ==> f_state[f] <= F_ZERO;
    ensures \result < room ==>
        \forall integer f; first <= f < first + count ==> f_state[f] == F_ZERO; */
uint32_t frames_zero(uint32_t first, uint32_t count, uint32_t room);

#endif
