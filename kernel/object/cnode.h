/* Cnodes: ranges of slots that handles index.
 *
 * A cnode is named by its first slot; of that one no handle exists (handle 0 is none). s_home says
 * which cnode a slot belongs to, but counts only while the slot lies within that cnode's size: so a
 * whole cnode is freed by one store. k_count shrinks while the cnode is being emptied, from its
 * end.
 */
#ifndef KERNEL_CNODE_H
#define KERNEL_CNODE_H

#include "object/capability.h"

extern uint32_t s_home[HOME_SLOTS];  /* first slot of the cnode */
extern uint32_t k_count[HOME_SLOTS]; /* by first slot: indices that handles reach */
extern uint32_t k_size[HOME_SLOTS];  /* by first slot: slots that are the cnode's; 0: no cnode */

/* The slot belongs to no cnode. */
bool slot_free(uint32_t s);

/* How many of count slots from first on are free before the first one that is not. */
uint32_t slots_free(uint32_t first, uint32_t count);

/* The slot behind an index of cnode k; NIL when there is none. */
static inline uint32_t cnode_slot(uint32_t k, uint64_t index)
{
    return index == 0 || index >= k_count[k] ? NIL : k + (uint32_t)index;
}

/* Makes the free slots from .. from + count - 1 the end of cnode k, which ends at from. */
void cnode_extend(uint32_t k, uint32_t from, uint32_t count);

#endif
