/* The root task of `make native`: greets, runs the Linux programs of the boot image one after
 * another, each by a personality of its own, and ends the machine. On the command line run=NAME
 * runs that file only.
 */
#include "component.h"

#define PERSONALITY_SLOTS  49152
#define PERSONALITY_FRAMES 24576 /* 96 MiB */

static struct holdings holdings;
static struct space own;
static struct component component;

_Noreturn void program_end(int status)
{
    monitor_stop(BOOT_MONITOR, (uint64_t)status & 127);
    for (;;) {
    }
}

/* Runs one file; returns its exit status. All that it used is free again afterwards. */
static int run(const char *name)
{
    char line[BOOT_LINE] = "run=";
    struct mark mark = holdings_mark(&holdings);
    memcpy(line + 4, name, strlen(name) + 1);
    uint64_t requests = object_new(&holdings, OBJ_ENDPOINT);
    uint64_t parent = object_new(&holdings, OBJ_ENDPOINT);
    const struct component_plan plan = {
        .file = "personality",
        .line = line,
        .slots = PERSONALITY_SLOTS,
        .budget_us = 10000,
        .period_us = 10000,
        .priority = 20,
        .count = {[KIND_THREAD] = 8,
                  [KIND_REPLY] = 8,
                  [KIND_CONTEXT] = 8,
                  [KIND_FRAME] = PERSONALITY_FRAMES},
        .image = true,
        .grants = 3,
        .grant = {BOOT_MONITOR, requests, parent},
        .grant_rights = {RIGHT_WRITE, RIGHTS_ALL, RIGHT_WRITE},
        .grant_slot = {BOOT_MONITOR, BOOT_FRAMES, BOOT_FRAMES + 1},
    };
    component_start(&holdings, &own, &plan, &component);
    struct message m = {.extra = 0};
    unsigned error = message_pass(&m, SYS_RECEIVE, receive_handle(parent, 0), 0, 0, 0);
    if (error) {
        give_up("hear of a program's end", error);
    }
    holdings_reset(&holdings, &mark);
    return (int)m.word[0];
}

int main(void)
{
    char name[64];
    boot_holdings(&holdings);
    boot_space(&own);
    space_table(&holdings, &own, 1, COMPONENT_SCRATCH);
    if (boot_option("run", name, sizeof(name))) {
        return run(name);
    }
    print("Cognu, native: ");
    print_number(holdings.range[KIND_FRAME].count / 256);
    print(" MiB of memory, ");
    print_number(boot_info()->ticks_per_us);
    print(" ticks/us, Meltdown window ");
    print(boot_info()->window ? "on\n" : "off\n");
    const struct image_header *image = (const struct image_header *)BOOT_IMAGE;
    for (uint64_t i = 0; i < image->files; i++) {
        if (!text_equal(image->file[i].name, "personality")) {
            print("-- ");
            print(image->file[i].name);
            print("\n");
            int status = run(image->file[i].name);
            print("-- exit ");
            print_number((uint64_t)status);
            print("\n");
        }
    }
    return 0;
}
