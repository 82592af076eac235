/* From the boot loader to C. The loader follows PVH (a Xen note names boot_start): 32-bit protected mode, no paging, ebx the
 * physical address of its start information. Here: first page tables, long mode, and boot_machine(start information).
 */
#include "layout.h"
#define LOW(symbol) (symbol - IMAGE_BASE)

    .section .note.pvh, "a", @note
    .long 4, 4, 18 /* length of name and value, XEN_ELFNOTE_PHYS32_ENTRY */
    .asciz "Xen"
    .long LOW(boot_start)

    .section .text.boot, "ax"
    .code32
    .globl boot_start
boot_start:
    cld
    cli
    movl $LOW(boot_stack_top), %esp
    movl %ebx, %edi
    movl %cr4, %eax
    orl $0x20, %eax /* PAE */
    movl %eax, %cr4
    movl $LOW(kernel_pml4), %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx /* EFER: long mode, no-execute, SYSCALL */
    rdmsr
    orl $0x901, %eax
    wrmsr
    movl %cr0, %eax
    andl $0x9fffffff, %eax /* caches on */
    orl $0x80010001, %eax  /* paging, write protection also for the kernel */
    movl %eax, %cr0
    lgdt LOW(boot_gdt_pointer)
    ljmp $8, $LOW(boot_long)

    .code64
boot_long:
    movl $16, %eax
    movl %eax, %ss
    movl %eax, %ds
    movl %eax, %es
    xorl %eax, %eax
    movl %eax, %fs
    movl %eax, %gs
    movl %edi, %edi
    movabsq $boot_high, %rax
    jmp *%rax
boot_high:
    movq $kernel_stack_top, %rsp
    xorl %ebp, %ebp
    call boot_machine
    jmp exit_to_user

    .balign 8
boot_gdt:
    .quad 0, 0x00af9b000000ffff, 0x00cf93000000ffff
boot_gdt_pointer:
    .word 23
    .long LOW(boot_gdt)
    .balign 8
    .fill 64
boot_stack_top:

/* The first tables map the first GiB twice, writable and executable; paging_init gives each part its rights. */
    .data
    .balign 4096
    .globl kernel_pml4, kernel_pdpt, phys_pd, image_pd
kernel_pml4:
    .quad LOW(boot_pdpt) + 3
    .fill 510, 8, 0
    .quad LOW(kernel_pdpt) + 3
kernel_pdpt:
    .fill 510, 8, 0
    .quad LOW(phys_pd) + 3, LOW(image_pd) + 3
boot_pdpt:
    .quad LOW(phys_pd) + 3
    .fill 511, 8, 0
phys_pd:
    .set page, 0
    .rept 512
    .quad page * LARGE_PAGE + 0x83
    .set page, page + 1
    .endr
image_pd:
    .set page, 0
    .rept 512
    .quad page * LARGE_PAGE + 0x83
    .set page, page + 1
    .endr

    .section .data.stack, "aw", @progbits
    .balign 16
    .fill KERNEL_STACK_BYTES
    .globl kernel_stack_top
kernel_stack_top:
    .section .note.GNU-stack, "", @progbits
