/* The registers of a thread, t_reg[thread * T_REGS + R_...]: one order for C and assembly, so only
 * #defines stand here.
 *
 * The first thirteen are what a system call carries. A native call has R_TAG negative; a Linux call
 * has its number there, and its six arguments fall on the words 0 .. 5 of a message without being
 * moved. R_W0 .. R_W9 are consecutive: a message of n words is a copy of t_reg[R_W0 .. R_W0 + n -
 * 1]. SYSCALL overwrites rcx and r11.
 *
 * R_FULL says how the thread goes back to user mode. Zero: it came by SYSCALL, its rcx and r11 are
 * lost, and rip, rflags, fs and gs are values that the processor itself has delivered. Non-zero:
 * everything is restored, and the way out first makes rip, rflags, fs and gs harmless. Whoever
 * writes R_RIP, R_RFLAGS, R_RCX, R_R11, R_FS or R_GS of a thread sets R_FULL to 1.
 */
#ifndef KERNEL_ARCH_REGS_H
#define KERNEL_ARCH_REGS_H

#define R_TAG    0  /* rax */
#define R_W0     1  /* rdi */
#define R_W1     2  /* rsi */
#define R_W2     3  /* rdx */
#define R_W3     4  /* r10 */
#define R_W4     5  /* r8 */
#define R_W5     6  /* r9 */
#define R_W6     7  /* r12 */
#define R_W7     8  /* r13 */
#define R_W8     9  /* r14 */
#define R_W9     10 /* r15 */
#define R_HANDLE 11 /* rbx */
#define R_EXTRA  12 /* rbp */
#define R_RCX    13
#define R_R11    14
#define R_RIP    15
#define R_RSP    16
#define R_RFLAGS 17
#define R_FS     18
#define R_GS     19
#define R_FULL   20
/* 21 .. 31 are for object/: the kernel's way in and out does not touch them. */
#define T_REGS 32

#endif
