/* The kernel's tables as numbers, for the monitor and for tests. */
#ifndef KERNEL_DUMP_H
#define KERNEL_DUMP_H

#include "abi/abi.h"
#include "config.h"
#include <stdint.h>

/* Entries of a table (FIELD_...). */
uint32_t dump_length(uint32_t field);

/* One entry of it. */
uint64_t dump_entry(uint32_t field, uint32_t index);

/* What the entries first .. first + count - 1 come to: it differs when one of them does, but for a
 * chance of 2^-64. Begin with sum 0; the result continues a sum. */
uint64_t dump_sum(uint32_t field, uint32_t first, uint32_t count, uint64_t sum);

#endif
