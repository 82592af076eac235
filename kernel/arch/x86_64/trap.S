/* The ways into the kernel and the one way out. See arch.h for the rules, regs.h for the order of registers.
 *
 * way in      system call, exception, interrupt: the registers go to t_reg[current], then C runs on the empty kernel stack
 * way out     exit_to_user: space, floating point and registers of t_reg[current]; or idle when there is none
 *
 * No pointer and no stack survives an entry. current_regs is &t_reg[current * T_REGS], set on the way out.
 * With WINDOW the kernel has a page table of its own: the way in and the way out change CR3 within the window's pages.
 */
#include "arch/regs.h"
#include "layout.h"
#define REG(r) (8 * (r))(%rsp)
#define REGA(r) (8 * (r))(%rax)

    .globl syscall_entry, space_loaded, entry_stack_top
    .section .text.window, "ax"
#ifdef WINDOW
syscall_entry:
    movq %rsp, window_rsp(%rip)
    movq window_kernel_cr3(%rip), %rsp
    movq %rsp, %cr3
    jmp syscall_save
#endif

/* vector and error code are on the entry stack, above them what the processor pushed: rip, cs, rflags, rsp, ss */
trap_common:
    cld
    testb $3, 24(%rsp)
    jz trap_in_kernel
    pushq %rax
#ifdef WINDOW
    movq window_kernel_cr3(%rip), %rax
    movq %rax, %cr3
#endif
    jmp trap_save

trap_in_kernel:
    cmpl $0, current(%rip)
    jne 1f
    cmpq $VECTOR_IRQ, (%rsp)
    jb 1f
    movq (%rsp), %rdi
    xorl %esi, %esi
    xorl %edx, %edx
    movq $kernel_stack_top, %rsp
    call trap_dispatch
    jmp exit_to_user
1:  movq %rsp, %rdi
    movq $kernel_stack_top, %rsp
    call trap_panic

/* NMI, double fault and machine check have stacks of their own and end here. */
trap_rescue:
#ifdef WINDOW
    movq window_kernel_cr3(%rip), %rax
    movq %rax, %cr3
#endif
    movq %rsp, %rdi
    call trap_panic

/* One stub a vector, 16 bytes each; those without an error code push 0 in its place. */
    .globl trap_stubs
    .balign 16
trap_stubs:
    .set vector, 0
    .rept VECTORS
    .balign 16
    .if vector != 8 && (vector < 10 || vector > 14) && vector != 17 && vector != 21
    pushq $0
    .endif
    pushq $vector
    .if vector == 2 || vector == 8 || vector == 18
    jmp trap_rescue
    .else
    jmp trap_common
    .endif
    .set vector, vector + 1
    .endr

    .text
#ifndef WINDOW
syscall_entry:
    movq %rsp, window_rsp(%rip)
#endif
syscall_save:
    movq current_regs(%rip), %rsp
    movq %rax, REG(R_TAG)
    movq %rdi, REG(R_W0)
    movq %rsi, REG(R_W1)
    movq %rdx, REG(R_W2)
    movq %r10, REG(R_W3)
    movq %r8, REG(R_W4)
    movq %r9, REG(R_W5)
    movq %r12, REG(R_W6)
    movq %r13, REG(R_W7)
    movq %r14, REG(R_W8)
    movq %r15, REG(R_W9)
    movq %rbx, REG(R_HANDLE)
    movq %rbp, REG(R_EXTRA)
    movq %rcx, REG(R_RIP)
    movq %r11, REG(R_RFLAGS)
    movq window_rsp(%rip), %rax
    movq %rax, REG(R_RSP)
    rdfsbase %rax
    movq %rax, REG(R_FS)
    rdgsbase %rax
    movq %rax, REG(R_GS)
    movq $kernel_stack_top, %rsp
    call entry_syscall

    .globl exit_to_user
exit_to_user:
#ifdef KERNEL_CHECK
    call check_entry
#endif
    movl current(%rip), %eax
    movl t_space(, %rax, 4), %ecx
    cmpl %ecx, space_loaded(%rip)
    je space_loaded_already
    movl %ecx, space_loaded(%rip)
    shlq $12, %rcx
    jz no_space
load_space:
#ifdef WINDOW
    movq %rcx, window_user_cr3(%rip)
#else
    movq %rcx, %cr3
#endif
space_loaded_already:
    cmpl $0, fpu_live(%rip)
    jne fpu_in_use
fpu_left:
    shlq $8, %rax
    leaq t_reg(%rax), %rsp
    movq %rsp, current_regs(%rip)
    cmpl $0, REG(R_FULL)
    jne exit_full
    movq REG(R_FS), %rax
    wrfsbase %rax
    movq REG(R_GS), %rax
    wrgsbase %rax
#ifdef WINDOW
    movq REG(R_RSP), %rax
    movq %rax, window_rsp(%rip)
