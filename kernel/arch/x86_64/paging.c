/* The kernel's own page tables, and those that objects write. No page is both writable and
 * executable: text, constants and data lie in large pages of their own; of the image, phys maps for
 * reading only, what the monitor reads. */
#include "arch/arch.h"
#include "asm.h"
#include "layout.h"
#include "machine.h"

#define PRESENT ARCH_PTE_PRESENT
#define RW      (ARCH_PTE_PRESENT | ARCH_PTE_WRITE)
#define LARGE   ARCH_PTE_LARGE
#define NX      ARCH_PTE_NX
#define DEVICE  (RW | LARGE | NX | ARCH_PTE_NOCACHE)

extern uint64_t kernel_pml4[512], kernel_pdpt[512], phys_pd[512], image_pd[512];
extern uint32_t space_loaded;
extern char image_text[], image_constants[], image_data[], image_end[];

/* What a space's last top-level entry holds: the kernel, or with the Meltdown window its window. */
static uint64_t kernel_entry;

static uint64_t physical(const void *in_image)
{
    return (uint64_t)in_image - IMAGE_BASE;
}

static uint32_t large(const void *in_image)
{
    return (uint32_t)(physical(in_image) / LARGE_PAGE);
}

#ifdef WINDOW
extern char window_text[], window_text_end[], window_data[], window_data_end[];
static uint64_t window_pdpt[512] __attribute__((aligned(4096)));
static uint64_t window_pd[512] __attribute__((aligned(4096)));
static uint64_t window_pt[2][512] __attribute__((aligned(4096)));

static void window_part(uint64_t *pt, const char *first, const char *end, uint64_t flags)
{
    window_pd[large(first)] = physical(pt) + RW;
    for (uint64_t page = physical(first); page < physical(end); page += 4096) {
        pt[page % LARGE_PAGE / 4096] = page + flags;
    }
}

static void window_init(void)
{
    window_pdpt[511] = physical(window_pd) + RW;
    window_part(window_pt[0], window_text, window_text_end, PRESENT);
    window_part(window_pt[1], window_data, window_data_end, RW + NX);
    kernel_entry = physical(window_pdpt) + RW;
}
#else
static void window_init(void)
{
    kernel_entry = physical(kernel_pdpt) + RW;
}
#endif

void paging_init(void)
{
    for (uint32_t i = 0; i < 512; i++) {
        uint64_t page = (uint64_t)i * LARGE_PAGE;
        if (i < large(image_text) || i >= large(image_end)) {
            image_pd[i] = 0;
        } else if (i < large(image_constants)) {
            image_pd[i] = page + PRESENT + LARGE;
        } else {
            image_pd[i] = page + (i < large(image_data) ? PRESENT : RW) + LARGE + NX;
        }
        phys_pd[i] = i >= PHYS_FRAMES / 512 ? 0
                     : i < large(image_end) ? page + PRESENT + LARGE + NX
                                            : page + RW + LARGE + NX;
    }
    image_pd[(IOAPIC_BASE - IMAGE_BASE) / LARGE_PAGE] = 0xfec00000 + DEVICE;
    image_pd[(APIC_BASE - IMAGE_BASE) / LARGE_PAGE] = 0xfee00000 + DEVICE;
    kernel_pml4[0] = 0;
    window_init();
    cr3_write(physical(kernel_pml4));
}

void arch_pte_write(uint32_t table, uint32_t index, uint64_t value)
{
    phys[table * 512ULL + index] = value;
}

void arch_tlb_flush(void)
{
    space_loaded = SPACE_NONE;
}

void arch_space_init(uint32_t table)
{
    for (uint32_t i = ARCH_USER_ENTRIES; i < ARCH_ENTRIES; i++) {
        phys[table * 512ULL + i] = 0;
    }
    phys[table * 512ULL + ARCH_ENTRIES - 1] = kernel_entry;
}

void arch_space_fini(uint32_t table)
{
    (void)table;
    cr3_write(physical(kernel_pml4));
    space_loaded = SPACE_NONE;
}

void arch_frame_zero(uint32_t frame)
{
    uint64_t *words = &phys[frame * 512ULL];
    uint64_t count = 512;
    __asm__ volatile("rep stosq" : "+D"(words), "+c"(count) : "a"(0) : "memory");
}
