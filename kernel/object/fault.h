/* Faults, foreign system calls and the end of a budget, as messages from the thread to its handler.
 *
 * The words are in one order for all: number (of the system call; vector), six arguments (of the
 * call; address and code), ip, sp, flags. The thread waits like a caller. An answer with label 0
 * lets it go on, any other leaves it stopped; its words are set in the same order: word 0 is the
 * result of a system call, words 1-6 its argument registers, and of every fault 7-9 are ip, sp and
 * flags.
 */
#ifndef KERNEL_FAULT_H
#define KERNEL_FAULT_H

#include <stdbool.h>
#include <stdint.h>

/* The running thread has made a system call that is not the kernel's, or a fault. */
void fault_syscall(uint32_t t);
void fault_exception(uint32_t t, uint64_t vector, uint64_t code, uint64_t address);

/* t runs on time that was lent, and that is used up: tells its handler, if it has one. */
void fault_time(uint32_t t);

/* What from, which is about a fault, has to tell goes to to. */
void fault_message(uint32_t from, uint32_t to);

/* t's message sets registers of a, which waits because of a fault. True when a goes on. */
bool fault_answer(uint32_t t, uint32_t a);

#endif
