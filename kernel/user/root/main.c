/* The root task of `make native`: starts the driver of the serial line, greets, runs the Linux
 * programs of the boot image one after another, each by a personality of its own, and ends the
 * machine. On the command line run=NAME runs that file only; with shell=1 a small shell comes
 * before the end.
 */
#include "component.h"
#include "serial.h"

#define PERSONALITY_SLOTS  49152
#define PERSONALITY_FRAMES 24576 /* 96 MiB */
#define COM1               0x3f8
#define COM1_IRQ           5u  /* object of the machine's line 4 */
#define DRIVER_PRIORITY    25u /* below this program's, above the personalities' */

static struct holdings holdings;
static struct space own;
static struct component component, driver;
static uint64_t input; /* endpoint of the serial line's driver */

_Noreturn void program_end(int status)
{
    monitor_stop(BOOT_MONITOR, (uint64_t)status & 127);
    for (;;) {
    }
}

/* Runs one file, which the line names and gives its arguments; returns its exit status. All that it
 * used is free again afterwards. */
static int run_line(const char *line)
{
    struct mark mark = holdings_mark(&holdings);
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
        .grants = 4,
        .grant = {BOOT_MONITOR, requests, parent, input},
        .grant_rights = {RIGHT_WRITE, RIGHTS_ALL, RIGHT_WRITE, RIGHT_WRITE | RIGHT_GRANT},
        .grant_slot = {BOOT_MONITOR, BOOT_FRAMES, BOOT_FRAMES + 1, BOOT_FRAMES + 2},
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

static int run(const char *name)
{
    char line[BOOT_LINE] = "run=";
    memcpy(line + 4, name, strlen(name) + 1);
    return run_line(line);
}

static void start_driver(void)
{
    uint64_t irq = slot_new(&holdings), ports = slot_new(&holdings);
    uint64_t line = object_new(&holdings, OBJ_NOTIFICATION);
    input = object_new(&holdings, OBJ_ENDPOINT);
    if (retype_whole(holdings.range[KIND_IRQ].untyped, OBJ_IRQ, 0, COM1_IRQ - 1, 1, holdings.cnode,
                     irq) ||
        retype_whole(holdings.range[KIND_PORT].untyped, OBJ_PORT, 0, COM1, 8, holdings.cnode,
                     ports)) {
        give_up("get the serial line", 0);
    }
    const struct component_plan plan = {
        .file = "serial",
        .line = "",
        .slots = 64,
        .budget_us = 10000,
        .period_us = 10000,
        .priority = DRIVER_PRIORITY,
        .grants = 7,
        .grant = {BOOT_MONITOR, input, line, badged_new(&holdings, line, RIGHT_WRITE, 1), irq,
                  ports, object_new(&holdings, OBJ_REPLY)},
        .grant_rights = {RIGHT_WRITE, RIGHTS_ALL, RIGHT_READ, RIGHT_WRITE, RIGHT_WRITE, RIGHTS_ALL,
                         RIGHTS_ALL},
        .grant_slot = {BOOT_MONITOR, BOOT_FRAMES, BOOT_FRAMES + 1, BOOT_FRAMES + 2, BOOT_FRAMES + 3,
                       BOOT_FRAMES + 4, BOOT_FRAMES + 5},
    };
    component_start(&holdings, &own, &plan, &driver);
}

static bool is_program(const char *name)
{
    return !text_equal(name, "personality") && !text_equal(name, "serial");
}

static void run_and_tell(const char *name)
{
    int status = run(name);
    if (status != 0) {
        print("exit ");
        print_number((uint64_t)status);
        print("\n");
    }
}

static void list(void)
{
    const struct image_header *image = (const struct image_header *)BOOT_IMAGE;
    for (uint64_t i = 0; i < image->files; i++) {
        if (is_program(image->file[i].name)) {
            print(image->file[i].name);
            print("\n");
        }
    }
}

/* One line of the input, without its end; false at the end of the input. */
static bool read_line(char line[SERIAL_BYTES + 1])
{
    struct message m = {.word = {SERIAL_BYTES}};
    unsigned error = message_pass(&m, SYS_CALL, input, SERIAL_READ, 1, 0);
    uint64_t n = m.word[0];
    if (error || n == 0 || n > SERIAL_BYTES) {
        return false;
    }
    memcpy(line, &m.word[1], n);
    line[n - (line[n - 1] == '\n')] = 0;
    return true;
}

static void shell(void)
{
    char line[SERIAL_BYTES + 1];
    uint64_t bytes;
    for (;;) {
        print("native% ");
        if (!read_line(line) || text_equal(line, "exit")) {
            return;
        }
        if (text_equal(line, "ls")) {
            list();
        } else if (is_program(line) && boot_file(line, &bytes)) {
            run_and_tell(line);
        } else if (line[0]) {
            print("ls, exit, or the name of a program that ls shows\n");
        }
    }
}

int main(void)
{
    char name[64];
    boot_holdings(&holdings);
    boot_space(&own);
    space_table(&holdings, &own, 1, COMPONENT_SCRATCH);
    start_driver();
    if (boot_option("run", name, sizeof(name))) {
        return run_line(boot_info()->line);
    }
    print("Cognu, native: ");
    print_number(holdings.range[KIND_FRAME].count / 256);
    print(" MiB of memory, ");
    print_number(boot_info()->ticks_per_us);
    print(" ticks/us, Meltdown window ");
    print(boot_info()->window ? "on\n" : "off\n");
    const struct image_header *image = (const struct image_header *)BOOT_IMAGE;
    bool ask = boot_option("shell", name, sizeof(name));
    for (uint64_t i = 0; i < image->files; i++) {
        if (is_program(image->file[i].name) && !text_equal(image->file[i].name, "ask")) {
            run_and_tell(image->file[i].name);
        }
    }
    if (ask) {
        shell();
    }
    return 0;
}
