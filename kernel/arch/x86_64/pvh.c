/* What a PVH loader says: memory map, boot image (the first module), command line. Layout: Xen's
 * public/arch-x86/hvm/start_info.h. Read while the first GiB is still mapped at PHYS_BASE; all
 * checked, for a loader's bytes are foreign. */
#include "arch/arch.h"
#include "layout.h"
#include "machine.h"

#define PVH_MAGIC  0x336ec578u
#define PVH_MEMORY 1u /* type of a range of usable memory */

struct pvh_start {
    uint32_t magic, version, flags, modules;
    uint64_t module_list, command_line, rsdp, memory_list;
    uint32_t memory_entries, reserved;
};
struct pvh_module {
    uint64_t start, bytes, command_line, reserved;
};
struct pvh_memory {
    uint64_t start, bytes;
    uint32_t type, reserved;
};

struct machine machine;
extern char image_end[];

static const void *low(uint64_t address, uint64_t bytes)
{
    if (address == 0 || address >= 0x40000000 || bytes > 0x40000000 - address) {
        machine_stop("the loader names memory beyond the first GiB");
    }
    return (const void *)(PHYS_BASE + address);
}

static void add_range(uint64_t first, uint64_t end)
{
    if (first < end && machine.ranges < MACHINE_RANGES) {
        machine.range_first[machine.ranges] = (uint32_t)first;
        machine.range_count[machine.ranges] = (uint32_t)(end - first);
        machine.ranges++;
    }
}

/* Memory behind the image and below the limit of phys, without the boot image. */
static void read_memory(const struct pvh_start *start)
{
    uint64_t floor = ((uint64_t)image_end - IMAGE_BASE) / 4096;
    uint64_t hole = machine.image_first, hole_end = hole + machine.image_count;
    for (uint32_t i = 0; i < start->memory_entries && i < 64; i++) {
        const struct pvh_memory *m = low(start->memory_list + i * sizeof(*m), sizeof(*m));
        uint64_t first = (m->start + 4095) / 4096, end = (m->start + m->bytes) / 4096;
        if (m->type != PVH_MEMORY || m->bytes > (1ULL << 52) || m->start > (1ULL << 52)) {
            continue;
        }
        first = first < floor ? floor : first;
        end = end > PHYS_FRAMES ? PHYS_FRAMES : end;
        if (machine.image_count == 0 || hole >= end || hole_end <= first) {
            add_range(first, end);
        } else {
            add_range(first, hole);
            add_range(hole_end, end);
        }
    }
}

void pvh_read(uint64_t start_info)
{
    const struct pvh_start *start = low(start_info, sizeof(*start));
    if (start->magic != PVH_MAGIC || start->version < 1) {
        machine_stop("not started by a PVH loader with a memory map");
    }
    if (start->modules > 0) {
        const struct pvh_module *m = low(start->module_list, sizeof(*m));
        low(m->start, m->bytes);
        if (m->start % 4096 != 0) {
            machine_stop("the boot image does not begin with a page");
        }
        machine.image_first = (uint32_t)(m->start / 4096);
        machine.image_count = (uint32_t)((m->bytes + 4095) / 4096);
    }
    read_memory(start);
    if (start->command_line) {
        const char *line = low(start->command_line, MACHINE_LINE);
        while (machine.line_bytes < MACHINE_LINE - 1 && line[machine.line_bytes]) {
            machine.line[machine.line_bytes] = line[machine.line_bytes];
            machine.line_bytes++;
        }
    }
}
