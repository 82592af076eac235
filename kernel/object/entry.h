/* What the fast path leaves to the slow one. The entries themselves are declared in arch/arch.h. */
#ifndef KERNEL_ENTRY_H
#define KERNEL_ENTRY_H

#include <stdbool.h>
#include <stdint.h>

/* A fault of the running thread, of the kind that needs no clock; false: nothing is done. */
bool fast_tell(uint32_t t, uint32_t fault);

/* A foreign system call, or the answer to one, of the kind that needs no clock; false: nothing is
 * done. */
bool fast_fault(uint32_t t);

/* Any system call of the running thread. */
void slow_syscall(uint32_t t);

#endif
