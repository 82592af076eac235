/* What only the root task has: everything. From the boot information to holdings and to its own
 * address space. */
#ifndef USER_BOOT_H
#define USER_BOOT_H

#include "abi/boot_image.h"
#include "abi/boot_info.h"
#include "space.h"

static inline const struct boot_info *boot_info(void)
{
    return (const struct boot_info *)BOOT_INFO;
}

/* Holdings with all slots behind the used ones, and of each kind the longest range. Also sets
 * console. */
void boot_holdings(struct holdings *h);
/* The root task's own space. */
void boot_space(struct space *s);
/* The file of that name in the boot image; 0 when there is none. */
const uint8_t *boot_file(const char *name, uint64_t *bytes);
/* The value of NAME=VALUE among the words of the command line, copied with a 0 at its end; false
 * when there is none. */
bool boot_option(const char *name, char *value, size_t size);
/* The same where there are several: of the one with the number, counted from 0. */
bool boot_option_at(const char *name, unsigned number, char *value, size_t size);

#endif
