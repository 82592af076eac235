/* Confinement, observed: what an entry may change, for whoever runs. See confine.c. */
#ifndef KERNEL_CONFINE_H
#define KERNEL_CONFINE_H

#include <stdint.h>

#define CONFINE_NO_IRQ UINT32_MAX

/* Before an entry: keeps the tables. irq: the line whose interrupt it is, or CONFINE_NO_IRQ. */
void confine_before(uint32_t irq);

/* Behind it: stops the test where something changed without authority. */
void confine_after(const char *entry);

/* Prints how many changes there were of each kind; false when a kind never came. */
int confine_report(void);

#endif
