/* How long an entry may take: the most steps of each, whatever the tables hold and whoever calls.
 *
 * A step is a statement or a condition of object/, a word that the machine's part zeroes or copies,
 * or a call. `make prove` computes the worst case along the call tree, prints it, and fails when it
 * is above what stands here; kernel_entry_test counts the steps of random calls against it.
 */
#ifndef KERNEL_STEPS_H
#define KERNEL_STEPS_H

#define STEPS_SYSCALL   60000
#define STEPS_FAULT     8000
#define STEPS_INTERRUPT 6000
#define STEPS_TIMER     6000

#endif
