/* Address spaces: mapping by address. The kernel maps by table and entry; here the tables on the
 * way are made as they are wanted. */
#ifndef USER_SPACE_H
#define USER_SPACE_H

#include "holdings.h"

#define SPACE_TABLES 96 /* tables of one space; a few for each region of 2 MiB that is in use */

struct space_table {
    uint64_t key; /* address / bytes that the table covers, and the level in the low bits */
    uint64_t handle;
};

struct space {
    uint64_t handle;
    unsigned tables;
    struct space_table table[SPACE_TABLES];
};

/* A new, empty space. */
void space_new(struct holdings *h, struct space *s);
/* Tells of a table that is there already. */
void space_knows(struct space *s, unsigned level, uint64_t address, uint64_t handle);
/* The table of a level for an address, made if there is none. */
uint64_t space_table(struct holdings *h, struct space *s, unsigned level, uint64_t address);
/* Maps a frame that is mapped nowhere by this capability. Returns the kernel's error. */
unsigned space_map(struct holdings *h, struct space *s, uint64_t address, uint64_t frame,
                   uint64_t rights);
unsigned space_map_large(struct holdings *h, struct space *s, uint64_t address, uint64_t frame,
                         uint64_t rights);

#endif
