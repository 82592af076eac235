/* Untyped ranges: who may make objects of which entries.
 *
 * An untyped is a range of one noun's entries, {kind, first, count}: a right, not a container. It
 * can be copied and narrowed at any time; what says whether an entry is free is the entry itself.
 * Retype names the part to use, and everything made is derived from the untyped that was invoked,
 * so revoking that one takes it all back.
 *
 * kind        entries                          made of them
 * slot        slots                            cnode: a range
 * thread ...  that noun's table                one object each
 * frame       frames of memory                 frame (1 or 512, aligned), table and space (2)
 * device      frames outside of memory         device frames; nothing is kept about them
 * irq         lines, 1 .. I_MAX - 1            irq
 * port        I/O ports                        port: a range; nothing is kept about them
 */
#ifndef KERNEL_UNTYPED_H
#define KERNEL_UNTYPED_H

#include "object/cnode.h"

/* The kind of range that objects of a type are made from; 0: of none (monitor). Untyped: 0. */
uint8_t type_kind(uint32_t type);

/* The type is made as one range: a cnode, an untyped, ports. */
bool type_is_range(uint32_t type);

/* Entries that one object of the type and size takes. */
uint32_t type_unit(uint32_t type, uint32_t size);

/* How many of count entries from first are free before the first one that is not. */
uint32_t entries_free(uint32_t type, uint32_t first, uint32_t count);

/* Makes one object of entries that are free (frames: and zeroed), and its owner in the empty slot
 * to, derived from untyped u; u NIL: at boot. size as in retype. */
void object_make(uint32_t u, uint32_t type, uint32_t size, uint32_t first, uint32_t to);

/* Makes one range: cnode, untyped of a kind, ports. */
void range_make(uint32_t u, uint32_t type, uint8_t kind, uint32_t first, uint32_t count,
                uint32_t to);

#endif
