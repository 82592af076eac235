/* Between the files of arch/x86_64. The order of boot is that of boot_machine in machine.c. */
#ifndef KERNEL_MACHINE_H
#define KERNEL_MACHINE_H

#include <stdint.h>

/* What the loader told, copied before its memory is given away. Physical addresses; frames are
 * half-open ranges. */
#define MACHINE_RANGES 16u
#define MACHINE_LINE   256u
struct machine {
    uint32_t ranges; /* of memory that may be handed out, the image's end upward */
    uint32_t range_first[MACHINE_RANGES]; /* frame */
    uint32_t range_count[MACHINE_RANGES]; /* frames */
    uint32_t image_first, image_count;    /* frames of the boot image; count 0: none */
    uint32_t line_bytes;                  /* command line */
    char line[MACHINE_LINE];
    uint64_t ticks_per_us; /* of arch_now */
};
extern struct machine machine;

void boot_machine(uint64_t start_info); /* from boot.S, returns to exit_to_user */
void boot_root(void);                   /* makes the first objects and the root task */

void serial_init(void);
void serial_put(char c);
void serial_text(const char *text);
void serial_number(uint64_t value, uint32_t base);

void pvh_read(uint64_t start_info);
void paging_init(void);
void segments_init(void); /* GDT, TSS, IDT, SYSCALL */
void fpu_init(void);
void fpu_leave(
    void); /* from trap.S: another thread comes than the one whose values are in the registers */
void fpu_use(void);   /* the current thread uses what is not in the registers */
void apic_init(void); /* finds machine.ticks_per_us */
void apic_ack(void);
void apic_timer_fired(void);
void apic_skip(uint64_t since); /* the checking image: the time from then to now does not count */

void check_entry(void); /* the checking image, before each way out */
void trap_dispatch(uint64_t vector, uint64_t code, uint64_t address);
_Noreturn void trap_panic(const uint64_t *frame);
_Noreturn void machine_stop(const char *why);

#endif
