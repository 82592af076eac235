/* Random calls, watched at the way in: no entry takes more steps than object/steps.h promises, and
 * none changes what the running thread has no authority over (confine.c).
 *
 * The program is random_test with object/ compiled so that each basic block counts; the linker puts
 * these functions before the entries (kernel/CMakeLists.txt). Prints the longest of each entry.
 */
#include "arch/arch.h"
#include "object/steps.h"
#include "test/confine.h"

#include <stdio.h>
#include <stdlib.h>

#define CALLS_DEFAULT "20000"

enum { SYSCALL, FAULT, INTERRUPT, TIMER, WAYS };
static const char *const way_name[WAYS] = {"entry_syscall", "entry_fault", "entry_interrupt",
                                           "entry_timer"};
static const uint64_t promised[WAYS] = {STEPS_SYSCALL, STEPS_FAULT, STEPS_INTERRUPT, STEPS_TIMER};
static uint64_t longest[WAYS];
static uint64_t steps;

void __sanitizer_cov_trace_pc(void);
void __real_entry_syscall(void);
void __real_entry_fault(uint64_t vector, uint64_t code, uint64_t address);
void __real_entry_interrupt(uint32_t irq);
void __real_entry_timer(void);
int __real_main(int argc, char **argv);
void __wrap_entry_syscall(void);
void __wrap_entry_fault(uint64_t vector, uint64_t code, uint64_t address);
void __wrap_entry_interrupt(uint32_t irq);
void __wrap_entry_timer(void);
int __wrap_main(int argc, char **argv);

void __sanitizer_cov_trace_pc(void)
{
    steps++;
}

static void begin(uint32_t irq)
{
    confine_before(irq);
    steps = 0;
}

static void end(uint32_t way)
{
    uint64_t taken = steps;
    if (taken > promised[way]) {
        fprintf(stderr, "%s took %llu steps, promised %llu\n", way_name[way],
                (unsigned long long)taken, (unsigned long long)promised[way]);
        abort();
    }
    longest[way] = taken > longest[way] ? taken : longest[way];
    confine_after(way_name[way]);
}

void __wrap_entry_syscall(void)
{
    begin(CONFINE_NO_IRQ);
    __real_entry_syscall();
    end(SYSCALL);
}

void __wrap_entry_fault(uint64_t vector, uint64_t code, uint64_t address)
{
    begin(CONFINE_NO_IRQ);
    __real_entry_fault(vector, code, address);
    end(FAULT);
}

void __wrap_entry_interrupt(uint32_t irq)
{
    begin(irq);
    __real_entry_interrupt(irq);
    end(INTERRUPT);
}

void __wrap_entry_timer(void)
{
    begin(CONFINE_NO_IRQ);
    __real_entry_timer();
    end(TIMER);
}

int __wrap_main(int argc, char **argv)
{
    char *few[] = {argv[0], CALLS_DEFAULT, NULL};
    int status = argc > 1 ? __real_main(argc, argv) : __real_main(2, few);
    int enough = confine_report();
    for (uint32_t way = 0; way < WAYS; way++) {
        printf("%-16s %6llu steps at most, promised %llu\n", way_name[way],
               (unsigned long long)longest[way], (unsigned long long)promised[way]);
        enough = enough && longest[way] != 0;
    }
    printf("%d passed, %d failed\n", enough, !enough);
    return enough ? status : 1;
}
