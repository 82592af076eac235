/* Where things lie in the kernel's address space, for C, assembly and the linker script: only
 * #defines.
 *
 *   0xffffffff80000000  phys: the memory behind the image, by physical address; writable, never
 * executed 0xffffffffc0000000  the image, by physical address: text (read, execute), constants
 * (read), data (read, write), each in large pages of its own 0xffffffffffc00000  IOAPIC
 *   0xffffffffffe00000  local APIC
 *
 * All of it is below one entry of the top-level table, the last. With the Meltdown window (WINDOW)
 * user mode sees a second table there, which maps the window's pages only: the first instructions
 * of each way in, descriptor tables and the entry stack.
 */
#ifndef KERNEL_LAYOUT_H
#define KERNEL_LAYOUT_H

#define PHYS_BASE   0xffffffff80000000
#define IMAGE_BASE  0xffffffffc0000000
#define IMAGE_START 0x200000 /* physical */
#define IOAPIC_BASE 0xffffffffffc00000
#define APIC_BASE   0xffffffffffe00000
#define LARGE_PAGE  0x200000

#define CS_KERNEL 0x08
#define SS_KERNEL 0x10
#define SS_USER   0x2b /* the selectors that Linux has */
#define CS_USER   0x33
#define TSS_SEL   0x38

#define KERNEL_STACK_BYTES 8192
#define ENTRY_STACK_BYTES  512
#define RESCUE_STACK_BYTES 2048 /* NMI, double fault, machine check: they only report */

#define VECTOR_IRQ      32 /* .. 55, by pin */
#define VECTOR_TIMER    56
#define VECTOR_SPURIOUS 63
#define VECTORS         64

#define SPACE_NONE 0xffffffff /* space_loaded when CR3 is to be written in any case */

#endif
