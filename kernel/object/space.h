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

/* The slot mapped at an entry of a table. */
uint32_t space_reverse(uint32_t table, uint32_t entry);

/* Level of a table or space, 1 .. 4. */
uint32_t space_level(uint32_t table);

/* Entries that hold mappings of programs. */
uint32_t space_entries(uint32_t table);

/* The page-table entry for the capability of slot s with rights. */
uint64_t space_pte(uint32_t s, uint32_t rights);

/* Maps s, which is not mapped, at an entry that is free; or changes the rights of its mapping. */
void space_map(uint32_t s, uint32_t table, uint32_t entry, uint32_t rights);

/* Takes the mapping of s out. */
void space_unmap(uint32_t s);

/* The mapping of from becomes that of to, which has none. */
void space_hand_over(uint32_t from, uint32_t to);

/* Makes two zeroed frames a table of level 1 .. 4. */
void table_init(uint32_t table, uint32_t level);

/* Unmaps up to UNMAP_SLICE entries; true when none was left: then the two frames are free. */
bool table_end(uint32_t table);

/* Makes zeroed frames a frame, and back. */
void frame_init(uint32_t frame, uint32_t large);
void frame_end(uint32_t frame, uint32_t large);

/* Zeroes at most room of the dirty ones among count frames; how many. */
uint32_t frames_zero(uint32_t first, uint32_t count, uint32_t room);

#endif
