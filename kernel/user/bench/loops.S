/* Timed system calls. Between two readings of the clock stand, beside the call, what bench_empty measures: the end of the first
 * reading, two stores of it, two loads, two stores.
 *
 *   bench_call()     sends bench_message by SYSCALL, BENCH_SENT and BENCH_BACK are its times; the answer is in bench_message
 *   bench_serve()    passes bench_message for ever: what comes is in bench_message, BENCH_CAME; bench_answer() makes the answer of it;
 *                    BENCH_LEFT when it is given
 *   bench_wait()     the same call again and again, which only receives; bench_woken() after each
 *   bench_spin(n)    notes the time in BENCH_SENT until BENCH_WOKEN is n
 *   bench_trap()     one invalid instruction, BENCH_SENT and BENCH_BACK around it
 *   bench_linux()    one getppid as a Linux program makes it, in the same way
 * The page BENCH_PAGE is shared between the spaces.
 */
#include "bench.h"
#define M(k) bench_message + 8 * (k)(%rip)

    .macro STAMP to
    rdtsc
    movl %eax, \to
    movl %edx, \to + 4
    .endm
    .macro LOAD /* all but rax and rdx */
    movq M(1), %rdi
    movq M(2), %rsi
    movq M(4), %r10
    movq M(5), %r8
    movq M(6), %r9
    movq M(7), %r12
    movq M(8), %r13
    movq M(9), %r14
    movq M(10), %r15
    movq M(11), %rbx
    movq M(12), %rbp
    .endm
    .macro KEEP /* all but rax and rdx */
    movq %rdi, M(1)
    movq %rsi, M(2)
    movq %r10, M(4)
    movq %r8, M(5)
    movq %r9, M(6)
    movq %r12, M(7)
    movq %r13, M(8)
    movq %r14, M(9)
    movq %r15, M(10)
    movq %rbx, M(11)
    movq %rbp, M(12)
    .endm
    .macro SAVE
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    .endm
    .macro RESTORE
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    .endm

    .text
    .globl bench_call, bench_empty, bench_serve, bench_wait, bench_spin, bench_trap, bench_linux
bench_call:
    SAVE
    LOAD
    STAMP BENCH_SENT
    movq M(3), %rdx
    movq M(0), %rax
    syscall
    movq %rdx, M(3)
    movq %rax, M(0)
    STAMP BENCH_BACK
    KEEP
    RESTORE
    ret

bench_empty:
    SAVE
    LOAD
    STAMP BENCH_SENT
    movq M(3), %rdx
    movq M(0), %rax
    movq %rdx, M(3)
    movq %rax, M(0)
    STAMP BENCH_BACK
    RESTORE
    ret

bench_serve:
    subq $8, %rsp
    LOAD
    movq M(3), %rdx
    movq M(0), %rax
1:  syscall
    movq %rdx, M(3)
    movq %rax, M(0)
    STAMP BENCH_CAME
    KEEP
    call *bench_answer(%rip)
    LOAD
    STAMP BENCH_LEFT
    movq M(3), %rdx
    movq M(0), %rax
    jmp 1b

bench_wait:
    subq $8, %rsp
1:  call *bench_woken(%rip)
    LOAD
    movq M(3), %rdx
    movq M(0), %rax
    syscall
    movq %rdx, M(3)
    movq %rax, M(0)
    STAMP BENCH_CAME
    KEEP
    jmp 1b

bench_spin:
    STAMP BENCH_SENT
    cmpq %rdi, BENCH_WOKEN
    jb bench_spin
    ret

bench_trap:
    STAMP BENCH_SENT
    movq M(3), %rdx
    movq M(0), %rax
    ud2
    movq %rdx, M(3)
    movq %rax, M(0)
    STAMP BENCH_BACK
    ret

bench_linux:
    STAMP BENCH_SENT
    movq M(3), %rdx
    movl $110, %eax
    syscall
    movq %rdx, M(3)
    movq %rax, M(0)
    STAMP BENCH_BACK
    ret
    .section .note.GNU-stack, "", @progbits
