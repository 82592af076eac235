/* What the fast path leaves to the slow one. The entries themselves are declared in arch/arch.h. */
#ifndef KERNEL_ENTRY_H
#define KERNEL_ENTRY_H

#include <stdint.h>

/* Any system call of the running thread. */
void slow_syscall(uint32_t t);

#endif
