/* The first instructions of a native program, and the system call with all its registers. */
#include "arch/regs.h"

    .text
    .globl _start
_start: /* the creator sets the stack and one argument, in rdi */
    xorl %ebp, %ebp
    andq $-16, %rsp
    call main
    movl %eax, %edi
    call program_end
    ud2

/* void kernel_syscall(struct message *m): tag, ten words, handle, extra, in the order of regs.h */
    .globl kernel_syscall
kernel_syscall:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    pushq %rdi
    movq %rdi, %rax
    movq 8(%rax), %rdi
    movq 16(%rax), %rsi
    movq 24(%rax), %rdx
    movq 32(%rax), %r10
    movq 40(%rax), %r8
    movq 48(%rax), %r9
    movq 56(%rax), %r12
    movq 64(%rax), %r13
    movq 72(%rax), %r14
    movq 80(%rax), %r15
    movq 88(%rax), %rbx
    movq 96(%rax), %rbp
    movq (%rax), %rax
    syscall
    movq (%rsp), %rcx
    movq %rax, (%rcx)
    movq %rdi, 8(%rcx)
    movq %rsi, 16(%rcx)
    movq %rdx, 24(%rcx)
    movq %r10, 32(%rcx)
    movq %r8, 40(%rcx)
    movq %r9, 48(%rcx)
    movq %r12, 56(%rcx)
    movq %r13, 64(%rcx)
    movq %r14, 72(%rcx)
    movq %r15, 80(%rcx)
    movq %rbx, 88(%rcx)
    movq %rbp, 96(%rcx)
    popq %rdi
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
    .section .note.GNU-stack, "", @progbits