#endif
    movq REG(R_TAG), %rax
    movq REG(R_W0), %rdi
    movq REG(R_W1), %rsi
    movq REG(R_W2), %rdx
    movq REG(R_W3), %r10
    movq REG(R_W4), %r8
    movq REG(R_W5), %r9
    movq REG(R_W6), %r12
    movq REG(R_W7), %r13
    movq REG(R_W8), %r14
    movq REG(R_W9), %r15
    movq REG(R_HANDLE), %rbx
    movq REG(R_EXTRA), %rbp
    movq REG(R_RIP), %rcx
    movq REG(R_RFLAGS), %r11
#ifdef WINDOW
    jmp window_sysret
#else
    movq REG(R_RSP), %rsp
    sysretq
#endif

no_space: /* space_loaded is never 0, so a thread without a space, and no thread at all, come here each time */
    movl $SPACE_NONE, space_loaded(%rip)
    testl %eax, %eax
    jz idle
    movq $kernel_pml4 - IMAGE_BASE, %rcx /* where user mode can but fault */
    jmp load_space

fpu_in_use:
    cmpl %eax, fpu_live(%rip)
    je fpu_left
    call fpu_leave
    movl current(%rip), %eax
    jmp fpu_left

idle:
    movq $kernel_pml4 - IMAGE_BASE, %rcx
    movq %rcx, %cr3
    movq $t_reg, current_regs(%rip)
    movq $kernel_stack_top, %rsp
    sti
1:  hlt
    jmp 1b

exit_full: /* R_FULL is 0 while the thread runs, so that the way in by SYSCALL leaves it alone */
    movq %rsp, %rax
    movq $0, REGA(R_FULL)
    movq $entry_stack_top, %rsp
    pushq $SS_USER
    pushq REGA(R_RSP)
    movq REGA(R_RFLAGS), %rcx
    andl $0x250dd5, %ecx /* CF PF AF ZF SF TF DF OF AC ID; RF */
    orl $0x202, %ecx
    pushq %rcx
    pushq $CS_USER
    movq REGA(R_RIP), %rcx
    shlq $16, %rcx
    sarq $16, %rcx
    pushq %rcx
    pushq REGA(R_TAG)
    movq REGA(R_FS), %rcx
    shlq $16, %rcx
    sarq $16, %rcx
    wrfsbase %rcx
    movq REGA(R_GS), %rcx
    shlq $16, %rcx
    sarq $16, %rcx
    wrgsbase %rcx
    movq REGA(R_W0), %rdi
    movq REGA(R_W1), %rsi
    movq REGA(R_W2), %rdx
    movq REGA(R_W3), %r10
    movq REGA(R_W4), %r8
    movq REGA(R_W5), %r9
    movq REGA(R_W6), %r12
    movq REGA(R_W7), %r13
    movq REGA(R_W8), %r14
    movq REGA(R_W9), %r15
    movq REGA(R_HANDLE), %rbx
    movq REGA(R_EXTRA), %rbp
    movq REGA(R_RCX), %rcx
    movq REGA(R_R11), %r11
    jmp window_iret

trap_save:
    movq current_regs(%rip), %rax
    movq %rdi, REGA(R_W0)
    movq %rsi, REGA(R_W1)
    movq %rdx, REGA(R_W2)
    movq %r10, REGA(R_W3)
    movq %r8, REGA(R_W4)
    movq %r9, REGA(R_W5)
    movq %r12, REGA(R_W6)
    movq %r13, REGA(R_W7)
    movq %r14, REGA(R_W8)
    movq %r15, REGA(R_W9)
    movq %rbx, REGA(R_HANDLE)
    movq %rbp, REGA(R_EXTRA)
    movq %rcx, REGA(R_RCX)
    movq %r11, REGA(R_R11)
    popq REGA(R_TAG)
    popq %rdi
    popq %rsi
    popq REGA(R_RIP)
    popq %rcx
    popq REGA(R_RFLAGS)
    popq REGA(R_RSP)
    rdfsbase %rcx
    movq %rcx, REGA(R_FS)
    rdgsbase %rcx
    movq %rcx, REGA(R_GS)
    movq $1, REGA(R_FULL)
    movq %cr2, %rdx
    movq $kernel_stack_top, %rsp
    call trap_dispatch
    jmp exit_to_user

    .section .text.window, "ax"
window_iret: /* rax is on top of the frame */
#ifdef WINDOW
    movq window_user_cr3(%rip), %rax
    movq %rax, %cr3
#endif
    popq %rax
    iretq
#ifdef WINDOW
window_sysret:
    movq window_user_cr3(%rip), %rsp
    movq %rsp, %cr3
    movq window_rsp(%rip), %rsp
    sysretq
#endif

    .section .data.window, "aw", @progbits
    .balign 16
    .fill ENTRY_STACK_BYTES
entry_stack_top:
window_rsp:
    .quad 0
window_kernel_cr3:
    .quad kernel_pml4 - IMAGE_BASE
window_user_cr3:
    .quad 0
    .data
    .balign 8
current_regs:
    .quad t_reg
space_loaded:
    .long SPACE_NONE
    .section .note.GNU-stack, "", @progbits
