/* The tests' main function. On the command line: tests=PREFIX runs those only whose names begin so.
 * Its output is read by tools/native. */
#include "kit.h"

extern const struct test __start_tests[], __stop_tests[];

static bool failed;

_Noreturn void program_end(int status)
{
    for (;;) {
        monitor_stop(BOOT_MONITOR, (uint64_t)status & 127);
    }
}

static void say_failed(const char *file, int line, const char *what)
{
    if (!failed) {
        print("# ");
        print(file);
        print(":");
        print_number((uint64_t)line);
        print(": ");
        print(what);
    }
    failed = true;
}

void kit_failed(const char *file, int line, const char *what)
{
    say_failed(file, line, what);
}

void kit_failed_numbers(const char *file, int line, const char *what, uint64_t a, uint64_t b)
{
    say_failed(file, line, what);
    print(" (0x");
    print_hex(a);
    print(", 0x");
    print_hex(b);
    print(")");
}

int main(void)
{
    char prefix[64] = "";
    unsigned count = 0, bad = 0;
    kit_prepare();
    boot_option("tests", prefix, sizeof(prefix));
    for (const struct test *t = __start_tests; t < __stop_tests; t++) {
        if (memcmp(t->name, prefix, strlen(prefix)) != 0) {
            continue;
        }
        static struct kit_state state;
        kit_begin(&state);
        failed = false;
        t->run();
        if (failed) {
            print("\n");
        }
        print(failed ? "FAIL " : "ok ");
        print(t->name);
        print("\n");
        kit_end(&state);
        count++;
        bad += failed;
    }
    print("end ");
    print_number(count);
    print("\n");
    return bad > 0;
}
