/* The tag of a message and the words beside it, for kernel and programs; the registers that carry
 * them are in arch/regs.h.
 *
 * tag      bit 63 set: a system call of the kernel; bits 56-62 its number (SYS_...). In an answer
 *          bit 63 is clear and bits 56-62 are the error (ERR_..., 0 for none).
 *          bits 42-43 capabilities handed over, bits 32-41 words, bits 0-31 label.
 * handle   low half: the capability that is invoked or received from; high half: the reply object
 *          of reply_receive and receive. What was received: the badge.
 * extra    up to MSG_HANDLES packed handles: capabilities to hand over; empty slots to receive
 * into.
 *
 * A refused call answers its error in the tag, word 0: number of the argument, counted from 1 (0:
 * the invoked handle or the message as a whole), word 1: the limit that it broke.
 * A label has 31 bits for programs. Labels from LABEL_FAULT up are the kernel's own: faults
 * (LABEL_FAULT + FAULT_...).
 */
#ifndef KERNEL_MESSAGE_H
#define KERNEL_MESSAGE_H

/* By division and sums, which the prover knows; compilers make shifts of them. */
#define TAG_NATIVE       0x8000000000000000ULL
#define TAG_LABEL(tag)   ((uint32_t)((tag) % 0x100000000ULL))
#define TAG_WORDS(tag)   ((uint32_t)((tag) / 0x100000000ULL % 0x400U))
#define TAG_HANDLES(tag) ((uint32_t)((tag) / 0x40000000000ULL % 4U))
#define TAG_CODE(tag)    ((uint32_t)((tag) / 0x100000000000000ULL % 0x80U))
#define TAG_MESSAGE      0x000003ff7fffffffULL /* what of a tag reaches the receiver */
#define TAG(code, label, words, handles)                                                           \
    ((uint64_t)(code)*0x100000000000000ULL + (uint64_t)(handles)*0x40000000000ULL +                \
     (uint64_t)(words)*0x100000000ULL + (uint64_t)(label))
#define HANDLE_PACKED(extra, k) ((uint32_t)(((extra) >> ((k)*HANDLE_BITS)) & 0x1fffffULL))
#define LABEL_FAULT             0x80000000U
#define LABEL_SIGNAL            LABEL_FAULT /* not a message: the badge is a notification's word */

#endif
